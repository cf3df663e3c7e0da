"""Contents on their way to a schedd: only what is missing, small ones together, large ones resumed."""

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from cli.pack import Unfit, pack
from cli.upload import PACK_BYTES, upload
from contract.client import Client
from contract.vocabulary import INLINE_BYTES


class Store:
    """A schedd as far as contents go: `blobs` by name, `partial` what has come of others."""

    def __init__(self):
        self.blobs, self.partial, self.packs, self.url = {}, {}, [], ""

    def take(self, content):
        self.blobs[hashlib.sha256(content).hexdigest()] = content


@pytest.fixture
def store():
    known = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def body(self):
            return self.rfile.read(int(self.headers["Content-Length"]))

        def answer(self, content=b"{}", status=200, **headers):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            if self.path == "/v1/blobs/missing":
                names = msgspec.json.decode(self.body(), type=list[str])
                self.answer(msgspec.json.encode([name for name in names if name not in known.blobs]))
                return
            pack = msgspec.msgpack.decode(raw := self.body(), type=list[bytes])
            known.packs.append(len(raw))
            for content in pack:
                known.take(content)
            self.answer()

        def do_HEAD(self):
            name = self.path.rpartition("/")[2]
            self.answer(b"", Pesc_Offset=str(len(known.partial.get(name, b""))))

        def do_PUT(self):
            parts = urlsplit(self.path)
            query, name = parse_qs(parts.query), parts.path.rpartition("/")[2]
            whole = known.partial.get(name, b"")[: int(query["offset"][0])] + self.body()
            if hashlib.sha256(whole).hexdigest() != name or len(whole) != int(query["size"][0]):
                self.answer(b'{"code": "bad_blob", "message": "Not what its name says."}', 400)
                return
            known.take(whole)
            self.answer()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    client = Client(known.url, None)
    yield known, client
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def files(folder, *contents):
    """Packed files with these contents."""
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
    found, unfit = pack({str(folder / str(number)): "file" for number in range(len(contents))})
    assert unfit == []
    return found


def test_what_is_missing_arrives_and_is_not_sent_twice(tmp_path, store):
    known, client = store
    small, large = b"small", os.urandom(INLINE_BYTES * 20)
    assert upload(client, files(tmp_path, small, large, small)) == len(small) + len(large)
    assert sorted(known.blobs.values()) == sorted([small, large])
    assert upload(client, files(tmp_path, small, large, small)) == 0


def test_small_contents_travel_in_packs_of_bounded_size(tmp_path, store):
    known, client = store
    upload(client, files(tmp_path, *(os.urandom(INLINE_BYTES) for _ in range(100))))
    assert len(known.blobs) == 100
    assert len(known.packs) == 2
    assert max(known.packs) <= PACK_BYTES


def test_a_large_content_goes_on_where_an_earlier_try_stopped(tmp_path, store):
    known, client = store
    large = os.urandom(INLINE_BYTES * 20)
    known.partial[hashlib.sha256(large).hexdigest()] = large[:1000]
    assert upload(client, files(tmp_path, large)) == len(large) - 1000
    assert list(known.blobs.values()) == [large]


def test_a_file_that_changed_meanwhile_is_named_and_not_kept(tmp_path, store):
    known, client = store
    packed = files(tmp_path, os.urandom(INLINE_BYTES * 20))
    before = (tmp_path / "0").stat()
    (tmp_path / "0").write_bytes(os.urandom(INLINE_BYTES * 20))
    # Even a change that the clock does not show.
    os.utime(tmp_path / "0", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Unfit, match="was changed"):
        upload(client, packed)
    assert known.blobs == {}
