"""How long one job takes on an idle pool, and how long commands take."""

import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from benchmarks.meters import median_of
from benchmarks.pools import Pool, all_ended_well, described, post, scratch
from benchmarks.table import Row
from contract.requests import Event

ROUNDS = 15

# The job says when it exists: `date` by itself, no shell before it.
DATE = "executable = /bin/date\narguments = +%s%N\noutput = when.$(Cluster)\nqueue\n"
TRUE = "executable = /bin/true\nqueue\n"


def measure() -> list[Row]:
    with scratch() as folder, Pool(folder) as pool:
        (folder / "date.pesc").write_text(DATE)
        (folder / "true.pesc").write_text(TRUE)
        for name in ("date", "true"):
            pool.command("pesc_submit", f"{name}.pesc", "--wait", "-q", "-o", f"warm-{name}")
        starts, ends, asked = zip(*(_one(pool) for _ in range(ROUNDS)), strict=True)
        waits = median_of(ROUNDS, lambda: pool.command("pesc_submit", "true.pesc", "--wait", "-q", "-o", "out"))
        queue = median_of(ROUNDS, lambda: pool.command("pesc_q"))
        python = median_of(ROUNDS, lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    start, end, ask = (statistics.median(values) for values in (starts, ends, asked))
    return [
        Row("submit acknowledged → the job's process", start * 1e3, "ms", at_most=20,
            note=f"answer and grant leave together; the POST itself took {ask * 1e3:.1f} ms"),
        Row("submit acknowledged → end told to a listener", end * 1e3, "ms", at_most=50),
        Row("pesc_submit --wait of one true, whole", waits * 1e3, "ms", at_most=300),
        Row("pesc_q, whole", queue * 1e3, "ms", at_most=150, note=f"python -c pass: {python * 1e3:.0f} ms"),
    ]


def _one(pool: Pool) -> tuple[float, float, float]:
    """Seconds from the acknowledgement to the job's process and to its end being told; and to be acknowledged."""
    client, listening = pool.client, pool.client
    submission = described(pool.folder, DATE)
    told: dict[int, int] = {}
    ready = threading.Event()

    def listen() -> None:
        stream = listening.events("/v1/events")
        ready.set()
        for event in stream:
            if event.kind == "terminated":
                told[msgspec.json.decode(event.data, type=Event).cluster] = time.time_ns()
                return

    listener = threading.Thread(target=listen)
    listener.start()
    ready.wait()
    time.sleep(0.1)                    # the stream is open, the pool idle
    asked = time.time_ns()
    submitted = post(client, submission)
    acknowledged = time.time_ns()
    listener.join(30)
    all_ended_well(client, submitted)
    output = pool.folder / f"when.{submitted.cluster}"
    began = int(_content_of(output))
    output.unlink()
    told_after = told[submitted.cluster] - acknowledged
    return (began - acknowledged) / 1e9, told_after / 1e9, (acknowledged - asked) / 1e9


def _content_of(path: Path) -> str:
    """What has been delivered to `path`, once it is there."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if path.exists() and os.path.getsize(path):
            return path.read_text()
        time.sleep(0.005)
    raise AssertionError(f"{path} was not delivered")
