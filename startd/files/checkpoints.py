"""Checkpoint folders: taken off this machine while a run goes on and when it leaves, laid out for the next one.

A checkpoint is a tree like any other, a list of names and contents, with one thing more: the
order in which its files were last changed, so that a program which looks for the newest
finds it.

No file is taken half. While the program lives, a file that was changed just now is held
open until it has been still for a moment, and read again if it changed meanwhile; one that was
renamed into place meanwhile is whole either way. When the program was killed, a file
that it may have been writing makes the whole checkpoint doubtful, and the one before
stands. Names that say that a file is not finished are left out.

The program may rearrange its folder while we read. What was opened is asked where it lies, so
that a link which takes a folder's place never leads to a file of this machine.
"""

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import msgspec

from contract.messages import Checkpoint, Content, Grant, TreeEntry
from contract.vocabulary import INLINE_BYTES, RunId
from startd.core.container import CHECKPOINT, WORK
from startd.core.events import CheckpointTaken
from startd.files.paths import INPUT_TIME_NS, BadPath, checked
from startd.files.transfer import CannotTransfer, Transfer

SETTLE_SECONDS = 1.0
"""A file that has not changed for so long is not being written."""

TRIES = 5
STILL_TRIES = 3
"""So often is a folder looked at again in the hope that all of its files belong together."""

MAX_FILES = 10_000
MAX_DEPTH = 32
MOST_OPEN = 200
"""Files held open at once; beyond, a name is trusted to mean the same file a moment later."""

MOST_SMALL_BYTES = 64 * 1024**2
"""Of small files held in memory; the rest is sent like large ones."""

UNFINISHED = (".tmp", ".part", ".partial", "~")
LARGEST_BYTES = 10 * 1024**3


class CheckpointEntry(TreeEntry, frozen=True, array_like=True):
    """A file of a checkpoint. `order`: the how-manieth it was by the time of its last change."""

    order: int = 0


decode_entries = msgspec.json.Decoder(list[CheckpointEntry]).decode


_Found = tuple[str, str, os.stat_result]
"""Its path in the checkpoint, where it lies, and what it is."""


class NotStill(Exception):
    """A file is being written, or may have been when its writer was killed; names it."""


class NotTaken(Exception):
    """There can be no checkpoint of this folder; says why in words."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file at a glance."""

    path: str
    place: str
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    executable: bool
    folder_mtime_ns: int
    root: str
    """The folder that is copied: it lies below."""

    @property
    def identity(self) -> tuple[int, int, int]:
        return self.inode, self.size, self.mtime_ns

    def is_fresh(self, now_ns: int, settle_seconds: float) -> bool:
        """Whether it was changed so lately that it may change again."""
        return now_ns - self.mtime_ns < settle_seconds * 1e9

    @property
    def was_put_there(self) -> bool:
        """Whether something was done with the file as a whole after it was last written to, such as renaming it: that
        shows in its own ctime or in the time of its folder."""
        return self.ctime_ns > self.mtime_ns or self.folder_mtime_ns >= self.mtime_ns


class Last(NamedTuple):
    """The run is over."""

    over_ns: int
    """Since when, by the wall clock."""
    doubt_seconds: float | None
    """It was killed, and what it wrote to so long before or later may be half written; None: it ended by itself."""


