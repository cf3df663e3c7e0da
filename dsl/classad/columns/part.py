"""One conjunct of a question: a bitmap of the rows where it is true, kept for each job's values that it met.

A bitmap is found in three ways, the fastest that is exact: by operations on
whole columns; by the scalar evaluator once for all rows that cannot differ; and,
for a conjunct whose cost comes near a bound, not here at all (`TooCostly`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dsl.classad.columns import distinct
from dsl.classad.columns.column import Cache
from dsl.classad.columns.kinds import Array
from dsl.classad.columns.reach import Reach, Side, expression_of
from dsl.classad.columns.resolve import Evaluate, Frame
from dsl.classad.columns.store import Store
from dsl.classad.columns.vector import NotVectorisable
from dsl.classad.tree import Tree

CACHE_BYTES = 4 << 20
"""How much the bitmaps of one conjunct may take."""


class Part:
    def __init__(
        self,
        store: Store,
        tree: Tree,
        side: Side,
        reach: Callable[[], Reach],
        evaluate: Evaluate | None,
        job_names: Iterable[str],
        machine_names: Iterable[str],
        asks_clock: bool,
    ) -> None:
        self.store = store
        self.expression = expression_of(tree)
        self.side = side
        self.reach = reach
        self.evaluate = evaluate
        """Over columns; None where only the scalar evaluator can."""
        self.job_names = tuple(job_names)
        self.machine_names = tuple(machine_names)
        """What the value depends on in the rows that the part is asked about."""
        self.asks_clock = asks_clock
        self.cache = Cache()

    def bitmap(self, key: Any, frame: Frame) -> Array:
        """Return the rows where this is true for a job whose values are `key`."""
        bits = np.packbits(self._true(frame))
        if not self.asks_clock:
            self._remember(key, bits)
        return bits

    def _true(self, frame: Frame) -> Array:
        if self.evaluate is not None:
            try:
                true = self.evaluate(frame).true()
            except NotVectorisable:
                # The values are to blame, not the tree: the order of strings, for instance.
                self.evaluate = None
            else:
                return true if true.ndim else np.full(frame.rows, bool(true))
        evaluate = distinct.part_evaluator(self.expression, self.side, frame.job, frame.now)
        return distinct.true_rows(self.store, evaluate, self.reach().machine_names)

    def _remember(self, key: Any, bits: Array) -> None:
        cache = self.cache
        if not cache:
            for name in self.machine_names:
                self.store.column(name).watched_by(cache)
            self.store.width_watched_by(cache)
        elif len(cache) * len(bits) > CACHE_BYTES:
            cache.clear()
        cache[key] = bits
