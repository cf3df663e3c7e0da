"""What of the cache is kept: all that a run here needs, and of the rest what was needed last.

A place is the name of one content or folder of the cache, as in `cache/SHA`. Its
size counts in full, even where a folder shares bytes with a content: the bound
is then kept with something to spare.

CACHE-1: what a run on this machine needs is never given up.
CACHE-2: beyond that the cache is not larger than its bound, once it was trimmed.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress

from contract.vocabulary import RunId

STAMP_SECONDS = 60.0
"""When something was needed is noted on the disk no more often than this."""


class Keeping:
    """Who needs what, how large it is, and when it was needed last."""

    def __init__(self, state: str, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._state = state
        self._needs: dict[RunId, set[str]] = {}
        self._sizes: dict[str, int] = {}
        self._used: dict[str, float] = {}
        self._noted: dict[str, float] = {}
        """When something was needed last, as the disk has it."""
        self._grew = True

    def found(self, places: Iterable[str]) -> None:
        """These are here since before the start."""
        for place in places:
            path = f"{self._state}/{place}"
            try:
                self._used[place] = self._noted[place] = os.stat(path).st_atime
                self._sizes[place] = _size_of(path)
            except OSError:
                continue  # somebody tidies up by hand

    def came(self, place: str, size: int) -> None:
        self._sizes[place] = size
        self._used.setdefault(place, time.time())
        self._grew = True

    def needs(self, run: RunId, place: str) -> None:
        needed = self._needs.get(run)
        if needed is None:
            self._needs[run] = {place}
        else:
            needed.add(place)

    def over(self, run: RunId) -> None:
        """The run needs nothing any more."""
        for place in self._needs.pop(run, ()):
            self._stamp(place)

    def surplus(self) -> list[str]:
        """What is to go for the cache to be within its bound; it counts as gone."""
        if not self._grew:
            return []
        self._grew = False
        total = sum(self._sizes.values())
        if total <= self.limit_bytes:
            return []
        needed = set().union(*self._needs.values())
        going: list[str] = []
        for place in sorted(self._sizes, key=lambda place: self._used.get(place, 0.0)):
            if total <= self.limit_bytes:
                break
            if place not in needed:
                total -= self._sizes[place]
                going.append(place)
        for place in going:
            del self._sizes[place]
            self._used.pop(place, None)
            self._noted.pop(place, None)
        # What is kept only because it is needed now is looked at again when that is over.
        self._grew = total > self.limit_bytes
        return going

    def _stamp(self, place: str) -> None:
        if place not in self._sizes:
            return
        now = self._used[place] = time.time()
        if now - self._noted.get(place, 0.0) < STAMP_SECONDS:
            return
        self._noted[place] = now
        path = f"{self._state}/{place}"
        with suppress(OSError):  # somebody tidied up by hand
            # The time of access: that of modification is the program's own to look at.
            os.utime(path, ns=(int(now * 1e9), os.stat(path).st_mtime_ns))


def _size_of(path: str) -> int:
    if not os.path.isdir(path):
        return os.stat(path).st_size
    return sum(os.lstat(f"{folder}/{name}").st_size for folder, _, names in os.walk(path) for name in names)
