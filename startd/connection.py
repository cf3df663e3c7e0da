"""The connection to the schedd: made again for ever, heard from, spoken into.

What is to be said is taken when the connection can carry some: at once when it was quiet, in
frames of many messages when it is busy.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from contract.messages import Ended, FromStartd, Refused, Welcome, decode_from_schedd, encode
from contract.shells import CloseShell, OpenShell, ShellInput, ShellResized, ShellTaken
from startd.core.events import Connected, Disconnected, Event, Heard
from startd.core.startd import StartdCore
from startd.following import Following
from startd.runtime.interface import Runtime
from startd.shells import Shells

log = logging.getLogger(__name__)

COALESCE_SECONDS = 0.004
"""Under load, frames are this far apart; after a pause, nothing waits."""

FRAME_MESSAGES = 200
FRAME_BYTES = 4 * 1024 * 1024

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0

Dial = Callable[[], Awaitable[ClientConnection]]


class NoSchedd(Exception):
    """Nobody answers where the schedd should be, or it would not have us; says so in words."""


class Connection:
    """`stay` is all of its life; `news` is set whenever the core or anybody else has something to say."""

    def __init__(self, core: StartdCore, runtime: Runtime, shells: Shells, following: Following,
                 happened: Callable[[Event], None], news: asyncio.Event) -> None:
        self._core = core
        self._runtime = runtime
        self._shells = shells
        self._following = following
        self._happened = happened
        self._news = news

    async def stay(self, dial: Dial) -> None:
        """Connect, talk, and connect again, for ever; pauses grow while nobody answers."""
        pause = FIRST_PAUSE_SECONDS
        said = ""
        while True:
            try:
                connection = await dial()
            except NoSchedd as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("waiting for the schedd: %s", said)
            else:
                said = ""
                try:
                    if await self._talk(connection):
                        pause = FIRST_PAUSE_SECONDS
                finally:
                    await connection.close()
                log.info("the connection to the schedd is gone")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    async def _talk(self, connection: ClientConnection) -> bool:
        """Hear and say until the connection breaks; whether we were welcome."""
        self._following.begin()
        self._happened(Connected())
        speaking = asyncio.create_task(self._speak(connection))
        welcome = False
        try:
            async for frame in connection:
                for message in decode_from_schedd(frame):
                    match message:
                        case Welcome(pool):
                            welcome = True
                            log.info("welcome in pool %s", pool, extra={"pool": pool})
                        case Refused(code, words_of_schedd):
                            log.error("the schedd refuses this startd: %s", words_of_schedd, extra={"code": code})
                            self._happened(Heard(message))
                            # Nothing more comes here: only a new Hello tells it again what runs on this machine.
                            return False
                        case OpenShell():
                            self._shells.open(message, self._runtime.inside)
                            continue
                        case ShellInput() | ShellResized() | ShellTaken() | CloseShell():
                            self._shells.heard(message)
                            continue
                    self._happened(Heard(message))
        except ConnectionClosed:
            pass
        except msgspec.MsgspecError as error:
            log.error("the schedd said what cannot be understood: %s", error)
        finally:
            speaking.cancel()
            self._following.clear()
            self._shells.clear()
            self._happened(Disconnected())
        return welcome

    async def _speak(self, connection: ClientConnection) -> None:
        quiet_until = 0.0
        with suppress(ConnectionClosed):
            while True:
                await self._news.wait()
                if (pause := quiet_until - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                self._news.clear()
                said = [*self._core.outgoing(time.monotonic()), *self._following.outgoing(), *self._shells.outgoing()]
                for frame in frames(said):
                    await connection.send(frame, text=True)
                quiet_until = time.monotonic() + COALESCE_SECONDS


def frames(messages: list[FromStartd]) -> Iterator[bytes]:
    """`messages` as frames, none with too many, and large ends alone."""
    frame: list[FromStartd] = []
    size = 0
    for message in messages:
        weight = sum(map(len, message.blobs.values())) if isinstance(message, Ended) else 0
        if frame and (len(frame) >= FRAME_MESSAGES or size + weight > FRAME_BYTES):
            yield encode(frame)
            frame, size = [], 0
        frame.append(message)
        size += weight
    if frame:
        yield encode(frame)
