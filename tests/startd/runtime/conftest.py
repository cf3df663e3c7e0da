"""A stage for runtimes: every test in `test_conformance` runs on each of them.

A new runtime joins by one line in RUNTIMES. Containers need a user for whom rootless
Podman works: `tests/rootless/env.sh` makes one, and CONTAINERS=1 says that it is there.
"""

import asyncio
import os
import platform
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from contract.vocabulary import RunId
from startd.core.container import SCRATCH, WORK
from startd.core.events import Begun, Over
from startd.core.launch import Bind, Box, Launch
from startd.images import base
from startd.images.engine import Engine, find_engine
from startd.runtime import procfs
from startd.runtime.interface import Command, Happening, Runtime, SpawnFailed
from startd.runtime.podman import PodmanRuntime
from startd.runtime.process import ProcessRuntime

PYTHON = base.interpreter()
"""A CPython that is at the same place on this machine and in the default image."""


class Kind(NamedTuple):
    """How to make a runtime, and how to cut it off as `kill -9` of its startd does."""

    make: Callable[[str, Callable[[Happening], None]], Runtime]
    cut: Callable[[Any], None]
    contains: bool = False


def engine() -> Engine:
    return find_engine()


# The state folder is as good an identity as any: no two stages share one, also when tests run side by side.
RUNTIMES = {
    "process": Kind(lambda state, tell: ProcessRuntime(state, state, tell), lambda runtime: runtime._link.close()),
}
if os.environ.get("CONTAINERS") == "1":
    RUNTIMES["podman"] = Kind(lambda state, tell: PodmanRuntime(state, state, tell, engine()),
                              lambda runtime: runtime._link.close(), contains=True)
collect_ignore = [] if "podman" in RUNTIMES else ["test_podman.py"]
WAIT_SECONDS = 90.0
H = TypeVar("H", bound=Happening)
RUN = RunId(1, 0, 1)


