"""Functions of lists."""

from __future__ import annotations

from collections.abc import Callable

from dsl.classad.functions.convert import as_real
from dsl.classad.functions.table import Function
from dsl.classad.operators import COMPARISONS, add, divide
from dsl.classad.scope import Inner, Run, Scope, is_list, is_record
from dsl.classad.values import ERROR, UNDEFINED, Nothing


def size(run: Run, value: Inner) -> Inner:
    if isinstance(value, str) or is_list(value):
        return len(value)  # type: ignore[arg-type]
    if isinstance(value, Scope):
        return len(value.ad)
    return UNDEFINED if value is UNDEFINED else ERROR


def _of_numbers(compute: Callable[[list[Inner]], Inner]) -> Function:
    """Make a function of the numbers in a list: undefined elements are left out, anything else is ERROR."""

    def apply(run: Run, elements: Inner) -> Inner:
        if not is_list(elements):
            return UNDEFINED if elements is UNDEFINED else ERROR
        known = [element for element in elements if element is not UNDEFINED]  # type: ignore[union-attr]
        if not all(isinstance(element, bool | int | float) for element in known):
            return ERROR
        return compute(known)

    return Function(apply, 1, 1)


def _sum(numbers: list[Inner]) -> Inner:
    if not numbers:
        return 0
    total, *rest = numbers
    for number in rest:
        total = add(total, number)
    return total


def _average(numbers: list[Inner]) -> Inner:
    return divide(as_real(_sum(numbers)), len(numbers)) if numbers else 0


def _extreme(choose: Callable[[list[float]], float]) -> Function:
    def extreme(numbers: list[Inner]) -> Inner:
        if not numbers:
            return UNDEFINED
        if len(numbers) == 1:
            return numbers[0]
        found = choose(numbers)  # type: ignore[arg-type]
        return float(found) if any(isinstance(number, float) for number in numbers) else int(found)

    return _of_numbers(extreme)


def _membership(operator: str, accepts_nothing: bool) -> Function:
    equals = COMPARISONS[operator]

    def member(run: Run, wanted: Inner, elements: Inner) -> Inner:
        if elements is UNDEFINED or (wanted is UNDEFINED and not accepts_nothing):
            return UNDEFINED
        if not is_list(elements) or is_list(wanted) or is_record(wanted):
            return ERROR
        if wanted is ERROR and not accepts_nothing:
            return ERROR
        return any(equals(element, wanted) is True for element in elements)  # type: ignore[union-attr]

    return Function(member, 2, 2)


def _comparison(decisive: bool) -> Function:
    """Make anyCompare (`decisive` is True) or allCompare: a comparison that decides, or is no value, ends it."""

    def compare(run: Run, operator: Inner, elements: Inner, wanted: Inner) -> Inner:
        if operator is UNDEFINED:
            return UNDEFINED
        operation = COMPARISONS.get(operator) if isinstance(operator, str) else None
        if operation is None or not is_list(elements):
            return UNDEFINED if operation is not None and elements is UNDEFINED else ERROR
        for element in elements:  # type: ignore[union-attr]
            result = operation(element, wanted)
            if isinstance(result, Nothing):
                return ERROR if result is ERROR else False
            if result is decisive:
                return decisive
        return not decisive

    return Function(compare, 3, 3)


FUNCTIONS = {
    "size": Function(size, 1, 1),
    "sum": _of_numbers(_sum),
    "avg": _of_numbers(_average),
    "min": _extreme(min),
    "max": _extreme(max),
    "member": _membership("==", accepts_nothing=False),
    "identicalmember": _membership("is", accepts_nothing=True),
    "anycompare": _comparison(True),
    "allcompare": _comparison(False),
}
