"""`isString(x)` and its kin: true or false for every value, undefined and error included."""

from __future__ import annotations

from collections.abc import Callable

from dsl.classad.functions.table import Function
from dsl.classad.scope import Inner, Run, is_list, is_record
from dsl.classad.values import ERROR, UNDEFINED, AbsTime, RelTime


def _kind(holds: Callable[[Inner], bool]) -> Function:
    def is_of_kind(run: Run, value: Inner) -> Inner:
        return holds(value)

    return Function(is_of_kind, 1, 1)


FUNCTIONS = {
    "isundefined": _kind(lambda value: value is UNDEFINED),
    "iserror": _kind(lambda value: value is ERROR),
    "isstring": _kind(lambda value: isinstance(value, str)),
    "isinteger": _kind(lambda value: type(value) is int),
    "isreal": _kind(lambda value: isinstance(value, float)),
    "isboolean": _kind(lambda value: isinstance(value, bool)),
    "islist": _kind(is_list),
    "isclassad": _kind(is_record),
    "isabstime": _kind(lambda value: isinstance(value, AbsTime)),
    "isreltime": _kind(lambda value: isinstance(value, RelTime)),
}
