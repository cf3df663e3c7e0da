"""The WebSocket of a startd: frames in become events of the core, instructions go out.

See `contract.messages` for what is said, `schedd.links` for the way out.
"""

import asyncio
import contextlib
import hashlib
import logging
from typing import Any

import msgspec
from sanic import Request

from contract.messages import (
    AdChanged,
    Beat,
    BuildEnded,
    BuildProgressed,
    Checkpointed,
    Ended,
    FromStartd,
    Hello,
    OutputChunk,
    Progressed,
    Reached,
    Refused,
    Used,
    decode_from_startd,
)
from contract.shells import ShellOutput, ShellOver, ShellTaken
from contract.vocabulary import INLINE_BYTES
from schedd.api.context import Context
from schedd.core.building import on_build_ended, on_build_progressed
from schedd.core.checkpoints import on_checkpointed
from schedd.core.ends import on_ended
from schedd.core.reached import on_reached
from schedd.core.runs import on_ad, on_beat, on_gone, on_hello, on_progressed, on_used
from schedd.links import Link

log = logging.getLogger("schedd.startds")

HELLO_SECONDS = 30.0
LARGEST = 2**63 - 1


async def serve(context: Context, request: Request, websocket: Any) -> None:
    """One connection, from its Hello to its end."""
    link = context.links.add(websocket, context.loop.store)
    writer = asyncio.create_task(link.write_all())
    try:
        if await _greet(context, link, websocket):
            async for frame in websocket:
                _take(context, link, _decode(frame))
    except (msgspec.MsgspecError, ValueError) as error:
        log.warning("a startd was not understood", extra={"machine": link.name, "error": str(error)})
        link.post([Refused("bad_request", f"A message was not understood: {error}.")])
    finally:
        link.close()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(writer, 5)
        context.links.remove(link)
        context.shells.link_gone(link)
        context.loop.tell(on_gone, link.number)
        if link.name:
            log.info("startd gone", extra={"machine": link.name})


async def _greet(context: Context, link: Link, websocket: Any) -> bool:
    frame = await asyncio.wait_for(websocket.recv(), HELLO_SECONDS)
    messages = _decode(frame) if frame is not None else []
    if not messages or not isinstance(messages[0], Hello):
        raise ValueError("the first message must be a hello")
    hello = messages[0]
    taken = await context.loop.ask(on_hello, link.number, hello)
    if taken:
        link.name = hello.name
        # Whoever follows the output of its runs can see more of it from now on.
        context.bus.stir({held.run.cluster for held in hello.runs})
        log.info("startd connected", extra={"machine": hello.name, "cpus": hello.amounts.cpus, "runs": len(hello.runs)})
        _take(context, link, messages[1:])
    return taken


def _take(context: Context, link: Link, messages: list[FromStartd]) -> None:
    loop, number = context.loop, link.number
    for message in messages:
        match message:
            case Ended():
                loop.tell(on_ended, number, checked(message))
            case Progressed():
                loop.tell(on_progressed, number, message)
            case Used():
                _check_numbers(message.disk_kib)
                loop.tell(on_used, number, message)
            case Checkpointed(_, _, checkpoint):
                _check_numbers(*((checkpoint.size, checkpoint.files) if checkpoint is not None else ()))
                loop.tell(on_checkpointed, number, message)
            case Reached():
                loop.tell(on_reached, number, message)
            case Beat():
                loop.tell(on_beat, number, message)
            case AdChanged():
                loop.tell(on_ad, number, message)
            case BuildProgressed():
                loop.tell(on_build_progressed, number, message)
            case BuildEnded():
                loop.tell(on_build_ended, number, checked_build(message))
            case OutputChunk():
                context.links.on_chunk(message)
            case ShellOutput() | ShellTaken() | ShellOver():
                context.shells.heard(link, message)
            case Hello():
                raise ValueError("a second hello on one connection")


def checked(ended: Ended) -> Ended:
    """The report; refused if a content is not what its name says, or a number cannot be kept."""
    for name, content in ended.blobs.items():
        if len(content) > INLINE_BYTES or hashlib.sha256(content).hexdigest() != name:
            raise ValueError(f"content {name[:64]} of run {ended.run} is not what its name says")
    end = ended.end
    files = [file for file in (end.stdout, end.stderr, *end.files) if file is not None]
    kept = (end.checkpoint.size, end.checkpoint.files) if end.checkpoint is not None else ()
    _check_numbers(end.exit_code, end.signal, end.peak_disk_kib, *kept, *(file.size for file in files))
    return ended


def checked_build(ended: BuildEnded) -> BuildEnded:
    for name, content in ended.blobs.items():
        if len(content) > INLINE_BYTES or hashlib.sha256(content).hexdigest() != name:
            raise ValueError(f"content {name[:64]} of a build is not what its name says")
    return ended


def _check_numbers(*numbers: int | None) -> None:
    """JSON has numbers of any length; the database has not."""
    for number in numbers:
        if number is not None and not -LARGEST <= number <= LARGEST:
            raise ValueError("a number is too large to be true")


def _decode(frame: Any) -> list[FromStartd]:
    return decode_from_startd(frame)
