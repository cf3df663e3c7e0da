"""What the operators make of the values of many rows.

Read `dsl/classad/operators.py` first: every function here has its rule there and
must agree with it in every row. Values of one kind take one NumPy operation; for
others the kind of the result is looked up in a table of the operands' kinds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsl.classad.columns.kinds import (
    ABSENT,
    BOOL,
    ERR,
    INT,
    MAX_INT,
    MIN_INT,
    NUMBER_BITS,
    REAL,
    TEXT,
    UNDEF,
    WHOLE_BITS,
    Array,
    bit,
    is_number,
    is_whole,
)
from dsl.classad.columns.vector import SAME_KIND, ZERO, NotVectorisable, Vector

# --- kinds of results ---


def _strict(left: int, right: int) -> int:
    if ERR in (left, right):
        return ERR
    return UNDEF if UNDEF in (left, right) or ABSENT in (left, right) else ERR


def _table(result: Callable[[int, int], int | None]) -> Array:
    """Lay out the kind of the result for every pair of kinds; None stands for the rule of `strict`."""
    kinds = range(8)
    return np.array(
        [[_strict(a, b) if (kind := result(a, b)) is None else kind for b in kinds] for a in kinds], np.uint8
    )


def _numeric(left: int, right: int) -> int | None:
    if bit(left) & WHOLE_BITS and bit(right) & WHOLE_BITS:
        return INT
    return REAL if bit(left) & NUMBER_BITS and bit(right) & NUMBER_BITS else None


_ARITHMETIC = _table(_numeric)
_INTEGER = _table(lambda a, b: INT if bit(a) & bit(b) & bit(INT) else None)
_REMAINDER = _table(lambda a, b: INT if _numeric(a, b) == INT else None)
_ORDER = _table(lambda a, b: BOOL if _numeric(a, b) is not None or a == b == TEXT else None)


def _kinds(table: Array, left: Vector, right: Vector) -> Array:
    """Look up the result's kind in each row."""
    bits = _possible(table, left, right)
    if bits & (bits - 1) == 0:
        return SAME_KIND[bits.bit_length() - 1]
    return np.asarray(table.ravel()[left.kind << np.uint8(3) | right.kind])


def _possible(table: Array, left: Vector, right: Vector) -> int:
    """Say which kinds the results may have."""
    which = id(table), left.bits, right.bits
    bits = _POSSIBLE.get(which)
    if bits is None:
        pairs = ((a, b) for a in range(8) for b in range(8) if left.bits >> a & 1 and right.bits >> b & 1)
        bits = _POSSIBLE[which] = sum({bit(int(table[a, b])) for a, b in pairs})
    return bits


_POSSIBLE: dict[tuple[int, int, int], int] = {}
"""What `_possible` found for the tables of `_table`: few tables, few sets of kinds."""


# --- comparison ---

Compare = Callable[[Array, Array], Array]
ORDERS: dict[str, Compare] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def compare(operator: str, left: Vector, right: Vector) -> Vector:
    """Compare as `== != < <= > >=` do: numbers as numbers, strings without regard to case."""
    order = ORDERS[operator]
    if left.only(WHOLE_BITS) and right.only(WHOLE_BITS):
        return Vector.truths(order(left.whole, right.whole), left.texts)
    if left.only(NUMBER_BITS) and right.only(NUMBER_BITS) and (left.only(bit(REAL)) or right.only(bit(REAL))):
        return Vector.truths(order(left.reals, right.reals), left.texts)
    texts = left.bits & right.bits & bit(TEXT)
    if texts and operator not in ("==", "!="):
        raise NotVectorisable
    if texts and left.only(bit(TEXT)) and right.only(bit(TEXT)):
        return Vector.truths(order(left.folds, right.folds), left.texts)
    both_bits = left.bits | right.bits
    if not both_bits & bit(REAL):
        true = order(left.wholes, right.wholes) & is_number(left.kind) & is_number(right.kind)
    else:
        whole = is_whole(left.kind) & is_whole(right.kind)
        true = np.where(whole, order(left.wholes, right.wholes), order(left.reals, right.reals))
        true &= is_number(left.kind) & is_number(right.kind)
    if texts:
        true |= (left.kind == TEXT) & (right.kind == TEXT) & order(left.folds, right.folds)
    bits = _possible(_ORDER, left, right)
    return Vector.mostly_truths(bits, lambda: _kinds(_ORDER, left, right), np.asarray(true), left.texts)


