"""Comparison of version numbers."""

from __future__ import annotations

from collections.abc import Callable

from dsl.classad.functions.convert import text_of_value
from dsl.classad.functions.table import Function
from dsl.classad.scope import Inner, Run
from dsl.classad.values import ERROR, UNDEFINED, Nothing


def compare_versions(left: str, right: str) -> int:
    """Compare like C's strverscmp: digit runs by value, those with leading zeros as fractions before them."""
    if left == right:
        return 0
    at = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = at
    while start > 0 and left[start - 1] in "0123456789":
        start -= 1
    first, second = _digits(left, start), _digits(right, start)
    if first and second:
        zeros, other_zeros = _leading_zeros(first), _leading_zeros(second)
        if zeros != other_zeros:
            return 1 if zeros < other_zeros else -1
        if not zeros and len(first) != len(second):
            return 1 if len(first) > len(second) else -1
    return 1 if left[at:] > right[at:] else -1


def _leading_zeros(digits: str) -> int:
    return len(digits) - len(digits.lstrip("0") or "0")


def _digits(text: str, start: int) -> str:
    end = start
    while end < len(text) and text[end] in "0123456789":
        end += 1
    return text[start:end]


def _comparison(answer: Callable[[int], bool | int]) -> Function:
    def compare(run: Run, left: Inner, right: Inner) -> Inner:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            return UNDEFINED if left is UNDEFINED or right is UNDEFINED else ERROR
        return answer(compare_versions(text_of_value(left), text_of_value(right)))

    return Function(compare, 2, 2)


def version_in_range(run: Run, version: Inner, lowest: Inner, highest: Inner) -> Inner:
    if ERROR in (version, lowest, highest):
        return ERROR
    if UNDEFINED in (version, lowest, highest):
        return UNDEFINED
    text = text_of_value(version)
    return compare_versions(text_of_value(lowest), text) <= 0 <= compare_versions(text_of_value(highest), text)


FUNCTIONS = {
    "versioncmp": _comparison(lambda order: order),
    "versionlt": _comparison(lambda order: order < 0),
    "versionle": _comparison(lambda order: order <= 0),
    "versioneq": _comparison(lambda order: order == 0),
    "versionge": _comparison(lambda order: order >= 0),
    "versiongt": _comparison(lambda order: order > 0),
    "version_in_range": Function(version_in_range, 3, 3),
}
