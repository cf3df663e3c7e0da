"""Whether two ads accept each other."""

from __future__ import annotations

from dsl.classad.ad import Ad
from dsl.classad.values import is_true


def symmetric_match(left: Ad, right: Ad, *, now: float | None = None) -> bool:
    """Say whether the Requirements of each ad, seen with the other as TARGET, are true; absent ones are not."""
    return is_true(left.evaluate("Requirements", right, now=now)) and is_true(
        right.evaluate("Requirements", left, now=now)
    )
