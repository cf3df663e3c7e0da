"""What the operators do with values that are already known.

ERROR comes before UNDEFINED, and both before the type of the operands: every
function here first asks `strict`. Integers are 64 bits and wrap.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from dsl.classad.scope import Inner, is_list, is_record
from dsl.classad.values import ERROR, UNDEFINED, AbsTime, Nothing, RelTime, lower, wrap

INFINITY = float("inf")

Operation = Callable[[Any, Any], Inner]


def strict(left: Inner, right: Inner) -> Nothing:
    """Say what an operation is worth when one side is no value or of the wrong type."""
    if left is ERROR or right is ERROR:
        return ERROR
    return UNDEFINED if left is UNDEFINED or right is UNDEFINED else ERROR


def truth(value: Inner) -> bool | Nothing:
    """Read a value as a condition: numbers count, strings and the rest are ERROR."""
    if isinstance(value, bool | int | float):
        return bool(value)
    return UNDEFINED if value is UNDEFINED else ERROR


def checked(number: float) -> float | Nothing:
    # As in HTCondor only +inf is an error; -inf and NaN are results.
    return ERROR if number == INFINITY else number


def _is_number(value: Inner) -> bool:
    return isinstance(value, bool | int | float)


def add(left: Inner, right: Inner) -> Inner:
    match left, right:
        case (int(), int()):
            return wrap(left + right)
        case (int() | float(), int() | float()):
            return checked(float(left) + float(right))
        case (RelTime(), RelTime()):
            return RelTime(left.seconds + right.seconds)
        case (AbsTime(), RelTime()):
            return _moved(left, right.seconds)
        case (RelTime(), AbsTime()):
            return _moved(right, left.seconds)
        case _:
            return strict(left, right)


def subtract(left: Inner, right: Inner) -> Inner:
    match left, right:
        case (int(), int()):
            return wrap(left - right)
        case (int() | float(), int() | float()):
            return checked(float(left) - float(right))
        case (RelTime(), RelTime()):
            return RelTime(left.seconds - right.seconds)
        case (AbsTime(), AbsTime()):
            return RelTime(float(left.seconds - right.seconds))
        case (AbsTime(), RelTime()):
            return _moved(left, -right.seconds)
        case _:
            return strict(left, right)


def _moved(time: AbsTime, seconds: float) -> Inner:
    return AbsTime(time.seconds + int(seconds), time.offset_seconds) if abs(seconds) < 1e18 else ERROR


def multiply(left: Inner, right: Inner) -> Inner:
    match left, right:
        case (int(), int()):
            return wrap(left * right)
        case (int() | float(), int() | float()):
            return checked(float(left) * float(right))
        case (RelTime(seconds), (int() | float()) as factor) | ((int() | float()) as factor, RelTime(seconds)):
            return ERROR if isinstance(factor, bool) else RelTime(seconds * factor)
        case _:
            return strict(left, right)


def divide(left: Inner, right: Inner) -> Inner:
    match left, right:
        case (int(), int()):
            if right == 0:
                return ERROR
            quotient = abs(left) // abs(right)
            # HTCondor answers the largest integer for MIN / -1 where the hardware would trap.
            return min(quotient, (1 << 63) - 1) if (left < 0) == (right < 0) else -quotient
        case (int() | float(), int() | float()):
            return checked(_quotient(float(left), float(right)))
        case (RelTime(seconds), int() | float()):
            return ERROR if isinstance(right, bool) else RelTime(_quotient(seconds, float(right)))
        case _:
            return strict(left, right)


def _quotient(left: float, right: float) -> float:
    """Divide as IEEE 754 says, where Python would raise."""
    if right:
        return left / right
    if left == 0 or left != left:
        return float("nan")
    return INFINITY if (left > 0) == (str(right)[0] != "-") else -INFINITY


def remainder(left: Inner, right: Inner) -> Inner:
    match left, right:
        case (int(), int()) if right != 0:
            rest = abs(left) % abs(right)
            return -rest if left < 0 else rest
        case _:
            return strict(left, right)


def _bitwise(compute: Callable[[int, int], int]) -> Operation:
    def operation(left: Inner, right: Inner) -> Inner:
        if type(left) is int and type(right) is int:
            return wrap(compute(left, right))
        return strict(left, right)

    return operation


# The hardware looks at the lowest six bits of a shift count alone.
def _shift_left(number: int, count: int) -> int:
    return number << (count & 63)


def _shift_right(number: int, count: int) -> int:
    return number >> (count & 63)


def _shift_right_unsigned(number: int, count: int) -> int:
    return (number & ((1 << 64) - 1)) >> (count & 63)


def _comparing(compare: Callable[[Any, Any], bool]) -> Operation:
    def operation(left: Inner, right: Inner) -> Inner:
        # Nearly every clause of a policy compares two strings or two integers.
        if isinstance(left, str) and isinstance(right, str):
            return compare(lower(left), lower(right))
        if isinstance(left, int) and isinstance(right, int):
            return compare(left, right)
        match left, right:
            case (int() | float(), int() | float()):
                return compare(float(left), float(right))
            case (AbsTime(first), AbsTime(second)) | (RelTime(first), RelTime(second)):
                return compare(first, second)
            case _:
                return strict(left, right)

    return operation


def is_identical(left: Inner, right: Inner) -> bool | Nothing:
    """Compare without conversion: `=?=`. Two lists or two records cannot be compared."""
    if is_list(left) and is_list(right):
        # As in HTCondor, a list that was written and one that was computed are values of two types.
        return ERROR if (type(left) is list) is (type(right) is list) else False
    if is_record(left) and is_record(right):
        return ERROR
    return type(left) is type(right) and left == right


def is_different(left: Inner, right: Inner) -> bool | Nothing:
    same = is_identical(left, right)
    return ERROR if same is ERROR else not same


COMPARISONS: dict[str, Operation] = {
    "==": _comparing(operator.eq),
    "!=": _comparing(operator.ne),
    "<": _comparing(operator.lt),
    "<=": _comparing(operator.le),
    ">": _comparing(operator.gt),
    ">=": _comparing(operator.ge),
    "is": is_identical,
    "isnt": is_different,
}

BINARY: dict[str, Operation] = {
    **COMPARISONS,
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
    "&": _bitwise(operator.and_),
    "|": _bitwise(operator.or_),
    "^": _bitwise(operator.xor),
    "<<": _bitwise(_shift_left),
    ">>": _bitwise(_shift_right),
    ">>>": _bitwise(_shift_right_unsigned),
}


def negate(value: Inner) -> Inner:
    match value:
        case bool():
            return ERROR
        case int():
            return wrap(-value)
        case float():
            return -value
        case RelTime(seconds):
            return RelTime(-seconds)
        case _:
            return UNDEFINED if value is UNDEFINED else ERROR


def affirm(value: Inner) -> Inner:
    if isinstance(value, int | float | RelTime) and not isinstance(value, bool):
        return value
    return UNDEFINED if value is UNDEFINED else ERROR


def invert(value: Inner) -> Inner:
    known = truth(value)
    return not known if isinstance(known, bool) else known


def complement(value: Inner) -> Inner:
    if type(value) is int:
        return ~value
    return UNDEFINED if value is UNDEFINED else ERROR


UNARY: dict[str, Callable[[Inner], Inner]] = {"-": negate, "+": affirm, "!": invert, "~": complement}
