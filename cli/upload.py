"""Sending to the schedd the contents it lacks: small ones in packs, large ones each by itself."""

import hashlib
from collections.abc import Iterator

import msgspec

from cli.pack import Packed, Source, changed
from contract.client import Client
from contract.problems import Problem
from contract.vocabulary import INLINE_BYTES

ASKED_AT_ONCE = 10_000
PACK_BYTES = 4 * 1024**2


def upload(client: Client, packed: Packed) -> int:
    """Send what is missing; return how many bytes that were."""
    sent = 0
    small: list[bytes] = []
    waiting = 0
    for sha256 in _missing(client, list(packed.sources)):
        source = packed.sources[sha256]
        if source.size > INLINE_BYTES:
            sent += _send_large(client, sha256, source)
            continue
        content = b"".join(source.pieces())
        if hashlib.sha256(content).hexdigest() != sha256:
            raise changed(source.path)
        # A few bytes of msgpack stand before each content.
        if small and waiting + len(content) + 16 > PACK_BYTES:
            sent += _send_pack(client, small)
            small, waiting = [], 0
        small.append(content)
        waiting += len(content) + 16
    return sent + (_send_pack(client, small) if small else 0)


def _missing(client: Client, names: list[str]) -> Iterator[str]:
    for start in range(0, len(names), ASKED_AT_ONCE):
        yield from client.call("POST", "/v1/blobs/missing", list[str], names[start : start + ASKED_AT_ONCE])


def _send_pack(client: Client, contents: list[bytes]) -> int:
    client.exchange("POST", "/v1/blobs/pack", msgspec.msgpack.encode(contents),
                    headers={"Content-Type": "application/msgpack"})
    return sum(map(len, contents))


def _send_large(client: Client, sha256: str, source: Source) -> int:
    """Send one content in one request, from where an earlier try stopped."""
    response, _ = client.exchange("HEAD", f"/v1/blobs/{sha256}")
    offset = int(response.headers.get("Pesc-Offset", "0"))
    if not 0 <= offset < source.size:
        offset = 0
    headers = {"Content-Length": str(source.size - offset), "Content-Type": "application/octet-stream"}
    try:
        client.exchange("PUT", f"/v1/blobs/{sha256}", source.pieces(offset),
                        query={"offset": str(offset), "size": str(source.size)}, headers=headers)
    except Problem as problem:
        if problem.code == "bad_blob":
            raise changed(source.path) from None
        raise
    return source.size - offset
