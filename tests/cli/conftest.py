"""A stand-in for the network: an HTTP server on loopback whose answers a test writes down."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

from contract.client import Client


@dataclass
class Asked:
    """One request that a command sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes
    headers: Any


Answer = bytes | tuple[int, bytes] | tuple[int, bytes, dict[str, str]]


@dataclass
class FakePool:
    """Answers by method and path; several answers for one path are given in turn, the last for ever."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], list[Answer | Callable[[Asked], Answer]]] = field(default_factory=dict)

    def says(self, method: str, path: str, *answers: Any) -> None:
        self.answers[method, path] = [
            a if isinstance(a, bytes | tuple) or callable(a) else msgspec.json.encode(a) for a in answers]

    def events(self, path: str, *streams: list[tuple[str, str, Any]]) -> None:
        """Each stream is a list of (kind, id, data); then the connection ends."""
        self.says("GET", path, *(b"".join(
            f"event: {kind}\nid: {number}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()
            for kind, number, data in stream) for stream in streams))

    def asked_for(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    @property
    def client(self) -> Client:
        return Client(self.url, "token")

    def answer(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        self.asked.append(asked)
        known = self.answers.get((asked.method, asked.path))
        if known is None:
            return 404, b'{"code": "not_found", "message": "No such thing."}', {}
        answer = known[0] if len(known) == 1 else known.pop(0)
        if callable(answer):
            answer = answer(asked)
        if isinstance(answer, bytes):
            return 200, answer, {}
        return answer if len(answer) == 3 else (*answer, {})


@pytest.fixture
def pool() -> Iterator[FakePool]:
    fake = FakePool()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content, headers = fake.answer(
                Asked(self.command, unquote(parts.path), parse_qs(parts.query), body, self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = respond

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A command may hang up in the middle of an answer."""

    server = Server(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


class Shown:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def call(pool: FakePool, capsys: Any, monkeypatch: Any, tmp_path: Any) -> Callable[..., Shown]:
    """Call a command's `main` with arguments, in a folder of its own, against the stand-in pool."""
    monkeypatch.setenv("PESC_POOL", pool.url)
    monkeypatch.setenv("PESC_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(main: Callable[[], int], *arguments: str) -> Shown:
        monkeypatch.setattr("sys.argv", ["pesc_test", *arguments])
        try:
            code = main()
        except SystemExit as end:
            code = end.code  # type: ignore[assignment]
        printed = capsys.readouterr()
        return Shown(code, printed.out, printed.err)

    return run
