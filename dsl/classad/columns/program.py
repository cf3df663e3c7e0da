"""How a question is answered for all jobs of one shape: conjuncts, each with its bitmap, and what joins them.

Taking apart goes through parentheses, through &&, and through attributes: where
the conjunct is START and the machines' START are a few texts, each text is a
policy of its own for the rows that hold it. "True" of a conjunction is exactly
the AND of "true" of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from dsl.classad.columns.column import Cache, Column
from dsl.classad.columns.distinct import MAX_PARTS
from dsl.classad.columns.kinds import OTHER, Array
from dsl.classad.columns.part import Part
from dsl.classad.columns.reach import Holders, Reach, Side, expression_of, facts_of, reach
from dsl.classad.columns.resolve import NAMES, Binding, Evaluate, Found, Frame, NeedsBinding, Resolver, Shape
from dsl.classad.columns.store import Store
from dsl.classad.columns.vector import NotVectorisable
from dsl.classad.expression import Expression
from dsl.classad.tree import Logic, Parenthesis, Reference, Select, Tree

MAX_POLICIES = 16
"""Different texts of one attribute that become policies of their own; with more of them the scalar evaluator
takes the conjunct, once for each text at most."""

Values = Sequence[Any]
"""The job's values, in the order of the question's names."""


class Term(Protocol):
    """Something that is true in some rows."""

    def bitmap(self, values: Values, frame: Frame) -> Array: ...


class Parts:
    """All conjuncts that were ever made, so that questions share bitmaps."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known = Cache()

    def share(self, part: Part, shape: Shape, binding: Binding) -> Part:
        """Return the part that is already known for the same text under the same circumstances."""
        key = (
            part.expression,
            part.side,
            tuple([(name, shape.get(name)) for name in part.job_names]),
            tuple([(name, binding[name]) for name in part.machine_names if name in binding]) if binding else (),
            part.evaluate is None,
        )
        known: Part | None = self._known.get(key)
        if known is None:
            if len(self._known) >= 4096:
                self._known.clear()
            known = self._known[key] = part
            for name in part.machine_names:
                self.store.column(name).shape_watched_by(self._known)
        return known


class Builder:
    """Makes the terms of one question for one shape of job."""

    def __init__(self, parts: Parts, names: Sequence[str], shape: Shape, holders: Holders) -> None:
        self.parts = parts
        self.store = parts.store
        self.places = {name: place for place, name in enumerate(names)}
        self.shape = shape
        self.holders = holders
        self.made: set[Part] = set()

    def build(self, tree: Tree, side: Side) -> Term | None:
        """Return what answers the question; None if it has too many parts."""
        term = _joined(self.store, self.terms(tree, side, {}))
        return term if len(self.made) <= MAX_PARTS else None

    def terms(self, tree: Tree, side: Side, binding: Binding) -> list[Term]:
        """Take `tree` apart into what must all be true."""
        # Twice as fast as `match`: this is most of what a condition never met costs.
        if isinstance(tree, Parenthesis):
            return self.terms(tree.inner, side, binding)
        if isinstance(tree, Logic) and tree.operator == "&&":
            return [term for operand in tree.operands for term in self.terms(operand, side, binding)]
        try:
            resolver = Resolver(self.store, self.shape, binding)
            if isinstance(tree, NAMES):
                held = self.held(resolver, tree, side)
                if held is not None:
                    return self.terms(held[0].tree, held[1], binding)
            return [self.part(tree, side, binding, resolver, resolver.compile(tree, side))]
        except NotVectorisable:
            return [self.part(tree, side, binding, resolver, None)]
        except NeedsBinding as needs:
            texts = needs.column.expressions()
            if len(texts) > MAX_POLICIES:
                return [self.part(tree, side, binding, resolver, None)]
            if needs.column.is_uniform(len(self.store.row_of)):
                return self.terms(tree, side, {**binding, needs.column.name: next(iter(texts))})
            return [self.policies(tree, side, binding, needs.column, texts)]

    def held(self, resolver: Resolver, tree: Reference | Select, side: Side) -> tuple[Expression, Side] | None:
        """Return the expression that a name stands for, and whose it is."""
        found, name = resolver.where(tree, side)
        if found is Found.PARAMETER:
            expression = resolver.job_expression(name)
            # A literal that no column can hold is an expression to the shape.
            return None if expression is None or expression.is_literal else (expression, Side.JOB)
        if found in (Found.COLUMN, Found.COLUMN_THEN_JOB):
            expression = resolver.bound(name)
            return None if expression is None or expression.is_literal else (expression, Side.MACHINE)
        return None

    def policies(
        self, tree: Tree, side: Side, binding: Binding, column: Column, texts: Mapping[Expression, int]
    ) -> Term:
        """Answer for each group of rows that hold the same expression, and for those that hold a plain value."""
        def policy(expression: Expression | None) -> Term:
            return _joined(self.store, self.terms(tree, side, {**binding, column.name: expression}))

        rows = self.store.rows
        kind, whole = column.kind[:rows], column.whole[:rows]
        policies = [
            (np.packbits((kind == OTHER) & (whole == number)), policy(expression))
            for expression, number in texts.items()
        ]
        # This takes in rows that are not in use: what they answer is of no meaning anyhow.
        policies.append((np.packbits(kind != OTHER), policy(None)))
        return Policies(policies, rows)

    def part(self, tree: Tree, side: Side, binding: Binding, resolver: Resolver, evaluate: Evaluate | None) -> Term:
        def whole_reach() -> Reach:
            return reach(facts_of(expression_of(tree)), side, self.holders, self.shape.__contains__)

        if evaluate is None:
            closure = whole_reach()
            names: tuple[Any, ...] = closure.job_names, closure.machine_names, closure.asks_clock
        else:
            names = sorted(resolver.job_names), sorted(resolver.columns), resolver.asks_clock
        part = self.parts.share(
            Part(self.store, tree, side, whole_reach, evaluate, *names), self.shape, binding
        )
        self.made.add(part)
        return PartTerm(part, [self.places[name] for name in part.job_names])


