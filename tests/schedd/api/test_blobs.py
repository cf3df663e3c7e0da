"""Contents by SHA-256: sent once, resumed where they broke off, verified before they count."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import msgspec
import pytest

from contract.problems import Problem
from contract.vocabulary import INLINE_BYTES, MAX_BLOB_BYTES
from tests.builders import sha256

LARGE = bytes(range(256)) * 1024


def put(client, raw, name=None, offset=0, size=None):
    query = {"offset": offset, "size": len(raw) if size is None else size}
    return json.loads(client.exchange("PUT", f"/v1/blobs/{name or sha256(raw)}", raw[offset:], query)[1])


def refusal(call, *arguments, **more):
    with pytest.raises(Problem) as problem:
        call(*arguments, **more)
    return problem.value.code


def offset(client, name):
    headers = client.exchange("HEAD", f"/v1/blobs/{name}")[0].headers
    return int(headers["Pesc-Offset"]), headers.get("Pesc-Complete")


def missing(client, *names):
    return client.call("POST", "/v1/blobs/missing", list, list(names))


def test_a_large_content_goes_up_and_comes_down_again(schedd):
    client, raw = schedd.client(), LARGE + b"1"
    assert missing(client, sha256(raw), sha256(raw)) == [sha256(raw)]
    assert put(client, raw) == {"offset": len(raw)}
    assert missing(client, sha256(raw)) == []
    assert b"".join(client.download(f"/v1/blobs/{sha256(raw)}")) == raw
    assert offset(client, sha256(raw)) == (len(raw), "1")


def test_a_pack_of_small_contents_goes_up_and_comes_down_again(schedd):
    client = schedd.client()
    contents = [bytes([n]) * n for n in range(100)]
    client.exchange("POST", "/v1/blobs/pack", msgspec.msgpack.encode(contents))
    names = [sha256(content) for content in contents]
    assert missing(client, *names, sha256(b"?")) == [sha256(b"?")]
    body = client.exchange("POST", "/v1/blobs/fetch", msgspec.json.encode([*names, sha256(b"?")]))[1]
    assert msgspec.msgpack.decode(body) == dict(zip(names, contents, strict=True))
    assert b"".join(client.download(f"/v1/blobs/{names[50]}", offset=20)) == contents[50][20:]


def test_a_pack_with_a_large_content_is_refused_whole(schedd):
    client = schedd.client()
    body = msgspec.msgpack.encode([b"fine, but", b"x" * (INLINE_BYTES + 1)])
    assert refusal(client.exchange, "POST", "/v1/blobs/pack", body) == "too_large"
    assert missing(client, sha256(b"fine, but")) == [sha256(b"fine, but")]


def test_a_broken_upload_goes_on_where_it_broke_off(schedd):
    client, raw = schedd.client(), LARGE + b"2"
    parts = urlsplit(schedd.url)
    with socket.create_connection((parts.hostname, parts.port)) as line:
        line.sendall(
            f"PUT /v1/blobs/{sha256(raw)}?offset=0&size={len(raw)} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {client.token}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw[:100_000])
        # The schedd answers nothing before all is there; ask it until it has taken what was sent.
        while offset(client, sha256(raw))[0] < 100_000:
            pass
    assert missing(client, sha256(raw)) == [sha256(raw)]
    assert put(client, raw, offset=100_000) == {"offset": len(raw)}
    assert b"".join(client.download(f"/v1/blobs/{sha256(raw)}")) == raw


def test_a_content_may_come_in_pieces(schedd):
    client, raw = schedd.client(), LARGE + b"3"
    for start in range(0, len(raw), 100_000):
        piece = raw[: start + 100_000]
        put(client, piece, sha256(raw), offset=start, size=len(raw))
        assert offset(client, sha256(raw))[0] == len(piece)
    assert offset(client, sha256(raw)) == (len(raw), "1")


def test_a_piece_that_comes_again_is_harmless(schedd):
    client, raw = schedd.client(), LARGE + b"4"
    for start, end in ((0, 1000), (0, 500), (500, 2000), (1000, len(raw))):
        put(client, raw[:end], sha256(raw), offset=start, size=len(raw))
    assert offset(client, sha256(raw)) == (len(raw), "1")
    assert put(client, raw) == {"offset": len(raw)}


def test_a_gap_is_refused_with_the_place_to_go_on_from(schedd):
    client, raw = schedd.client(), LARGE + b"5"
    put(client, raw[:1000], sha256(raw), size=len(raw))
    with pytest.raises(Problem) as problem:
        put(client, raw, offset=2000)
    assert (problem.value.code, "1000" in problem.value.cure) == ("bad_blob", True)


def test_what_is_not_what_its_name_says_is_refused_and_forgotten(schedd):
    client, name = schedd.client(), sha256(b"something else")
    assert refusal(put, client, LARGE, name) == "bad_blob"
    assert (missing(client, name), offset(client, name)) == ([name], (0, None))
    assert refusal(lambda: list(client.download(f"/v1/blobs/{name}"))) == "no_such_blob"


def test_more_than_was_announced_is_refused(schedd):
    assert refusal(put, schedd.client(), LARGE, sha256(LARGE[:10]), size=10) == "bad_blob"


@pytest.mark.parametrize("name", ["x", "A" * 64, "..", "%2e%2e%2fsecret", "0" * 63, "0" * 65])
def test_what_is_no_name_is_refused(schedd, name):
    client = schedd.client()
    for method in ("GET", "PUT"):
        with pytest.raises(Problem) as problem:
            client.exchange(method, f"/v1/blobs/{name}", b"", {"offset": 0, "size": 0} if method == "PUT" else None)
        assert problem.value.code in ("bad_blob", "not_found")
    assert name in ("..", "%2e%2e%2fsecret") or refusal(missing, client, name) == "bad_blob"


@pytest.mark.parametrize("query", [
    {}, {"offset": 0}, {"offset": "x", "size": 3}, {"offset": -1, "size": 3}, {"offset": 5, "size": 3},
    {"offset": 0, "size": MAX_BLOB_BYTES + 1}, {"offset": 0, "size": "9" * 16},
])
def test_offset_and_size_must_make_sense(schedd, query):
    client = schedd.client()
    with pytest.raises(Problem) as problem:
        client.exchange("PUT", f"/v1/blobs/{sha256(b'abc')}", b"abc", query)
    assert problem.value.code in ("bad_blob", "bad_request")


@pytest.mark.parametrize(("asked", "status", "start"), [
    ("bytes=0-", 200, 0), ("bytes=10-", 206, 10), ("bytes=262149-", 206, 262_149), ("bytes=262150-", 206, 262_150),
    ("bytes=262151-", 400, None), ("bytes=-5", 400, None), ("bytes=1-2", 400, None), ("lines=3-", 400, None),
])
def test_ranges(schedd, asked, status, start):
    client, raw = schedd.client(), LARGE + b"range!"
    put(client, raw)
    connection = http.client.HTTPConnection(urlsplit(schedd.url).netloc, timeout=20)
    connection.request("GET", f"/v1/blobs/{sha256(raw)}", headers={
        "Authorization": f"Bearer {client.token}", "Range": asked})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == status
    if start is not None:
        assert body == raw[start:]


def test_an_empty_content_is_a_content(schedd):
    client = schedd.client()
    assert put(client, b"") == {"offset": 0}
    assert missing(client, sha256(b"")) == []
    assert b"".join(client.download(f"/v1/blobs/{sha256(b'')}")) == b""


def test_a_startd_may_carry_contents(schedd):
    client = schedd.client("lab-7", "startd")
    put(client, LARGE + b"6")
    assert missing(client, sha256(LARGE + b"6")) == []


def test_too_many_names_at_once_are_refused(schedd):
    assert refusal(missing, schedd.client(), *["0" * 64] * 20_001) == "too_large"
