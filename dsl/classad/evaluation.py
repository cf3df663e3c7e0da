"""Evaluation from outside: open the scopes of one or two ads, evaluate, and hand out a value that stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.classad.scope import MAX_STEPS, Inner, Run, Scope, Sequence
from dsl.classad.values import ERROR, UNDEFINED, Value

if TYPE_CHECKING:
    from dsl.classad.ad import Ad
    from dsl.classad.expression import Expression

MAX_NESTING = 100
"""Levels of lists and records in a result."""


def evaluate(expression: Expression, my: Ad | None, target: Ad | None, now: float | None, seed: int | None,
             steps: int = MAX_STEPS) -> Value:
    from dsl.classad.ad import Ad

    run = Run(now, seed, steps)
    scope = Scope(Ad.none(), run, exists=False) if my is None else Scope(my, run)
    if target is not None:
        other = scope.other = Scope(target, run)
        other.other = scope
    try:
        value = scope.value_of(expression)
        if isinstance(value, Scope | Sequence | list):
            return _Outside(run).value(value)
        return value
    except (RecursionError, MemoryError):
        # The caller's own stack was nearly full; our bounds alone never come to this.
        return ERROR


class _Outside:
    """Turns what lists and records are worth inside an evaluation into values without ties to any ad."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.open: list[tuple[object, object]] = []

    def value(self, inner: Inner) -> Value:
        if not isinstance(inner, Scope | Sequence | list):
            return inner
        identity = _identity(inner)
        if identity in self.open:
            return UNDEFINED
        if len(self.open) >= MAX_NESTING or not self.run.spend(1):
            return ERROR
        self.open.append(identity)
        try:
            if isinstance(inner, Scope):
                return self.record(inner)
            return [self.value(item) for item in inner]
        finally:
            self.open.pop()

    def record(self, scope: Scope) -> Ad:
        from dsl.classad.ad import Ad

        return Ad.from_values({name: self.value(scope.attribute(name.lower())) for name in scope.ad})


def _identity(inner: Scope | Sequence | list[Inner]) -> tuple[object, object]:
    """Tell whether two lists or records are made by the same expression in the same ad."""
    match inner:
        case Scope():
            return id(inner.ad), id(inner.active)
        case Sequence():
            return id(inner.trees), id(inner.scope.active)
        case _:
            return id(inner), 0
