"""Run jobs as plain processes below the keeper.

What is asked goes to the keeper (`keeperlink`); what it tells becomes
happenings. `usage` watches the limits. When the keeper is killed, the next one
tells what it found; a start that it does not know of is not asked again: the run
may have come and gone, and its folder is not as it was.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from contract.vocabulary import RunId
from startd.core.events import Begun, Over, Usage
from startd.core.launch import Launch
from startd.runtime import procfs
from startd.runtime.interface import Command, Happening, NoImage, SpawnFailed
from startd.runtime.keeperlink import KeeperLink
from startd.runtime.usage import UsageWatch

log = logging.getLogger(__name__)

MEMORY_KILL_SECONDS = 5.0
"""A kill by the kernel explains a SIGKILL that we hear of this much later at most."""


class ProcessRuntime:
    """See `interface.Runtime`, which this implements."""

    def __init__(self, state: str, identity: str, tell: Callable[[Happening], None],
                 through: Sequence[str] = ()) -> None:
        """The keeper is called by `through`, if that is given."""
        self._tell = tell
        self._link = KeeperLink(state, identity, self._on_message, self._on_lost, through)
        self._watch = UsageWatch(identity, self._on_usage, lambda key, pids: self._ask(["belongs", key, pids]))
        self._runs: dict[str, RunId] = {}
        self._launches: dict[RunId, Launch] = {}
        self._living: dict[RunId, int] = {}
        self._killed: set[RunId] = set()
        self._in_doubt: set[RunId] = set()
        """Runs whose start was asked of a keeper that is dead, and that it told nothing of."""
        self._starts: dict[RunId, tuple[float, float]] = {}
        self._kernel_kills = procfs.kernel_memory_kills()
        self._unexplained: list[float] = []
        self._flushing = False
        self._closed = False
        self._again: asyncio.Task[None] | None = None

    async def open(self) -> set[RunId]:
        """Reach the keeper; what it knows is told once the caller has the answer."""
        known = await self._link.connect()
        self._watch.keeper_pid = self._link.keeper_pid
        _, begun, over = known
        loop = asyncio.get_running_loop()
        for record in [*begun, *over]:
            loop.call_soon(self._on_message, record)
        return {self._run(record[1]) for record in [*begun, *over]}

    async def provide(self, image: str | None) -> None:
        if image is not None:
            raise NoImage(f"This machine runs plain processes: it has no containers, and no image {image}.")

    def start(self, run: RunId, launch: Launch) -> None:
        self._launches[run] = launch
        self._ask_start(run, launch)

    def watch(self, run: RunId, launch: Launch) -> None:
        self._launches[run] = launch
        pid = self._living.get(run)
        if pid is not None:
            self._watch.add(run, str(run), pid, launch)

    def signal(self, run: RunId, number: int) -> None:
        if number == signal.SIGKILL:
            self._killed.add(run)
        self._ask(["signal", str(run), number])

    def kill(self, run: RunId) -> None:
        self._killed.add(run)
        self._ask(["kill", str(run)])

    def suspend(self, run: RunId) -> None:
        self._ask(["signal", str(run), int(signal.SIGSTOP)])

    def resume(self, run: RunId) -> None:
        self._ask(["signal", str(run), int(signal.SIGCONT)])

    def inside(self, run: RunId, command: Command) -> Command | None:
        launch = self._launches.get(run)
        if launch is None or run not in self._living:
            return None
        return Command(command.argv, launch.environment | command.environment, command.tty, launch.folder)

    def remove(self, run: RunId) -> None:
        key = str(run)
        self._runs.pop(key, None)
        self._launches.pop(run, None)
        self._killed.discard(run)
        self._ask(["forget", [key]])

    async def close(self, leave: bool) -> None:
        self._closed = True
        self._watch.close()
        if self._again is not None:
            self._again.cancel()
        if leave:
            self._link.ask(["shutdown"])
            self._link.flush()
        self._link.close()
        if leave and not self._living:
            await self._link.wait_gone(2.0)

    # --- asking --------------------------------------------------------------------------

    def _ask(self, request: list[Any]) -> None:
        self._link.ask(request)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._link.flush()

    def _ask_start(self, run: RunId, launch: Launch) -> None:
        key = str(run)
        self._runs[key] = run
        limit = launch.disk_limit_kib
        self._ask(["spawn", key, launch.argv, launch.environment, launch.folder, launch.stdin,
                   launch.stdout, launch.stderr, None if limit is None else limit * 1024])

    # --- hearing -------------------------------------------------------------------------

    def _on_message(self, message: list[Any]) -> None:
        match message:
            case ["begun", key, pid, _, _, start_seconds, start_cpu_seconds]:
                self._starts[self._run(key)] = start_seconds, start_cpu_seconds
                self._begun(self._run(key), pid)
            case ["over", key, code, number, began_at, ended_at, user, system, peak_kib]:
                self._over(self._run(key), code, number, max(0.0, ended_at - began_at), user, system, peak_kib)
            case ["failed", key, errno, where, words]:
                self._failed(self._run(key), errno, where, words)

    def _failed(self, run: RunId, errno: int, where: str, words: str) -> None:
        if self._launches.pop(run, None) is not None:
            self._tell(SpawnFailed(run, errno, where, words))

    def _begun(self, run: RunId, pid: int) -> None:
        if run in self._living:
            return
        self._living[run] = pid
        launch = self._launches.get(run)
        if launch is not None:
            self._watch.add(run, str(run), pid, launch)
        self._tell(Begun(run, pid))

    def _over(self, run: RunId, code: int | None, number: int | None, wall: float,
              user: float, system: float, peak_kib: int) -> None:
        self._living.pop(run, None)
        self._launches.pop(run, None)
        seen = self._watch.drop(run)
        if seen is not None:
            peak_kib = max(peak_kib, seen.peak_memory_kib)
        code, number = self._how_it_ended(code, number)
        starved = self._clear(run)
        if number == signal.SIGKILL and run not in self._killed:
            starved = self._killed_by_kernel() or starved
        start_seconds, start_cpu_seconds = self._starts.pop(run, (0.0, 0.0))
        self._tell(Over(run, code, number, wall, user, system, peak_kib / 1024,
                        seen.peak_disk_kib if seen else 0, starved, start_seconds, start_cpu_seconds))

    def _how_it_ended(self, code: int | None, number: int | None) -> tuple[int | None, int | None]:
        """Exit code or signal of the job, by those of the process that the keeper waited for."""
        return code, number

    def _clear(self, run: RunId) -> bool:
        """Put away what a run leaves beside its folder; whether the kernel killed some of it for its memory limit."""
        return False

    def _on_usage(self, usage: Usage) -> None:
        self._count_kernel_kills()
        self._tell(usage)

    def _killed_by_kernel(self) -> bool:
        """Whether a kill for memory, by the kernel and lately, explains one SIGKILL."""
        self._count_kernel_kills()
        now = time.monotonic()
        self._unexplained = [at for at in self._unexplained if now - at < MEMORY_KILL_SECONDS]
        return bool(self._unexplained) and self._unexplained.pop() > 0

    def _count_kernel_kills(self) -> None:
        count = procfs.kernel_memory_kills()
        self._unexplained += [time.monotonic()] * min(count - self._kernel_kills, 1000)
        self._kernel_kills = count

    # --- when the keeper is gone ---------------------------------------------------------

    def _on_lost(self) -> None:
        if not self._closed:
            log.warning("the keeper is gone; starting another one")
            # What is asked from now on waits for the next keeper, and is not in doubt.
            self._in_doubt |= {run for run in self._launches if run not in self._living and self._was_asked(run)}
            self._again = asyncio.get_running_loop().create_task(self._reopen())

    async def _reopen(self) -> None:
        found = await self.open()
        in_doubt, self._in_doubt = self._in_doubt - found, set()
        for run in sorted(in_doubt - self._living.keys()):
            launch = self._launches.get(run)
            if launch is None:
                continue
            if launch.argv:
                self._failed(run, 0, "keeper", "What starts jobs there was killed before it told of the start.")
            else:
                self._over(run, None, None, 0.0, 0.0, 0.0, 0)
        for run in self._living.keys() - found:
            # Its record was lost with a full disk; its process, if any, cannot be named.
            self._over(run, None, None, 0.0, 0.0, 0.0, 0)

    def _was_asked(self, run: RunId) -> bool:
        """Whether the keeper was told to start it."""
        return True

    def _run(self, key: str) -> RunId:
        run = self._runs.get(key)
        if run is None:
            job, _, attempt = key.partition("#")
            cluster, _, proc = job.partition(".")
            run = self._runs[key] = RunId(int(cluster), int(proc), int(attempt))
        return run
