"""A WebSocket to the schedd for a command that waits for several things at once.

`fileno` goes into a `select`; nothing here blocks but `open`. One list of JSON messages a frame.
"""

import socket
import ssl
import time
from collections.abc import Iterator

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from contract.client import Client
from contract.problems import Problem, ProblemBody

PING_SECONDS = 15.0
SILENCE_SECONDS = 45.0
MOST_UNSENT_BYTES = 128 * 1024
LARGEST_FRAME = 1 << 20


class Lost(Exception):
    """The connection is gone; what it was used for is over."""


class WebSocket:
    """One connection. Use `open`."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        self._socket = sock
        self._protocol = protocol
        self._unsent = b""
        self._heard_at = self._pinged_at = time.monotonic()

    @classmethod
    def open(cls, client: Client, path: str) -> "WebSocket":
        """Shake hands with the schedd, or raise the Problem that it answers."""
        sock, headers = client.dial()
        protocol = ClientProtocol(parse_uri(f"ws://localhost{path}"), max_size=LARGEST_FRAME)
        request = protocol.connect()
        request.headers.update(headers)
        protocol.send_request(request)
        websocket = cls(sock, protocol)
        try:
            sock.sendall(b"".join(protocol.data_to_send()))
            while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
                websocket._receive()
        except (OSError, Lost) as error:
            sock.close()
            raise Problem("pool_stopped", f"The schedd hung up ({error}).",
                          "See whether it runs: pesc_pool status.") from None
        if protocol.handshake_exc is not None:
            sock.close()
            raise _refusal(protocol.handshake_exc)
        sock.setblocking(False)
        return websocket

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_behind(self) -> bool:
        """Whether the connection takes what is sent more slowly than it comes."""
        return len(self._unsent) > MOST_UNSENT_BYTES

    @property
    def wants_to_write(self) -> bool:
        return bool(self._unsent)

    def send(self, message: bytes) -> None:
        self._protocol.send_text(message)
        self.flush()

    def flush(self) -> None:
        self._unsent += b"".join(self._protocol.data_to_send())
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError:
            self._unsent = b""     # what came before is still to be read, and after it why

    def frames(self) -> Iterator[bytes]:
        """What has come, without waiting for more."""
        while self._receive():
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
                    yield bytes(event.data)
            self.flush()
            if self._protocol.state is not State.OPEN:
                raise Lost("it was closed by the schedd")

    def keep_alive(self) -> None:
        """To be called now and then: see that the other end is still there."""
        now = time.monotonic()
        if now - self._heard_at > SILENCE_SECONDS:
            raise Lost("the schedd does not answer any more")
        if now - self._pinged_at > PING_SECONDS:
            self._pinged_at = now
            self._protocol.send_ping(b"")
            self.flush()

    def close(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self.flush()
        self._socket.close()

    def _receive(self) -> bool:
        """Take in what has come; whether there was anything."""
        try:
            piece = self._socket.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise Lost(error.strerror or str(error)) from None
        self._heard_at = time.monotonic()
        if not piece:
            raise Lost("it was cut")
        self._protocol.receive_data(piece)
        return True


def _refusal(error: Exception) -> Problem:
    body = bytes(error.response.body or b"") if isinstance(error, InvalidStatus) else b""
    try:
        told = msgspec.json.decode(body, type=ProblemBody)
    except msgspec.MsgspecError:
        return Problem("broken_answer", f"The schedd refuses a WebSocket: {error}.",
                       "Are command and schedd of the same version?")
    return Problem(told.code, told.message, told.cure)
