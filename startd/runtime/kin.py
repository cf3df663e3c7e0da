"""Whose is a process? Find and end what a job left behind.

The keeper is the reaper of every orphan below it, so a process that escaped its
job (setsid, double fork) turns up as a child of the keeper as soon as its parent
is gone. It belongs to the run whose marker it carries in its environment, or
whose session it is in, or in whose tree it was last seen; failing all that, to
the only run there is. One that can be given to nobody waits until it can.
"""

import os
import signal
from collections.abc import Set

from startd.runtime import procfs


class Kin:
    """The processes below the keeper: main ones, and strays with their owners."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.mains: dict[int, str] = {}
        self.sessions: dict[int, str] = {}
        """Session number (the pid of its main process) of every run that is not over."""
        self._owners: dict[int, str] = {}
        self._own_children = f"/proc/self/task/{os.getpid()}/children"

    def marker(self, key: str) -> str:
        """What a process of run `key` carries as PESC_RUN."""
        return f"{key}@{self.identity}"

    @property
    def has_strays(self) -> bool:
        return bool(self._owners)

    def remember(self, key: str, pids: list[int]) -> None:
        """These were seen in the tree of `key`."""
        for pid in pids:
            if pid not in self.mains:
                self._owners[pid] = key

    def gone(self, pid: int) -> None:
        self._owners.pop(pid, None)

    def kill_strays(self, ended: Set[str], living: Set[str]) -> set[str]:
        """Kill the children that belong to `ended` runs; return the runs that still have one."""
        left: set[str] = set()
        for pid in self._strays():
            owner = self._owners.get(pid) or self._owner(pid, ended, living)
            if owner is None or owner in living:
                continue
            for below in procfs.descendants([pid]):
                self._owners.setdefault(below, owner)
            try:
                os.kill(pid, signal.SIGKILL)
                left.add(owner)
            except ProcessLookupError:
                pass
            except PermissionError:
                left.add(owner)
        if not living and not left:
            self._owners.clear()
        return left

    def escaped(self, key: str, main: int, living: Set[str]) -> list[int]:
        """What belongs to `key`, whose main process is `main`, and has left its group."""
        strays = [pid for pid in self._strays()
                  if (self._owners.get(pid) or self._owner(pid, frozenset(), living)) == key]
        found = []
        for pid in procfs.descendants([main, *strays]):
            stat = procfs.read_stat(pid) if pid != main else None
            if stat is not None and stat.group != main:
                found.append(pid)
        return found

    def marked(self) -> list[tuple[int, str]]:
        """Every process of the machine that carries a marker of this startd, oldest first."""
        found = []
        for pid in procfs.all_pids():
            key, _, identity = (procfs.marker(pid) or "").rpartition("@")
            if identity == self.identity and key:
                stat = procfs.read_stat(pid)
                if stat is not None and stat.state not in "ZX":
                    found.append((stat.start_ticks, pid, key))
        return [(pid, key) for _, pid, key in sorted(found)]

    def _strays(self) -> list[int]:
        with open(self._own_children, "rb", buffering=0) as file:
            raw = file.read()
        return [pid for pid in map(int, raw.split()) if pid not in self.mains]

    def _owner(self, pid: int, ended: Set[str], living: Set[str]) -> str | None:
        key, _, identity = (procfs.marker(pid) or "").rpartition("@")
        if identity == self.identity:
            self._owners[pid] = key
            return key
        stat = procfs.read_stat(pid)
        for main in (stat.session, stat.group) if stat else ():
            if main in self.sessions:
                self._owners[pid] = self.sessions[main]
                return self.sessions[main]
        candidates = ended | living
        if len(candidates) == 1:
            return next(iter(candidates))
        return None
