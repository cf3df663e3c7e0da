"""The keeper's memory: one line for every start and end of a process, appended before it is told.

Nothing is forced to the disk: the journal has to survive `kill -9`, not a power
loss, which ends the processes too. It is rewritten with only the living runs
when most of it is about forgotten ones.
"""

import json
import os
from typing import NamedTuple

COMPACT_AFTER_LINES = 20_000


class Begun(NamedTuple):
    """A process that was started for a run: pid and start ticks name it, clock seconds date it."""

    key: str
    pid: int
    ticks: int
    at: float


class Over(NamedTuple):
    """How it ended. Neither code nor signal: nobody saw it."""

    key: str
    code: int | None
    signal: int | None
    began_at: float
    ended_at: float
    user_seconds: float
    system_seconds: float
    peak_kib: int


Record = Begun | Over


class Journal:
    """An append-only file of records, read once when it is opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.begun, self.over = _read(path)
        self._lines = len(self.begun) + len(self.over)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, records: list[Record]) -> None:
        """Write `records`; a full disk costs the record of a restart, never the telling of it."""
        lines = []
        for record in records:
            if isinstance(record, Begun):
                self.begun[record.key] = record
                lines.append(json.dumps(["begun", *record]))
            else:
                self.over[record.key] = record
                lines.append(json.dumps(["over", *record]))
        self._lines += len(lines)
        try:
            _write_all(self._file, ("\n".join(lines) + "\n").encode())
        except OSError:
            return
        if self._lines > COMPACT_AFTER_LINES + 4 * len(self.begun):
            self._compact()

    def forget(self, key: str) -> None:
        self.begun.pop(key, None)
        self.over.pop(key, None)

    def _compact(self) -> None:
        fresh = f"{self.path}.new"
        kept = [["begun", *record] for record in self.begun.values()]
        kept += [["over", *record] for record in self.over.values()]
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _write_all(descriptor, "".join(json.dumps(line) + "\n" for line in kept).encode())
            os.rename(fresh, self.path)
        except OSError:
            self._lines = 0  # try again after as many lines, not at every one
            return
        os.close(self._file)
        self._file = descriptor
        self._lines = len(kept)


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
            kind, key, *fields = json.loads(line)
            if kind == "begun":
                begun[key] = Begun(key, *fields)
            else:
                over[key] = Over(key, *fields)
        except (ValueError, TypeError):
            continue  # a line cut short by a full disk
    return begun, over


def _write_all(descriptor: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(descriptor, raw) :]
