"""An expression: a tree, its canonical text, and its compiled form once somebody evaluates it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.classad import evaluation
from dsl.classad.errors import ClassAdSyntaxError
from dsl.classad.scope import MAX_STEPS
from dsl.classad.text import text_of
from dsl.classad.tree import Literal, Tree, depth_of
from dsl.classad.values import ERROR, UNDEFINED, Scalar, Value

if TYPE_CHECKING:
    from dsl.classad.ad import Ad
    from dsl.classad.scope import Compiled


class Expression:
    """Immutable. Two expressions are equal when their canonical texts are."""

    __slots__ = ("_text", "compiled", "constant", "depth", "fault", "is_literal", "tree")

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.is_literal = tree.__class__ is Literal
        self.constant: Scalar = tree.value if isinstance(tree, Literal) else UNDEFINED
        self.compiled: Compiled | None = None
        self.depth = 1
        self.fault: ClassAdSyntaxError | None = None
        self._text: str | None = None

    @classmethod
    def broken(cls, text: str, fault: ClassAdSyntaxError) -> Expression:
        """Stand for a text that cannot be read: it keeps its text and is ERROR."""
        expression = cls(Literal(ERROR))
        expression.fault = fault
        expression._text = text
        return expression

    def evaluate(
        self, my: Ad | None = None, target: Ad | None = None, *, now: float | None = None, seed: int | None = None,
        steps: int = MAX_STEPS,
    ) -> Value:
        """Return what this is worth seen from `my` with `target` as the other ad; never raises.

        Without `now` (seconds since 1970) `time()` is undefined; without `seed` `random()` is. It is ERROR
        where `steps` attributes and elements do not suffice.
        """
        if self.is_literal:
            return self.constant
        return evaluation.evaluate(self, my, target, now, seed, steps)

    def compile(self) -> Compiled:
        """Make the form that is evaluated; done once, by whoever evaluates first."""
        # The functions of the language take longer to import than most commands need: they never evaluate.
        from dsl.classad.compile import compile_tree

        self.depth = depth_of(self.tree)
        compiled = self.compiled = compile_tree(self.tree)
        return compiled

    def __str__(self) -> str:
        text = self._text
        if text is None:
            text = self._text = text_of(self.tree)
        return text

    def __repr__(self) -> str:
        return f"parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expression) and str(self) == str(other))

    def __hash__(self) -> int:
        return hash(str(self))
