"""The scalar evaluator over many rows: once for all rows that cannot differ.

Exact by construction, whatever the expression calls; fast where the attributes
concerned have few distinct values, as most have in a pool of like machines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dsl.classad.ad import Ad
from dsl.classad.columns.kinds import Array
from dsl.classad.columns.reach import Side
from dsl.classad.columns.store import Store
from dsl.classad.expression import Expression
from dsl.classad.scope import MAX_STEPS, Run, Scope
from dsl.classad.values import Value, is_true


class TooCostly(Exception):
    """A part took so many steps that all parts together might have spent the budget of one evaluation."""


def true_rows(
    store: Store, evaluate: Callable[[Ad], object], names: Sequence[str], rows_may_differ: bool = False
) -> Array:
    """Say for each row whether `evaluate` of its ad is true; it may depend on the attributes `names` alone."""
    rows, groups, samples = _groups(store, names, rows_may_differ)
    outcomes = np.fromiter((is_true(evaluate(_ad(store, row))) for row in samples), np.bool_, len(samples))
    result = np.zeros(store.rows, np.bool_)
    result[rows] = outcomes[groups]
    return result


def values(
    store: Store, evaluate: Callable[[Ad], Value], names: Sequence[str], rows_may_differ: bool = False
) -> dict[int, Value]:
    """Evaluate each row; rows that agree share one value."""
    rows, groups, samples = _groups(store, names, rows_may_differ)
    outcomes = [evaluate(_ad(store, row)) for row in samples]
    return {row: outcomes[group] for row, group in zip(rows.tolist(), groups.tolist(), strict=True)}


def _groups(store: Store, names: Sequence[str], rows_may_differ: bool) -> tuple[Array, Array, Array]:
    if rows_may_differ:
        rows = np.flatnonzero(store.in_use[: store.rows])
        return rows, np.arange(len(rows)), rows
    return store.groups(names)


def _ad(store: Store, row: int) -> Ad:
    ad = store.ads[row]
    assert ad is not None
    return ad


MAX_PARTS = 100
ALLOWANCE = MAX_STEPS // (2 * MAX_PARTS)
"""Steps that one part may take."""


def part_evaluator(part: Expression, side: Side, job: Ad, now: float | None) -> Callable[[Ad], object]:
    """Return what evaluates one of at most MAX_PARTS parts of a conjunction; raises TooCostly."""

    def evaluate(machine: Ad) -> object:
        run = Run(now, None)
        scope, other = Scope(job, run), Scope(machine, run)
        scope.other, other.other = other, scope
        value = (scope if side is Side.JOB else other).value_of(part)
        if run.steps < MAX_STEPS - ALLOWANCE:
            raise TooCostly
        return value

    return evaluate
