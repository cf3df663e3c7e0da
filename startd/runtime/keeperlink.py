"""The startd's end of the keeper's socket: find it or start it, ask, hear.

Requests pile up until `flush`, so that a burst is one write. When the keeper is
gone, another one is started; what it knows is told again through `on_message`.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 15.0
"""A new keeper listens within 50 ms on an idle machine; a thrashing one gets this long."""

HANDED_ON = ("PATH", "LANG", "LC_ALL", "HOME", "USER", "XDG_RUNTIME_DIR", "XDG_DATA_HOME",
             "DBUS_SESSION_BUS_ADDRESS", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF")

Message = list[Any]


class KeeperLink:
    """One connection to the keeper of one state folder."""

    def __init__(self, state: str, identity: str, on_message: Callable[[Message], None],
                 on_lost: Callable[[], None], through: Sequence[str] = ()) -> None:
        """A keeper that has to be started is called by `through`, if that is given."""
        self.state = state
        self.identity = identity
        self.keeper_pid = 0
        self._on_message = on_message
        self._on_lost = on_lost
        self._through = through
        self._socket: socket.socket | None = None
        self._asked: list[Message] = []
        self._unsent = b""
        self._unread = b""
        self._child = 0

    async def connect(self) -> Message:
        """Reach the keeper, starting one if there is none; return its first message."""
        loop = asyncio.get_running_loop()
        end = loop.time() + START_SECONDS
        while True:
            try:
                connection = _dial(self.state)
                first = await asyncio.wait_for(self._first_message(connection), START_SECONDS)
                break
            except OSError:
                if loop.time() > end:
                    raise
                self._reap_child()
                if not self._child:
                    self._child = _spawn_keeper(self.state, self.identity, self._through)
                await asyncio.sleep(0.01)
        self._socket = connection
        self.keeper_pid = int((Path(self.state) / "keeper.pid").read_text())
        loop.add_reader(connection, self._readable)
        loop.call_soon(self._take, b"")  # what came together with the first message
        return first

    def ask(self, request: Message) -> None:
        """Queue a request; `flush` sends it."""
        self._asked.append(request)

    def flush(self) -> None:
        if self._socket is None or not (self._asked or self._unsent):
            return
        if self._asked:
            self._unsent += msgspec.json.encode(self._asked) + b"\n"
            self._asked = []
        loop = asyncio.get_running_loop()
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return  # the reader hears of it too
        if self._unsent:
            loop.add_writer(self._socket, self.flush)
        else:
            loop.remove_writer(self._socket)

    def close(self) -> None:
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        self._asked, self._unsent, self._unread = [], b"", b""

    async def wait_gone(self, seconds: float) -> None:
        """Wait until a keeper that was told to leave has left."""
        try:
            descriptor = os.pidfd_open(self.keeper_pid)
        except OSError:
            return
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, gone.set)
        try:
            await asyncio.wait_for(gone.wait(), seconds)
        except TimeoutError:
            log.warning("the keeper still has runs to wait for", extra={"pid": self.keeper_pid})
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._reap_child()

    async def _first_message(self, connection: socket.socket) -> Message:
        loop = asyncio.get_running_loop()
        while b"\n" not in self._unread:
            piece = await loop.sock_recv(connection, 1 << 20)
            if not piece:
                connection.close()
                self._unread = b""
                raise ConnectionResetError("the keeper hung up")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        first: Message = msgspec.json.decode(line)[0]
        return first

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            piece = self._socket.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.close()
            self._reap_child()
            self._on_lost()
            return
        self._take(piece)

    def _take(self, piece: bytes) -> None:
        *lines, self._unread = (self._unread + piece).split(b"\n")
        for line in lines:
            for message in msgspec.json.decode(line):
                self._on_message(message)
        self.flush()

    def _reap_child(self) -> None:
        if self._child:
            try:
                pid, _ = os.waitpid(self._child, os.WNOHANG)
            except ChildProcessError:
                pid = self._child
            if pid:
                self._child = 0


def _dial(state: str) -> socket.socket:
    """Connect to STATE/keeper.sock; through /proc, because the address of a socket ends at 107 bytes."""
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{folder}/keeper.sock")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    connection.setblocking(False)
    return connection


def _spawn_keeper(state: str, identity: str, through: Sequence[str]) -> int:
    """Start a keeper in a session of its own, with nothing of ours but the log of its last words."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from startd.runtime.keeper import main; main()"
    orphan = ["--orphan"] if through else []
    argv = [*through, sys.executable, "-S", "-E", "-s", "-c", program, state, identity, *orphan]
    words = os.path.join(state, "keeper.log")
    files = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, words, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environment = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    return os.posix_spawn(argv[0], argv, environment, file_actions=files, setsid=True,
                          setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM))
