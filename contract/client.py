"""The HTTP client of every command, and of the startd for contents.

Synchronous, over the pool's Unix socket or its URL, one kept-alive connection.
Answers that are refusals become `Problem`s; so does a pool that does not answer.
"""

import http.client
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from contract import places
from contract.problems import Problem, ProblemBody
from contract.vocabulary import PROTOCOL

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0
MOST_ADDRESS_BYTES = 14 * 1024
"""The schedd takes heads of at most 16 KiB, and a token is in them too."""

STREAM_SILENCE_SECONDS = 45.0
"""The schedd sends a comment every 15 s on a stream; after three missed it is taken for gone."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event of a stream."""

    kind: str
    id: str
    data: str


class Client:
    """One connection to one schedd. Not for use by several threads at once."""

    def __init__(self, url: str, token: str | None, unix_socket: str | None = None) -> None:
        self.url = url
        self.token = token
        self.unix_socket = unix_socket
        self.has_answered = False
        """Whether the schedd was there: then it may be worth waiting for it to come back."""
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, answer: type[T], body: Any = None, **query: Any) -> T:
        """Send `body` as JSON; return the answer, decoded and checked as `answer`."""
        raw = None if body is None else msgspec.json.encode(body)
        _, content = self.exchange(method, path, raw, query=query)
        return _decode(content, answer)

    def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send raw bytes (or a file) and return the response with its whole body."""
        response = self._send(method, path, body, query, headers)
        try:
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._gone(error) from None
        if response.will_close:
            self.close()
        _raise_for(response, content)
        return response, content

    def lines(self, path: str, **query: Any) -> Iterator[bytes]:
        """The lines of a long answer, as they come."""
        response = self._open_stream(path, query, None)
        try:
            yield from (line for line in response if line.strip())
        except (OSError, http.client.HTTPException) as error:
            raise self._gone(error) from None
        finally:
            self.close()

    def events(self, path: str, **query: Any) -> Iterator[ServerSentEvent]:
        """The server-sent events of `path`, until it ends; ends early by a Problem."""
        response = self._open_stream(path, query, STREAM_SILENCE_SECONDS)
        kind, event_id = "message", ""
        data: list[str] = []
        try:
            for raw in response:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    if data:
                        yield ServerSentEvent(kind, event_id, "\n".join(data))
                    kind, data = "message", []
                elif field == "event":
                    kind = value
                elif field == "id":
                    event_id = value
                elif field == "data":
                    data.append(value)
        except (OSError, http.client.HTTPException) as error:
            raise self._gone(error) from None
        finally:
            self.close()

    def download(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of `path` from `offset` on, in pieces."""
        headers = {"Range": f"bytes={offset}-"} if offset else None
        response = self._send("GET", path, None, None, headers)
        if response.status >= 400:
            _raise_for(response, response.read())
        try:
            while piece := response.read(1 << 20):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._gone(error) from None
        finally:
            self.close()

    def dial(self) -> tuple[socket.socket, dict[str, str]]:
        """A socket of one's own to the schedd, and the headers that every request has."""
        connection = self._connect()
        try:
            connection.connect()
        except OSError as error:
            raise self._gone(error) from None
        return connection.sock, self._headers()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open_stream(self, path: str, query: dict[str, Any], silence: float | None) -> http.client.HTTPResponse:
        self.close()
        response = self._send("GET", path, None, query, {"Accept": "text/event-stream"})
        if response.status >= 400:
            _raise_for(response, response.read())
        if silence is not None and self._connection is not None and self._connection.sock is not None:
            self._connection.sock.settimeout(silence)
        return response

    def _send(
        self, method: str, path: str, body: Any, query: dict[str, Any] | None, headers: dict[str, str] | None
    ) -> http.client.HTTPResponse:
        target = quote(path, safe="/") + _query_text(query or {})
        if len(target) > MOST_ADDRESS_BYTES:
            raise Problem("too_large", f"The ids and the constraint come to {len(target):,} bytes; one question "
                          f"takes {MOST_ADDRESS_BYTES:,}.", "Name whole clusters, or say which jobs in a constraint: "
                          "-constraint 'ProcId < 1000'.")
        sent = self._headers() | (headers or {})
        begins_at = body.tell() if hasattr(body, "seek") else None
        for fresh in (False, True):
            if fresh and begins_at is not None:
                body.seek(begins_at)     # the first try has read it, and the other end waits for all of it
            reused = self._connection is not None
            connection = self._connection = self._connection or self._connect()
            try:
                connection.request(method, target, body=body, headers=sent)
                response = connection.getresponse()
                self.has_answered = True
                return response
            except BrokenPipeError as error:
                # The schedd may refuse a body without reading it; its answer is there all the same.
                try:
                    return connection.getresponse()
                except (OSError, http.client.HTTPException):
                    self.close()
                    if fresh or not reused:
                        raise self._gone(error) from None
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # Only a kept-alive connection that the other end had closed is worth a second try.
                stale = reused and isinstance(error, http.client.RemoteDisconnected | ConnectionResetError)
                if fresh or not stale:
                    raise self._gone(error) from None
        raise AssertionError("unreachable")

    def _headers(self) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Pesc-Protocol": str(PROTOCOL), **token}

    def _connect(self) -> http.client.HTTPConnection:
        if self.unix_socket:
            return _UnixConnection(self.unix_socket, TIMEOUT_SECONDS)
        parts = urlsplit(self.url)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
        return http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)

    def _gone(self, error: Exception) -> Problem:
        where = self.unix_socket or self.url
        what = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        why = "took too long to answer" if isinstance(error, TimeoutError) else f"does not answer ({what})"
        return Problem("pool_stopped", f"The schedd at {where} {why}.",
                       "See whether it runs: pesc_pool status; start it: pesc_pool start.")