class Stage:
    """A runtime with a loop of its own, driven step by step."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.happened: list[Happening] = []
        self.kind = kind
        self._mains: dict[RunId, int] = {}
        self._unended: set[RunId] = set()
        self._loop = asyncio.new_event_loop()
        self._heard = asyncio.Event()
        self.found = self.open()

    def open(self) -> set[RunId]:
        self.runtime = self.kind.make(str(self.state), self._tell)
        self.found = self._loop.run_until_complete(self.runtime.open())
        return self.found

    def sandbox(self, run: RunId = RUN) -> Path:
        path = self.folder / f"{run.cluster}.{run.proc}.{run.attempt}"
        for name in ("work", "tmp"):
            (path / name).mkdir(parents=True, exist_ok=True)
        return path

    def work(self, run: RunId = RUN) -> str:
        """The work folder, as the job names it."""
        return WORK if self.kind.contains else str(self.sandbox(run) / "work")

    def box(self, run: RunId = RUN, **how) -> Box | None:
        sandbox = self.sandbox(run)
        binds = (Bind(WORK, str(sandbox / "work"), True), Bind(SCRATCH, str(sandbox / "tmp"), True))
        return Box(**({"image": None, "binds": binds} | how)) if self.kind.contains else None

    def start(self, *argv: str, run: RunId = RUN, environment: dict[str, str] | None = None, **limits) -> None:
        sandbox = self.sandbox(run)
        launch = {
            "argv": list(argv), "sandbox": str(sandbox), "folder": self.work(run), "box": self.box(run),
            "environment": {"PATH": "/usr/bin:/bin"} if environment is None else environment,
            "stdout": str(sandbox / "stdout"), "stderr": str(sandbox / "stderr"),
        } | limits
        self._unended.add(run)
        self._in_loop(self.runtime.start, run, Launch(**launch))

    def sh(self, script: str, run: RunId = RUN, **limits) -> None:
        self.start("/bin/sh", "-c", script, run=run, **limits)

    def wait(self, kind: type[H], run: RunId = RUN) -> H:
        """The next happening of this kind for this run; it is taken off the list."""

        def found() -> H | None:
            return next((h for h in self.happened if isinstance(h, kind) and h.run == run), None)

        self.until(lambda: found() is not None)
        happening = found()
        self.happened.remove(happening)
        return happening

    def until(self, holds: Callable[[], bool]) -> None:
        """Let the loop run until `holds`."""

        async def wait() -> None:
            async with asyncio.timeout(WAIT_SECONDS):
                while not holds():
                    self._heard.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._heard.wait(), 0.01)

        self._loop.run_until_complete(wait())

    def written(self, name: str, run: RunId = RUN) -> str:
        return (self.sandbox(run) / name).read_text()

    def pid_from(self, name: str, run: RunId = RUN) -> int:
        """A pid that the job writes into a file, with a newline after it; 0 if its container is no more."""
        path = self.sandbox(run) / "work" / name
        self.until(lambda: path.exists() and path.read_text().endswith("\n"))
        pid = int(path.read_text())
        if not self.kind.contains:
            return pid
        self.until(lambda: run in self._mains)
        return next((below for below in procfs.descendants([self._mains[run]]) if pid_inside(below) == pid), 0)

    def look(self, *argv: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Start a command in the run's place; let it come to its end."""
        command = self.runtime.inside(RUN, Command(list(argv), more))
        assert command is not None
        return subprocess.run(command.argv, env=command.environment, cwd=command.folder, capture_output=True,
                              text=True, check=False)

    def signal(self, number: int) -> None:
        self._in_loop(self.runtime.signal, RUN, number)

    def kill(self, run: RunId = RUN) -> None:
        self._in_loop(self.runtime.kill, run)

    def suspend(self) -> None:
        self._in_loop(self.runtime.suspend, RUN)

    def resume(self) -> None:
        self._in_loop(self.runtime.resume, RUN)

    def remove(self, run: RunId = RUN) -> None:
        self._in_loop(self.runtime.remove, run)

    def watch(self, **limits) -> None:
        sandbox = str(self.sandbox())
        self._in_loop(self.runtime.watch, RUN, Launch([], {}, sandbox, sandbox, "", "", **limits))

    def die(self) -> None:
        """As `kill -9` of the startd: nothing is said, the runtime is just cut off."""
        self._in_loop(self.kind.cut, self.runtime)
        self.happened.clear()

    def close(self) -> None:
        for run in list(self._unended):
            self.kill(run)
        self.until(lambda: not self._unended)
        self._loop.run_until_complete(self.runtime.close(leave=True))
        self._loop.close()

    def _in_loop(self, do: Callable[..., None], *given: Any) -> None:
        async def call() -> None:
            do(*given)

        self._loop.run_until_complete(call())

    def _tell(self, happening: Happening) -> None:
        self.happened.append(happening)
        if isinstance(happening, Begun):
            self._mains[happening.run] = happening.pid
        if isinstance(happening, Over | SpawnFailed):
            self._unended.discard(happening.run)
        self._heard.set()


def a_library(name: str, folder: Path) -> Path:
    """A shared library that can be loaded, has nothing in it, and calls itself `name`."""
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    names = b"\0" + name.encode() + b"\0"
    at = 64 + 3 * 56                                      # header, three program headers; then
    hash_at, symbols_at, names_at = at, at + 24, at + 48  # a hash table of one bucket, the null symbol, names
    dynamic_at = -(-(names_at + len(names)) // 16) * 16
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in (
        (14, 1), (4, hash_at), (5, names_at), (6, symbols_at), (10, len(names)), (11, 24), (0, 0)))
    size = dynamic_at + len(dynamic)
    content = b"".join((
        b"\x7fELF\x02\x01\x01" + bytes(9),
        struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 3, 64, 0, 0),
        struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 4096),
        struct.pack("<IIQQQQQQ", 2, 6, *[dynamic_at] * 3, len(dynamic), len(dynamic), 8),
        struct.pack("<IIQQQQQQ", 0x6474e551, 6, 0, 0, 0, 0, 0, 16),
        struct.pack("<IIIII", 1, 1, 0, 0, 0), bytes(4), bytes(24), names))
    path = folder / f"made-{name}"
    path.write_bytes(content.ljust(dynamic_at, b"\0") + dynamic)
    return path


def pid_inside(pid: int) -> int:
    """The number by which a process knows itself."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[-1]) for line in lines if line.startswith("NSpid:"))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture(params=sorted(RUNTIMES))
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, RUNTIMES[request.param])
    yield stage
    stage.close()
