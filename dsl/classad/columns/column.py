"""One attribute of all ads: a kind, an integer and a real for each row.

Together `kind` and `whole` tell any two values apart: the integer is a boolean's
or integer's own, a string's number, the bits of a real, or the number of an
expression among `others`.

INV-K1: whatever was computed from a column is forgotten when a cell changes: it
lies in a `Cache` that `watched_by` knows. What was decided from the *expressions*
in the column lies in a cache of `shape_watched_by`.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsl.classad.ad import Ad
from dsl.classad.columns.kinds import ABSENT, BOOL, INT, OTHER, REAL, TEXT, Array, Texts, bit, kind_of
from dsl.classad.columns.vector import Vector
from dsl.classad.expression import Expression

_BITS = struct.Struct("<q")
_REAL = struct.Struct("<d")


_NONE: dict[Expression, int] = {}


class Cache(dict):  # type: ignore[type-arg]
    """Something computed from columns; emptied by the first of them that changes."""

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]


class Column:
    def __init__(self, name: str, texts: Texts, ads: Sequence[Ad | None], capacity: int) -> None:
        self.name = name
        self.texts = texts
        self.kind: Array = np.zeros(capacity, np.uint8)
        self.whole: Array = np.zeros(capacity, np.int64)
        self.real: Array = np.zeros(capacity, np.float64)
        self.counts = [0] * 8
        """How many rows in use hold each kind."""
        self.others: list[Expression] = []
        self._other_numbers: dict[Expression, int] = {}
        self._holders: Counter[int] = Counter()
        """How many rows hold each of `others`."""
        self._vector: Vector | None = None
        self._watching: dict[int, Cache] = {}
        self._shape_watching: dict[int, Cache] = {}
        self._fill(ads)

    def watched_by(self, cache: Cache) -> None:
        self._watching[id(cache)] = cache

    def shape_watched_by(self, cache: Cache) -> None:
        self._shape_watching[id(cache)] = cache

    def vector(self, rows: int) -> Vector:
        """Return the first `rows` cells; absent ones are still told from undefined ones."""
        vector = self._vector
        if vector is None:
            bits = sum(bit(kind) for kind, count in enumerate(self.counts) if count)
            vector = self._vector = Vector(bits, self.kind[:rows], self.whole[:rows], self.real[:rows], self.texts)
        return vector

    def expressions(self) -> dict[Expression, int]:
        """Return the expressions that rows hold, with the numbers of their cells."""
        if not self.counts[OTHER]:
            return _NONE
        return {self.others[number]: number for number, rows in self._holders.items() if rows}

    def is_uniform(self, rows: int) -> bool:
        """Say whether all `rows` in use hold one expression."""
        return self.counts[OTHER] == rows and len(self.expressions()) == 1

    def occupy(self, row: int, expression: Expression | None) -> None:
        """Put a cell into a row that was not in use."""
        self.counts[ABSENT] += 1
        self.write(row, expression, must=True)
        self._row_changed_hands()

    def vacate(self, row: int) -> None:
        self.write(row, None, must=True)
        self.counts[ABSENT] -= 1
        self._row_changed_hands()

    def write(self, row: int, expression: Expression | None, must: bool = False) -> None:
        kind, whole, real = self._cell(expression)
        before, whole_before = int(self.kind[row]), int(self.whole[row])
        if not must and before == kind and whole_before == whole:
            return
        self.kind[row] = kind
        self.whole[row] = whole
        self.real[row] = real
        self.counts[before] -= 1
        self.counts[kind] += 1
        self.changed()
        if before == OTHER:
            self._holders[whole_before] -= 1
        if kind == OTHER:
            self._holders[whole] += 1
        if OTHER in (kind, before):
            self.shape_changed()

    def _row_changed_hands(self) -> None:
        self._vector = None
        if self.counts[OTHER]:
            # The rows without an expression were told from those with one.
            self.shape_changed()

    def changed(self) -> None:
        self._vector = None
        self.forget()

    def forget(self) -> None:
        if self._watching:
            for cache in self._watching.values():
                cache.clear()
            self._watching.clear()

    def shape_changed(self) -> None:
        for cache in self._shape_watching.values():
            cache.clear()
        self._shape_watching.clear()

    def grow(self, capacity: int) -> None:
        for name in ("kind", "whole", "real"):
            old = getattr(self, name)
            new = np.zeros(capacity, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def _cell(self, expression: Expression | None) -> tuple[int, int, float]:
        if expression is None:
            return ABSENT, 0, 0.0
        if not expression.is_literal:
            return OTHER, self._other(expression), 0.0
        value = expression.constant
        kind = kind_of(value)
        if kind in (INT, BOOL):
            return kind, int(value), float(value)  # type: ignore[arg-type]
        if kind == REAL:
            return kind, _BITS.unpack(_REAL.pack(value))[0], value  # type: ignore[return-value]
        if kind == TEXT:
            return kind, self.texts.number(value), 0.0  # type: ignore[arg-type]
        return kind, self._other(expression) if kind == OTHER else 0, 0.0

    def _other(self, expression: Expression) -> int:
        number = self._other_numbers.setdefault(expression, len(self.others))
        if number == len(self.others):
            self.others.append(expression)
        return number

    def _fill(self, ads: Sequence[Ad | None]) -> None:
        """Fill all rows at once: a column is made when its attribute is first asked for."""
        key = self.name
        found = [None if ad is None else ad.find(key) for ad in ads]
        rows = len(found)
        vacant = sum([ad is None for ad in ads])
        if all(expression is None for expression in found):
            self.counts[ABSENT] = rows - vacant
            return
        if not self._fill_alike(found):
            kinds, wholes, reals = zip(*map(self._cell, found), strict=True)
            self.kind[:rows] = kinds
            self.whole[:rows] = wholes
            self.real[:rows] = reals
        self.counts = np.bincount(self.kind[:rows], minlength=8).tolist()
        self.counts[ABSENT] -= vacant
        self._holders.update(self.whole[:rows][self.kind[:rows] == OTHER].tolist())

    def _fill_alike(self, found: Sequence[Expression | None]) -> bool:
        """Fill rows that all hold integers, all reals or all strings; say whether they do."""
        rows = len(found)
        values: list[Any] = [None if held is None or not held.is_literal else held.constant for held in found]
        types = set(map(type, values))
        if len(types) != 1:
            return False
        kind = {int: INT, float: REAL, str: TEXT}.get(types.pop())
        if kind is None or any(kind_of(value) != kind for value in set(values)):
            return False
        self.kind[:rows] = kind
        if kind == REAL:
            self.real[:rows] = values
            self.whole[:rows] = self.real[:rows].view(np.int64)
        elif kind == INT:
            self.whole[:rows] = values
            self.real[:rows] = self.whole[:rows]
        else:
            self.whole[:rows] = list(map(self.texts.number, values))
        return True
