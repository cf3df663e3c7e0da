"""Blobs in and out. See `schedd.blobs` for where they lie."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from sanic import Request
from sanic.response import HTTPResponse

from contract.problems import Problem
from contract.tokens import Claims
from schedd.api.context import Context
from schedd.api.gate import answer
from schedd.blobs import PIECE, check_name

MOST_NAMES = 20_000
MOST_PACKED_BYTES = 8 << 20


async def post_missing(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    return answer(await context.blobs.missing(_names(request)))


async def post_pack(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    contents = msgspec.msgpack.decode(request.body, type=list[bytes])
    await context.blobs.put_small(contents)
    return answer({"kept": len(contents)})


async def post_fetch(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    found = await context.blobs.read_small(_names(request))
    packed: dict[str, bytes] = {}
    total = 0
    for name, content in found.items():
        total += len(content)
        if total > MOST_PACKED_BYTES:
            break
        packed[name] = content
    return HTTPResponse(msgspec.msgpack.encode(packed), content_type="application/msgpack")


async def head_blob(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    name = check_name(request.match_info["sha256"])
    context.blobs.renew(name)
    size = await context.blobs.size(name)
    if size is not None:
        return HTTPResponse(b"", 200, {"Pesc-Offset": str(size), "Pesc-Complete": "1"})
    return HTTPResponse(b"", 200, {"Pesc-Offset": str(context.blobs.offset(name) or 0)})


async def put_blob(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    name = check_name(request.match_info["sha256"])
    offset, size = (_number(request.args.get(word, "")) for word in ("offset", "size"))
    await context.blobs.put(name, offset, size, _pieces(request))
    return answer({"offset": size if await context.blobs.size(name) is not None else context.blobs.offset(name) or 0})


async def get_blob(context: Context, request: Request, claims: Claims) -> HTTPResponse | None:
    name = check_name(request.match_info["sha256"])
    size = await context.blobs.size(name)
    if size is None:
        raise Problem("no_such_blob", f"There is no content {name} here.", "It may never have been uploaded whole.")
    start = _range_start(request.headers.get("range"), size)
    status = 206 if start else 200
    headers = {"Content-Length": str(size - start), "Accept-Ranges": "bytes"}
    if start:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    small = await context.blobs.read_small([name])
    if small:
        return HTTPResponse(small[name][start:], status, headers, content_type="application/octet-stream")
    response = await request.respond(status=status, headers=headers, content_type="application/octet-stream")
    with open(context.blobs.path(name), "rb") as file:  # noqa: ASYNC230  (page-cache reads of one MiB)
        file.seek(start)
        while piece := file.read(PIECE):
            await response.send(piece)
    await response.eof()
    return None


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream
    while (piece := await stream.read()) is not None:
        yield piece


def _names(request: Request) -> list[str]:
    names = msgspec.json.decode(request.body, type=list[str])
    if len(names) > MOST_NAMES:
        raise Problem("too_large", f"{len(names)} names at once are too many.", f"Ask for at most {MOST_NAMES}.")
    return [check_name(name) for name in names]


def _range_start(text: str | None, size: int) -> int:
    if not text:
        return 0
    start = text.removeprefix("bytes=").removesuffix("-")
    if not (start.isascii() and start.isdigit()) or int(start) > size:
        raise Problem("bad_request", f"The range {text[:80]!r} is not understood.", "Ask as in: Range: bytes=1000-")
    return int(start)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Problem("bad_request", f"{text[:80]!r} is not a number of bytes.", "Give offset and size.")
    return int(text)
