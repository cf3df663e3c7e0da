"""The canonical text of a tree: one line, parentheses as they were written, in new or in old syntax."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from dsl.classad.literals import literal_text, name_text, old_literal_text, selected_name_text
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
from dsl.classad.values import Scalar


class Style(NamedTuple):
    literal: Callable[[Scalar], str]
    operators: Mapping[str, str]
    """Operators that are spelled otherwise than in the tree."""
    column: int | None = None
    """Where lists and records start new lines: the column of what is around them."""


NEW = Style(literal_text, {})
OLD = Style(old_literal_text, {"is": "=?=", "isnt": "=!="})
LINES = Style(literal_text, {}, column=0)


def text_of(tree: Tree, style: Style = NEW) -> str:
    match tree:
        case Literal(value):
            return style.literal(value)
        case Reference(name, absolute):
            return f".{selected_name_text(name)}" if absolute else name_text(name)
        case Select(record, name):
            return f"{text_of(record, style)}.{selected_name_text(name)}"
        case Binary(operator, left, right):
            return f"{text_of(left, style)} {style.operators.get(operator, operator)} {text_of(right, style)}"
        case Logic(operator, operands):
            return f" {operator} ".join([text_of(operand, style) for operand in operands])
        case Parenthesis(inner):
            return f"({text_of(inner, style)})"
        case Unary(operator, operand):
            return f" {operator}{text_of(operand, style)}"
        case Call(name, arguments):
            return f"{name_text(name)}({','.join([text_of(argument, style) for argument in arguments])})"
        case Conditional(test, then, otherwise):
            return f"{text_of(test, style)} ? {text_of(then, style)} : {text_of(otherwise, style)}"
        case Elvis(value, otherwise):
            return f"{text_of(value, style)} ?: {text_of(otherwise, style)}"
        case Subscript(base, index):
            return f"{text_of(base, style)}[{text_of(index, style)}]"
        case ListTree(items) if style.column is not None:
            return _over_lines("{", ",", "}", [("", item) for item in items], style, 3)
        case ListTree(items):
            return f"{{ {','.join([text_of(item, style) for item in items])} }}"
        case RecordTree(named) if style.column is not None:
            parts = [(f"{name_text(name)} = ", item) for name, item in sorted(named, key=_order)]
            return _over_lines("[", "; ", "]", parts, style, 4)
        case RecordTree(named):
            return record_text((name, text_of(item, style)) for name, item in named)


def record_text(items: Iterable[tuple[str, str]]) -> str:
    """Write a record from names and texts, in the canonical order."""
    return f"[ {'; '.join([f'{name_text(name)} = {text}' for name, text in in_order(items)])} ]"


def in_order(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sort short names before long ones, then by letter: HTCondor's order."""
    return sorted(items, key=_order)


def _order(item: tuple[str, object]) -> tuple[int, str]:
    return len(item[0]), item[0].lower()


def _over_lines(
    opening: str, separator: str, closing: str, parts: list[tuple[str, Tree]], style: Style, indent: int
) -> str:
    outer = (style.column or 0) + indent
    within = style._replace(column=outer + indent)
    line = "\n" + " " * (outer + indent)
    written = separator.join([f"{line}{prefix}{text_of(part, within)}" for prefix, part in parts])
    edge = "\n" + " " * outer
    return f"{edge}{opening}{written}{edge}{closing}"
