"""What kind of value a cell holds, as small numbers that index the tables of the operators.

ABSENT is not UNDEFINED: only a name that an ad lacks is looked for in the other
ad. OTHER is everything that has no column form: lists, records, times, very long
strings, and above all expressions.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dsl.classad.scope import LONG_STRING
from dsl.classad.values import ERROR, UNDEFINED, lower

Array: TypeAlias = NDArray[Any]

ABSENT, UNDEF, ERR, BOOL, INT, REAL, TEXT, OTHER = range(8)

MAX_INT = (1 << 63) - 1
MIN_INT = -(1 << 63)


def bit(kind: int) -> int:
    return 1 << kind


WHOLE_BITS = bit(BOOL) | bit(INT)
NUMBER_BITS = WHOLE_BITS | bit(REAL)


def is_whole(kind: Array) -> Array:
    """Say where a kind is BOOL or INT: unsigned, so that what is below wraps to far above."""
    return np.asarray(kind - np.uint8(BOOL) < 2)


def is_number(kind: Array) -> Array:
    return np.asarray(kind - np.uint8(BOOL) < 3)


class Texts:
    """Numbers for strings, so that columns of strings are columns of integers.

    `folds[i]` is the number of string i in lower case: two strings are equal to
    the language when their folds are.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        self._folds: Array = np.zeros(256, np.int64)

    def __len__(self) -> int:
        return len(self._texts)

    def number(self, text: str) -> int:
        number = self._numbers.get(text)
        return self._new(text) if number is None else number

    def text(self, number: int) -> str:
        return self._texts[number]

    @property
    def folds(self) -> Array:
        return self._folds

    def _new(self, text: str) -> int:
        folded = lower(text)
        fold = self.number(folded) if folded != text else len(self._texts)
        number = len(self._texts)
        self._numbers[text] = number
        self._texts.append(text)
        if number >= len(self._folds):
            self._folds = np.concatenate([self._folds, np.zeros_like(self._folds)])
        self._folds[number] = fold
        return number


def kind_of(value: object) -> int:
    """Say which kind a literal's value is; OTHER where no column can hold it."""
    match value:
        case bool():
            return BOOL
        case int():
            return INT if MIN_INT <= value <= MAX_INT else OTHER
        case float():
            return REAL
        case str():
            # Reading a long string costs steps, and only the scalar evaluator counts them.
            return TEXT if len(value) < LONG_STRING else OTHER
        case _:
            return UNDEF if value is UNDEFINED else ERR if value is ERROR else OTHER
