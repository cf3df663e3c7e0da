"""A folder that files from elsewhere are written into, and nothing outside it.

Names come from machines and other people, so they are hostile until checked: a path
never leaves the folder, no symbolic link is followed on the way, and a file appears
under its name only when it is whole (INV: every open is relative to the folder's own
descriptor, one part at a time, with O_NOFOLLOW).
"""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import IO

from contract.problems import Problem

LONGEST_PART = 255
DEEPEST = 100

Parts = tuple[str, ...]


class UnsafePath(ValueError):
    """A path that leaves its folder, or cannot be one."""


def safe_parts(path: str) -> Parts:
    """The parts of a relative path from elsewhere; raise UnsafePath if it is not one that stays inside."""
    parts = tuple(path.split("/"))
    if len(parts) > DEEPEST:
        raise UnsafePath("it is nested too deep")
    for part in parts:
        if part in ("", ".", "..") or "\0" in part:
            raise UnsafePath("it leaves its folder")
        if len(part.encode("utf-8", "surrogateescape")) > LONGEST_PART:
            raise UnsafePath("a name in it is too long")
    return parts


class Folder:
    """A folder to write into. Use as a context; only one command at a time may have it."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            os.makedirs(path, exist_ok=True)
            self._root = os.open(path, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Problem("bad_request", f"{path} cannot be used as a folder: {error.strerror}.",
                          "Name another with -o DIR.") from None
        try:
            fcntl.flock(self._root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._root)
            raise Problem("wrong_state", f"Another command is writing into {path} now.",
                          "Wait for it, or name another folder with -o DIR.") from None
        except OSError:
            pass    # some network file systems lock no folders: then nobody is kept out

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def sha256_of(self, parts: Parts, size: int) -> str | None:
        """The SHA-256 of a file here if it has this size already."""
        try:
            with self.open(parts) as file:
                if os.fstat(file.fileno()).st_size != size:
                    return None
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def open(self, parts: Parts) -> BufferedReader:
        """A regular file here, for reading."""
        with self._parent(parts) as parent:
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "not a regular file", "/".join(parts))
        return os.fdopen(descriptor, "rb")

    @contextmanager
    def replacing(self, parts: Parts, executable: bool = False, keep_as: str | None = None) -> Iterator[IO[bytes]]:
        """A file that takes its name when the block ends well.

        With `keep_as` what was written stays under that name when the block ends badly, and
        is there to be continued the next time: the file is positioned at its end.
        """
        partial = f".pesc-{keep_as or os.getpid()}.part"
        with self._parent(parts, make=True) as parent:
            if not keep_as:
                with suppress(FileNotFoundError):
                    os.unlink(partial, dir_fd=parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(partial, flags, 0o666, dir_fd=parent), "r+b") as file:
                file.seek(0, os.SEEK_END)
                try:
                    yield file
                except BaseException:
                    if not keep_as:
                        os.unlink(partial, dir_fd=parent)
                    raise
                if executable:
                    mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                    # Executable for whoever may read, as the umask would have had it.
                    os.fchmod(file.fileno(), mode | (mode & 0o444) >> 2)
            os.rename(partial, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)

    def remove(self, parts: Parts) -> None:
        """Take a file away if it is there."""
        with suppress(OSError), self._parent(parts) as parent:
            os.unlink(parts[-1], dir_fd=parent)

    @contextmanager
    def _parent(self, parts: Parts, make: bool = False) -> Iterator[int]:
        descriptor = os.dup(self._root)
        try:
            for part in parts[:-1]:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=descriptor)
                inner = os.open(part, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_RDONLY | os.O_CLOEXEC, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)
