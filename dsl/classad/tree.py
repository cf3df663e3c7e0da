"""The shapes an expression can have, one class per syntax class of `classad.lark`.

A tree is plain data and knows nothing of evaluation. Parentheses are kept,
because the canonical text keeps them; `is` and `isnt` stand for `=?=` and `=!=` too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dsl.classad.values import Scalar


@dataclass(slots=True, frozen=True)
class Conditional:
    test: Tree
    then: Tree
    otherwise: Tree


@dataclass(slots=True, frozen=True)
class Logic:
    """A whole chain `a && b && c`, so that a long policy is wide and not deep."""

    operator: str
    operands: tuple[Tree, ...]


@dataclass(slots=True, frozen=True)
class Binary:
    operator: str
    left: Tree
    right: Tree


@dataclass(slots=True, frozen=True)
class Unary:
    operator: str
    operand: Tree


@dataclass(slots=True, frozen=True)
class Elvis:
    """`a ?: b`: a, or b where a is undefined."""

    value: Tree
    otherwise: Tree


@dataclass(slots=True, frozen=True)
class Select:
    """`record.name`; `MY.x` and `TARGET.x` are selections from the references MY and TARGET."""

    record: Tree
    name: str


@dataclass(slots=True, frozen=True)
class Subscript:
    base: Tree
    index: Tree


@dataclass(slots=True, frozen=True)
class Call:
    name: str
    arguments: tuple[Tree, ...]


@dataclass(slots=True, frozen=True)
class Reference:
    """`name`, looked up from the inside out; `.name` is absolute and starts at the outermost ad."""

    name: str
    absolute: bool = False


@dataclass(slots=True, frozen=True)
class Parenthesis:
    inner: Tree


@dataclass(slots=True, frozen=True)
class ListTree:
    items: tuple[Tree, ...]


@dataclass(slots=True, frozen=True)
class RecordTree:
    """Names are unique without regard to case and stand in the order they were written."""

    items: tuple[tuple[str, Tree], ...]


@dataclass(slots=True, frozen=True)
class Literal:
    value: Scalar


Tree: TypeAlias = (
    Conditional
    | Logic
    | Binary
    | Unary
    | Elvis
    | Select
    | Subscript
    | Call
    | Reference
    | Parenthesis
    | ListTree
    | RecordTree
    | Literal
)


def children(tree: Tree) -> tuple[Tree, ...]:
    """List the direct parts of `tree`, left to right."""
    match tree:
        case Conditional(test, then, otherwise):
            return test, then, otherwise
        case Logic(_, operands):
            return operands
        case Binary(_, left, right):
            return left, right
        case Unary(_, operand):
            return (operand,)
        case Elvis(value, otherwise):
            return value, otherwise
        case Select(record, _):
            return (record,)
        case Subscript(base, index):
            return base, index
        case Call(_, arguments):
            return arguments
        case Parenthesis(inner):
            return (inner,)
        case ListTree(items):
            return items
        case RecordTree(named):
            return tuple(item for _, item in named)
        case _:
            return ()


def depth_of(tree: Tree) -> int:
    """Count the levels of `tree`, without walking down it by recursion."""
    depth = 0
    level: list[Tree] = [tree]
    while level:
        depth += 1
        level = [child for parent in level for child in children(parent)]
    return depth
