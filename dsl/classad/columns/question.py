"""One expression asked about all machines, for one job after the other.

A question knows the *names* of the job's attributes that its answer depends on.
Which they are can depend on the job (an attribute that is an expression names
others), so they are found per shape of job and remembered. Jobs that agree in
these values have the same answer: HTCondor's autocluster.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dsl.classad.ad import Ad
from dsl.classad.columns import distinct
from dsl.classad.columns.column import Cache
from dsl.classad.columns.kinds import MAX_INT, MIN_INT, OTHER, Array, kind_of
from dsl.classad.columns.program import Builder, Parts, Term
from dsl.classad.columns.reach import Facts, Reach, Side, facts_of, reach
from dsl.classad.columns.resolve import Frame
from dsl.classad.expression import Expression
from dsl.classad.scope import LONG_STRING
from dsl.classad.tree import Reference, Select

_REAL = struct.Struct("<d")
MAX_ANSWERS_BYTES = 16 << 20
MAX_SHAPES = 256


def typed(expression: Expression | None) -> Any:
    """Return a key for an attribute: equal for the same value of the same type, and only then.

    Absent is None; what a column cannot hold stands for itself, by its text.
    """
    if expression is None:
        return None
    if not expression.is_literal:
        return expression
    value: Any = expression.constant
    kind = value.__class__
    if kind is int:
        return value if MIN_INT <= value <= MAX_INT else expression
    if kind is str:
        return value if len(value) < LONG_STRING else expression
    if kind is bool:
        # True and 1 are equal to Python, and so are 1 and 1.0, 0.0 and -0.0.
        return (value,)
    if kind is float:
        return _REAL.pack(value)
    return value if kind_of(value) != OTHER else expression


class Plan:
    """How the question is answered for jobs of one shape."""

    __slots__ = ("answers", "closure", "names", "term")

    def __init__(self, closure: Reach, term: Any) -> None:
        self.closure = closure
        self.names = closure.job_names
        self.term = term
        """None where only the scalar evaluator, asked about the whole expression, is right."""
        self.answers = Cache()

    @property
    def keeps(self) -> bool:
        """Whether an answer holds until a column changes."""
        return not self.closure.asks_clock and not self.closure.rows_may_differ


class Question:
    """What `Truths` and `Ranking` share: finding the plan for a job, and remembering answers."""

    def __init__(self, parts: Parts, expression: Expression, side: Side) -> None:
        self.parts = parts
        self.store = parts.store
        self.expression = expression
        self.side = side
        self.facts = facts_of(expression)
        self.names: tuple[str, ...] = ()
        self.plans = Cache()
        """By names and shape: the plan, or the names to look at instead."""

    def plan(self, job: Ad) -> tuple[Plan, tuple[Any, ...]]:
        """Return the plan for jobs like this one, and the values to look answers up by."""
        values, key = _read(job, self.names)
        known: Plan | tuple[str, ...] | None = self.plans.get(key)
        if isinstance(known, tuple):
            values, key = _read(job, known)
            known = self.plans.get(key)
        if not isinstance(known, Plan):
            known, values = self._new_plan(job)
        return known, values

    def term(self, builder: Builder) -> Any:
        """Make what gives the answer; None where the scalar evaluator must."""
        raise NotImplementedError

    def remember(self, plan: Plan, values: tuple[Any, ...], answer: Array) -> None:
        if not plan.keeps:
            return
        answers = plan.answers
        if not answers:
            for name in plan.closure.machine_names:
                self.store.column(name).watched_by(answers)
            self.store.watched_by(answers)
        elif len(answers) * answer.nbytes > MAX_ANSWERS_BYTES:
            answers.clear()
        answers[values] = answer

    def _new_plan(self, job: Ad) -> tuple[Plan, tuple[Any, ...]]:
        def job_has(name: str) -> bool:
            return job.find(name) is not None

        def holders(side: Side, name: str) -> list[Facts]:
            if side is Side.MACHINE:
                return [facts_of(held) for held in self.store.column(name).expressions()]
            held = typed(job.find(name))
            return [facts_of(held)] if held.__class__ is Expression else []

        closure = reach(self.facts, self.side, holders, job_has)
        names = closure.job_names
        if len(self.plans) >= MAX_SHAPES:
            self.plans.clear()
        if not self.plans:
            self.names = names
        for name in closure.machine_names:
            self.store.column(name).shape_watched_by(self.plans)
        values, key = _read(job, names)
        term = None
        if closure.is_divisible and not self.store.special_names:
            shape = {name: kept for name, kept in zip(names, key[1], strict=True) if kept is not None}
            term = self.term(Builder(self.parts, names, shape, holders))
        plan = self.plans[key] = Plan(closure, term)
        if names != self.names:
            self.plans[_read(job, self.names)[1]] = names
        return plan, values


def _read(job: Ad, names: tuple[str, ...]) -> tuple[tuple[Any, ...], tuple[tuple[str, ...], tuple[Any, ...]]]:
    """Return the job's values of these names, and its shape: what it has there, the values of literals apart."""
    find = job.find
    values = tuple([None if (held := find(name)) is None else typed(held) for name in names])
    return values, (
        names,
        tuple([None if value is None else value if value.__class__ is Expression else True for value in values]),
    )


class Truths(Question):
    """In which rows the job's Requirements are true."""

    def bitmap(self, job: Ad, now: float | None) -> Array:
        """Return the rows; those not in use may be anything."""
        plan, values = self.plan(job)
        found: Array | None = plan.answers.get(values)
        if found is None:
            found = self._answer(plan, values, job, now)
            self.remember(plan, values, found)
        return found

    def term(self, builder: Builder) -> Term | None:
        return builder.build(self.expression.tree, self.side)

    def _answer(self, plan: Plan, values: tuple[Any, ...], job: Ad, now: float | None) -> Array:
        if plan.term is not None:
            try:
                # What wraps or is divided by zero has its rule in `operations.py`.
                with np.errstate(all="ignore"):
                    bits: Array = plan.term.bitmap(values, Frame(job, now, self.store.rows))
                return bits
            except distinct.TooCostly:
                plan.term = None
        closure = plan.closure
        true = distinct.true_rows(
            self.store, lambda machine: self._scalar(job, machine, now), closure.machine_names, closure.rows_may_differ
        )
        return np.packbits(true)

    def _scalar(self, job: Ad, machine: Ad, now: float | None) -> object:
        return job.evaluate("Requirements", machine, now=now)


class MachinePolicies(Truths):
    """In which rows the machine's own Requirements accept the job."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, Expression(Select(Reference("MY"), "Requirements")), Side.MACHINE)

    def _scalar(self, job: Ad, machine: Ad, now: float | None) -> object:
        return machine.evaluate("Requirements", job, now=now)
