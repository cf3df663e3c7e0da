"""Paths that come from outside: checked once, here, before anything is done with them.

PATH-1: a path from a grant or a tree stays inside its folder.
"""

INPUT_TIME_NS = 1_000_000_000_123_456_789
"""Modification time of every input: a file that still has it was not written to."""

MAX_PARTS = 64
MAX_PART_BYTES = 255


class BadPath(ValueError):
    """A path from outside that would leave its folder, or that no file can have."""


def checked(path: str) -> str:
    """Return `path` if it is a plain relative path; else raise BadPath that says why."""
    if path.startswith("/"):
        raise BadPath(f"{path!r} is not a relative path")
    parts = path.split("/")
    if len(parts) > MAX_PARTS:
        raise BadPath(f"{path[:60]!r}… has more than {MAX_PARTS} parts")
    for part in parts:
        if part in ("", ".", ".."):
            raise BadPath(f"{path!r} leaves its folder, or says nothing between two slashes")
        if "\0" in part or len(part.encode("utf-8", "surrogateescape")) > MAX_PART_BYTES:
            raise BadPath(f"{path[:60]!r} is not a name that a file can have")
    return path


def checked_name(name: str) -> str:
    """The same for a single name."""
    if "/" in name:
        raise BadPath(f"{name!r} is not a single name")
    return checked(name)
