"""Functions of string lists: items in one string, separated by any of some characters."""

from __future__ import annotations

import re
from collections.abc import Callable

from dsl.classad.functions.convert import number_in
from dsl.classad.functions.table import Function
from dsl.classad.operators import add, divide
from dsl.classad.regexp import search
from dsl.classad.scope import Inner, Run
from dsl.classad.values import ERROR, UNDEFINED, Nothing, lower

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")


def items_of(text: str, separators: str = ", ") -> list[str]:
    """Split at each of the separators; blanks around an item and empty items are dropped."""
    for separator in separators[1:]:
        text = text.replace(separator, separators[0])
    parts = text.split(separators[0]) if separators else [text]
    return [item for part in parts if (item := part.strip())]


def _sized(run: Run, text: Inner, separators: Inner = ", ") -> Inner:
    if not isinstance(text, str) or not isinstance(separators, str):
        return ERROR
    return len(items_of(text, separators))


def _of_numbers(compute: Callable[[list[int | float]], Inner]) -> Function:
    def apply(run: Run, text: Inner, separators: Inner = ", ") -> Inner:
        if not isinstance(text, str) or not isinstance(separators, str):
            return ERROR
        numbers: list[int | float] = []
        for item in items_of(text, separators):
            number = int(item) if _INTEGER.match(item) else number_in(item)
            if number is None:
                return ERROR
            numbers.append(number if _INTEGER.match(item) else float(number))
        return compute(numbers)

    return Function(apply, 1, 2)


def _sum(numbers: list[int | float]) -> Inner:
    total: Inner = 0 if numbers else 0.0
    for number in numbers:
        total = add(total, number)
    return total


def _average(numbers: list[int | float]) -> Inner:
    return divide(_sum(numbers), len(numbers)) if numbers else 0.0


def _extreme(choose: Callable[[list[int | float]], int | float]) -> Function:
    def extreme(numbers: list[int | float]) -> Inner:
        if not numbers:
            return UNDEFINED
        found = choose(numbers)
        return float(found) if any(isinstance(number, float) for number in numbers) else found

    return _of_numbers(extreme)


def _paired(answer: Callable[[str, str, str], bool], one_is_enough: bool = True) -> Function:
    """Make a function of two strings; where `one_is_enough`, one that is undefined counts as empty."""

    def apply(run: Run, left: Inner, right: Inner, separators: Inner = ", ") -> Inner:
        if one_is_enough:
            separators = ", " if separators is UNDEFINED else separators
            if left is UNDEFINED and right is UNDEFINED:
                return UNDEFINED if isinstance(separators, str) else ERROR
            left = "" if left is UNDEFINED else left
            right = "" if right is UNDEFINED else right
        elif UNDEFINED in (left, right, separators) and ERROR not in (left, right, separators):
            return UNDEFINED
        if not isinstance(left, str) or not isinstance(right, str) or not isinstance(separators, str):
            return ERROR
        return answer(left, right, separators)

    return Function(apply, 2, 3)


def _is_member(item: str, text: str, separators: str) -> bool:
    return item in items_of(text, separators)


def _is_subset(left: str, right: str, separators: str) -> bool:
    return set(items_of(left, separators)) <= set(items_of(right, separators))


def _intersect(left: str, right: str, separators: str) -> bool:
    return not set(items_of(left, separators)).isdisjoint(items_of(right, separators))


def _without_case(answer: Callable[[str, str, str], bool]) -> Callable[[str, str, str], bool]:
    return lambda left, right, separators: answer(lower(left), lower(right), lower(separators))


def _regexp_member(run: Run, pattern: Inner, text: Inner, separators: Inner = ", ", options: Inner = "") -> Inner:
    if not all(isinstance(value, str) for value in (pattern, text, separators, options)):
        return ERROR
    items = items_of(text, separators)  # type: ignore[arg-type]
    if not items:
        return ERROR if search(run, pattern, "", options) is ERROR else UNDEFINED  # type: ignore[arg-type]
    for item in items:
        found = search(run, pattern, item, options)  # type: ignore[arg-type]
        if isinstance(found, Nothing):
            return found
        if found:
            return True
    return False


FUNCTIONS = {
    "stringlistsize": Function(_sized, 1, 2),
    "stringlistsum": _of_numbers(_sum),
    "stringlistavg": _of_numbers(_average),
    "stringlistmin": _extreme(min),
    "stringlistmax": _extreme(max),
    "stringlistmember": _paired(_is_member),
    "stringlistimember": _paired(_without_case(_is_member)),
    "stringlistsubsetmatch": _paired(_is_subset),
    "stringlistisubsetmatch": _paired(_without_case(_is_subset)),
    "stringlistsintersect": _paired(_intersect, one_is_enough=False),
    "stringlist_regexpmember": Function(_regexp_member, 2, 4),
}
