"""Contents by SHA-256, verified when they come in.

Small ones lie in the database and are saved with the group of events they came with;
larger ones are files, written to `partial/` first (an upload resumes where it broke off),
verified, flushed to the disk, and renamed.

    CONTENTS-2: whoever is told that a large content is here has it for as long as new ones are
                kept in any case: saying so renews its time, and only what is old is removed.
"""

import asyncio
import errno
import hashlib
import math
import os
import re
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from contract.problems import Problem
from contract.vocabulary import INLINE_BYTES, MAX_BLOB_BYTES
from schedd.core.pool import Pool
from schedd.loop import Loop

NAME = re.compile(r"[0-9a-f]{64}")
PIECE = 1 << 20


def check_name(sha256: str) -> str:
    if not NAME.fullmatch(sha256):
        raise Problem("bad_blob", f"{sha256[:80]!r} is not the name of a content.", "It is its SHA-256 in hexadecimal.")
    return sha256


class Blobs:
    """The contents of one schedd."""

    def __init__(self, folder: Path, loop: Loop) -> None:
        self._folder = folder
        self._partial = folder / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        self._loop = loop
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One upload of a content at a time; a lock lives as long as somebody holds or awaits it."""
        self._doomed = folder / "doomed"
        self._doomed.mkdir(exist_ok=True)
        self._removing = threading.Lock()
        """Held while one content is looked at and renewed, or put away."""
        self.removed = 0
        self.removed_bytes = 0

    async def missing(self, names: list[str]) -> list[str]:
        """Which of `names` are not here, each once."""
        wanted = list(dict.fromkeys(check_name(name) for name in names))
        here = await self._loop.store.has_contents(wanted)
        return [name for name in wanted if name not in here and not self.renew(name)]

    async def put_small(self, contents: list[bytes]) -> None:
        """Keep contents of at most INLINE_BYTES each; return when they are on disk."""
        if any(len(content) > INLINE_BYTES for content in contents):
            raise Problem("too_large", f"A pack takes contents of at most {INLINE_BYTES} bytes each.",
                          "Send larger ones by themselves.")
        await self._loop.ask(_keep, {hashlib.sha256(content).hexdigest(): content for content in contents})

    def offset(self, sha256: str) -> int | None:
        """How many bytes of an unfinished upload are here; None when nothing is."""
        try:
            return (self._partial / check_name(sha256)).stat().st_size
        except FileNotFoundError:
            return None

    async def size(self, sha256: str) -> int | None:
        """How long a content is that is here whole."""
        try:
            return self.path(check_name(sha256)).stat().st_size
        except FileNotFoundError:
            small = await self._loop.store.contents([sha256])
            return len(small[sha256]) if small else None

    async def put(self, sha256: str, offset: int, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Take a content from `offset` on; when all `size` bytes are here, verify and keep it."""
        check_name(sha256)
        if not 0 <= offset <= size <= MAX_BLOB_BYTES:
            raise Problem("bad_blob", f"From byte {offset} of {size}: that cannot be.",
                          f"A content has at most {MAX_BLOB_BYTES} bytes.")
        lock = self._busy.setdefault(sha256, asyncio.Lock())
        async with lock:
            try:
                if not self.renew(sha256):
                    await self._take(sha256, offset, size, pieces)
            except OSError as error:
                raise _disk_problem(error) from None

    async def read_small(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those of `names` that are small and here."""
        return await self._loop.store.contents(names)

    async def read(self, sha256: str) -> bytes | None:
        """A content whole, for whoever knows that it is not huge."""
        small = await self._loop.store.contents([sha256])
        if small:
            return small[sha256]
        try:
            return await asyncio.to_thread(self.path(sha256).read_bytes)
        except FileNotFoundError:
            return None

    async def pieces(self, sha256: str, offset: int, at_most: int) -> AsyncIterator[bytes]:
        """A content of any length from `offset` on, in pieces; nothing if it is not here."""
        small = await self._loop.store.contents([sha256])
        if small:
            for start in range(offset, len(small[sha256]), at_most):
                yield small[sha256][start : start + at_most]
            return
        try:
            file = await asyncio.to_thread(self.path(sha256).open, "rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(offset)
            while piece := await asyncio.to_thread(file.read, at_most):
                yield piece

    def path(self, sha256: str) -> Path:
        """Where a large content lies, or would."""
        return self._folder / sha256[:2] / sha256

    def renew(self, sha256: str) -> bool:
        """Whether a large content is here; it counts as new from now on."""
        with self._removing:
            try:
                os.utime(self.path(sha256))
            except FileNotFoundError:
                return False
        return True

    def older_than(self, at: float) -> Iterator[str]:
        """The large contents that came, or were asked for, before `at`."""
        for folder in os.scandir(self._folder):
            if len(folder.name) == 2:
                for file in os.scandir(folder.path):
                    if NAME.fullmatch(file.name) and _time_of(file.path) < at:
                        yield file.name

    def read_large(self, sha256: str) -> bytes | None:
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, names: Iterable[str], at: float) -> None:
        """Remove those that are still older than `at`; may be called from a thread."""
        for name in names:
            path, doomed = self.path(name), self._doomed / name
            with self._removing:
                if not _time_of(path) < at:
                    continue
                path.rename(doomed)
            self.removed_bytes += doomed.stat().st_size
            self.removed += 1
            doomed.unlink()  # which may take long

    def tidy(self, at: float) -> None:
        """Remove what an earlier removal left, and uploads that were given up before `at`."""
        for path in (*self._doomed.iterdir(), *(part for part in self._partial.iterdir() if _time_of(part) < at)):
            path.unlink(missing_ok=True)

    async def _take(self, sha256: str, offset: int, size: int, pieces: AsyncIterator[bytes]) -> None:
        partial = self._partial / sha256
        have = self.offset(sha256) or 0
        if offset > have:
            raise Problem("bad_blob", f"Bytes {have} to {offset} of this content never arrived.",
                          f"Go on from byte {have}.")
        # Pieces go to the page cache, which is quicker than handing each to a thread.
        with open(partial, "r+b" if have else "wb") as file:  # noqa: ASYNC230
            file.seek(offset)
            written = offset
            async for piece in pieces:
                written += len(piece)
                if written > size:
                    raise Problem("bad_blob", f"More than the announced {size} bytes came.", "Send it again.")
                file.write(piece)
            file.truncate()
        if written == size:
            await asyncio.to_thread(self._finish, partial, sha256)

    def _finish(self, partial: Path, sha256: str) -> None:
        with open(partial, "r+b") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                partial.unlink()
                raise Problem("bad_blob", "The content is not what its name says.", "Send it again.")
            os.utime(file.fileno())
            os.fsync(file.fileno())
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True)
        partial.rename(target)
        for folder in (target.parent, self._folder):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(handle)
            os.close(handle)


def _time_of(path: str | os.PathLike[str]) -> float:
    """When it came, or was asked for last; for ever young if it is gone."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return math.inf


def _keep(pool: Pool, now: float, contents: dict[str, bytes]) -> None:
    pool.outcome.contents.update(contents)


def _disk_problem(error: OSError) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Problem("disk_full", "The schedd's disk is full.", "Free some space there, then send it again.")
    return Problem("unavailable", f"The schedd could not keep the content: {error.strerror}.", "Try again.")
