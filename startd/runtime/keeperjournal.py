"""The keeper's memory: every start and end of a process, appended before it is told.

A line is a JSON list of records, the same bytes that the startd is told.

Nothing is forced to the disk: the journal has to survive `kill -9`, not a power
loss, which ends the processes too. It is rewritten with only the living runs
when most of it is about forgotten ones.
"""

import json
import os
from typing import NamedTuple

COMPACT_AFTER_RECORDS = 20_000


class Begun(NamedTuple):
    """A process that was started for a run.

    Pid and `boot_seconds` (when it was started, since the machine was) name it; `at` dates it.
    """

    kind: str
    key: str
    pid: int
    boot_seconds: float
    at: float
    start_seconds: float = 0.0
    """How long the start of its container took, by the clock; a plain process starts at once."""
    start_cpu_seconds: float = 0.0


class Over(NamedTuple):
    """How it ended. Neither code nor signal: nobody saw it."""

    kind: str
    key: str
    code: int | None
    signal: int | None
    began_at: float
    ended_at: float
    user_seconds: float
    system_seconds: float
    peak_kib: int


Record = Begun | Over
BEGUN, OVER = "begun", "over"


class Journal:
    """An append-only file of records, read once when it is opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.begun, self.over = _read(path)
        self._count = len(self.begun) + len(self.over)
        self._torn = False
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, records: list[Record]) -> bytes:
        """Write `records` and return their line; a full disk costs the record of a restart, never the telling."""
        for record in records:
            if isinstance(record, Begun):
                self.begun[record.key] = record
            else:
                self.over[record.key] = record
        line = json.dumps(records).encode() + b"\n"
        self._count += len(records)
        try:
            _write_all(self._file, b"\n" + line if self._torn else line)
            self._torn = False
        except OSError:
            self._torn = True
        if self._count > COMPACT_AFTER_RECORDS + 4 * len(self.begun):
            self._compact()
        return line

    def forget(self, key: str) -> None:
        self.begun.pop(key, None)
        self.over.pop(key, None)

    def _compact(self) -> None:
        fresh = f"{self.path}.new"
        kept = [*self.begun.values(), *self.over.values()]
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _write_all(descriptor, json.dumps(kept).encode() + b"\n")
            os.rename(fresh, self.path)
        except OSError:
            self._count = 0  # try again after as many, not every time
            return
        os.close(self._file)
        self._file = descriptor
        self._count = len(kept)


def _read(path: str) -> tuple[dict[str, Begun], dict[str, Over]]:
    begun: dict[str, Begun] = {}
    over: dict[str, Over] = {}
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        lines = []
    for line in lines:
        try:
            for kind, *fields in json.loads(line):
                if kind == BEGUN:
                    begun[fields[0]] = Begun(kind, *fields)
                else:
                    over[fields[0]] = Over(kind, *fields)
        except (ValueError, TypeError):
            continue  # a line cut short by a full disk, or the empty one after it
    return begun, over


def _write_all(descriptor: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(descriptor, raw) :]
