"""The WebSocket of a command that looks inside a running job.

Whoever may not, or cannot now, is refused before the handshake, while a refusal can still be
read. Each use is on disk before anything is started; `schedd.shells` passes on what is said.
"""

import asyncio
import contextlib
import logging
import shlex
import time
from typing import Any

import msgspec
from sanic import Request
from sanic.exceptions import WebsocketClosed
from websockets.exceptions import ConnectionClosed

from contract.endpoints import Role
from contract.problems import Problem
from contract.shells import MOST_ARGUMENT_BYTES, AskShell, ShellOver, decode_from_user, encode
from contract.tokens import Claims
from contract.vocabulary import JobStatus
from schedd.api.context import Context
from schedd.api.jobs import find_cluster
from schedd.core.selection import parse_ids
from schedd.core.shells import not_running, on_exec, on_exec_ended, place_of
from schedd.shells import Shell

log = logging.getLogger("schedd.exec")

LARGEST_FRAME = 256 * 1024
ASK_SECONDS = 30.0
HANG_UP_SECONDS = 10.0


async def admit(context: Context, request: Request, claims: Claims) -> None:
    """Refuse whoever may not look inside this job, or says when nobody can."""
    number, proc = _job(request)
    cluster = await find_cluster(context, number)
    if cluster.owner != claims.user and Role.ADMIN not in claims.roles:
        raise Problem("not_yours",
                      f"Job {number}.{proc} belongs to {cluster.owner}; you are signed in as {claims.user}.",
                      "Only its owner or an administrator can look inside.")
    if not 0 <= proc < cluster.count:
        raise Problem("no_such_job", f"Cluster {number} has {cluster.count} jobs; there is no {number}.{proc}.",
                      f"Its jobs are {number}.0 to {number}.{cluster.count - 1}.")
    if context.loop.pool.job(number, proc) is None and not cluster.in_rest(proc):
        rows = await context.loop.store.history(None, 1, number, proc)
        raise not_running(number, proc, JobStatus(rows[0].job.status) if rows else JobStatus.COMPLETED)
    place_of(context.loop.pool, number, proc)
    if request.headers.get("upgrade", "").lower() != "websocket":
        raise Problem("bad_request", "Looking inside a job takes a WebSocket.", "As in: pesc_exec 12.3")
    request.ctx.claims = claims
    assert request.transport is not None
    request.transport.get_protocol().websocket_max_size = LARGEST_FRAME  # type: ignore[attr-defined]


async def serve(context: Context, request: Request, websocket: Any) -> None:
    """One shell, from its first message to its end."""
    claims: Claims = request.ctx.claims
    try:
        asked = await _asked(websocket)
        command = shlex.join(asked.argv) or "a shell"
        place = await context.loop.ask(on_exec, *_job(request), claims.user, command, asked.tty)
    except Problem as problem:
        await _say_over(websocket, str(problem))
        await _hang_up(websocket)
        return
    what: dict[str, Any] = {"user": claims.user, "job": str(place.run.job), "machine": place.machine,
                            "command": command}
    log.info("exec by %s in %s on %s: %s", claims.user, place.run.job, place.machine, command, extra=what)
    began = time.monotonic()
    shell = context.shells.open(place.link, place.run, asked)
    try:
        await _pass_on(shell, websocket)
    finally:
        over = context.shells.leave(shell)
        context.loop.tell(on_exec_ended, place, claims.user, command, time.monotonic() - began,
                          over.code, over.signal, over.message)
        how = over.message or (f"exit code {over.code}" if over.signal is None else f"signal {over.signal}")
        log.info("exec by %s in %s on %s is over: %s", claims.user, place.run.job, place.machine, how, extra=what)
    await _hang_up(websocket)


async def _asked(websocket: Any) -> AskShell:
    """The first message, if it is one."""
    frame = None
    with contextlib.suppress(TimeoutError):
        frame = await asyncio.wait_for(websocket.recv(), ASK_SECONDS)
    messages = _decode(frame) if frame is not None else []
    if len(messages) != 1 or not isinstance(messages[0], AskShell):
        raise Problem("bad_request", "The first message must say what to start.", "See contract/shells.py.")
    asked: AskShell = messages[0]
    if sum(len(word.encode("utf-8", "replace")) + 1 for word in asked.argv) > MOST_ARGUMENT_BYTES:
        raise Problem("too_large", f"A command may have {MOST_ARGUMENT_BYTES} bytes of arguments.",
                      "Send what is longer through its stdin.")
    if any("\0" in word for word in asked.argv) or (asked.argv and not asked.argv[0]):
        raise Problem("bad_request", "This is not a command.", "A command has a name, and no NUL in any word.")
    return asked


async def _pass_on(shell: Shell, websocket: Any) -> None:
    """Let both ends talk until one has enough."""
    hearing = asyncio.create_task(_hear(shell, websocket))
    telling = asyncio.create_task(_tell(shell, websocket))
    try:
        await asyncio.wait([hearing, telling], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (hearing, telling):
            task.cancel()
        results = await asyncio.gather(hearing, telling, return_exceptions=True)
    for result in results:
        if isinstance(result, Problem):
            shell.end(result.message)
            await _say_over(websocket, str(result))
        elif isinstance(result, Exception) and not isinstance(result, ConnectionClosed | WebsocketClosed):
            log.error("a shell could not be passed on", exc_info=result)
            shell.end("the schedd ran into a fault of its own.")


async def _hear(shell: Shell, websocket: Any) -> None:
    """From the user to the machine, until the user hangs up."""
    async for frame in websocket:
        for message in _decode(frame):
            await shell.from_user(message)


async def _tell(shell: Shell, websocket: Any) -> None:
    """From the machine to the user, until the shell is over."""
    while True:
        await shell.news.wait()
        for message in shell.waiting():
            await websocket.send(encode([message]))
            if isinstance(message, ShellOver):
                return


async def _say_over(websocket: Any, words: str) -> None:
    with contextlib.suppress(Exception):
        await websocket.send(encode([ShellOver(0, message=words, started=False)]))


async def _hang_up(websocket: Any) -> None:
    """Let the user hang up first: a connection that is cut while something comes in takes our last words along."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(_hear_out(websocket), HANG_UP_SECONDS)
    with contextlib.suppress(Exception):
        await websocket.close()


async def _hear_out(websocket: Any) -> None:
    async for _ in websocket:
        pass


def _decode(frame: Any) -> list[Any]:
    try:
        return decode_from_user(frame)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Problem("bad_request", f"A message was not understood: {error}.", "See contract/shells.py.") from None


def _job(request: Request) -> tuple[int, int]:
    number, proc = parse_ids([request.match_info["job"]])[0]
    if proc is None:
        raise Problem("bad_request", "One looks inside one job.", "As in: pesc_exec 12.3")
    return number, proc
