"""Who is calling, and may they.

Every endpoint goes through `admit`: the protocol is one we speak, the token is genuine, its
roles are in the endpoint's row. What went wrong is answered as a Problem in JSON.
"""

import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec
from sanic import Request
from sanic.exceptions import SanicException
from sanic.response import HTTPResponse

from contract import tokens
from contract.endpoints import Endpoint
from contract.problems import Problem
from contract.tokens import Claims
from contract.vocabulary import PROTOCOL, VERSION
from schedd.api.context import Context

log = logging.getLogger("schedd.api")

Handler = Callable[[Context, Request, Claims], Awaitable[HTTPResponse | None]]

NOBODY = Claims("", "", [], 0.0)
REMEMBERED_TOKENS = 1_000


class Gate:
    """Checks tokens; remembers genuine ones, since a signature costs more than a look-up."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, Claims] = {}

    def admit(self, request: Request, endpoint: Endpoint) -> Claims:
        """The claims of the caller, or the Problem that turns it away."""
        spoken = request.headers.get("pesc-protocol")
        if spoken is not None and spoken != str(PROTOCOL):
            raise Problem("other_version",
                          f"This schedd (version {VERSION}) speaks protocol {PROTOCOL}, you speak {spoken[:20]}.",
                          "Use commands and startds of the schedd's version.")
        if not endpoint.roles:
            return NOBODY
        claims = self._claims(request)
        if not claims.may_call(endpoint):
            raise Problem("not_allowed", f"{claims.user} may not do this: {endpoint.summary.split(' (')[0]}.",
                          f"It takes a token with one of the roles {', '.join(sorted(endpoint.roles))}.")
        return claims

    def _claims(self, request: Request) -> Claims:
        token = request.token
        if not token:
            raise Problem("no_token", "This pool wants a token, and none was shown.",
                          "Commands find it in the pool's state directory or in PESC_TOKEN.")
        now = self._context.loop.clock()
        claims = self._known.get(token)
        if claims is None or claims.expires_at <= now:
            claims = tokens.check(token, self._context.secret, self._context.loop.pool.name, now)
            if len(self._known) >= REMEMBERED_TOKENS:
                self._known.clear()
            self._known[token] = claims
        return claims


def guarded(
    context: Context, gate: Gate, endpoint: Endpoint, handler: Handler
) -> Callable[..., Coroutine[Any, Any, HTTPResponse | None]]:
    """`handler` behind the gate, with every refusal said as a Problem."""

    async def guard(request: Request, **_: str) -> HTTPResponse | None:
        try:
            return await handler(context, request, gate.admit(request, endpoint))
        except Problem as problem:
            return refuse(problem)
        except msgspec.MsgspecError as error:
            return refuse(Problem("bad_request", f"The request was not understood: {error}.",
                                  "See /v1/openapi.json for what is expected."))
        except SanicException:
            raise
        except Exception:
            log.exception("a request failed", extra={"endpoint": endpoint.name})
            return refuse(Problem("internal", "The schedd ran into a fault of its own.",
                                  "Its log tells more: pesc_pool logs schedd. Please report it."))

    guard.__name__ = endpoint.name
    return guard


def refuse(problem: Problem) -> HTTPResponse:
    return HTTPResponse(msgspec.json.encode(problem.body), problem.status, content_type="application/json")


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    return HTTPResponse(msgspec.json.encode(value), status, headers, content_type="application/json")


def is_local_owner(context: Context, request: Request, claims: Claims) -> bool:
    """Whether the caller is the schedd's own user on this very machine (Unix socket)."""
    if claims.user != context.own_user or request.transport is None:
        return False
    peer = request.transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX:
        return False
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", raw)[1] == context.own_uid)
