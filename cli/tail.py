"""pesc_tail: what a job writes to its stdout or stderr, while it runs.

The schedd passes on what the machine sees; when it goes away for a while the stream is
taken up again at the byte where it stopped, so nothing is shown twice and nothing is left out.
"""

import base64
import re
import sys
import time
from collections.abc import Iterator

import msgspec

from cli.common import DONE, Parser, complain, connect, run
from cli.progress import next_pause
from contract.client import Client
from contract.problems import Problem

NAME = "pesc_tail"
EXAMPLE = """
pesc_tail 12.3          what it has written so far
pesc_tail -f 12.3       and what it goes on to write, until it ends
"""


class Chunk(msgspec.Struct, frozen=True):
    """Some bytes of the output, from `offset` on."""

    offset: int
    data: str
    last: bool = False


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    parser = Parser(NAME, "Show what a job has written, and with -f what it goes on to write.", EXAMPLE)
    parser.add_argument("job", metavar="JOB", help="such as 12.3; 12 means 12.0")
    parser.add_flag("follow", "f", help="go on until the job ends")
    parser.add_flag("stderr", help="its stderr instead of its stdout")
    parser.add_pool()
    chosen = parser.read(arguments)
    cluster, _, proc = chosen.job.partition(".")
    if not re.fullmatch(r"\d{1,12}(\.\d{1,12})?", chosen.job):
        parser.error(f"{chosen.job[:80]!r} is not a job; a job is a number such as 12.3")
    job = f"{int(cluster)}.{int(proc or 0)}"
    client = connect(chosen)
    # A pool that is stopped now is said at once; one that stops later is waited for.
    client.call("GET", "/v1/version", dict)
    stream = "stderr" if chosen.stderr else "stdout"
    silent = True
    for piece in output(client, job, stream, chosen.follow):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        silent = False
    if silent:
        complain(NAME, f"Job {job} has written nothing to its {stream}{'' if chosen.follow else ' so far'}.")
    return DONE


def output(client: Client, job: str, stream: str, follow: bool) -> Iterator[bytes]:
    """The bytes of a job's output in order, each once, however often the connection breaks."""
    offset, pause, told = 0, 0.0, False
    while True:
        try:
            for event in client.events(f"/v1/jobs/{job}/output", stream=stream, offset=str(offset),
                                       follow=int(follow)):
                if event.kind != "chunk":
                    continue
                pause = 0.0
                piece, offset, last = take(msgspec.json.decode(event.data, type=Chunk), offset)
                if piece:
                    yield piece
                if last:
                    return
            if not follow:
                return
        except Problem as problem:
            if not follow or problem.code not in ("pool_stopped", "unavailable"):
                raise
        if pause >= 0.4 and not told:
            complain(NAME, "The schedd does not answer; waiting for it to come back …")
            told = True
        pause = next_pause(pause)
        time.sleep(pause)


def take(chunk: Chunk, offset: int) -> tuple[bytes, int, bool]:
    """What of `chunk` is new after `offset`, the offset after it, and whether it was the last."""
    data = base64.b64decode(chunk.data)
    new = data[max(0, offset - chunk.offset):]
    return new, max(offset, chunk.offset + len(data)), chunk.last
