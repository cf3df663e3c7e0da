"""How soon an owner's first key is felt, how much runs are slowed, and what looking costs.

A real startd on a real terminal: a key is pressed as a person does it, and the programs of
two jobs that would use every cycle are watched until the kernel says that they stand still.
"""

import os
import random
import subprocess
import time
from pathlib import Path

from benchmarks.meters import children, cpu_seconds, middle
from benchmarks.pools import BIN, Pool, scratch
from benchmarks.table import Row

ROUNDS = 15
JOBS = 2
MEASURE_SECONDS = 8.0
LONG_AGO = 1_000_000_000.0
BUSY = f"executable = /bin/sh\narguments = \"-c 'while :; do :; done'\"\nqueue {JOBS}\n"


def measure() -> list[Row]:
    with scratch() as folder, Pool(folder, startds=0) as pool, Terminal(folder) as terminal:
        (folder / "busy.sub").write_text(BUSY)
        pool.command("pesc_submit", "busy.sub")
        with Startd(pool, folder, ["--owner", "off"]) as startd:
            alone, _ = startd.cpu_share(startd.programs())
        with Startd(pool, folder, terminal.flags("desktop", active_seconds=0.6, resume_after_seconds=0.6,
                                                 start_after_seconds=0.7)) as startd:
            programs = startd.programs()
            watching, _ = startd.cpu_share(programs)
            waits = [_first_key(terminal, programs) for _ in range(ROUNDS)]
        with Startd(pool, folder, terminal.flags("desktop")) as startd:
            programs = startd.programs()
            terminal.press_a_key()
            _until(lambda: _all_stand_still(programs))
            throttling, share = startd.cpu_share(programs)
        pool.command("pesc_rm", "-all")
    return [
        Row("the owner's first key → all jobs stand still", middle(waits) * 1e3, "ms", at_most=1000,
            note=f"the longest of {ROUNDS}: {max(waits) * 1e3:.0f} ms"),
        Row("– what throttled jobs use of their processors", share / JOBS * 100, "%", at_most=12,
            note="the share is 10 %"),
        Row("– looking for the owner while jobs run, of a core", max(0.0, watching - alone) * 100, "%", at_most=0.3,
            note=f"the startd in all: {watching * 100:.2f} %"),
        Row(f"– throttling {JOBS} jobs, startd and keeper, of a core", (throttling - alone) * 100, "%", at_most=3),
    ]


class Terminal:
    """A terminal that nobody has used for long, the only one that the startd sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys, self._shell = os.openpty()
        self._name = os.ttyname(self._shell)
        (folder / "dev/pts").mkdir(parents=True)
        (folder / "dev/pts/0").symlink_to(self._name)
        self.leave()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._keys)
        os.close(self._shell)

    def leave(self) -> None:
        """Nobody was ever here."""
        os.utime(self._name, (LONG_AGO, LONG_AGO))

    def press_a_key(self) -> None:
        os.write(self._keys, b"k\n")
        os.read(self._shell, 10)

    def flags(self, preset: str, **settings: float) -> list[str]:
        path = self._folder / "owner.toml"
        lines = ["[owner]", "load = false", *(f"{name} = {value}" for name, value in settings.items()), "[roots]"]
        path.write_text("\n".join([*lines, *(f'{name} = "{self._folder}/{name}"' for name in ("dev", "run", "sys"))]))
        return ["--owner", preset, "--owner-config", str(path)]


class Startd:
    """A startd of the pool with flags of its own."""

    def __init__(self, pool: Pool, folder: Path, flags: list[str]) -> None:
        self._keeper_pid = pool.state / "startd-bench/keeper.pid"
        with open(folder / "startd.log", "ab") as log:
            self._startd = subprocess.Popen(
                [BIN / "pesc_startd", "--state", pool.state, "--name", "bench", "--runtime", "process",
                 "--cpus", str(JOBS), *flags],
                stdout=log, stderr=log)

    def __enter__(self) -> "Startd":
        return self

    def __exit__(self, *_: object) -> None:
        self._startd.terminate()
        self._startd.wait()

    def programs(self) -> list[int]:
        """The programs of the jobs, once they all run."""
        _until(lambda: self._keeper_pid.exists() and len(self._children()) == JOBS)
        return self._children()

    def cpu_share(self, programs: list[int]) -> tuple[float, float]:
        """What the startd with its keeper, and what the programs use, in processors."""
        daemons = [self._startd.pid, int(self._keeper_pid.read_text())]
        begun, before = time.perf_counter(), [sum(map(cpu_seconds, pids)) for pids in (daemons, programs)]
        time.sleep(MEASURE_SECONDS)
        seconds = time.perf_counter() - begun
        ours, theirs = (sum(map(cpu_seconds, pids)) - was
                        for pids, was in zip((daemons, programs), before, strict=True))
        return ours / seconds, theirs / seconds

    def _children(self) -> list[int]:
        try:
            return children(int(self._keeper_pid.read_text()))
        except (OSError, ValueError):
            return []


def _first_key(terminal: Terminal, programs: list[int]) -> float:
    """Seconds from a key to the moment when no program runs; then nobody is there again."""
    time.sleep(random.uniform(0.0, 0.2))            # anywhere between two looks
    pressed = time.perf_counter()
    terminal.press_a_key()
    _until(lambda: _all_stand_still(programs))
    felt = time.perf_counter() - pressed
    terminal.leave()
    _until(lambda: _run_for(programs, 0.4))
    return felt


def _all_stand_still(programs: list[int]) -> bool:
    return all(_state(pid) == "T" for pid in programs)


def _run_for(programs: list[int], seconds: float) -> bool:
    """Whether they ran all this time, as throttled ones never do."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if any(_state(pid) == "T" for pid in programs):
            return False
        time.sleep(0.01)
    return True


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(") ")[2][0]


def _until(holds: object) -> None:
    assert callable(holds)
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not come to that within a minute"
        time.sleep(0.002)
