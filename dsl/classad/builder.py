"""What the parser makes of what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsl.classad.literals import KEYWORDS, BadLiteral, unquoted, unquoted_name
from dsl.classad.times import read_abs_time, read_rel_time
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
from dsl.classad.values import AbsTime, RelTime


class Refused(Exception):
    """A text that fits the grammar and means nothing: its offset (None: that of the call just read), what, why."""


class Builder:
    """What is made of a token (by the name of its terminal) and of a syntax class (by its alias in the grammar)."""

    def __init__(self) -> None:
        self.tokens: dict[str, Callable[[str, int], Any]] = {
            "INTEGER": _integer,
            "REAL": lambda token, offset: Literal(float(token)),
            "STRING": lambda token, offset: Literal(_readable(token, offset, unquoted)),
            "KEYWORD": lambda token, offset: Literal(KEYWORDS[token.lower()]),
            "NAME": _name,
            "EQUALITY": lambda token, offset: _SPELLINGS.get(token, token.lower()),
        }

    def only(self, found: list[Tree]) -> Tree:
        return found[0]

    integer = real = string = keyword = only

    def reference(self, found: list[str]) -> Tree:
        return Reference(found[0])

    def absolute(self, found: list[str]) -> Tree:
        return Reference(found[0], absolute=True)

    def select(self, found: list[Any]) -> Tree:
        return Select(found[0], found[1])

    def subscript(self, found: list[Tree]) -> Tree:
        return Subscript(found[0], found[1])

    def call(self, found: list[Any]) -> Tree:
        name, *arguments = found
        read_time = _TIMES.get(name.lower())
        if read_time is not None and len(arguments) == 1 and isinstance(arguments[0], Literal):
            written = arguments[0].value
            if isinstance(written, str):
                time = read_time(written)
                if time is None:
                    raise Refused(None, f"{name} cannot read {written!r}", _TIME_ADVICE)
                return Literal(time)
        return Call(name, tuple(arguments))

    def parenthesis(self, found: list[Tree]) -> Tree:
        return Parenthesis(found[0])

    def listing(self, found: list[Tree]) -> Tree:
        return ListTree(tuple(found))

    def record(self, found: list[tuple[str, Tree]]) -> Tree:
        # A repeated attribute keeps its first spelling and its last expression.
        spelling: dict[str, str] = {}
        items: dict[str, Tree] = {}
        for name, item in found:
            items[spelling.setdefault(name.lower(), name)] = item
        return RecordTree(tuple(items.items()))

    def attribute(self, found: list[Any]) -> tuple[str, Tree]:
        return found[0], found[1]

    def elvis(self, found: list[Any]) -> Tree:
        return Elvis(found[0], found[2])

    def unary(self, found: list[Any]) -> Tree:
        return Unary(found[0], found[1])

    def binary(self, found: list[Any]) -> Tree:
        left, operator, right = found
        return Binary(operator, left, right)

    def conjunction(self, found: list[Tree]) -> Tree:
        return Logic("&&", tuple(found))

    def disjunction(self, found: list[Tree]) -> Tree:
        return Logic("||", tuple(found))

    def conditional(self, found: list[Tree]) -> Tree:
        return Conditional(found[0], found[1], found[2])


_SPELLINGS = {"=?=": "is", "=!=": "isnt"}
_TIMES: dict[str, Callable[[str], AbsTime | RelTime | None]] = {"abstime": read_abs_time, "reltime": read_rel_time}
_TIME_ADVICE = 'Write absTime("2024-01-31T12:00:00+01:00") or relTime("1+02:03:04").'
_MAX_DIGITS = 21
"""Of an integer; reading far more takes quadratic time, and one with so many is refused in any case."""


def _integer(token: str, offset: int) -> Tree:
    number = int(token[:_MAX_DIGITS])
    if not -(1 << 63) <= number < 1 << 63:
        raise Refused(offset, "the integer does not fit into 64 bits", "Write it as a real: 1.0e20.")
    return Literal(number)


def _name(token: str, offset: int) -> str:
    return _readable(token, offset, unquoted_name) if token[0] == "'" else token


def _readable(token: str, offset: int, read: Callable[[str], str]) -> str:
    try:
        return read(token)
    except BadLiteral as bad:
        raise Refused(offset, *bad.args) from None
