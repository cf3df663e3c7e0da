"""Partial evaluation: replace what one ad already decides, keep the rest as an expression.

As in HTCondor the known operands of `+ * & | ^` are gathered in front of the
unknown ones, so `X + 1 + 2` becomes `3 + X`; lists and records stay in place.
"""

from __future__ import annotations

from typing import NamedTuple

from dsl.classad.ad import Ad
from dsl.classad.evaluation import evaluate
from dsl.classad.expression import Expression
from dsl.classad.external import references
from dsl.classad.operators import BINARY, UNARY, truth
from dsl.classad.scope import Inner
from dsl.classad.tree import (
    Binary,
    Call,
    Conditional,
    Elvis,
    ListTree,
    Literal,
    Logic,
    Parenthesis,
    RecordTree,
    Reference,
    Select,
    Subscript,
    Tree,
    Unary,
)
from dsl.classad.values import ERROR, UNDEFINED

_GATHERING = frozenset({"+", "*", "&", "|", "^"})
_UNSTEADY = frozenset({"time", "currenttime", "random", "abstime", "daytime", "formattime"})
"""Functions whose value without arguments changes from one evaluation to the next; `random` changes with them too."""

_MAX_NESTING = 3
"""Attributes that are followed one from another; each may be as deep as an expression can be."""

_NO_AD = Ad()


def flatten(expression: Expression, ad: Ad) -> Expression:
    """Return what is left of `expression` once `ad` is known: a literal where nothing is."""
    return Expression(_Flattening(ad).tree(expression.tree))


class _Split(NamedTuple):
    """An operation taken apart: `value operator rest`."""

    operator: str
    value: Inner
    rest: Tree


class _Flattening:
    def __init__(self, ad: Ad) -> None:
        self.ad = ad
        self.known: dict[str, Literal | None] = {}
        """What attributes are worth; None while one is being sought, and for one that stays a name."""
        self.nesting = 0

    def tree(self, tree: Tree) -> Tree:
        match tree:
            case Reference() | Select():
                return self.name(tree)
            case Binary(operator, _, _) if operator in _GATHERING:
                return _joined(self.split(tree))
            case Binary(operator, left, right):
                return _operation(operator, self.tree(left), self.tree(right))
            case Logic(operator, operands):
                return self.logic(operator, operands)
            case Unary(operator, operand):
                flat = self.tree(operand)
                return _literal(UNARY[operator](flat.value)) if isinstance(flat, Literal) else Unary(operator, flat)
            case Parenthesis(inner):
                flat = self.tree(inner)
                return flat if isinstance(flat, Literal) else Parenthesis(flat)
            case Conditional(test, then, otherwise):
                return self.conditional(test, then, otherwise)
            case Elvis(value, otherwise):
                return _elvis(self.tree(value), self.tree(otherwise))
            case Subscript(base, index):
                return Subscript(self.tree(base), self.tree(index))
            case Call(name, arguments):
                return _call(name, tuple(self.tree(argument) for argument in arguments))
            case ListTree(items):
                return ListTree(tuple(self.tree(item) for item in items))
            case RecordTree(named):
                # Inside a record a name may mean the record's own attribute: only constants are replaced there.
                inside = _Flattening(_NO_AD)
                return RecordTree(tuple((name, inside.tree(item)) for name, item in named))
            case _:
                return tree

    def name(self, tree: Reference | Select) -> Tree:
        """Replace a name by its value where that is a scalar and `ad` alone gives it."""
        internal, external = references(Expression(tree), self.ad)
        if external or not internal:
            return tree
        name = tree.name.lower()
        if isinstance(tree, Select) and not _is_mine(tree):
            value = evaluate(Expression(tree), self.ad, None, None, None)
            # Undefined may mean that the hour is not known yet.
            return tree if value is UNDEFINED or isinstance(value, list | Ad) else Literal(value)
        if name not in self.known:
            if self.nesting >= _MAX_NESTING:
                return tree
            self.known[name] = None
            self.nesting += 1
            flat = self.tree(self.ad[name].tree)
            self.nesting -= 1
            self.known[name] = flat if isinstance(flat, Literal) else None
        return self.known[name] or tree

    def split(self, tree: Tree) -> Tree | _Split:
        """Flatten an operation of `_GATHERING` and keep its known operand apart for the operation around it."""
        if not (isinstance(tree, Binary) and tree.operator in _GATHERING):
            return self.tree(tree)
        operator = tree.operator
        left, right = self.split(tree.left), self.split(tree.right)
        if isinstance(left, Literal) and isinstance(right, Literal):
            return _operation(operator, left, right)
        for side in (left, right):
            if isinstance(side, _Split) and side.operator != operator:
                return Binary(operator, _joined(left), _joined(right))
        known = [side.value for side in (left, right) if isinstance(side, Literal | _Split)]
        rests = [
            side.rest if isinstance(side, _Split) else side for side in (left, right) if not isinstance(side, Literal)
        ]
        rest = rests[0] if len(rests) == 1 else Binary(operator, rests[0], rests[1])
        if not known:
            return rest
        return _Split(operator, known[0] if len(known) == 1 else BINARY[operator](known[0], known[1]), rest)

    def logic(self, operator: str, operands: tuple[Tree, ...]) -> Tree:
        decisive = operator == "||"
        kept: list[Tree] = []
        for operand in operands:
            flat = self.tree(operand)
            if not isinstance(flat, Literal):
                kept.append(flat)
                continue
            known = truth(flat.value)
            if known is decisive:
                return Literal(decisive)
            if known is ERROR and not kept:
                return Literal(ERROR)
            if known is ERROR or known is UNDEFINED:
                kept.append(Literal(known))
        if not kept:
            return Literal(not decisive)
        return kept[0] if len(kept) == 1 else Logic(operator, tuple(kept))

    def conditional(self, test: Tree, then: Tree, otherwise: Tree) -> Tree:
        flat = self.tree(test)
        if not isinstance(flat, Literal):
            return Conditional(flat, self.tree(then), self.tree(otherwise))
        chosen = truth(flat.value)
        if isinstance(chosen, bool):
            return self.tree(then if chosen else otherwise)
        return Literal(chosen)


def _is_mine(tree: Select) -> bool:
    return isinstance(tree.record, Reference) and tree.record.name.lower() == "my"


def _joined(split: Tree | _Split) -> Tree:
    return Binary(split.operator, _literal(split.value), split.rest) if isinstance(split, _Split) else split


def _operation(operator: str, left: Tree, right: Tree) -> Tree:
    if isinstance(left, Literal) and isinstance(right, Literal):
        return _literal(BINARY[operator](left.value, right.value))
    return Binary(operator, left, right)


def _elvis(value: Tree, otherwise: Tree) -> Tree:
    if isinstance(value, Literal) and isinstance(otherwise, Literal):
        return otherwise if value.value is UNDEFINED else value
    return Elvis(value, otherwise)


def _literal(value: Inner) -> Tree:
    return Literal(value)  # type: ignore[arg-type]


def _call(name: str, arguments: tuple[Tree, ...]) -> Tree:
    call = Call(name, arguments)
    known = all(isinstance(argument, Literal) for argument in arguments)
    if not known or (name.lower() in _UNSTEADY and (not arguments or name.lower() == "random")):
        return call
    value = evaluate(Expression(call), None, None, None, None)
    return call if isinstance(value, list | Ad) else Literal(value)
