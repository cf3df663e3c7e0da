"""pesc_tail."""

import base64
import io

import pytest

from cli import progress
from cli.tail import Chunk, main, output, take


def a_chunk(offset, data, last=False):
    return {"offset": offset, "data": base64.b64encode(data).decode(), "last": last}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_PAUSE_SECONDS", 0.0)


def test_a_chunk_is_new_only_after_what_was_shown():
    chunk = Chunk(10, base64.b64encode(b"hello").decode())
    assert take(chunk, 10) == (b"hello", 15, False)
    assert take(chunk, 12) == (b"llo", 15, False)
    assert take(chunk, 20) == (b"", 20, False)


def test_a_stream_that_breaks_is_taken_up_at_its_byte(pool):
    path = "/v1/jobs/12.3/output"
    pool.events(path, [("chunk", 0, a_chunk(0, b"one "))], [], [
        ("chunk", 0, a_chunk(2, b"e two ")), ("chunk", 0, a_chunk(8, b"", True))])
    assert b"".join(output(pool.client, "12.3", "stdout", True)) == b"one two "
    assert [asked.query["offset"] for asked in pool.asked] == [["0"], ["4"], ["4"]]


def test_what_was_written_so_far_ends_without_following(pool):
    pool.events("/v1/jobs/12.3/output", [("chunk", 0, a_chunk(0, b"so far"))])
    assert list(output(pool.client, "12.3", "stderr", False)) == [b"so far"]
    assert pool.asked[0].query == {"stream": ["stderr"], "offset": ["0"], "follow": ["0"]}


def test_bytes_come_out_as_they_were_written(pool, call, monkeypatch):
    class Out(io.StringIO):
        buffer = io.BytesIO()

    monkeypatch.setattr("sys.stdout", Out())
    pool.says("GET", "/v1/version", {})
    pool.events("/v1/jobs/12.0/output", [("chunk", 0, a_chunk(0, b"\xff\x00\n", True))])
    assert call(main, "12").code == 0
    assert Out.buffer.getvalue() == b"\xff\x00\n"


def test_a_job_that_does_not_exist_is_refused(pool, call):
    pool.says("GET", "/v1/version", {})
    pool.says("GET", "/v1/jobs/9.9/output", (404, b'{"code": "no_such_job", "message": "There is no job 9.9."}'))
    shown = call(main, "-f", "9.9")
    assert (shown.code, shown.err) == (1, "pesc_tail: There is no job 9.9.\n")


@pytest.mark.parametrize("word", ["lee", "12.", "9" * 5000])
def test_a_word_in_the_place_of_a_job_is_a_wrong_call(call, word):
    assert call(main, word).code == 2
