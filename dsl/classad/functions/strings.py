"""Functions of strings."""

from __future__ import annotations

from collections.abc import Callable

from dsl.classad.functions.convert import as_number, bounded, fitting, text_of_value
from dsl.classad.functions.table import MANY, Function
from dsl.classad.scope import Inner, Run, is_list
from dsl.classad.values import ERROR, UNDEFINED, Nothing, lower, upper


def strcat(run: Run, *values: Inner) -> Inner:
    parts = []
    for value in values:
        if isinstance(value, Nothing):
            return value
        parts.append(text_of_value(value))
    return bounded(run, "".join(parts))


def join(run: Run, *values: Inner) -> Inner:
    """Put a separator between the elements of a list or the other arguments; undefined ones are left out."""
    if values and values[0] is ERROR:
        return ERROR
    match values:
        case (Nothing() as only,):
            return only
        case (only,) if is_list(only):
            separator, elements = "", list(only)  # type: ignore[arg-type]
        case (first, second) if is_list(second):
            if first is UNDEFINED and not len(second):  # type: ignore[arg-type]
                return UNDEFINED
            separator, elements = _separator(first), list(second)  # type: ignore[arg-type]
        case (_, Nothing() as second):
            return second
        case (first, *rest):
            separator, elements = _separator(first), rest
        case _:
            return ""
    if elements and all(element is UNDEFINED for element in elements):
        return UNDEFINED
    joined: list[str] = []
    for element in elements:
        if element is ERROR:
            return ERROR
        text = "" if element is UNDEFINED else text_of_value(element)
        # As in HTCondor nothing separates an empty beginning from what follows it.
        if joined and element is not UNDEFINED:
            joined.append(separator)
        if text:
            joined.append(text)
    return bounded(run, "".join(joined))


def _separator(value: Inner) -> str:
    return "" if isinstance(value, Nothing) else text_of_value(value)


def _recased(change: Callable[[str], str]) -> Function:
    def recased(run: Run, value: Inner) -> Inner:
        return value if isinstance(value, Nothing) else bounded(run, change(text_of_value(value)))

    return Function(recased, 1, 1)


def substr(run: Run, text: Inner, start: Inner, length: Inner = 1 << 62) -> Inner:
    """Cut out characters; a negative start or length counts from the end."""
    if UNDEFINED in (text, start, length):
        return UNDEFINED
    if not isinstance(text, str) or type(start) is not int or type(length) is not int:
        return ERROR
    begin = max(0, len(text) + start) if start < 0 else start
    end = len(text) + length if length < 0 else begin + length
    return text[begin : max(0, end)]


def _comparison(change: Callable[[str], str]) -> Function:
    def compare(run: Run, left: Inner, right: Inner) -> Inner:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            return UNDEFINED if left is UNDEFINED or right is UNDEFINED else ERROR
        first, second = change(text_of_value(left)), change(text_of_value(right))
        return (first > second) - (first < second)

    return Function(compare, 2, 2)


def interval(run: Run, seconds: Inner) -> Inner:
    """Write a number of seconds as `days+hh:mm:ss`."""
    number = as_number(seconds)
    whole = ERROR if isinstance(number, Nothing) else fitting(number)
    if isinstance(whole, Nothing):
        return ERROR
    sign = "-" if whole < 0 else ""
    minutes, second = divmod(abs(whole), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{sign}{days}+{hour:02d}:{minute:02d}:{second:02d}"
    if hours:
        return f"{sign}{hour}:{minute:02d}:{second:02d}"
    return f"{sign}{minute}:{second:02d}" if minutes else f"{sign}{second}"


FUNCTIONS = {
    "strcat": Function(strcat, 0, MANY),
    "join": Function(join, 0, MANY),
    "toupper": _recased(upper),
    "tolower": _recased(lower),
    "substr": Function(substr, 2, 3),
    "strcmp": _comparison(str),
    "stricmp": _comparison(lower),
    "interval": Function(interval, 1, 1),
}
