"""Functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

from dsl.classad.functions.convert import as_number, as_real, fitting
from dsl.classad.functions.table import Function
from dsl.classad.operators import checked, divide, multiply
from dsl.classad.scope import Inner, Run, is_list
from dsl.classad.values import ERROR, UNDEFINED, Nothing, wrap


def _whole(cut: Callable[[float], int]) -> Function:
    def whole(run: Run, value: Inner) -> Inner:
        number = as_number(value)
        if isinstance(number, Nothing):
            return ERROR
        if isinstance(number, int):
            return fitting(number)
        return fitting(cut(number)) if math.isfinite(number) else ERROR

    return Function(whole, 1, 1)


def power(run: Run, base: Inner, exponent: Inner) -> Inner:
    if type(base) is int and type(exponent) is int and exponent >= 0:
        return wrap(pow(base, exponent, 1 << 64))
    left, right = as_real(base), as_real(exponent)
    if isinstance(left, Nothing) or isinstance(right, Nothing):
        return ERROR
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if left == 0 else math.nan


def quantize(run: Run, value: Inner, unit: Inner) -> Inner:
    """Round up to a multiple of `unit`, or to the first of a list that is large enough."""
    if isinstance(value, Nothing) or isinstance(unit, Nothing):
        return ERROR
    number = value if type(value) is int else as_real(value)
    if isinstance(number, Nothing):
        return ERROR
    if not is_list(unit):
        return _multiple(value, number, unit)
    last: Inner = 0
    for last in unit:  # type: ignore[union-attr]
        size = as_number(last)
        if isinstance(size, Nothing):
            return ERROR
        if size >= number:
            return last
    return _multiple(value, number, last)


def _multiple(value: Inner, number: int | float, unit: Inner) -> Inner:
    size = unit if type(unit) is int else as_real(unit)
    if isinstance(size, Nothing):
        return ERROR
    if size == 0:
        return value
    if isinstance(number, int) and isinstance(size, int):
        # The quotient of C is cut towards zero: quantize(-4, 3) is 0.
        return multiply(divide(wrap(number + size - 1), size), size)
    times = float(number) / float(size)
    return checked((math.ceil(times) if math.isfinite(times) else times) * float(size))


def random(run: Run, limit: Inner = 1.0) -> Inner:
    """Return a number from 0 up to `limit`, drawn from the seed of the run; UNDEFINED without one."""
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
        return ERROR
    if run.random_state is None:
        return UNDEFINED
    bits = _next_bits(run)
    return bits * limit >> 64 if isinstance(limit, int) else (bits >> 11) / (1 << 53) * limit


def _next_bits(run: Run) -> int:
    """Advance the generator splitmix64."""
    mask = (1 << 64) - 1
    state = ((run.random_state or 0) + 0x9E3779B97F4A7C15) & mask
    run.random_state = state
    state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ state >> 27) * 0x94D049BB133111EB) & mask
    return state ^ state >> 31


FUNCTIONS = {
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "ceiling": _whole(math.ceil),
    "round": _whole(round),
    "pow": Function(power, 2, 2),
    "quantize": Function(quantize, 2, 2),
    "random": Function(random, 0, 1),
}
