"""The rows: which ad stands in which, and the columns made of them so far.

A column is made when its attribute is first asked for. A row that an ad leaves
is used again; until then its cells are absent and its bit in `in_use` is false.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import cast

import numpy as np

from dsl.classad.ad import Ad
from dsl.classad.columns.column import Cache, Column
from dsl.classad.columns.kinds import Array, Texts

BLOCK = 64
"""Rows are counted in blocks, so that bitmaps are whole words."""

SPECIAL = ("my", "target", "parent", "currenttime")


class Store:
    def __init__(self) -> None:
        self.texts = Texts()
        self.ads: list[Ad | None] = []
        self.keys: list[Hashable] = []
        self.row_of: dict[Hashable, int] = {}
        self.in_use: Array = np.zeros(BLOCK, np.bool_)
        self.arrivals: Array = np.zeros(BLOCK, np.int64)
        """For each row, the how-manieth ad of all it was that came into it."""
        self.rows = BLOCK
        self.special_names = 0
        """Ads that have an attribute with the name of a scope: it hides the scope."""
        self._columns: dict[str, Column] = {}
        self._vacant: list[int] = []
        self._arrived = 0
        self._roster = Cache()
        self._roster_watching: dict[int, Cache] = {}
        self._width_watching: dict[int, Cache] = {}

    def column(self, name: str) -> Column:
        """Return the column of a name in lower case."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Column(name, self.texts, self.ads, len(self.in_use))
        return column

    def put(self, key: Hashable, ad: Ad) -> None:
        """Add an ad, or replace the one with the same key."""
        row = self.row_of.get(key)
        if row is not None:
            before = self.ads[row]
            assert before is not None
            self._count_special(before, ad)
            self.ads[row] = ad
            for name, column in self._columns.items():
                expression = ad.find(name)
                # A changed copy shares with the old ad what has not changed.
                if expression is not before.find(name):
                    column.write(row, expression)
            return
        row = self._new_row()
        self.row_of[key] = row
        self.keys[row] = key
        self.ads[row] = ad
        self.in_use[row] = True
        self.arrivals[row] = self._arrived
        self._arrived += 1
        self._count_special(None, ad)
        for name, column in self._columns.items():
            column.occupy(row, ad.find(name))
        self._roster_changed()

    def remove(self, key: Hashable) -> None:
        """Remove an ad; raise KeyError if there is none of that key."""
        row = self.row_of.pop(key)
        self._count_special(self.ads[row], None)
        self.ads[row] = None
        self.in_use[row] = False
        for column in self._columns.values():
            column.vacate(row)
        self._vacant.append(row)
        self._roster_changed()

    def in_use_bits(self) -> Array:
        """Return the rows in use as a bitmap."""
        bits = self._roster.get(None)
        if bits is None:
            bits = self._roster[None] = np.packbits(self.in_use[: self.rows])
            self.watched_by(self._roster)
        return cast(Array, bits)

    def watched_by(self, cache: Cache) -> None:
        """Empty `cache` when an ad comes or goes."""
        self._roster_watching[id(cache)] = cache

    def width_watched_by(self, cache: Cache) -> None:
        """Empty `cache` when bitmaps become longer."""
        self._width_watching[id(cache)] = cache

    def groups(self, names: Sequence[str]) -> tuple[Array, Array, Array]:
        """Group the rows in use that agree in all these columns.

        Returns the rows, the group of each, and a row of each group.
        """
        rows = np.flatnonzero(self.in_use[: self.rows])
        groups = np.zeros(len(rows), np.int64)
        for name in names:
            column = self.column(name)
            for part in (column.kind[rows], column.whole[rows]):
                _, numbers = np.unique(part, return_inverse=True)
                count = int(numbers.max(initial=0)) + 1
                if count > 1:
                    _, groups = np.unique(groups * count + numbers, return_inverse=True)
        _, first = np.unique(groups, return_index=True)
        return rows, groups, rows[first]

    def _new_row(self) -> int:
        if self._vacant:
            return self._vacant.pop()
        row = len(self.ads)
        self.ads.append(None)
        self.keys.append(None)
        if row >= len(self.in_use):
            self._grow(2 * len(self.in_use))
        if row >= self.rows:
            self.rows = (row // BLOCK + 1) * BLOCK
            for column in self._columns.values():
                column.changed()
            self.forget()
            for cache in self._width_watching.values():
                cache.clear()
            self._width_watching.clear()
        return row

    def forget(self) -> None:
        """Empty every cache that watches a column or the roster."""
        for column in self._columns.values():
            column.forget()
            column.shape_changed()
        self._roster_changed()

    def _count_special(self, before: Ad | None, after: Ad | None) -> None:
        change = _has_special(after) - _has_special(before)
        if change:
            self.special_names += change
            self.forget()

    def _grow(self, capacity: int) -> None:
        for name in ("in_use", "arrivals"):
            setattr(self, name, np.resize(getattr(self, name), capacity))
        self.in_use[len(self.ads) - 1 :] = False
        for column in self._columns.values():
            column.grow(capacity)

    def _roster_changed(self) -> None:
        for cache in self._roster_watching.values():
            cache.clear()
        self._roster_watching.clear()


def _has_special(ad: Ad | None) -> bool:
    return ad is not None and any(ad.find(name) is not None for name in SPECIAL)
