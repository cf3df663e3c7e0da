"""How fast the work of a backtracking engine may grow with the text."""

from __future__ import annotations

from typing import Any


def degree_of(parsed: Any) -> int:
    """Bound the exponent: 1 for trying every start, and 1 for each repetition whose end is open.

    A repetition inside a repetition doubles the ways with every round; it counts as if it had many open ends.
    """
    return 1 + _open_ends(parsed)


def _open_ends(parsed: Any) -> int:
    return sum(_ends_of(str(operation), argument) for operation, argument in parsed)


def _ends_of(operation: str, argument: Any) -> int:
    match operation, argument:
        case (("MAX_REPEAT" | "MIN_REPEAT"), (fewest, most, body)):
            inner = _open_ends(body)
            if most == 1 or fewest == most == 1:
                return inner
            return 10 if inner or _branches(body) else 1
        case "POSSESSIVE_REPEAT", (_, _, body):
            return 1 + _open_ends(body)
        case "BRANCH", (_, branches):
            return max(_open_ends(branch) for branch in branches)
        case "SUBPATTERN", (*_, body):
            return _open_ends(body)
        case "ATOMIC_GROUP", body:
            return _open_ends(body)
        case (("ASSERT" | "ASSERT_NOT"), (_, body)):
            return _open_ends(body)
        case (("GROUPREF_EXISTS" | "GROUPREF"), _):
            return 1
        case _:
            return 0


def _branches(parsed: Any) -> bool:
    """Say whether a repeated body has alternatives, which may cover the same characters in several ways."""
    for operation, argument in parsed:
        name = str(operation)
        if name == "BRANCH" or (name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] != argument[1]):
            return True
        if name in ("SUBPATTERN", "ATOMIC_GROUP", "MAX_REPEAT", "MIN_REPEAT"):
            body = argument if name == "ATOMIC_GROUP" else argument[-1]
            if _branches(body):
                return True
    return False
