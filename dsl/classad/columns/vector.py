"""Values of many rows at once.

`bits` says which kinds may occur at all, so that the common case, one kind in all
rows, needs no look at the kinds; what has no kinds of its own to say (a comparison
of numbers) finds them only when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsl.classad.columns.kinds import (
    ABSENT,
    BOOL,
    NUMBER_BITS,
    OTHER,
    REAL,
    TEXT,
    UNDEF,
    WHOLE_BITS,
    Array,
    Texts,
    bit,
    is_number,
    kind_of,
)


class NotVectorisable(Exception):
    """Only the scalar evaluator knows what this is worth."""


class Vector:
    """A value for each row; one that is the same for all rows has arrays of no dimension."""

    __slots__ = ("_folds", "_kind", "_real", "bits", "is_truth", "texts", "whole")

    def __init__(
        self, bits: int, kind: Array | Callable[[], Array], whole: Array, real: Array | None, texts: Texts
    ) -> None:
        self.bits = bits
        self._kind = kind
        self.whole = whole
        self._real = real
        """None where all numbers are whole."""
        self.texts = texts
        self.is_truth = False
        """The integers say where the value is true, and are 0 in rows that hold no boolean."""
        self._folds: Array | None = None

    @classmethod
    def constant(cls, value: object, texts: Texts) -> Vector:
        kind = kind_of(value)
        if kind == OTHER:
            raise NotVectorisable
        whole, real = 0, 0.0
        if isinstance(value, bool | int):
            whole, real = int(value), float(value)
        elif isinstance(value, float):
            real = value
        elif isinstance(value, str):
            whole = texts.number(value)
        return cls(bit(kind), SAME_KIND[kind], np.asarray(whole, np.int64), np.asarray(real), texts)

    @classmethod
    def truths(cls, true: Array, texts: Texts) -> Vector:
        """Make booleans of an array of them."""
        vector = cls(bit(BOOL), SAME_KIND[BOOL], true, None, texts)
        vector.is_truth = True
        return vector

    @classmethod
    def mostly_truths(cls, bits: int, kind: Callable[[], Array], true: Array, texts: Texts) -> Vector:
        """Make booleans where `kind` says so; it is only called if somebody asks what the other rows hold."""
        vector = cls(bits, kind, true, None, texts)
        vector.is_truth = True
        return vector

    @classmethod
    def nothing(cls, kind: int, texts: Texts) -> Vector:
        return cls(bit(kind), SAME_KIND[kind], ZERO, None, texts)

    @property
    def kind(self) -> Array:
        kind = self._kind
        if not isinstance(kind, np.ndarray):
            kind = self._kind = np.asarray(kind())
        return kind

    def only(self, bits: int) -> bool:
        return not self.bits & ~bits

    @property
    def wholes(self) -> Array:
        whole: Array = self.whole.astype(np.int64) if self.whole.dtype == np.bool_ else self.whole
        return whole

    @property
    def reals(self) -> Array:
        real = self._real
        if real is None:
            real = self._real = np.asarray(self.whole.astype(np.float64))
        return real

    @property
    def folds(self) -> Array:
        """Return the numbers of the strings in lower case; of no meaning in rows of another kind."""
        if self._folds is None:
            numbers = self.whole if self.only(bit(TEXT)) else np.where(self.kind == TEXT, self.whole, 0)
            self._folds = np.asarray(self.texts.folds[numbers])
        return self._folds

    def present(self) -> Vector:
        """Return the same with absent cells undefined."""
        if not self.bits & bit(ABSENT):
            return self
        bits = self.bits & ~bit(ABSENT) | bit(UNDEF)
        if bits == bit(UNDEF):
            return Vector.nothing(UNDEF, self.texts)
        return Vector(bits, np.maximum(self.kind, UNDEF), self.whole, self._real, self.texts)

    def nonzero(self) -> Array:
        """Say which rows hold a number other than zero; of no meaning in rows of another kind."""
        if self.is_truth:
            return self.whole
        if not self.bits & bit(REAL):
            return np.asarray(self.whole != 0)
        if not self.bits & WHOLE_BITS:
            return np.asarray(self.reals != 0)
        return np.asarray(np.where(self.kind == REAL, self.reals != 0, self.whole != 0))

    def true(self) -> Array:
        """Say which rows grant what is asked: true, or a number other than zero."""
        if self.is_truth or self.only(NUMBER_BITS):
            return self.nonzero()
        return self.nonzero() & is_number(self.kind)


SAME_KIND = [np.asarray(kind, np.uint8) for kind in range(8)]
"""The kinds of a vector whose rows are all of one kind."""

ZERO = np.asarray(0, np.int64)


def chosen(where: Array, then: Vector, otherwise: Vector, bits: int | None = None) -> Vector:
    """Take each row from one of two vectors; `bits` are the kinds that may occur, if the caller knows better."""
    bits = then.bits | otherwise.bits if bits is None else bits
    return Vector(
        bits,
        SAME_KIND[bits.bit_length() - 1] if bits & (bits - 1) == 0 else np.where(where, then.kind, otherwise.kind),
        np.where(where, then.wholes, otherwise.wholes),
        np.where(where, then.reals, otherwise.reals) if bits & bit(REAL) else None,
        then.texts,
    )