def find_pool(pool_url: str | None = None, state: str | None = None) -> Client:
    """A client for the pool that the user means: --pool, else PESC_POOL, else the state directory's.

    The token comes from PESC_TOKEN, else from the state directory.
    """
    where = places.Places(places.state_folder(state))
    token = os.environ.get("PESC_TOKEN", "").strip() or _read_token(where.token)
    if token and not (token.isascii() and token.isprintable()):
        raise Problem("bad_token", "The token (PESC_TOKEN, or of the pool's state directory) is not one line of text.",
                      "Paste it again: it begins with pesc1. and has no blanks.")
    url = pool_url or os.environ.get("PESC_POOL")
    if url:
        if not _is_address(url):
            raise Problem("no_pool", f"{url!r} is not the address of a pool.",
                          "An address looks like http://machine:9618.")
        return Client(url, token)
    address = places.read_address(where)
    return Client(address.url, token, address.socket)


def wait_until_answers(client: Client, seconds: float) -> bool:
    """Whether the schedd answers within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            client.call("GET", "/v1/version", dict)
            return True
        except Problem as problem:
            if problem.code != "pool_stopped" or time.monotonic() > end:
                return False
            time.sleep(0.02)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_fine and not re.search(r"\s", url)


def _read_token(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace").strip() or None
    except OSError:
        return None


def _query_text(query: dict[str, Any]) -> str:
    chosen = {name: value for name, value in query.items() if value not in (None, [], ())}
    return "?" + urlencode(chosen, doseq=True) if chosen else ""


def _decode(content: bytes, answer: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=answer)
    except msgspec.MsgspecError as error:
        raise Problem("broken_answer", f"The schedd's answer was not understood: {error}.",
                       "Are command and schedd of the same version? "
                       "Compare pesc_q --version with pesc_pool status.") from None


def _raise_for(response: http.client.HTTPResponse, content: bytes) -> None:
    if response.status < 400:
        return
    try:
        body = msgspec.json.decode(content, type=ProblemBody)
    except msgspec.MsgspecError:
        raise Problem("broken_answer", f"The schedd answered {response.status} {response.reason}.",
                      "Is this the address of a PESC pool?") from None
    raise Problem(body.code, body.message, body.cure)
