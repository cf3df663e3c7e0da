"""Look into a container before it is made: would this program start there?

The init of a container is started whatever comes of the program, so what the
kernel would say of it is found out beforehand: by the same rules, and by the
same paths as inside, links of the image included.
"""

import errno
import os
import posixpath
from collections.abc import Iterable, Mapping

from startd.core.launch import Bind

MOST_LINKS = 40
MOST_INTERPRETERS = 4


class Inside:
    """Paths inside a container, and where they lie for us: `root` is the image's, over it the binds."""

    def __init__(self, root: str, binds: Iterable[Bind]) -> None:
        self._root = root
        self._binds = {bind.inside: bind.outside for bind in binds}

    def outside(self, path: str) -> str | None:
        """Where `path` really is, all its links followed as they would be inside; None if it is not there."""
        left = [part for part in path.split("/") if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while left:
            part = left.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            place = self._place([*done, part])
            try:
                target = os.readlink(place)
            except FileNotFoundError:
                return None
            except OSError:  # a file or a folder
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                return None
            if target.startswith("/"):
                done = []
            left = [step for step in target.split("/") if step not in ("", ".")] + left
        place = self._place(done)
        return place if os.path.exists(place) else None

    def _place(self, parts: list[str]) -> str:
        path = "/" + "/".join(parts)
        for length in range(len(parts), 0, -1):
            above = "/" + "/".join(parts[:length])
            if above in self._binds:
                return posixpath.join(self._binds[above], *parts[length:])
        return self._root + path


def why_not(program: str, folder: str, environment: Mapping[str, str], inside: Inside) -> int:
    """The number of the error with which `program` would not start; 0 if it would."""
    if "/" in program:
        return _why_not(posixpath.join(folder, program), inside, 0)
    found = errno.ENOENT
    for place in environment.get("PATH", "").split(":"):
        found = _why_not(posixpath.join(folder, place, program), inside, 0)
        if found == 0:
            return 0
    return found


def _why_not(program: str, inside: Inside, depth: int) -> int:
    path = inside.outside(program)
    if path is None:
        return errno.ENOENT
    try:
        if os.path.isdir(path) or not os.stat(path).st_mode & 0o111:
            return errno.EACCES
        with open(path, "rb") as file:
            head = file.read(256)
    except PermissionError:
        return 0  # we may not look; whoever starts it may
    except OSError as error:
        return error.errno or errno.EIO
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split(None, 1)
        if not words or depth >= MOST_INTERPRETERS:
            return errno.ENOEXEC
        return _why_not(os.fsdecode(words[0]), inside, depth + 1)
    return 0 if head.startswith(b"\x7fELF") else errno.ENOEXEC
