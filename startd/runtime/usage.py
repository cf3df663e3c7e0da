"""Watch how much memory, processor time and disk the running runs use.

A run with a memory limit is looked at early and then four times a second, others
once a second; with hundreds of them less often, so that looking never takes
more than a few per cent of a core. Resident memory counts shared pages for
everyone who shares them, so a limit that seems passed is checked again by
proportional share before anything is killed.
"""

import asyncio
import heapq
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from contract.vocabulary import RunId
from startd.core.events import Usage
from startd.core.launch import Launch
from startd.runtime import procfs

FIRST_SECONDS = 0.05
LIMITED_SECONDS = 0.25
UNLIMITED_SECONDS = 1.0
DISK_SECONDS = 1.0
SHARE_OF_A_CORE = 0.05
SLICE_SECONDS = 0.003
"""The loop is held up by looking no longer than this at a time."""


@dataclass(slots=True)
class Watched:
    """One running run and what was seen of it."""

    run: RunId
    key: str
    pid: int
    launch: Launch
    interval: float
    disk_due: float
    peak_memory_kib: int = 0
    disk_kib: int = 0
    peak_disk_kib: int = 0
    escaped: set[int] = field(default_factory=set)


class UsageWatch:
    """Looks at every watched run when its turn comes, and tells what it uses."""

    def __init__(self, identity: str, tell: Callable[[Usage], None],
                 tell_belongs: Callable[[str, list[int]], None]) -> None:
        self.keeper_pid = 0
        self._identity = identity
        self._tell = tell
        self._tell_belongs = tell_belongs
        self._watched: dict[RunId, Watched] = {}
        self._turns: list[tuple[float, RunId]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._cost_seconds = 0.0005

    def add(self, run: RunId, key: str, pid: int, launch: Launch) -> None:
        now = time.monotonic()
        limited = launch.memory_limit_mib is not None
        self._watched[run] = Watched(run, key, pid, launch, FIRST_SECONDS if limited else UNLIMITED_SECONDS,
                                     now + (FIRST_SECONDS if launch.disk_limit_kib else DISK_SECONDS))
        self._plan(now + (FIRST_SECONDS if limited or launch.disk_limit_kib else UNLIMITED_SECONDS / 2), run)

    def drop(self, run: RunId) -> Watched | None:
        """Stop watching; return what was seen."""
        return self._watched.pop(run, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._turns.clear()

    def _plan(self, due: float, run: RunId) -> None:
        heapq.heappush(self._turns, (due, run))
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._timer = None
        while self._turns and self._turns[0][1] not in self._watched:
            heapq.heappop(self._turns)
        if self._turns:
            delay = max(0.01, self._turns[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._look_around)

    def _look_around(self) -> None:
        begun = time.monotonic()
        strays = self._strays()
        while self._turns and self._turns[0][0] <= (now := time.monotonic()) and now - begun < SLICE_SECONDS:
            _, run = heapq.heappop(self._turns)
            watched = self._watched.get(run)
            if watched is None:
                continue
            self._look(watched, strays.get(watched.key, []), now)
            self._cost_seconds += 0.1 * (time.monotonic() - now - self._cost_seconds)
            wanted = LIMITED_SECONDS if watched.launch.memory_limit_mib is not None else UNLIMITED_SECONDS
            affordable = self._cost_seconds * len(self._watched) / SHARE_OF_A_CORE
            watched.interval = max(min(watched.interval * 2, wanted), affordable)
            heapq.heappush(self._turns, (now + watched.interval, run))
        self._arm()

    def _look(self, watched: Watched, strays: list[int], now: float) -> None:
        ticks = memory = 0
        pids = []
        escaped = []
        for pid in procfs.descendants([watched.pid, *strays]):
            stat = procfs.read_stat(pid)
            if stat is None:
                continue
            pids.append(pid)
            ticks += stat.cpu_ticks
            memory += procfs.resident_kib(pid)
            if stat.session != watched.pid and pid not in watched.escaped:
                escaped.append(pid)
        if escaped:
            watched.escaped.update(escaped)
            self._tell_belongs(watched.key, escaped)
        limit = watched.launch.memory_limit_mib
        over_memory = limit is not None and memory > limit * 1024
        if over_memory and len(pids) > 1:
            memory = sum(map(procfs.proportional_kib, pids))
            over_memory = limit is not None and memory > limit * 1024
        watched.peak_memory_kib = max(watched.peak_memory_kib, memory)
        if now >= watched.disk_due:
            watched.disk_kib = disk_use_kib(watched.launch.sandbox)
            if watched.launch.disk_limit_kib is not None:
                watched.disk_kib += nameless_kib(pids, watched.launch.sandbox)
            watched.peak_disk_kib = max(watched.peak_disk_kib, watched.disk_kib)
            watched.disk_due = now + max(DISK_SECONDS, 20 * (time.monotonic() - now))
        most = watched.launch.disk_limit_kib
        self._tell(Usage(watched.run, memory / 1024, ticks / procfs.TICKS_PER_SECOND, watched.disk_kib,
                         over_memory, most is not None and watched.disk_kib > most))

    def _strays(self) -> dict[str, list[int]]:
        """Processes that escaped their job's tree, by the marker they carry."""
        mains = {watched.pid for watched in self._watched.values()}
        found: dict[str, list[int]] = {}
        for pid in procfs.children(self.keeper_pid):
            if pid not in mains:
                key, _, identity = (procfs.marker(pid) or "").rpartition("@")
                if identity == self._identity:
                    found.setdefault(key, []).append(pid)
        return found


def nameless_kib(pids: list[int], folder: str) -> int:
    """Blocks of files on the disk of `folder` that have no name any more, and are open all the same."""
    found: dict[int, int] = {}
    try:
        disk = os.stat(folder).st_dev
    except OSError:
        return 0
    for pid in pids:
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                seen = os.stat(f"/proc/{pid}/fd/{number}")
            except OSError:
                continue
            if seen.st_nlink == 0 and seen.st_dev == disk:
                found[seen.st_ino] = seen.st_blocks
    return sum(found.values()) // 2


def disk_use_kib(folder: str) -> int:
    """Blocks taken by everything in `folder`; links are not followed, a file with several names counts once."""
    blocks = 0
    seen: set[int] = set()
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    stat = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif stat.st_nlink > 1:
                        if stat.st_ino in seen:
                            continue
                        seen.add(stat.st_ino)
                    blocks += stat.st_blocks
        except OSError:
            continue  # it went away while we looked
    return blocks // 2
