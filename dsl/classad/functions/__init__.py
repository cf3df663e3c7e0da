"""The functions of the language, by name in lower case.

A plain function takes the run and the values of its arguments. A lazy one is
compiled with the trees of its arguments, because it evaluates only some of
them, or elsewhere.
"""

from __future__ import annotations

from dsl.classad.functions import (
    clock,
    control,
    convert,
    inspection,
    kinds,
    lists,
    numbers,
    regexps,
    splitting,
    stringlists,
    strings,
    versions,
)
from dsl.classad.functions.table import Function, Lazy

FUNCTIONS: dict[str, Function] = {
    **kinds.FUNCTIONS,
    **convert.FUNCTIONS,
    **numbers.FUNCTIONS,
    **strings.FUNCTIONS,
    **regexps.FUNCTIONS,
    **versions.FUNCTIONS,
    **lists.FUNCTIONS,
    **stringlists.FUNCTIONS,
    **splitting.FUNCTIONS,
    **clock.FUNCTIONS,
}

LAZY_FUNCTIONS: dict[str, Lazy] = {**control.LAZY_FUNCTIONS, **inspection.LAZY_FUNCTIONS}