@dataclass(slots=True)
class Reading:
    """A folder as it was read: what to send, and what it is then."""

    entries: list[CheckpointEntry] = field(default_factory=list)
    small: dict[str, bytes] = field(default_factory=dict)
    small_bytes: int = 0
    large: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By SHA-256: where it can be read, and how long it is."""
    held: list[BinaryIO] = field(default_factory=list)
    """Kept open so that what is sent is what was read, whatever takes its name."""


@dataclass(slots=True)
class Known:
    """What was taken of a run last."""

    seen: tuple[Seen, ...] = ()
    content: Content | None = None
    hashes: dict[tuple[int, int, int], str] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of all runs of this machine."""

    def __init__(self, transfer: Transfer, largest_bytes: int = LARGEST_BYTES,
                 settle_seconds: float = SETTLE_SECONDS) -> None:
        self._transfer = transfer
        self._largest_bytes = largest_bytes
        self._settle_seconds = settle_seconds
        self._known: dict[RunId, Known] = {}
        self._disturbed: set[RunId] = set()

    def forget(self, run: RunId) -> None:
        self._known.pop(run, None)
        self._disturbed.discard(run)

    def disturb(self, run: RunId) -> None:
        """The run stands still from now on, perhaps in the middle of a file: what is being read does not count."""
        self._disturbed.add(run)

    async def take(self, grant: Grant, sandbox: str, last: Last | None = None) -> CheckpointTaken:
        """Send what is new in the run's checkpoint, if it is whole; `last`: the run is over."""
        self._disturbed.discard(grant.run)
        try:
            return await self._take(grant, sandbox, last)
        except NotTaken as error:
            return CheckpointTaken(grant.run, None, trouble=str(error))
        except (CannotTransfer, OSError) as error:
            why = f"The checkpoint could not be copied off its machine: {error}"
            return CheckpointTaken(grant.run, None, trouble=why)

    async def _take(self, grant: Grant, sandbox: str, last: Last | None) -> CheckpointTaken:
        known = self._known.setdefault(grant.run, Known(content=grant.program.checkpoint))
        notes: list[str] = []
        seen = await self._transfer.run(lambda: self._look(grant, sandbox, notes))
        if not seen or seen == known.seen:
            return CheckpointTaken(grant.run, None)
        self._check(seen)
        for attempt in range(1, TRIES + 1):
            try:
                if last is not None:
                    reading = await self._read_over(seen, known, last)
                    break
                reading = await self._read_living(seen, known)
            except NotStill as error:
                if last is not None:
                    raise NotTaken(f"{error} may have been half written when its program was killed; the "
                                   "checkpoint before it stands.") from None
                if attempt == TRIES:
                    raise NotTaken(f"{error} was being written whenever it was looked at. Write another file "
                                   "first, then rename it.") from None
            else:
                again = await self._transfer.run(lambda: self._look(grant, sandbox, notes))
                if again == seen or attempt >= STILL_TRIES:
                    break
            notes.clear()
            seen = await self._transfer.run(lambda: self._look(grant, sandbox, notes))
            if not seen:
                return CheckpointTaken(grant.run, None)
            self._check(seen)
        if last is None and grant.run in self._disturbed:
            return CheckpointTaken(grant.run, None)
        return await self._send(grant, seen, reading, known, notes)

    def _look(self, grant: Grant, sandbox: str, notes: list[str]) -> tuple[Seen, ...]:
        if grant.program.contract:
            return look(f"{sandbox}/checkpoint", notes, inside=CHECKPOINT)
        return look(f"{sandbox}/work", notes, grant.program.checkpoint_files, INPUT_TIME_NS, inside=WORK)

    def _check(self, seen: tuple[Seen, ...]) -> None:
        total = sum(file.size for file in seen)
        if total > self._largest_bytes:
            raise NotTaken(f"It has {total / 1024**2:,.0f} MiB; its machine takes at most "
                           f"{self._largest_bytes / 1024**2:,.0f} MiB along (pesc_startd --max-checkpoint).")

    async def _read_living(self, seen: tuple[Seen, ...], known: Known) -> Reading:
        now_ns = time.time_ns()
        fresh = [file for file in seen if file.is_fresh(now_ns, self._settle_seconds)]
        held = await self._transfer.run(lambda: {file.path: _open(file) for file in fresh[:MOST_OPEN]})
        if fresh:
            await asyncio.sleep(self._settle_seconds)
        return await self._transfer.run(lambda: _read(seen, held, known))

    async def _read_over(self, seen: tuple[Seen, ...], known: Known, last: Last) -> Reading:
        if last.doubt_seconds is not None:
            doubt_seconds = self._settle_seconds + last.doubt_seconds
            for file in seen:
                if file.is_fresh(last.over_ns, doubt_seconds) and not file.was_put_there:
                    raise NotStill(file.path)
        return await self._transfer.run(lambda: _read(seen, {}, known))

    async def _send(self, grant: Grant, seen: tuple[Seen, ...], reading: Reading, known: Known,
                    notes: list[str]) -> CheckpointTaken:
        listing = msgspec.json.encode(reading.entries)
        content = Content(hashlib.sha256(listing).hexdigest(), len(listing), tree=True)
        trouble = " ".join(notes)
        age = max(0.0, time.time() - max(file.mtime_ns for file in seen) / 1e9)
        checkpoint = Checkpoint(content, len(seen), sum(entry.size for entry in reading.entries))
        if content == known.content:
            known.seen = seen
            return CheckpointTaken(grant.run, checkpoint if grant.program.checkpoint != content else None, age, trouble)
        await self._transfer.upload_all({**reading.small, content.sha256: listing}, reading.large)
        known.seen, known.content = seen, content
        return CheckpointTaken(grant.run, checkpoint, age, trouble)


def look(folder: str, notes: list[str], names: list[str] | None = None,
         untouched_ns: int | None = None, inside: str = CHECKPOINT) -> tuple[Seen, ...]:
    """The files of a folder, by path; what cannot be taken is noted.

    Of the folder that an `executable` works in only what is in `names`; of nothing named, what is new at its top.
    `inside`: where a container sees the folder, so that links which say so are understood.
    """
    seen: dict[str, Seen] = {}
    root = os.path.realpath(folder)
    for path, place, found in _wanted(root, names, untouched_ns, notes, inside):
        if len(seen) >= MAX_FILES:
            raise NotTaken(f"It has more than {MAX_FILES:,} files. Pack them into one.")
        try:
            checked(path).encode()
        except (BadPath, UnicodeEncodeError) as error:
            notes.append(f"A file of the checkpoint was left out: {error}.")
            continue
        folder_mtime_ns = os.stat(os.path.dirname(place)).st_mtime_ns
        seen[path] = Seen(path, place, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns,
                          bool(found.st_mode & 0o111), folder_mtime_ns, root)
    return tuple(seen[path] for path in sorted(seen))


