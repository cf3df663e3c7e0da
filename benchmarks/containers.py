"""Short repetitions in fresh containers: ours, `podman run --rm`, and crun on a bundle that is ready.

All three run `/bin/true` of the same image, without a network, rounds interleaved. As root
the measure is taken by an ordinary user in a process of its own: rootless is what is measured.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median

from benchmarks.pools import Pool, all_ended_well, described, post, scratch, until_over
from benchmarks.table import Row
from contract.requests import Ad, Submitted
from startd.core.container import SCRATCH, WORK, Ground, configuration
from startd.core.launch import Bind, Box, Launch
from startd.images import base
from startd.images.engine import Engine, find_engine
from startd.runtime.seccomp import compile_filter, profile_here

JOBS = 400
SLOTS = 8
ROUNDS = 3
PODMAN_RUNS = 16
CRUN_RUNS = 100
AT_ONCE = 4
"""Of the peers: twice as many at a time made neither of them noticeably faster."""

TEXT = "executable = /bin/true\nrequest_memory = 16M\nqueue $(count)\n"
TREE = Path(__file__).parents[1]


def measure() -> list[Row]:
    if os.geteuid() != 0:
        return _measure()
    call = ["tests/rootless/run.sh", sys.executable, "-m", "benchmarks.containers"]
    done = subprocess.run(call, cwd=TREE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def _measure() -> list[Row]:
    rates: dict[str, list[float]] = {"ours": [], "podman": [], "crun": []}
    engine = find_engine()
    with scratch() as folder, Pool(folder, SLOTS, runtime="podman") as pool:
        # The first jobs wait for the default image, where the machine has none yet; and bring the program along.
        (folder / "warm.pesc").write_text(TEXT)
        pool.command("pesc_submit", "warm.pesc", "count=50", "--wait", "-q", "-o", "warm")
        bundle = Bundle(engine, pool)
        for _ in range(ROUNDS):
            rates["podman"].append(_podman(engine))
            rates["crun"].append(bundle.rate())
            rate, submitted = _ours(pool, JOBS)
            rates["ours"].append(rate)
        starts = _starts(pool, submitted)
    ours, podman, crun = (median(rates[kind]) for kind in ("ours", "podman", "crun"))
    return [
        Row(f"{JOBS} × true in fresh containers, beside podman run --rm", ours, "jobs/s", podman, at_least=8.0),
        Row("  beside crun on a bundle that is ready", ours, "jobs/s", crun),
        Row("  start of a container, CPU", mean(cpu for _, cpu in starts) * 1e3, "ms",
            note="told with every run: PescStartCpu"),
        Row("  start of a container, by the clock", median(seconds for seconds, _ in starts) * 1e3, "ms",
            note=f"{SLOTS} at a time: PescStartTime"),
    ]


def _ours(pool: Pool, jobs: int) -> tuple[float, Submitted]:
    submission = described(pool.folder, TEXT, count=jobs)
    start = time.perf_counter()
    submitted = post(pool.client, submission)
    counts = until_over(pool.client, submitted)
    seconds = time.perf_counter() - start
    assert counts.jobs.completed == jobs, counts
    all_ended_well(pool.client, submitted)
    return jobs / seconds, submitted


def _starts(pool: Pool, submitted: Submitted) -> list[tuple[float, float]]:
    ads = pool.client.call("GET", "/v1/history", list[Ad], id=str(submitted.cluster), limit=str(submitted.jobs + 1),
                           attributes="PescStartTime,PescStartCpu")
    return [(float(str(ad["PescStartTime"])), float(str(ad["PescStartCpu"]))) for ad in ads]


class Bundle:
    """A container like those of our runs, started again and again with nothing around it."""

    def __init__(self, engine: Engine, pool: Pool) -> None:
        self._engine = engine
        state = next(pool.state.glob("startd-*"))
        self._keeper = int((state / "keeper.pid").read_text())
        self._folder = pool.folder / "bundle"
        for name in ("work", "tmp"):
            (self._folder / name).mkdir(parents=True)
        binds = (Bind(WORK, f"{self._folder}/work", True), Bind(SCRATCH, f"{self._folder}/tmp", True))
        launch = Launch(["/bin/true"], {}, str(self._folder), WORK, "", "")
        found = profile_here()
        program = compile_filter(found[1]) if found else None
        ground = Ground(str(next(state.glob("roots/*/root"))), {}, program)
        said = configuration("bench", launch, Box(None, binds), ground)
        (self._folder / "config.json").write_text(json.dumps(said))

    def rate(self) -> float:
        """Inside the namespaces, where the root of the image is: a loop of a shell's, `AT_ONCE` of them."""
        crun = f"{self._engine.crun} --root={self._folder}/crun --cgroup-manager=disabled run --bundle={self._folder}"
        each = CRUN_RUNS // AT_ONCE
        loop = f"i=0; while [ $i -lt {each} ]; do {crun} bench-$0-$i || exit 1; i=$((i+1)); done"
        call = [*self._engine.joining(self._keeper), "sh", "-c", loop]
        start = time.perf_counter()
        loops = [subprocess.Popen([*call, str(number)], cwd="/") for number in range(AT_ONCE)]
        assert [loop.wait() for loop in loops] == [0] * AT_ONCE
        return each * AT_ONCE / (time.perf_counter() - start)


def _podman(engine: Engine) -> float:
    """Containers per second, `AT_ONCE` at a time."""
    call = [engine.podman, "run", "--rm", "--network=none", base.name(), "/bin/true"]
    start = time.perf_counter()
    living: list[subprocess.Popen[bytes]] = []
    for _ in range(PODMAN_RUNS):
        if len(living) == AT_ONCE:
            assert living.pop(0).wait() == 0
        living.append(subprocess.Popen(call, cwd="/", stdout=subprocess.DEVNULL))
    assert [process.wait() for process in living] == [0] * len(living)
    return PODMAN_RUNS / (time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps([asdict(row) for row in measure()]))
