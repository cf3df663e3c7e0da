"""Two thousand short jobs on eight slots: ours, HyperQueue's, and a loop that only spawns.

Clusters are posted and waited for as HyperQueue's Python client does it, so that no start-up
of a command is in the figures; rounds are interleaved.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.pools import Pool, all_ended_well, described, post, scratch, until_over
from benchmarks.table import Row

JOBS = 2_000
SLOTS = 8
ROUNDS = 3
FILE_BYTES = 10_000

TRUE = "executable = /bin/true\nqueue $(count)\n"
COPY = "executable = /bin/cp\narguments = input.dat output.dat\ntransfer_input_files = input.dat\nqueue $(count)\n"

Run = tuple[float, float]
"""Jobs per second, and µs of CPU per job that the scheduler itself took."""


def measure() -> list[Row]:
    with scratch() as folder:
        rows = _compare(folder, "2000 × true", TRUE, ["/bin/true"], 2.0, 0.5)
    with scratch() as folder:
        (folder / "input.dat").write_bytes(os.urandom(FILE_BYTES))
        copy = ["/bin/cp", str(folder / "input.dat")]
        return rows + _compare(folder, "2000 × copy 10 kB", COPY, copy, 1.0, 0.25)


def _compare(folder: Path, name: str, text: str, argv: list[str], of_peer: float, of_spawn: float) -> list[Row]:
    rates: dict[str, list[float]] = {"ours": [], "hq": [], "spawn": []}
    costs: dict[str, list[float]] = {"schedd": [], "startd": [], "keeper": [], "hq": []}
    with Pool(folder, SLOTS) as pool:
        (folder / "warm.pesc").write_text(text)
        pool.command("pesc_submit", "warm.pesc", "count=50", "--wait", "-q", "-o", "warm")
        for number in range(ROUNDS):
            rates["spawn"].append(_bare(folder, argv))
            rate, used = _ours(pool, text)
            rates["ours"].append(rate)
            for kind, seconds in used.items():
                costs[kind].append(seconds / JOBS * 1e6)
            rate, cost = _hyperqueue(folder / f"hq-{number}", argv)
            rates["hq"].append(rate)
            costs["hq"].append(cost)
    ours, peer, spawn = (median(rates[kind]) for kind in ("ours", "hq", "spawn"))
    cpu = {kind: median(values) for kind, values in costs.items()}
    return [
        Row(f"{name}, beside HyperQueue", ours, "jobs/s", peer, at_least=of_peer),
        Row(f"{name}, beside bare posix_spawn", ours, "jobs/s", spawn, at_least=of_spawn),
        Row("  CPU per job, schedd", cpu["schedd"], "µs", at_most=100),
        Row("  CPU per job, startd and keeper", cpu["startd"] + cpu["keeper"], "µs",
            note=f"startd {cpu['startd']:.0f}, keeper {cpu['keeper']:.0f}"),
        Row("  CPU per job in all, beside HyperQueue", cpu["schedd"] + cpu["startd"] + cpu["keeper"], "µs", cpu["hq"]),
    ]


def _ours(pool: Pool, text: str) -> tuple[float, dict[str, float]]:
    client = pool.client
    submission = described(pool.folder, text, count=JOBS)
    before = pool.cpu()
    start = time.perf_counter()
    submitted = post(client, submission)
    counts = until_over(client, submitted)
    seconds = time.perf_counter() - start
    after = pool.cpu()
    assert counts.jobs.completed == JOBS, counts
    all_ended_well(client, submitted)
    return JOBS / seconds, {kind: after[kind] - before[kind] for kind in before}


def _hyperqueue(folder: Path, argv: list[str]) -> Run:
    """In a process of its own: its server and worker are threads there."""
    folder.mkdir()
    call = [sys.executable, "-m", "benchmarks.hyperqueue_peer", str(folder), str(JOBS), str(SLOTS), *argv]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rate, cost = json.loads(done.stdout.splitlines()[-1])  # a banner stands before it
    return rate, cost


def _bare(folder: Path, argv: list[str]) -> float:
    """Spawn, wait by pidfd, eight at a time, stdout into a file each: what the machine can do."""
    place = folder / "bare"
    place.mkdir(exist_ok=True)
    selector = selectors.DefaultSelector()
    start = time.perf_counter()
    begun = living = 0
    while begun < JOBS or living:
        while begun < JOBS and living < SLOTS:
            mode = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            files = [(os.POSIX_SPAWN_OPEN, 1, f"{place}/{begun}.stdout", mode, 0o644),
                     (os.POSIX_SPAWN_OPEN, 2, f"{place}/{begun}.stderr", mode, 0o644)]
            what = argv if len(argv) == 1 else [*argv, f"{place}/{begun}.out"]
            pid = os.posix_spawn(what[0], what, os.environ, file_actions=files, setsid=True)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
            begun, living = begun + 1, living + 1
        for chosen, _ in selector.select():
            _, status = os.waitpid(chosen.data, 0)
            assert status == 0
            selector.unregister(chosen.fd)
            os.close(chosen.fd)
            living -= 1
    return JOBS / (time.perf_counter() - start)
