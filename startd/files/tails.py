"""Send what somebody watches of a running run's stdout or stderr, as it is written.

While anybody watches, the files are looked at ten times a second; nobody
watching costs nothing.
"""

import os
from dataclasses import dataclass

from contract.messages import OutputChunk, Watch

CHUNK_BYTES = 64 * 1024
CHUNKS_AT_ONCE = 4
LOOK_SECONDS = 0.1


@dataclass(slots=True)
class _Tail:
    watch: Watch
    path: str
    offset: int


class Tails:
    """Everything that is watched at this machine."""

    def __init__(self) -> None:
        self._tails: dict[int, _Tail] = {}

    def __len__(self) -> int:
        return len(self._tails)

    def follow(self, watch: Watch, sandbox: str) -> None:
        name = "stderr" if watch.stream == "stderr" else "stdout"
        self._tails[watch.watch] = _Tail(watch, f"{sandbox}/{name}", watch.offset)

    def unfollow(self, watch: int) -> None:
        self._tails.pop(watch, None)

    def clear(self) -> None:
        """The connection is gone, and with it everybody who watched."""
        self._tails.clear()

    def watches(self) -> list[Watch]:
        return [tail.watch for tail in self._tails.values()]

    def look(self, watch: Watch, still_writing: bool) -> list[OutputChunk]:
        """What was written since the last look; the last chunk says so."""
        tail = self._tails.get(watch.watch)
        if tail is None:
            return []
        chunks = []
        content, more = _read(tail.path, tail.offset)
        for begin in range(0, len(content), CHUNK_BYTES):
            chunks.append(OutputChunk(watch.watch, tail.offset + begin, content[begin : begin + CHUNK_BYTES]))
        tail.offset += len(content)
        if not still_writing and not more:
            chunks.append(OutputChunk(watch.watch, tail.offset, b"", last=True))
            del self._tails[watch.watch]
        return chunks


def _read(path: str, offset: int) -> tuple[bytes, bool]:
    """Some bytes from `offset` on, and whether there may be more."""
    most = CHUNK_BYTES * CHUNKS_AT_ONCE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b"", False
    try:
        content = os.pread(descriptor, most, offset)
    finally:
        os.close(descriptor)
    return content, len(content) == most
