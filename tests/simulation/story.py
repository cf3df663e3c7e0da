"""What happened, in order, and the complaint when something did that must not.

A failure prints its seed and the story of the job concerned, nothing else: a line per
step that touched it, and the kills and breaks around it.
"""

from typing import NamedTuple

Key = tuple[int, ...]
"""() for what concerns everybody, (cluster,), (cluster, proc) or (cluster, proc, attempt)."""

MOST_LINES = 400


class Violation(AssertionError):
    """An invariant does not hold."""


class Line(NamedTuple):
    at: float
    key: Key
    text: str


class Story:
    """All lines of one history."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[Line] = []

    def say(self, at: float, key: Key, text: str) -> None:
        self.lines.append(Line(at, key, text))

    def of(self, key: Key) -> str:
        """The lines about `key`, its cluster and everybody."""
        job = key[:2]
        told = [line for line in self.lines if not job or line.key[:2] == job[: len(line.key)]]
        left_out = len(told) - MOST_LINES
        head = [f"  … {left_out} lines before"] if left_out > 0 else []
        lines = [f"  {line.at:10.3f} {_name(line.key):>10}  {line.text}" for line in told[-MOST_LINES:]]
        return "\n".join(head + lines)

    def violated(self, what: str, key: Key = ()) -> Violation:
        return Violation(f"{what}\n  in {self.name}; the story of {_name(key) or 'everybody'}:\n{self.of(key)}")


def _name(key: Key) -> str:
    match key:
        case (cluster, proc, attempt):
            return f"{cluster}.{proc}#{attempt}"
        case (cluster, proc):
            return f"{cluster}.{proc}"
        case (cluster,):
            return str(cluster)
        case _:
            return ""
