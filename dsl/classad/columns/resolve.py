"""From a tree to a function over columns: who defines each name is decided once, for all rows.

A tree is seen from one of two sides. On the job's side a plain name is the job's
attribute if the job has one, else the machine's: a column. On the machine's side
it is the column, and in rows where that is absent the job's attribute.

Nothing is decided here about the *values* of the job: they are parameters, so one
compiled conjunct serves all jobs that have the same attributes as literals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

import numpy as np

from dsl.classad.ad import Ad
from dsl.classad.columns.column import Column
from dsl.classad.columns.kinds import ABSENT, ERR, OTHER, UNDEF, bit
from dsl.classad.columns.operations import (
    ORDERS,
    arithmetic,
    bitwise,
    compare,
    complemented,
    identical,
    remainder,
    signed,
)
from dsl.classad.columns.reach import SCOPES, Side
from dsl.classad.columns.store import Store
from dsl.classad.columns.truth import conditional, elvis, inverted, logic
from dsl.classad.columns.vector import NotVectorisable, Vector, chosen
from dsl.classad.expression import Expression
from dsl.classad.tree import (
    Binary,
    Call,
    Conditional,
    Elvis,
    Literal,
    Logic,
    Parenthesis,
    Reference,
    Select,
    Tree,
    Unary,
)
from dsl.classad.values import UNDEFINED


class NeedsBinding(Exception):
    """A column holds expressions: which of them stands in the rows must be said first."""

    def __init__(self, column: Column) -> None:
        self.column = column


@dataclass(slots=True)
class Frame:
    """What one evaluation knows: the values of the job, the time, how many rows there are."""

    job: Ad
    now: float | None
    rows: int
    known: dict[str, Vector] = field(default_factory=dict)


NAMES = (Reference, Select)
Evaluate: TypeAlias = Callable[[Frame], Vector]
Binding: TypeAlias = Mapping[str, Expression | None]
"""Columns that hold an expression, and which in the rows concerned; None where they hold plain values."""

Shape: TypeAlias = Mapping[str, Expression | bool]
"""The attributes a job has: its expression, or True for a literal that a column could hold."""


class Found(Enum):
    """What a name can stand for."""

    PARAMETER = 1
    COLUMN = 2
    COLUMN_THEN_JOB = 3
    NOTHING = 4


class Resolver:
    """Compiles trees for jobs that all have the same `shape`."""

    def __init__(self, store: Store, shape: Shape, binding: Binding) -> None:
        self.store = store
        self.shape = shape
        self.binding = binding
        self.job_names: set[str] = set()
        self.columns: dict[str, Column] = {}
        self.asks_clock = False

    def where(self, tree: Reference | Select, side: Side) -> tuple[Found, str]:
        """Say where the value of a name is found."""
        name = tree.name.lower()
        if name in SCOPES or name == "currenttime":
            raise NotVectorisable
        match tree:
            case Reference(_, True):
                return Found.NOTHING, name
            case Reference():
                if side is Side.MACHINE:
                    return Found.COLUMN_THEN_JOB, name
                return (Found.PARAMETER if name in self.shape else Found.COLUMN), name
            case Select(Reference(written, False)):
                scope = written.lower()
                if scope not in ("my", "target") or scope in self.shape:
                    raise NotVectorisable
                if (scope == "my") == (side is Side.MACHINE):
                    return Found.COLUMN, name
                return (Found.PARAMETER if name in self.shape else Found.NOTHING), name
        raise NotVectorisable

    def bound(self, name: str) -> Expression | None:
        """Return the expression that stands in the column in all rows concerned, None for plain values."""
        column = self.store.column(name)
        self.columns[name] = column
        if name in self.binding:
            return self.binding[name]
        if column.counts[OTHER]:
            raise NeedsBinding(column)
        return None

    def job_expression(self, name: str) -> Expression | None:
        """Return the job's expression of that name; None if it has a literal there or nothing."""
        self.job_names.add(name)
        held = self.shape.get(name)
        return held if isinstance(held, Expression) else None

    def compile(self, tree: Tree, side: Side) -> Evaluate:
        # What occurs most; the rest by `match`, which is slower.
        if isinstance(tree, NAMES):
            return self._name(tree, side)
        if isinstance(tree, Literal):
            constant = Vector.constant(tree.value, self.store.texts)
            return lambda frame: constant
        if isinstance(tree, Binary):
            return self._binary(tree.operator, self.compile(tree.left, side), self.compile(tree.right, side))
        match tree:
            case Parenthesis(inner):
                return self.compile(inner, side)
            case Logic(operator, operands):
                compiled = [self.compile(operand, side) for operand in operands]
                return lambda frame: logic(operator, [operand(frame) for operand in compiled])
            case Unary(operator, operand):
                return _unary(operator, self.compile(operand, side))
            case Conditional(test, then, otherwise) | Call(_, (test, then, otherwise)) if _is_choice(tree):
                first, second, third = (self.compile(part, side) for part in (test, then, otherwise))
                return lambda frame: conditional(first(frame), second(frame), third(frame))
            case Elvis(value, otherwise):
                known, other = self.compile(value, side), self.compile(otherwise, side)
                return lambda frame: elvis(known(frame), other(frame))
            case Call(name, ()) if name.lower() == "time":
                self.asks_clock = True
                return self._time
            case Call(name, (argument,)) if name.lower() in _KIND_QUESTIONS:
                return _kind_question(_KIND_QUESTIONS[name.lower()], self.compile(argument, side))
        raise NotVectorisable

    def _name(self, tree: Reference | Select, side: Side) -> Evaluate:
        found, name = self.where(tree, side)
        match found:
            case Found.NOTHING:
                undefined = Vector.nothing(UNDEF, self.store.texts)
                if isinstance(tree, Select):
                    # A job that has the attribute has another shape.
                    self.job_names.add(name)
                return lambda frame: undefined
            case Found.PARAMETER:
                return self._of_job(name)
            case Found.COLUMN:
                if isinstance(tree, Reference):
                    self.job_names.add(name)
                return self._of_column(name)
            case Found.COLUMN_THEN_JOB:
                return self._of_column_or_job(name)

    def _of_job(self, name: str) -> Evaluate:
        expression = self.job_expression(name)
        if expression is not None:
            return self.compile(expression.tree, Side.JOB)
        if name not in self.shape:
            undefined = Vector.nothing(UNDEF, self.store.texts)
            return lambda frame: undefined
        texts = self.store.texts

        def parameter(frame: Frame) -> Vector:
            known = frame.known.get(name)
            if known is None:
                known = frame.known[name] = Vector.constant(frame.job[name].constant, texts)
            return known

        return parameter

    def _of_column(self, name: str) -> Evaluate:
        expression = self.bound(name)
        if expression is not None:
            return self.compile(expression.tree, Side.MACHINE)
        column = self.columns[name]
        return lambda frame: column.vector(frame.rows).present()

    def _of_column_or_job(self, name: str) -> Evaluate:
        expression = self.bound(name)
        if expression is not None:
            return self.compile(expression.tree, Side.MACHINE)
        column, of_job = self.columns[name], self._of_job(name)

        def fall_through(frame: Frame) -> Vector:
            own = column.vector(frame.rows)
            if not own.bits & bit(ABSENT):
                return own
            other = of_job(frame)
            if own.only(bit(ABSENT)):
                return other
            return chosen(own.kind == ABSENT, other, own, own.bits & ~bit(ABSENT) | other.bits)

        return fall_through

    def _binary(self, operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
        texts = self.store.texts
        if operator in ORDERS:
            return lambda frame: compare(operator, left(frame), right(frame))
        match operator:
            case "is":
                return lambda frame: Vector.truths(identical(left(frame), right(frame)), texts)
            case "isnt":
                return lambda frame: Vector.truths(~identical(left(frame), right(frame)), texts)
            case "+" | "-" | "*" | "/":
                return lambda frame: arithmetic(operator, left(frame), right(frame))
            case "%":
                return lambda frame: remainder(left(frame), right(frame))
            case _:
                return lambda frame: bitwise(operator, left(frame), right(frame))

    def _time(self, frame: Frame) -> Vector:
        return Vector.constant(UNDEFINED if frame.now is None else int(frame.now), self.store.texts)


def _is_choice(tree: Tree) -> bool:
    return not isinstance(tree, Call) or tree.name.lower() == "ifthenelse"


def _unary(operator: str, operand: Evaluate) -> Evaluate:
    match operator:
        case "!":
            return lambda frame: inverted(operand(frame))
        case "~":
            return lambda frame: complemented(operand(frame))
        case _:
            return lambda frame: signed(operator, operand(frame))


_KIND_QUESTIONS = {"isundefined": UNDEF, "iserror": ERR}


def _kind_question(kind: int, argument: Evaluate) -> Evaluate:
    def answer(frame: Frame) -> Vector:
        value = argument(frame)
        return Vector.truths(np.asarray(value.kind == kind), value.texts)

    return answer
