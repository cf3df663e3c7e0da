"""How far running runs say they are: `PESC_PROGRESS 40 message` on stdout, or a line in a file of their own.

Looked at once a second, and only of runs that were there at the look before: a short run costs
nothing. A run can write what it likes: of its stdout at most LOOK_BYTES are read at a look, of its
file the end; what is no number is passed over, and the message is cut.
"""

import os
import re
import stat
from dataclasses import dataclass

from contract.vocabulary import RunId
from startd.core.contract import Folders

LOOK_SECONDS = 1.0
LOOK_BYTES = 64 * 1024
LONGEST_LINE_BYTES = 4096
FILE_BYTES = 1024
MESSAGE_CHARACTERS = 200
MOST_TRIED = 20
"""Lines that are no progress though they begin like it."""

Reached = tuple[float, str]

_LINE = re.compile(rb"(?:\A|(?<=[\r\n]))PESC_PROGRESS[ \t]+([^\r\n]*)[\r\n]")
_PROGRESS = re.compile(r"\s*(?:PESC_PROGRESS\s+)?(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)[ \t]*%?(?:[ \t]+(.*))?\s*\Z",
                       re.DOTALL)


@dataclass(slots=True)
class _Watched:
    offset: int = 0
    """Of stdout: how far it was read, which is the beginning of a line."""
    file: tuple[int, int, int] | None = None
    """Of its file: what changes when that is written."""


class Watcher:
    """All running runs of this machine."""

    def __init__(self) -> None:
        self._watched: dict[RunId, _Watched] = {}

    def look(self, runs: dict[RunId, str]) -> list[tuple[RunId, Reached]]:
        """What these runs, each in its sandbox, say that is news; those not seen before are only noted."""
        known = self._watched
        self._watched = {run: known.get(run) or _Watched() for run in runs}
        found = []
        for run in known.keys() & runs.keys():
            reached = _look(known[run], runs[run])
            if reached is not None:
                found.append((run, reached))
        return found


def parsed(line: bytes) -> Reached | None:
    """`40 fitting` as percent and message; None if it is no progress."""
    found = _PROGRESS.match(line[:LONGEST_LINE_BYTES].decode("utf-8", "replace"))
    if found is None:
        return None
    message = "".join(character for character in found[2] or "" if character.isprintable())
    return min(100.0, max(0.0, float(found[1]))), message[:MESSAGE_CHARACTERS].strip()


def _look(watched: _Watched, sandbox: str) -> Reached | None:
    """What its file says goes before its stdout."""
    said = _of_stdout(watched, f"{sandbox}/stdout")
    return _of_file(watched, Folders(sandbox, "").progress_file) or said


def _of_stdout(watched: _Watched, path: str) -> Reached | None:
    try:
        size = os.stat(path).st_size
        if size == watched.offset:
            return None
        if size < watched.offset or size - watched.offset > LOOK_BYTES:
            watched.offset = max(0, size - LOOK_BYTES)
        content = _read(path, watched.offset, LOOK_BYTES)
    except OSError:
        return None
    end = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
    watched.offset += end if len(content) - end <= LONGEST_LINE_BYTES else len(content)
    for line in [*_LINE.finditer(content[:end])][: -MOST_TRIED - 1 : -1]:
        if (reached := parsed(line[1])) is not None:
            return reached
    return None


def _of_file(watched: _Watched, path: str) -> Reached | None:
    try:
        status = os.lstat(path)
        stamp = status.st_ino, status.st_size, status.st_mtime_ns
        if stamp == watched.file or not stat.S_ISREG(status.st_mode):
            return None
        content = _read(path, max(0, status.st_size - FILE_BYTES), FILE_BYTES)
    except OSError:
        return None
    watched.file = stamp
    lines = [line for line in content.splitlines() if line.strip()]
    return parsed(lines[-1]) if lines else None


def _read(path: str, offset: int, most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, most, offset) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)
