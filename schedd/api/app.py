"""The Sanic application, built from the table in `contract.endpoints`."""

import asyncio
import contextlib
import logging
import re
import socket
from typing import Any

import msgspec
from sanic import Request, Sanic
from sanic.exceptions import SanicException
from sanic.response import HTTPResponse

from contract import tokens
from contract.endpoints import BY_NAME, ENDPOINTS, Role
from contract.problems import Problem
from contract.requests import TokenRequest
from contract.tokens import Claims
from contract.vocabulary import MAX_SUBMISSION_BYTES, PROTOCOL, VERSION
from schedd.api import contents, domains, jobs, shells, startds, streams
from schedd.api.context import Context
from schedd.api.gate import Gate, Handler, answer, guarded, refuse
from schedd.api.metrics import render
from schedd.api.openapi import document

log = logging.getLogger("schedd.api")

LONGEST_TOKEN_SECONDS = 10 * 365 * 86_400
USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,99}")


async def get_version(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    return answer({"version": VERSION, "protocol": PROTOCOL, "pool": context.loop.pool.name})


async def get_openapi(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    return answer(document())


async def get_metrics(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    return HTTPResponse(render(context), content_type="text/plain; version=0.0.4; charset=utf-8")


async def post_token(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    wanted = msgspec.json.decode(request.body, type=TokenRequest)
    if not USER_NAME.fullmatch(wanted.user):
        raise Problem("bad_request", f"{wanted.user[:80]!r} is not a user's name.",
                      "Letters, digits and . _ @ - make one.")
    if not 0 < wanted.seconds <= LONGEST_TOKEN_SECONDS:
        raise Problem("bad_request", f"A token for {wanted.seconds} seconds cannot be made.", "At most ten years can.")
    try:
        roles = [Role(role) for role in wanted.roles]
    except ValueError as error:
        raise Problem("bad_request", f"{error}.", f"The roles are {', '.join(Role)}.") from None
    made = Claims(wanted.user, context.loop.pool.name, roles, context.loop.clock() + wanted.seconds)
    log.info("token made", extra={"by": claims.user, "for": wanted.user, "roles": wanted.roles})
    return answer({"token": tokens.sign(made, context.secret)})


HANDLERS: dict[str, Handler] = {
    "version": get_version,
    "openapi": get_openapi,
    "metrics": get_metrics,
    "submit": jobs.post_cluster,
    "cluster": jobs.get_cluster,
    "outputs": jobs.get_outputs,
    "queue": jobs.get_queue,
    "jobs": jobs.get_jobs,
    "history": jobs.get_history,
    "peaks": jobs.get_peaks,
    "act": jobs.post_action,
    "drain": jobs.post_drain,
    "machines": jobs.get_machines,
    "events": streams.get_events,
    "tail": streams.get_output,
    "domains": domains.get_domains,
    "domain": domains.get_domain,
    "add_domain": domains.post_domain,
    "build_domain": domains.post_build,
    "remove_domain": domains.delete_domain,
    "domain_log": domains.get_log,
    "missing_blobs": contents.post_missing,
    "put_pack": contents.post_pack,
    "get_pack": contents.post_fetch,
    "blob_offset": contents.head_blob,
    "put_blob": contents.put_blob,
    "get_blob": contents.get_blob,
    "make_token": post_token,
}


def build(context: Context) -> Sanic[Any, Any]:
    """The application; `listen` serves it."""
    app: Sanic[Any, Any] = Sanic("pesc", configure_logging=False)
    app.config.update(
        ACCESS_LOG=False, MOTD=False, AUTO_EXTEND=False,
        REQUEST_MAX_SIZE=MAX_SUBMISSION_BYTES,
        # Ids and constraints are asked for in the address. Sanic takes no more.
        REQUEST_MAX_HEADER_SIZE=16_384,
        # Streams last as long as somebody listens.
        RESPONSE_TIMEOUT=10**9, REQUEST_TIMEOUT=600, KEEP_ALIVE_TIMEOUT=300,
        WEBSOCKET_MAX_SIZE=64 << 20, WEBSOCKET_PING_INTERVAL=20, WEBSOCKET_PING_TIMEOUT=20,
        GRACEFUL_SHUTDOWN_TIMEOUT=1.0,
    )
    gate = Gate(context)

    async def serve_startd(request: Request, websocket: Any) -> None:
        await startds.serve(context, request, websocket)

    async def serve_shell(request: Request, websocket: Any, job: str) -> None:
        await shells.serve(context, request, websocket)

    websockets: dict[str, Any] = {"startd": serve_startd, "exec": serve_shell}

    for endpoint in ENDPOINTS:
        path = re.sub(r"\{(\w+)\}", r"<\1:str>", endpoint.path)
        if endpoint.name in websockets:
            app.add_websocket_route(websockets[endpoint.name], path, name=endpoint.name)
        else:
            app.add_route(
                guarded(context, gate, endpoint, HANDLERS[endpoint.name]), path, methods=[endpoint.method],
                name=endpoint.name, stream=endpoint.name == "put_blob",
            )

    @app.on_request
    async def admit_websocket(request: Request) -> HTTPResponse | None:
        """A WebSocket is refused before the handshake, while a refusal can still be read."""
        name = request.name.rpartition(".")[2] if request.name else ""
        if name in websockets:
            try:
                claims = gate.admit(request, BY_NAME[name])
                if name == "exec":
                    await shells.admit(context, request, claims)
            except Problem as problem:
                return refuse(problem)
        return None

    @app.exception(Exception)
    async def on_error(request: Request, error: Exception) -> HTTPResponse:
        return refuse(_as_problem(error))

    return app


async def listen(app: Sanic[Any, Any], sockets: list[socket.socket]) -> list[Any]:
    """Serve `app` on every socket; return the servers, to be closed."""
    servers: list[Any] = [
        await app.create_server(
            sock=sock, return_asyncio_server=True, access_log=False,
            # Nobody is served before the application has finished its own start.
            asyncio_server_kwargs={"start_serving": False},
        )
        for sock in sockets
    ]
    await servers[0].startup()
    for server in servers:
        await server.start_serving()
    return servers


async def close(servers: list[Any]) -> None:
    """Stop listening, and cut what is still open after a moment."""
    for server in servers:
        server.close()
    for server in servers:
        for connection in list(server.connections):
            with contextlib.suppress(Exception):
                connection.close(timeout=1.0)
    await asyncio.sleep(0)


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, SanicException):
        code = {404: "not_found", 405: "bad_request", 413: "too_large"}.get(error.status_code, "bad_request")
        if error.status_code >= 500:
            code = "internal"
        return Problem(code, str(error) or "The request was refused.", "See /v1/openapi.json for what is served here.")
    log.error("a request failed", exc_info=error)
    return Problem("internal", "The schedd ran into a fault of its own.", "Its log tells more: pesc_pool logs schedd.")

