"""Conversions: `int`, `real`, `string`, `bool`, `absTime`, `relTime`; and the reading of numbers in strings."""

from __future__ import annotations

import re

from dsl.classad.functions.table import Function
from dsl.classad.literals import literal_text, real_text
from dsl.classad.scope import MAX_STRING, Inner, Run, Scope, Sequence
from dsl.classad.text import text_of
from dsl.classad.times import abs_time_text, read_abs_time, read_rel_time, rel_time_text
from dsl.classad.values import ERROR, UNDEFINED, AbsTime, Nothing, RelTime, lower

_NUMBER = re.compile(
    r"\s*([+-]?)(?:0x([0-9a-f]+)|((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(inf(?:inity)?|nan))", re.IGNORECASE | re.ASCII
)
_MAX_DIGITS = 400


def number_in(text: str) -> float | int | None:
    """Read the number that `text` begins with, as C's strtod does; what follows it is ignored."""
    found = _NUMBER.match(text[:_MAX_DIGITS])
    if found is None:
        return None
    sign, hexadecimal, decimal, name = found.groups()
    if hexadecimal:
        number: float | int = int(hexadecimal, 16) if len(hexadecimal) < 200 else float("inf")
    elif decimal:
        number = int(decimal) if decimal.isdigit() else float(decimal)
    else:
        number = float(name)
    return -number if sign == "-" else number


def as_number(value: Inner) -> int | float | Nothing:
    """Read a value as a number the way the numeric functions do."""
    match value:
        case bool():
            return int(value)
        case int() | float():
            return value
        case str():
            number = number_in(value)
            return ERROR if number is None else number
        case AbsTime(seconds):
            return seconds
        case RelTime(length):
            return int(length) if abs(length) < 1e18 else ERROR
        case _:
            return UNDEFINED if value is UNDEFINED else ERROR


def as_real(value: Inner) -> float | Nothing:
    number = as_number(value)
    if isinstance(number, Nothing):
        return number
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else -float("inf")


def fitting(number: int | float) -> int | Nothing:
    """Cut a number to an integer of 64 bits; ERROR where there is none."""
    if not -9.3e18 < number < 9.3e18:
        return ERROR
    whole = int(number)
    return whole if -(1 << 63) <= whole < 1 << 63 else ERROR


def text_of_value(value: Inner) -> str:
    """Write a value as `string()` does; lists and records with the text of their unevaluated parts."""
    match value:
        case str():
            return value
        case float():
            return real_text(value)
        case AbsTime():
            return abs_time_text(value)
        case RelTime():
            return rel_time_text(value)
        case _:
            return _part_text(value)


def _part_text(value: Inner) -> str:
    match value:
        case Scope():
            return str(value.ad)
        case Sequence():
            return f"{{ {','.join([text_of(tree) for tree in value.trees])} }}"
        case list():
            return f"{{ {','.join([_part_text(element) for element in value])} }}"
        case _:
            return literal_text(value)


def bounded(run: Run, text: str) -> Inner:
    """Hand out a string that a function made: it costs steps by its length, and has an end."""
    return text if len(text) <= MAX_STRING and run.spend(len(text) >> 10) else ERROR


def to_int(run: Run, value: Inner) -> Inner:
    number = as_number(value)
    return number if isinstance(number, Nothing) else fitting(number)


def to_real(run: Run, value: Inner) -> Inner:
    return as_real(value)


def to_string(run: Run, value: Inner) -> Inner:
    return value if isinstance(value, Nothing) else bounded(run, text_of_value(value))


def to_bool(run: Run, value: Inner) -> Inner:
    match value:
        case bool() | int() | float():
            return bool(value)
        case RelTime(seconds):
            return bool(seconds)
        case str():
            return {"true": True, "false": False}.get(lower(value), UNDEFINED)
        case _:
            return UNDEFINED if value is UNDEFINED else ERROR


def to_abs_time(run: Run, value: Inner | None = None, offset: Inner = 0) -> Inner:
    """Make an instant of seconds since 1970, or of a text; without an argument it is now."""
    if value is None:
        return UNDEFINED if run.now is None else AbsTime(int(run.now))
    if isinstance(value, str):
        return read_abs_time(value) or ERROR
    if isinstance(value, AbsTime):
        return value
    zone = offset.seconds if isinstance(offset, RelTime) else offset
    if isinstance(value, bool) or not isinstance(value, int | float | RelTime):
        return UNDEFINED if value is UNDEFINED else ERROR
    if isinstance(zone, bool) or not isinstance(zone, int | float) or not abs(zone) < 1 << 31:
        return ERROR
    seconds = value.seconds if isinstance(value, RelTime) else value
    return AbsTime(int(seconds), int(zone)) if abs(seconds) < 1e15 else ERROR


def to_rel_time(run: Run, value: Inner) -> Inner:
    match value:
        case str():
            return read_rel_time(value) or ERROR
        case RelTime():
            return value
        case AbsTime(seconds):
            return RelTime(float(seconds))
        case bool():
            return ERROR
        case int() | float():
            return RelTime(float(value))
        case _:
            return UNDEFINED if value is UNDEFINED else ERROR


FUNCTIONS = {
    "int": Function(to_int, 1, 1),
    "real": Function(to_real, 1, 1),
    "string": Function(to_string, 1, 1),
    "bool": Function(to_bool, 1, 1),
    "abstime": Function(to_abs_time, 0, 2),
    "reltime": Function(to_rel_time, 1, 1),
}