def identical(left: Vector, right: Vector) -> Array:
    """Compare as `=?=` does: the same type and the same value, case and all."""
    same: Array = np.asarray(left.kind == right.kind)
    reals = left.bits & right.bits & bit(REAL)
    if reals:
        equal = np.where(left.kind == REAL, left.reals == right.reals, left.wholes == right.wholes)
    else:
        equal = left.wholes == right.wholes
    # Undefined is identical to undefined, whatever the cells beside it hold.
    return np.asarray(same & (equal | (left.kind <= ERR)))


# --- arithmetic ---


def arithmetic(operator: str, left: Vector, right: Vector) -> Vector:
    """Compute as `+ - * /` do: integers wrap, +inf is an error, division by the integer 0 too."""
    on_integers, on_reals = _ARITHMETIC_OPERATORS[operator]
    bits, kind = _possible(_ARITHMETIC, left, right), _kinds(_ARITHMETIC, left, right)
    a, b = left.wholes, right.wholes
    if operator == "/" and bits & bit(INT):
        bits, kind = bits | bit(ERR), np.where((kind == INT) & (b == 0), np.uint8(ERR), kind)
    whole = np.asarray(on_integers(a, b)) if bits & bit(INT) else ZERO
    if not bits & bit(REAL):
        return Vector(bits, kind, whole, None, left.texts)
    real = np.asarray(on_reals(left.reals, right.reals))
    infinite = real == np.inf
    if infinite.any():
        bits, kind = bits | bit(ERR), np.where((kind == REAL) & infinite, np.uint8(ERR), kind)
    if bits & bit(INT):
        real = np.where(kind == INT, whole, real)
    return Vector(bits, kind, whole, real, left.texts)


def _divided(left: Array, right: Array) -> Array:
    divisor = np.where(right == 0, 1, right)
    overflow = (left == MIN_INT) & (divisor == -1)
    divisor = np.where(overflow, 1, divisor)
    quotient = left // divisor
    # NumPy rounds down, the language cuts towards zero.
    cut = quotient + ((quotient * divisor != left) & ((left < 0) != (divisor < 0)))
    return np.where(overflow, MAX_INT, cut)


_ARITHMETIC_OPERATORS: dict[str, tuple[Compare, Compare]] = {
    "+": (np.add, np.add),
    "-": (np.subtract, np.subtract),
    "*": (np.multiply, np.multiply),
    "/": (_divided, np.divide),
}


def remainder(left: Vector, right: Vector) -> Vector:
    bits, kind = _possible(_REMAINDER, left, right), _kinds(_REMAINDER, left, right)
    b = right.wholes
    zero = b == 0
    # The remainder by -1 is that by 1: of the smallest integer the processor would trap.
    divisor = np.where(zero | (b == -1), 1, b)
    whole = np.fmod(left.wholes, divisor)
    return Vector(
        bits | bit(ERR),
        np.where((kind == INT) & zero, np.uint8(ERR), kind),
        np.asarray(whole),
        None,
        left.texts,
    )


_BITWISE: dict[str, Compare] = {
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
    "<<": lambda a, b: np.left_shift(a, b & 63),
    ">>": lambda a, b: np.right_shift(a, b & 63),
    ">>>": lambda a, b: np.right_shift(a.astype(np.uint64), (b & 63).astype(np.uint64)).astype(np.int64),
}


def bitwise(operator: str, left: Vector, right: Vector) -> Vector:
    whole = np.asarray(_BITWISE[operator](left.wholes, right.wholes))
    return Vector(_possible(_INTEGER, left, right), _kinds(_INTEGER, left, right), whole, None, left.texts)


# --- one operand ---

_NEGATED = np.array([UNDEF, UNDEF, ERR, ERR, INT, REAL, ERR, ERR], np.uint8)
_COMPLEMENTED = np.array([UNDEF, UNDEF, ERR, ERR, INT, ERR, ERR, ERR], np.uint8)


def _mapped(table: Array, operand: Vector) -> tuple[int, Array]:
    bits = sum({bit(int(table[kind])) for kind in range(8) if operand.bits >> kind & 1})
    return bits, np.asarray(table[operand.kind])


def signed(operator: str, operand: Vector) -> Vector:
    """Apply a sign: to true and false it is an error."""
    bits, kind = _mapped(_NEGATED, operand)
    if operator == "+":
        return Vector(bits, kind, operand.wholes, operand.reals, operand.texts)
    whole = -operand.wholes
    # The smallest integer has no negative, and wraps.
    real = np.where(kind == INT, whole, -operand.reals)
    return Vector(bits, kind, np.asarray(whole), real, operand.texts)


def complemented(operand: Vector) -> Vector:
    bits, kind = _mapped(_COMPLEMENTED, operand)
    whole = ~operand.wholes
    return Vector(bits, kind, np.asarray(whole), None, operand.texts)
