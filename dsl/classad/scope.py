"""Where names are looked up while an expression is evaluated, and how much work that may cost.

A `Scope` is an ad seen from inside: its attributes first, then those of the
record around it, and from the outermost ad the other ad of a match. It is also
what a record is worth during an evaluation; a `Sequence` is what a list is.
Both leave their parts unevaluated until somebody looks, so that `{1/0, 2}[1]`
is 2 and an attribute may refer to a list it stands in.

INV-C1: an evaluation ends. An attribute whose value is being sought is UNDEFINED
to whoever asks for it again; depth and steps are counted, and spending them
all makes ERROR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from dsl.classad.tree import Literal, Tree
from dsl.classad.values import ERROR, UNDEFINED, AbsTime, Nothing, RelTime

if TYPE_CHECKING:
    from dsl.classad.ad import Ad
    from dsl.classad.expression import Expression

MAX_STEPS = 100_000
"""Attributes and list elements one evaluation may look at: some tenths of a second."""

MAX_DEPTH = 300
"""Levels of nesting, summed over the attributes that wait for one another.
A level takes up to two of the 1,000 frames that Python allows."""

ELEMENT_DEPTH = 10
"""What an element of a list counts for, whatever its own depth: it is evaluated far from where it stands."""

LONG_STRING = 1 << 10
"""Characters from which on a string costs steps to whoever reads it."""

MAX_STRING = 1 << 20
"""Characters one string may have."""


class Run:
    """One evaluation: what it is told about the world, and what it may still spend."""

    __slots__ = ("depth", "now", "random_state", "sightless", "steps")

    def __init__(self, now: float | None, seed: int | None, steps: int = MAX_STEPS) -> None:
        self.now = now
        self.random_state = seed
        self.steps = steps
        self.depth = 0
        self.sightless: list[Scope] = []

    def spend(self, steps: int) -> bool:
        """Take `steps` from the budget; False when it is used up."""
        self.steps -= steps
        return self.steps > 0

    def may_read(self, text: str) -> bool:
        """Take the steps that working on a long string costs; False when none are left."""
        return len(text) < LONG_STRING or self.spend(len(text) >> 8)

    def restore_sight(self) -> None:
        for scope in self.sightless:
            scope.regain_sight()
        self.sightless.clear()


class Scope:
    __slots__ = ("active", "ad", "before", "exists", "other", "outer", "run", "sees_other")

    def __init__(self, ad: Ad, run: Run, outer: Scope | None = None, exists: bool = True) -> None:
        self.ad = ad
        self.run = run
        self.outer = outer
        self.before: Scope | None = None
        self.exists = exists
        """False where there is no ad and this scope only stands in for one."""
        self.sees_other = outer is None
        """Whether plain names fall through to the other ad: not from inside a record."""
        self.other: Scope | None = None
        """The other ad of a match; set on the outermost scope of each side."""
        self.active: set[int] = set() if outer is None else outer.active
        """Attributes being evaluated. Records made by one expression share it with what surrounds them,
        because each evaluation makes a new record of the same attributes."""

    def outermost(self) -> Scope:
        scope = self
        while scope.outer is not None:
            scope = scope.outer
        return scope

    def lose_sight(self) -> None:
        """See no ad until the attribute that is being evaluated is done; see `control.py` for who needs this.

        Records made meanwhile still stand where they stood: they see what was seen before.
        """
        if self.before is None:
            before = self.before = Scope(self.ad, self.run, self.outer)
            before.other, before.active = self.other, self.active
            self.run.sightless.append(self)
            self.ad, self.outer, self.other, self.exists = self.ad.none(), None, None, False

    def regain_sight(self) -> None:
        if self.before is not None:
            self.ad, self.outer, self.other, self.exists = self.before.ad, self.before.outer, self.before.other, True
            self.before = None

    def attribute(self, key: str) -> Inner:
        """Evaluate this ad's own attribute `key`, UNDEFINED if it has none."""
        expression = self.ad.find(key)
        return UNDEFINED if expression is None else self.value_of(expression)

    def value_of(self, expression: Expression) -> Inner:
        """Evaluate an attribute of this ad."""
        if expression.is_literal:
            return expression.constant
        run = self.run
        identity = id(expression)
        active = self.active
        if identity in active:
            return UNDEFINED
        compiled = expression.compiled
        if compiled is None:
            compiled = expression.compile()
        run.steps -= 1
        levels = expression.depth + 1
        run.depth += levels
        try:
            if run.steps <= 0 or run.depth > MAX_DEPTH:
                return ERROR
            active.add(identity)
            return compiled(self)
        finally:
            active.discard(identity)
            run.depth -= levels
            if run.sightless:
                run.restore_sight()

    def resolve(self, key: str) -> tuple[Expression, Scope] | None:
        """Find who defines `key`: this ad, the records around it, then the other ad of the match."""
        scope: Scope | None = self
        while scope is not None:
            expression = scope.ad.find(key)
            if expression is not None:
                return expression, scope
            scope = scope.outer
        other = self.outermost().other if self.sees_other else None
        if other is not None:
            expression = other.ad.find(key)
            if expression is not None:
                return expression, other
        return None


class Sequence:
    """A list whose elements are evaluated one by one, each time somebody looks."""

    __slots__ = ("compiled", "scope", "trees")

    def __init__(self, trees: tuple[Tree, ...], compiled: list[Compiled], scope: Scope) -> None:
        self.trees = trees
        self.compiled = compiled
        self.scope = scope

    def __len__(self) -> int:
        return len(self.trees)

    def __getitem__(self, index: int) -> Inner:
        tree, scope = self.trees[index], self.scope
        if isinstance(tree, Literal):
            return tree.value
        run, active, identity = scope.run, scope.active, id(tree)
        if identity in active:
            return UNDEFINED
        run.depth += ELEMENT_DEPTH
        try:
            if not run.spend(1) or run.depth > MAX_DEPTH:
                return ERROR
            active.add(identity)
            return self.compiled[index](scope)
        finally:
            active.discard(identity)
            run.depth -= ELEMENT_DEPTH

    def __iter__(self) -> Iterator[Inner]:
        return (self[index] for index in range(len(self.trees)))


class Selected(list["Inner"]):
    """What selecting a name from a list gives: in HTCondor a list like one that was written."""


Inner: TypeAlias = bool | int | float | str | Nothing | AbsTime | RelTime | Scope | Sequence | list["Inner"]
"""What an expression is worth inside an evaluation."""

Compiled: TypeAlias = Callable[[Scope], Inner]


def is_list(value: Inner) -> bool:
    return isinstance(value, Sequence | list)


def is_record(value: Inner) -> bool:
    return isinstance(value, Scope)
