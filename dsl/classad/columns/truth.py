"""Three-valued logic over many rows, by tables of truth.

As in `dsl/classad/compile.py`: a chain of && ends with its first operand that is
false or no condition at all (an error), || with the first that is true or an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsl.classad.columns.kinds import BOOL, ERR, NUMBER_BITS, UNDEF, Array, bit
from dsl.classad.columns.vector import Vector, chosen

FALSE, TRUE, UNKNOWN, WRONG = range(4)

_CODE = np.array([UNKNOWN, UNKNOWN, WRONG, FALSE, FALSE, FALSE, WRONG, WRONG], np.uint8)
_KIND = np.array([BOOL, BOOL, UNDEF, ERR], np.uint8)


def _chain(decisive: int) -> Array:
    """Lay out what a chain is worth after one more operand: rows what it was, columns the operand."""
    table = np.empty((4, 4), np.uint8)
    for before in range(4):
        for operand in range(4):
            if before in (decisive, WRONG):
                table[before, operand] = before
            elif operand in (decisive, WRONG):
                table[before, operand] = operand
            else:
                table[before, operand] = UNKNOWN if UNKNOWN in (before, operand) else before
    return table


_TABLES = {"&&": _chain(FALSE), "||": _chain(TRUE)}
_NOT = np.array([TRUE, FALSE, UNKNOWN, WRONG], np.uint8)


def codes(operand: Vector) -> Array:
    """Read values as conditions."""
    if operand.only(NUMBER_BITS):
        return operand.nonzero().astype(np.uint8)
    return np.asarray(_CODE[operand.kind] + operand.true())


def _of_codes(found: Array, operand: Vector) -> Vector:
    bits = bit(BOOL) | bit(UNDEF) | bit(ERR)
    return Vector.mostly_truths(bits, lambda: _KIND[found], np.asarray(found == TRUE), operand.texts)


def logic(operator: str, operands: Sequence[Vector]) -> Vector:
    if all(operand.only(NUMBER_BITS) for operand in operands):
        combine = np.logical_and if operator == "&&" else np.logical_or
        true = operands[0].nonzero()
        for operand in operands[1:]:
            true = combine(true, operand.nonzero())
        return Vector.truths(np.asarray(true), operands[0].texts)
    table = _TABLES[operator]
    found = codes(operands[0])
    for operand in operands[1:]:
        found = table[found, codes(operand)]
    return _of_codes(found, operands[0])


def inverted(operand: Vector) -> Vector:
    if operand.only(NUMBER_BITS):
        return Vector.truths(~operand.nonzero(), operand.texts)
    return _of_codes(_NOT[codes(operand)], operand)


def conditional(test: Vector, then: Vector, otherwise: Vector) -> Vector:
    found = codes(test)
    result = chosen(found == TRUE, then, otherwise)
    if test.only(NUMBER_BITS):
        return result
    for code, kind in ((UNKNOWN, UNDEF), (WRONG, ERR)):
        result = chosen(found == code, Vector.nothing(kind, test.texts), result)
    return result


def elvis(value: Vector, otherwise: Vector) -> Vector:
    if not value.bits & bit(UNDEF):
        return value
    return chosen(value.kind == UNDEF, otherwise, value, value.bits & ~bit(UNDEF) | otherwise.bits)
