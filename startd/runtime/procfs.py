"""Read from /proc what the keeper and the memory watch need of other processes.

Every function answers None (or nothing) for a process that is gone: between two
reads anything may have ended. A pid alone names nobody for long; pid and start
ticks together do.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
MARKER = b"PESC_RUN="


class Stat(NamedTuple):
    """Some fields of /proc/PID/stat."""

    state: str
    parent: int
    group: int
    session: int
    cpu_ticks: int
    start_ticks: int


def read_stat(pid: int) -> Stat | None:
    raw = _read(f"/proc/{pid}/stat")
    if not raw:
        return None
    # The name, in brackets, may itself contain spaces and brackets.
    fields = raw[raw.rfind(b")") + 2 :].split()
    return Stat(fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]),
                int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14]), int(fields[19]))


def start_ticks(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None when it is gone or only a zombie."""
    stat = read_stat(pid)
    return None if stat is None or stat.state in "ZX" else stat.start_ticks


def children(pid: int) -> list[int]:
    """The children of all threads of `pid`."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        raw = _read(f"/proc/{pid}/task/{thread}/children")
        if raw:
            found.extend(map(int, raw.split()))
    return found


def descendants(roots: list[int]) -> Iterator[int]:
    """`roots` and everything below them."""
    waiting = list(roots)
    seen: set[int] = set()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            yield pid
            waiting.extend(children(pid))


def in_other_pids(pid: int) -> bool:
    """Whether `pid` lives in a pid namespace that is not ours: then it is a container's."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    except OSError:
        return False


def marker(pid: int) -> str | None:
    """The PESC_RUN that `pid` was started with, if it has one."""
    raw = _read(f"/proc/{pid}/environ")
    if not raw:
        return None
    if raw.startswith(MARKER):
        begin = len(MARKER)
    else:
        begin = raw.find(b"\0" + MARKER) + 1 + len(MARKER)
        if begin == len(MARKER):
            return None
    return raw[begin:].split(b"\0", 1)[0].decode("utf-8", "replace")


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def resident_kib(pid: int) -> int:
    """Resident memory, pages shared with others included."""
    raw = _read(f"/proc/{pid}/statm")
    return int(raw.split()[1]) * PAGE_KIB if raw else 0


def proportional_kib(pid: int) -> int:
    """Resident memory with shared pages divided among those who share them; dearer to read."""
    raw = _read(f"/proc/{pid}/smaps_rollup")
    if raw:
        for line in raw.splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1])
    return resident_kib(pid)


def kernel_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot."""
    raw = _read("/proc/vmstat") or b""
    at = raw.find(b"\noom_kill ")
    return int(raw[at + 10 :].split(None, 1)[0]) if at >= 0 else 0


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pieces = [os.read(descriptor, 65536)]
        while len(pieces[-1]) == 65536:
            pieces.append(os.read(descriptor, 65536))
        return b"".join(pieces)
    except OSError:
        return None
    finally:
        os.close(descriptor)