def _wanted(root: str, names: list[str] | None, untouched_ns: int | None, notes: list[str],
            inside: str) -> Iterator[_Found]:
    if names is None:
        yield from _below(root, "", root, notes, inside, 0)
    elif not names:
        for entry in _entries(root):
            if entry.is_file(follow_symlinks=False) and not entry.name.endswith(UNFINISHED):
                found = entry.stat(follow_symlinks=False)
                if found.st_mtime_ns != untouched_ns:
                    yield entry.name, entry.path, found
    for name in names or ():
        path = os.path.normpath(name)
        place = os.path.realpath(f"{root}/{path}")
        if path.startswith("/") or not place.startswith(root + "/"):
            notes.append(f"{name} of transfer_checkpoint_files is not in the job's folder, and was left out.")
        elif os.path.isdir(place):
            yield from _below(place, path + "/", root, notes, inside, 0)
        elif os.path.isfile(place):
            yield path, place, os.stat(place)
        else:
            notes.append(f"{name} of transfer_checkpoint_files is not there.")


def _below(folder: str, prefix: str, root: str, notes: list[str], inside: str, depth: int) -> Iterator[_Found]:
    if depth > MAX_DEPTH:
        notes.append(f"{prefix} is nested deeper than {MAX_DEPTH} folders and was left out.")
        return
    for entry in _entries(folder):
        name = prefix + entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, name + "/", root, notes, inside, depth + 1)
            elif entry.name.endswith(UNFINISHED):
                continue
            elif entry.is_file(follow_symlinks=False):
                yield name, entry.path, entry.stat(follow_symlinks=False)
            elif (place := _where(entry.path, root, inside)).startswith(root + "/") and os.path.isfile(place):
                yield name, place, os.stat(place)
            else:
                notes.append(f"{name} of the checkpoint is no file, nor a link to one beside it, and was left out.")
        except FileNotFoundError:
            continue  # renamed while we looked; the look after the reading will differ


def _where(link: str, root: str, inside: str) -> str:
    """Where a link leads; one that was made in a container may name the folder as it is seen there."""
    if os.path.islink(link) and (target := os.readlink(link)).startswith(inside + "/"):
        return os.path.realpath(root + target.removeprefix(inside))
    return os.path.realpath(link)


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


class Opened(NamedTuple):
    """A file held open, and what it was when it was opened."""

    file: BinaryIO
    was: os.stat_result


def _open(file: Seen) -> Opened:
    try:
        descriptor = os.open(file.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotStill(file.path) from None
    was = os.fstat(descriptor)
    is_below = os.readlink(f"/proc/self/fd/{descriptor}").startswith(file.root + "/")
    if is_below and stat.S_ISREG(was.st_mode):
        return Opened(open(descriptor, "rb", buffering=0), was)
    os.close(descriptor)
    if is_below:
        raise NotStill(file.path)
    raise NotTaken(f"{file.path} led out of its folder when it was read.")


def _read(seen: tuple[Seen, ...], held: dict[str, Opened], known: Known) -> Reading:
    """Read every file; raise NotStill for one that was written to since it was opened, or seen."""
    reading = Reading()
    orders = {mtime_ns: order for order, mtime_ns in enumerate(sorted({file.mtime_ns for file in seen}))}
    for file in seen:
        opened = held.get(file.path)
        if opened is None:
            opened = _open(file)
            if (opened.was.st_ino, opened.was.st_size, opened.was.st_mtime_ns) != file.identity:
                raise NotStill(file.path)
        sha256 = _take_in(file, opened, known, reading)
        reading.entries.append(CheckpointEntry(file.path, sha256, opened.was.st_size, file.executable,
                                               orders[file.mtime_ns]))
    return reading


def _take_in(file: Seen, opened: Opened, known: Known, reading: Reading) -> str:
    """Read one file into `reading`; return its SHA-256."""
    was = opened.was
    if was.st_size <= INLINE_BYTES and reading.small_bytes < MOST_SMALL_BYTES:
        raw = opened.file.read()
        _check_still(file, opened)
        sha256 = hashlib.sha256(raw).hexdigest()
        reading.small[sha256] = raw
        reading.small_bytes += len(raw)
        return sha256
    key = was.st_ino, was.st_size, was.st_mtime_ns
    if key not in known.hashes:
        sha256 = hashlib.file_digest(opened.file, "sha256").hexdigest()  # type: ignore[arg-type]
        _check_still(file, opened)
        known.hashes[key] = sha256
    sha256 = known.hashes[key]
    place = file.place
    if len(reading.held) < MOST_OPEN:
        reading.held.append(opened.file)
        place = f"/proc/self/fd/{opened.file.fileno()}"
    reading.large[sha256] = place, was.st_size
    return sha256


def _check_still(file: Seen, opened: Opened) -> None:
    now = os.fstat(opened.file.fileno())
    if (now.st_size, now.st_mtime_ns) != (opened.was.st_size, opened.was.st_mtime_ns):
        raise NotStill(file.path)
