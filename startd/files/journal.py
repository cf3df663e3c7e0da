"""The startd's memory: one line for everything the core wants recorded.

Appended before what follows from it is done. Nothing is forced to the disk: it
has to survive `kill -9`; after a power loss the schedd knows better what this
machine should do. Rewritten shorter when most of it is about forgotten runs.
"""

import logging
import os
from collections.abc import Callable

import msgspec

from contract.messages import Grant, RunEnd
from contract.vocabulary import EndReason, RunId
from startd.core.events import Ending, Entry, Finished, Forgotten, Granted, Halted

log = logging.getLogger(__name__)

COMPACT_AFTER_ENTRIES = 20_000


class _Line(msgspec.Struct, omit_defaults=True):
    """Exactly one of `grant`, `reason`, `halts`, `end`, `runs` is there: an Entry as JSON."""

    run: RunId | None = None
    grant: Grant | None = None
    reason: EndReason | None = None
    message: str = ""
    halts: int | None = None
    end: RunEnd | None = None
    runs: list[RunId] | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


class Journal:
    """An append-only file of entries."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0
        self._after = COMPACT_AFTER_ENTRIES
        self._file = -1
        self._torn = False

    def read(self) -> list[Entry]:
        """All entries, in order; a line cut short by a full disk is left out."""
        entries: list[Entry] = []
        try:
            with open(self._path, "rb") as file:
                for raw in file:
                    if raw.isspace():
                        continue
                    try:
                        entries.append(_entry(_decoder.decode(raw)))
                    except msgspec.MsgspecError:
                        log.warning("a line of the journal cannot be read", extra={"path": self._path})
        except FileNotFoundError:
            pass
        return entries

    def rewrite(self, entries: list[Entry]) -> None:
        """Start over with `entries` alone; on a full disk go on with the old file."""
        fresh = f"{self._path}.new"
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _write_all(descriptor, _lines(entries))
            os.rename(fresh, self._path)
        except OSError as error:
            log.error("the journal cannot be rewritten: %s", error)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file = descriptor
        self._count = len(entries)
        self._after = COMPACT_AFTER_ENTRIES + 2 * len(entries)

    def append(self, entries: list[Entry], everything: Callable[[], list[Entry]]) -> None:
        """Write `entries`; when the file has grown long, rewrite it with `everything` instead."""
        self._count += len(entries)
        if self._count > self._after:
            self.rewrite(everything())
            return
        try:
            _write_all(self._file, b"\n" + _lines(entries) if self._torn else _lines(entries))
            self._torn = False
        except OSError as error:
            self._torn = True
            # The runs go on and their ends are told all the same; only a restart would miss this.
            log.error("the journal cannot be written: %s", error)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _lines(entries: list[Entry]) -> bytes:
    return b"".join(_encoder.encode(_line(entry)) + b"\n" for entry in entries)


def _line(entry: Entry) -> _Line:
    match entry:
        case Granted(grant):
            return _Line(grant=grant)
        case Ending(run, reason, message):
            return _Line(run=run, reason=reason, message=message)
        case Halted(run, halts):
            return _Line(run=run, halts=halts)
        case Finished(run, end):
            return _Line(run=run, end=end)
        case Forgotten(runs):
            return _Line(runs=runs)


def _entry(line: _Line) -> Entry:
    if line.grant is not None:
        return Granted(line.grant)
    if line.runs is not None:
        return Forgotten(line.runs)
    if line.run is not None and line.end is not None:
        return Finished(line.run, line.end)
    if line.run is not None and line.reason is not None:
        return Ending(line.run, line.reason, line.message)
    if line.run is not None and line.halts is not None:
        return Halted(line.run, line.halts)
    raise msgspec.ValidationError("a line of the journal that says nothing")


def _write_all(descriptor: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(descriptor, raw) :]
