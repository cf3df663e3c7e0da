"""Domains: names, images, and the live log of a build."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from sanic import Request
from sanic.response import HTTPResponse

from contract.endpoints import Role
from contract.messages import Content, Recipe
from contract.problems import Problem
from contract.requests import DomainAdd, DomainAsked, DomainBuild
from contract.tokens import Claims
from schedd.api.context import Context
from schedd.api.gate import answer
from schedd.core import named
from schedd.core.domains import State

LOOK_SECONDS = 0.2
SILENCE_SECONDS = 15.0
CHUNK_BYTES = 256 * 1024

Send = Callable[[str], Awaitable[Any]]


async def get_domains(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    return answer(named.shown(context.loop.pool, claims.user))


async def get_domain(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    return answer(named.one(context.loop.pool, claims.user, request.match_info["name"]))


async def post_domain(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    wanted = msgspec.json.decode(request.body, type=DomainAdd)
    await need(context, recipe_contents(wanted.recipe))
    if wanted.image is not None:
        await need(context, [wanted.image.layout])
    return answer(await context.loop.ask(named.add, claims.user, Role.ADMIN in claims.roles, wanted))


async def post_build(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    wanted = msgspec.json.decode(request.body, type=DomainBuild)
    await need(context, recipe_contents(wanted.domain.recipe))
    return answer(await context.loop.ask(named.build, claims.user, wanted))


async def delete_domain(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    await context.loop.ask(named.remove, claims.user, Role.ADMIN in claims.roles, request.match_info["name"],
                           request.args.get("everybody") == "1")
    return answer({"removed": request.match_info["name"]})


async def get_log(context: Context, request: Request, claims: Claims) -> HTTPResponse | None:
    """What a build printed and goes on to print, as job output is told."""
    key = named.one(context.loop.pool, claims.user, request.match_info["name"]).key
    offset = request.args.get("offset", "0")
    if not (offset.isascii() and offset.isdigit() and len(offset) < 16):
        raise Problem("bad_request", "A log is read from a byte on.", "As in: pesc_domain log NAME")
    response = await request.respond(content_type="text/event-stream", headers={"Cache-Control": "no-store"})
    await _Log(context, key, int(offset), response.send).send_all(follow=request.args.get("follow") == "1")
    await response.eof()
    return None


class _Log:
    """One reader of one log. A new attempt's log is a new one, told from its start."""

    def __init__(self, context: Context, key: str, offset: int, send: Send) -> None:
        self._context, self._key, self._offset, self._send = context, key, offset, send
        self._attempt = 0

    async def send_all(self, follow: bool) -> None:
        silent = 0.0
        while True:
            build, live = self._context.loop.pool.builds.get(self._key), self._context.loop.pool.live.get(self._key)
            if build is None or build.state in (State.READY, State.FAILED):
                await self._rest(await self._kept())
                return
            if live is not None:
                if self._attempt not in (0, live.attempt):
                    self._offset = 0
                self._attempt = live.attempt
                silent = 0.0 if await self._chunks(live.log) else silent
            if not follow:
                await self._frame(b"", last=True)
                return
            await asyncio.sleep(LOOK_SECONDS)
            silent += LOOK_SECONDS
            if silent >= SILENCE_SECONDS:
                await self._send(": still here\n\n")
                silent = 0.0

    async def _kept(self) -> bytes:
        build = self._context.loop.pool.builds.get(self._key)
        if build is None or build.log is None:
            return b""
        return await self._context.blobs.read(build.log.sha256) or b""

    async def _rest(self, log: bytes) -> None:
        await self._chunks(log)
        await self._frame(b"", last=True)

    async def _chunks(self, log: bytes) -> bool:
        told = False
        while self._offset < len(log):
            piece = log[self._offset : self._offset + CHUNK_BYTES]
            await self._frame(piece, last=False)
            self._offset += len(piece)
            told = True
        return told

    async def _frame(self, data: bytes, last: bool) -> None:
        body = msgspec.json.encode({"offset": self._offset, "data": base64.b64encode(data).decode(), "last": last})
        await self._send(f"event: chunk\nid: {self._offset}\ndata: {body.decode()}\n\n")


def recipe_contents(recipe: Recipe | None) -> list[Content]:
    return [recipe.context] if recipe is not None and recipe.context is not None else []


def asked_contents(asked: DomainAsked | None) -> list[Content]:
    return recipe_contents(asked.recipe) if asked is not None else []


async def need(context: Context, contents: list[Content]) -> None:
    """Refuse what names contents that are not here."""
    lacking = await context.blobs.missing([content.sha256 for content in contents])
    if lacking:
        raise Problem("missing_content", f"{len(lacking)} contents of the domain are not here, first {lacking[0]}.",
                      "Upload them first, then try again.")
