"""A place for cgroups of our own, where the machine has given one to this user.

Only a tree of version 2 is used. Moving a process into a group makes all starts on the
machine wait for one another, so a group is worth having only where it can limit
something: memory, processes or processor time.
"""

import os
from contextlib import suppress

from startd.core.container import Group

TREE = "/sys/fs/cgroup"
LEAF = "pesc-startd"
WANTED = ("memory", "pids", "cpu")


def claim_group(name: str, tree: str = "", own: str | None = None) -> Group | None:
    """Make a place named `name` below our own group; None where that is not ours to do, or of no use."""
    tree = tree or TREE
    own = own or own_path("self")
    if own is None or not os.path.exists(f"{tree}/cgroup.controllers"):
        return None
    above = own.removesuffix(f"/{LEAF}").rstrip("/")
    base = f"{tree}{above}"
    try:
        offered = set(_read(f"{base}/cgroup.controllers").split()).intersection(WANTED)
        if not offered or not os.access(f"{base}/cgroup.procs", os.W_OK):
            return None
        os.makedirs(f"{base}/{name}", exist_ok=True)
        if not _enable(base, offered):
            # A group that hands controllers down may hold no process itself: go one deeper.
            os.makedirs(f"{base}/{LEAF}", exist_ok=True)
            _write(f"{base}/{LEAF}/cgroup.procs", "0")
            if not _enable(base, offered):
                return None
        _enable(f"{base}/{name}", offered)
        given = set(_read(f"{base}/{name}/cgroup.controllers").split()).intersection(WANTED)
    except OSError:
        return None
    return Group(f"{above}/{name}", frozenset(given)) if given else None


def own_path(pid: int | str) -> str | None:
    """The group of a process, from the root of the tree of version 2."""
    with suppress(OSError):
        for line in _read(f"/proc/{pid}/cgroup").splitlines():
            if line.startswith("0::"):
                return line[3:]
    return None


def memory_kills(path: str, tree: str = "") -> int:
    """How many processes of a group the kernel has killed for its memory limit."""
    with suppress(OSError, ValueError):
        for line in _read(f"{tree or TREE}{path}/memory.events").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def freeze(path: str, still: bool, tree: str = "") -> bool:
    """Stop or continue all of a group; False where that cannot be done."""
    try:
        _write(f"{tree or TREE}{path}/cgroup.freeze", "1" if still else "0")
    except OSError:
        return False
    return True


def remove(path: str, tree: str = "") -> None:
    """Remove a group that is empty, with what its processes made below it."""
    for folder, _, _ in os.walk(f"{tree or TREE}{path}", topdown=False):
        with suppress(OSError):
            os.rmdir(folder)


def _enable(folder: str, controllers: set[str]) -> bool:
    """Hand them down, those that can be: one by one, as the kernel takes all of a line or nothing."""
    enabled = False
    for controller in sorted(controllers):
        with suppress(OSError):
            _write(f"{folder}/cgroup.subtree_control", f"+{controller}")
            enabled = True
    return enabled


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
