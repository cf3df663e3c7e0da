"""How many events one schedd takes from many startds, and what a quiet one costs it.

The startds are simulated (`simulated_startds`): real connections, runs that end at once.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.meters import cpu_seconds, pss_kib
from benchmarks.pools import Pool, all_ended_well, described, post, scratch, until_over
from benchmarks.table import Row

JOBS = 10_000
IDLE_SECONDS = 20.0
"""One beat of every startd."""

TEXT = "executable = /bin/true\nqueue $(count)\n"


def measure() -> list[Row]:
    return [*_with(100), *_with(1000)]


def _with(count: int) -> list[Row]:
    with scratch() as folder, Pool(folder, startds=0) as pool:
        schedd = pool.pids()["schedd"]
        _warm(pool)
        before = pss_kib(schedd)
        with _fleet(pool.state, count) as ask:
            time.sleep(1.0)
            memory = (pss_kib(schedd) - before) / count
            used = cpu_seconds(schedd)
            time.sleep(IDLE_SECONDS)
            idle = (cpu_seconds(schedd) - used) / IDLE_SECONDS / count
            client = pool.client
            submission = described(folder, TEXT, count=JOBS)
            used, start = cpu_seconds(schedd), time.perf_counter()
            submitted = post(client, submission)
            counts = until_over(client, submitted)
            seconds, used = time.perf_counter() - start, cpu_seconds(schedd) - used
            assert counts.jobs.completed == JOBS, counts
            all_ended_well(client, submitted)
            assert ask()["acknowledged"] == JOBS
    return [
        Row(f"{count} startds: ends of runs taken", JOBS / seconds, "/s"),
        Row("  CPU of the schedd per job", used / JOBS * 1e6, "µs", at_most=100),
        Row("  CPU of the schedd per idle startd", idle * 1e6, "µs/s"),
        Row("  memory of the schedd per idle startd", memory, "KiB"),
    ]


def _warm(pool: Pool) -> None:
    (pool.folder / "warm.pesc").write_text(TEXT)
    pool.command("pesc_submit", "warm.pesc", "count=1")
    pool.command("pesc_rm", "-all")


@contextmanager
def _fleet(state: Path, count: int) -> Iterator[Callable[[], dict[str, int]]]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.simulated_startds", str(state), str(count)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def ask() -> dict[str, int]:
        stdin.write("\n")
        stdin.flush()
        answer: dict[str, int] = json.loads(stdout.readline())
        return answer

    try:
        assert json.loads(stdout.readline())["welcome"] == count
        yield ask
    finally:
        stdin.close()
        process.wait(30)
