"""What an expression is worth in each row, and the order of the rows by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsl.classad.ad import Ad
from dsl.classad.columns import distinct
from dsl.classad.columns.kinds import BOOL, ERR, INT, NUMBER_BITS, OTHER, REAL, TEXT, Array
from dsl.classad.columns.program import MAX_POLICIES, Builder
from dsl.classad.columns.question import Plan, Question
from dsl.classad.columns.reach import Side
from dsl.classad.columns.resolve import Binding, Evaluate, Frame, NeedsBinding, Resolver
from dsl.classad.columns.store import Store
from dsl.classad.columns.vector import NotVectorisable, Vector
from dsl.classad.expression import Expression
from dsl.classad.tree import Tree
from dsl.classad.values import ERROR, UNDEFINED, Value

Piece = tuple[Array | None, Evaluate]
"""Rows (None for all) and how to evaluate there."""


class Valuation(Question):
    """The values of one expression, seen from the job."""

    def values(self, job: Ad | None, now: float | None) -> dict[int, Value]:
        """Return the value in each row in use."""
        plan, _ = self.plan(job or Ad())
        # A name's scope is another where there is no job at all.
        vector = None if job is None else self.vector(plan, job, now)
        if vector is not None:
            return _python_values(self.store, vector)
        return self.scalar_values(plan, job, now)

    def vector(self, plan: Plan, job: Ad, now: float | None) -> Vector | None:
        """Evaluate whole columns; None where only the scalar evaluator can."""
        if plan.term is None:
            return None
        frame = Frame(job, now, self.store.rows)
        try:
            with np.errstate(all="ignore"):
                return _joined([(where, evaluate(frame)) for where, evaluate in plan.term], self.store)
        except NotVectorisable:
            plan.term = None
            return None

    def scalar_values(self, plan: Plan, job: Ad | None, now: float | None) -> dict[int, Value]:
        closure = plan.closure
        return distinct.values(
            self.store,
            lambda machine: self.expression.evaluate(job, machine, now=now),
            closure.machine_names,
            closure.rows_may_differ,
        )

    def term(self, builder: Builder) -> list[Piece] | None:
        try:
            return list(_pieces(builder, self.expression.tree, self.side, {}, None))
        except NotVectorisable:
            return None


class Ranking(Valuation):
    """The rows in the order of the job's Rank."""

    def order(self, job: Ad, now: float | None) -> Array:
        """Return all rows, the highest rank first; among equals the ad that came first."""
        plan, values = self.plan(job)
        found: Array | None = plan.answers.get(values)
        if found is None:
            found = _descending(self._ranks(plan, job, now), self.store.arrivals[: self.store.rows])
            self.remember(plan, values, found)
        return found

    def _ranks(self, plan: Plan, job: Ad, now: float | None) -> Array:
        vector = self.vector(plan, job, now)
        if vector is not None:
            reals = vector.reals if vector.only(NUMBER_BITS) else np.where(vector.true(), vector.reals, 0.0)
            # What is no number, and what equals nothing, has no place in an order.
            return np.asarray(np.where(reals != reals, 0.0, np.broadcast_to(reals, self.store.rows)))
        ranks = np.zeros(self.store.rows)
        for row, value in self.scalar_values(plan, job, now).items():
            ranks[row] = rank_of(value)
        return ranks


def rank_of(value: Value) -> float:
    """Read a value as a rank: what is no number counts as 0."""
    if not isinstance(value, bool | int | float) or value != value:
        return 0.0
    return float(value)


def _descending(ranks: Array, arrivals: Array) -> Array:
    """Sort by rank, then by arrival.

    A sort that keeps the order of equals is several times slower for reals than
    a plain one and a sort of integers after it.
    """
    order = np.argsort(-ranks)
    sorted_ranks = ranks[order]
    steps = np.concatenate([[0], np.cumsum(sorted_ranks[1:] != sorted_ranks[:-1])])
    if steps[-1] == len(ranks) - 1:
        return order
    span = int(arrivals.max(initial=0)) + 1
    tied: Array = order[np.argsort(steps * span + arrivals[order])]
    return tied


def _pieces(
    builder: Builder, tree: Tree, side: Side, binding: Binding, within: Array | None
) -> Sequence[Piece]:
    resolver = Resolver(builder.store, builder.shape, binding)
    try:
        return [(within, resolver.compile(tree, side))]
    except NeedsBinding as needs:
        column, rows = needs.column, builder.store.rows
    texts = column.expressions()
    if len(texts) > MAX_POLICIES:
        raise NotVectorisable
    kind, whole = column.kind[:rows], column.whole[:rows]
    groups: list[tuple[Array, Expression | None]] = [
        ((kind == OTHER) & (whole == number), held) for held, number in texts.items()
    ]
    pieces: list[Piece] = []
    for where, held in [*groups, (kind != OTHER, None)]:
        here = where if within is None else where & within
        if here.any():
            pieces.extend(_pieces(builder, tree, side, {**binding, column.name: held}, here))
    return pieces


def _joined(pieces: Sequence[tuple[Array | None, Vector]], store: Store) -> Vector:
    if len(pieces) == 1:
        return pieces[0][1]
    rows = store.rows
    kind, whole, real = np.zeros(rows, np.uint8), np.zeros(rows, np.int64), np.zeros(rows)
    bits = 0
    for where, vector in pieces:
        assert where is not None
        bits |= vector.bits
        for target, source in ((kind, vector.kind), (whole, vector.wholes), (real, vector.reals)):
            np.copyto(target, source, where=where)
    return Vector(bits, kind, whole, real, store.texts)


def _python_values(store: Store, vector: Vector) -> dict[int, Value]:
    rows = store.rows
    kinds, wholes, reals = (
        np.broadcast_to(part, rows).tolist() for part in (vector.kind, vector.wholes, vector.reals)
    )
    return {
        row: _python_value(store, kinds[row], wholes[row], reals[row]) for row in store.row_of.values()
    }


def _python_value(store: Store, kind: int, whole: int, real: float) -> Value:
    if kind == INT:
        return whole
    if kind == REAL:
        return real
    if kind == BOOL:
        return bool(whole)
    if kind == TEXT:
        return store.texts.text(whole)
    return ERROR if kind == ERR else UNDEFINED
