"""The connections of the startds, as the schedd holds them.

Each link has one writer: what piles up while a frame is on its way goes out in the next
one. Small contents that a machine may lack travel with its grants.
"""

import asyncio
import itertools
import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from contract.messages import Content, FromSchedd, Grant, OutputChunk, Refused, Unwatch, Watch, encode
from contract.vocabulary import INLINE_BYTES, RunId
from schedd.store.store import Store

log = logging.getLogger("schedd.links")

MOST_INLINE_BYTES = 4 * INLINE_BYTES
"""Contents that travel with one grant; what is beyond is fetched."""

REMEMBERED = 20_000
"""Contents known to be on a machine already."""

MOST_WAITING_CHUNKS = 256


class Link:
    """One connection. `post` never waits; `write_all` runs until the connection ends."""

    def __init__(self, number: int, websocket: Any, store: Store) -> None:
        self.number = number
        self.name = ""
        self._websocket = websocket
        self._store = store
        self._outgoing: list[FromSchedd] = []
        self._wake = asyncio.Event()
        self._sent: set[str] = set()
        self._closing = self._ended = False
        self._waiting: list[asyncio.Future[None]] = []

    def post(self, messages: list[FromSchedd]) -> None:
        self._outgoing += messages
        # Refused is the last word on a connection; its startd begins again with another.
        self._closing = self._closing or any(type(message) is Refused for message in messages)
        self._wake.set()

    def close(self) -> None:
        """Send what is waiting, then hang up."""
        self._closing = True
        self._wake.set()

    async def on_its_way(self) -> None:
        """Wait until what was posted so far has left, or never will."""
        if not self._ended:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            self._wake.set()
            await future

    async def write_all(self) -> None:
        try:
            await self._write_all()
        finally:
            self._ended = True
            self._release(len(self._waiting))

    async def _write_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            messages, self._outgoing = self._outgoing, []
            waiting = len(self._waiting)
            if messages:
                if any(type(message) is Grant for message in messages):
                    messages = await self._with_contents(messages)
                await self._websocket.send(encode(messages))
            self._release(waiting)
            if self._closing and not self._outgoing:
                await self._websocket.close()
                return

    def _release(self, number: int) -> None:
        released, self._waiting = self._waiting[:number], self._waiting[number:]
        for future in released:
            if not future.done():
                future.set_result(None)

    async def _with_contents(self, messages: list[FromSchedd]) -> list[FromSchedd]:
        wanted: dict[int, list[str]] = {}
        for index, message in enumerate(messages):
            if type(message) is Grant and (names := self._lacking(message)):
                wanted[index] = names
        if not wanted:
            return messages
        found = await self._store.contents({name for names in wanted.values() for name in names})
        for index, names in wanted.items():
            blobs = {name: found[name] for name in names if name in found}
            messages[index] = msgspec.structs.replace(messages[index], blobs=blobs)
        return messages

    def _lacking(self, grant: Grant) -> list[str]:
        names, total = [], 0
        for content in contents_of(grant):
            if content.sha256 not in self._sent and content.size <= INLINE_BYTES:
                total += content.size
                if total > MOST_INLINE_BYTES:
                    break
                names.append(content.sha256)
        if len(self._sent) > REMEMBERED:
            self._sent.clear()
        self._sent.update(names)
        return names


def contents_of(grant: Grant) -> Iterable[Content]:
    """Every content that a run needs by name."""
    program = grant.program
    if program.content is not None:
        yield program.content
    if program.stdin is not None:
        yield program.stdin
    if program.checkpoint is not None:
        yield program.checkpoint
    for named in itertools.chain(program.inputs, program.shared):
        yield named.content


class Links:
    """All connections, and who watches the output of which run."""

    def __init__(self) -> None:
        self.all: dict[int, Link] = {}
        self._numbers = itertools.count(1)
        self._watches: dict[int, asyncio.Queue[OutputChunk | None]] = {}
        self._watched_link: dict[int, int] = {}

    def add(self, websocket: Any, store: Store) -> Link:
        link = Link(next(self._numbers), websocket, store)
        self.all[link.number] = link
        return link

    def remove(self, link: Link) -> None:
        """The connection is gone; whoever watched through it must look again."""
        self.all.pop(link.number, None)
        for watch, number in list(self._watched_link.items()):
            if number == link.number:
                self._end(watch)

    def send(self, number: int, messages: list[FromSchedd]) -> None:
        link = self.all.get(number)
        if link is not None:
            link.post(messages)

    def close_all(self) -> None:
        for link in self.all.values():
            link.close()

    def watch(self, number: int, run: RunId, stream: str, offset: int) -> tuple[int, asyncio.Queue[OutputChunk | None]]:
        """Ask the machine behind link `number` for the output of a run, from `offset` on."""
        watch = next(self._numbers)
        queue: asyncio.Queue[OutputChunk | None] = asyncio.Queue(MOST_WAITING_CHUNKS)
        self._watches[watch], self._watched_link[watch] = queue, number
        self.send(number, [Watch(watch, run, stream, offset)])
        return watch, queue

    def unwatch(self, watch: int) -> None:
        self._watches.pop(watch, None)
        number = self._watched_link.pop(watch, None)
        if number is not None:
            self.send(number, [Unwatch(watch)])

    def on_chunk(self, chunk: OutputChunk) -> None:
        queue = self._watches.get(chunk.watch)
        if queue is None:
            return
        if queue.full():
            self._end(chunk.watch)         # it reads too slowly; it will resume at its own offset
        else:
            queue.put_nowait(chunk)

    def _end(self, watch: int) -> None:
        queue = self._watches.get(watch)
        self.unwatch(watch)
        if queue is not None:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
