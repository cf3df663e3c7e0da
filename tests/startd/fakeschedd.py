"""The smallest schedd a startd can talk to: one WebSocket, and blobs over HTTP on the same Unix socket.

Real sockets and real messages; it grants what a test tells it to, remembers what
it hears, and acknowledges ends unless told not to.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from contract.messages import (
    Acknowledge,
    Ended,
    FromSchedd,
    FromStartd,
    Hello,
    Welcome,
    decode_from_startd,
    encode,
)
from contract.places import Places, PoolAddress
from contract.vocabulary import RunId

WAIT_SECONDS = 60.0


class FakeSchedd:
    """Everything heard is in `heard`; ends by run in `ended`, with all their contents in `blobs`."""

    def __init__(self, state: Path) -> None:
        self.places = Places(state)
        self.heard: list[FromStartd] = []
        self.hellos: list[Hello] = []
        self.ended: dict[RunId, Ended] = {}
        self.ended_count: dict[RunId, int] = {}
        self.blobs: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.sent: list[str] = []
        self.is_full = False
        self.partial: dict[str, bytes] = {}
        self.offsets: list[int] = []
        self.requests = self.received = 0
        self.acknowledges = True
        self.beat_seconds = 0.2
        self.on_ended: Callable[[Ended], Awaitable[None]] | None = None
        self.on_upload: Callable[[], Awaitable[None]] | None = None
        """Awaited before an upload is answered."""
        self._connection: ServerConnection | None = None
        self._changed = asyncio.Condition()
        self._server: Any = None
        self._starts = 0
        self._http: asyncio.Server | None = None

    async def start(self) -> None:
        self.places.run.mkdir(parents=True, exist_ok=True)
        socket = self.places.socket
        socket.unlink(missing_ok=True)
        self._starts += 1
        self._ws_path = f"{socket}.{self._starts}"
        self._server = await unix_serve(self._serve, self._ws_path, compression=None, max_size=None)
        self._http = await asyncio.start_unix_server(self._front, str(socket))
        self.places.token.write_text("pesc1.test\n")
        self.places.address.write_bytes(msgspec.json.encode(PoolAddress("test", "http://localhost:1", str(socket))))

    async def stop(self) -> None:
        """Go away, as a schedd that was killed does."""
        assert self._http is not None
        self._http.close()
        self._server.close()
        if self._connection is not None:
            self._connection.transport.abort()
        self.places.socket.unlink(missing_ok=True)
        await self._server.wait_closed()

    async def break_connection(self) -> None:
        assert self._connection is not None
        self._connection.transport.abort()

    async def say(self, *messages: FromSchedd) -> None:
        await self.until(lambda: self._connection is not None)
        assert self._connection is not None
        await self._connection.send(encode(list(messages)), text=True)

    async def until(self, holds: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Wait until what was heard makes `holds` true."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)

    async def end_of(self, run: RunId) -> Ended:
        await self.until(lambda: run in self.ended)
        return self.ended[run]

    def content(self, sha256: str) -> bytes:
        return b"" if sha256 == hashlib.sha256(b"").hexdigest() else self.blobs[sha256]

    def add(self, content: bytes) -> str:
        """Have a content for startds to fetch; return its name."""
        name = hashlib.sha256(content).hexdigest()
        self.blobs[name] = content
        return name

    async def _serve(self, connection: ServerConnection) -> None:
        async for frame in _frames(connection):
            acknowledged = []
            for message in decode_from_startd(frame):
                self.heard.append(message)
                if isinstance(message, Hello):
                    self.hellos.append(message)
                    self._connection = connection
                    await connection.send(encode([Welcome("test", self.beat_seconds, 60.0)]), text=True)
                elif isinstance(message, Ended):
                    self.ended_count[message.run] = self.ended_count.get(message.run, 0) + 1
                    self.blobs.update(message.blobs)
                    self.ended[message.run] = message
                    acknowledged.append(message.run)
                    if self.on_ended is not None:
                        await self.on_ended(message)
            if acknowledged and self.acknowledges:
                await connection.send(encode([Acknowledge(acknowledged)]), text=True)
            async with self._changed:
                self._changed.notify_all()
        if self._connection is connection:
            self._connection = None

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell a WebSocket from a request for blobs, as the one socket of a schedd does."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"upgrade: websocket" in head.lower():
                    await self._splice(head, reader, writer)
                    return
                await self._blob_request(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _splice(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._ws_path)
        inner_writer.write(head)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    async def _blob_request(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = target.partition("?")[0]
        status, answer, extra = 200, b"", ""
        self.requests += 1
        match method, path.split("/")[2:]:
            case "POST", ["blobs", "missing"]:
                answer = json.dumps([name for name in json.loads(body) if name not in self.blobs]).encode()
            case "POST", ["blobs", "fetch"]:
                names = json.loads(body)
                self.fetched += names
                answer = msgspec.msgpack.encode({name: self.blobs[name] for name in names if name in self.blobs})
            case "POST", ["blobs", "pack"]:
                for raw in msgspec.msgpack.decode(body):
                    self.add(raw)
                    self.sent.append(hashlib.sha256(raw).hexdigest())
            case "PUT", ["blobs", _] if self.is_full:
                status, answer = 507, b'{"code": "disk_full", "message": "The schedd\'s disk is full."}'
            case "GET", ["blobs", name] if name in self.blobs:
                self.fetched.append(name)
                offset = int(headers.get("range", "bytes=0-")[6:-1])
                self.offsets.append(offset)
                answer = self.blobs[name][offset:]
            case "PUT", ["blobs", name]:
                if self.on_upload is not None:
                    await self.on_upload()
                self.received += len(body)
                self.sent.append(name)
                self.blobs[name] = self.partial.pop(name, b"") + body
            case "HEAD", ["blobs", name]:
                extra = f"Pesc-Offset: {len(self.partial.get(name, b''))}\r\n"
            case _:
                status, answer = 404, b'{"code": "no_such_blob", "message": "not here"}'
        writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(answer)}\r\n\r\n".encode())
        if method != "HEAD":
            writer.write(answer)
        await writer.drain()
        async with self._changed:
            self._changed.notify_all()


async def _frames(connection: ServerConnection) -> AsyncIterator[str | bytes]:
    try:
        async for frame in connection:
            yield frame
    except ConnectionClosed:
        pass


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def a_schedd(state: Path) -> AsyncIterator[FakeSchedd]:
    schedd = FakeSchedd(state)
    await schedd.start()
    try:
        yield schedd
    finally:
        await schedd.stop()