class PartTerm:
    def __init__(self, part: Part, places: Sequence[int]) -> None:
        self.part = part
        self.cache = part.cache
        self.key: Callable[[Values], Any] = itemgetter(*places) if places else _no_key

    def bitmap(self, values: Values, frame: Frame) -> Array:
        key = self.key(values)
        found = self.cache.get(key)
        return self.part.bitmap(key, frame) if found is None else found


def _no_key(values: Values) -> None:
    return None


class All:
    """True where all terms are. Those that do not read the job are joined once."""

    def __init__(self, store: Store, terms: Sequence[Term]) -> None:
        self.store = store
        self.steady = [term for term in terms if _is_steady(term)]
        self.others = [term for term in terms if not _is_steady(term)]
        self.cache = Cache()

    def bitmap(self, values: Values, frame: Frame) -> Array:
        found = [term.bitmap(values, frame) for term in self.others]
        if self.steady:
            found.append(self.cache[None] if self.cache else self.join_steady(values, frame))
        if len(found) == 1:
            return found[0]
        result = found[0] & found[1]
        for bits in found[2:]:
            np.bitwise_and(result, bits, out=result)
        return result

    def join_steady(self, values: Values, frame: Frame) -> Array:
        bits: Array = reduce(np.bitwise_and, [term.bitmap(values, frame) for term in self.steady])
        for term in self.steady:
            assert isinstance(term, PartTerm)
            for name in term.part.machine_names:
                self.store.column(name).watched_by(self.cache)
        self.store.watched_by(self.cache)
        self.cache[None] = bits
        return bits


class Policies:
    """True where the policy of the row is."""

    def __init__(self, policies: Sequence[tuple[Array, Term]], rows: int) -> None:
        self.policies = policies
        self.rows = rows

    def bitmap(self, values: Values, frame: Frame) -> Array:
        result = np.zeros(self.rows // 8, np.uint8)
        for mask, term in self.policies:
            result |= mask & term.bitmap(values, frame)
        return result


def _is_steady(term: Term) -> bool:
    return isinstance(term, PartTerm) and not term.part.job_names and not term.part.asks_clock


def _joined(store: Store, terms: Sequence[Term]) -> Term:
    return terms[0] if len(terms) == 1 else All(store, terms)
