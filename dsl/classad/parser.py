"""From text to tree.

`classad.lark` says what may be written; this file turns what Lark finds into
trees, and what Lark refuses into a ClassAdSyntaxError. Lark is imported by the
first text that is more than a plain literal, because importing it and building
its tables takes longer than a command may take to start.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dsl.classad.errors import ClassAdSyntaxError
from dsl.classad.literals import KEYWORDS, BadLiteral, unescaped, unquoted
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
    depth_of,
)
from dsl.classad.values import AbsTime, RelTime

if TYPE_CHECKING:
    from lark import Token, UnexpectedInput

MAX_TEXT = 1 << 20
"""Characters in one text: far beyond any policy, small enough to be read in seconds."""

MAX_DEPTH = 200
"""Levels of nesting; HTCondor stops at about 165. Walking a tree must not exhaust the stack."""

_PLAIN = re.compile(
    r"\s*(?:(-?(?:0|[1-9][0-9]{0,17}))|\"([^\"\\\0]*)\"|(true|false|undefined|error))\s*\Z", re.IGNORECASE
)


def parse_tree(text: str) -> Tree:
    """Read one expression; raise ClassAdSyntaxError if `text` is none."""
    plain = _PLAIN.match(text)
    if plain is not None:
        integer, string, keyword = plain.groups()
        if integer is not None:
            return Literal(int(integer))
        return Literal(string) if string is not None else Literal(KEYWORDS[keyword.lower()])
    if len(text) > MAX_TEXT:
        raise ClassAdSyntaxError(text, MAX_TEXT, f"the expression is longer than {MAX_TEXT} characters")
    return _check_depth(text, _lark()(text))


def _check_depth(text: str, tree: Tree) -> Tree:
    """Refuse what is nested too deeply, without walking down it by recursion."""
    if len(text) <= MAX_DEPTH:
        return tree
    if depth_of(tree) <= MAX_DEPTH:
        return tree
    raise ClassAdSyntaxError(
        text, 0, f"the expression is nested deeper than {MAX_DEPTH} levels", "Split it into several attributes."
    )


@lru_cache(maxsize=1)
def _lark() -> Callable[[str], Tree]:
    from lark import Lark, UnexpectedInput

    lark = Lark.open("classad.lark", rel_to=__file__, parser="lalr", transformer=_Builder(), maybe_placeholders=False)

    def parse(text: str) -> Tree:
        try:
            tree: Tree = lark.parse(text)  # type: ignore[assignment]
        except UnexpectedInput as refused:
            raise _syntax_error(text, refused) from None
        except _Refused as refused:
            raise ClassAdSyntaxError(text, *refused.args) from None
        return tree

    return parse


class _Refused(Exception):
    """A text that fits the grammar and means nothing: offset, message, reason."""


class _Builder:
    """What Lark calls when it has read a syntax class: one method for each alias in the grammar."""

    def integer(self, found: list[Token]) -> Tree:
        number = int(found[0][:_MAX_DIGITS])
        if not -(1 << 63) <= number < 1 << 63:
            raise _Refused(found[0].start_pos, "the integer does not fit into 64 bits", "Write it as a real: 1.0e20.")
        return Literal(number)

    def real(self, found: list[Token]) -> Tree:
        return Literal(float(found[0]))

    def string(self, found: list[Token]) -> Tree:
        return Literal(_readable(found[0], unquoted))

    def keyword(self, found: list[Token]) -> Tree:
        return Literal(KEYWORDS[found[0].lower()])

    def reference(self, found: list[Token]) -> Tree:
        return Reference(_name(found[0]))

    def absolute(self, found: list[Token]) -> Tree:
        return Reference(_name(found[0]), absolute=True)

    def select(self, found: list[Any]) -> Tree:
        return Select(found[0], _name(found[1]))

    def subscript(self, found: list[Tree]) -> Tree:
        return Subscript(found[0], found[1])

    def call(self, found: list[Any]) -> Tree:
        name = _name(found[0])
        match found[1:]:
            case [Literal(str(text))] if name.lower() in _TIMES:
                time = _TIMES[name.lower()](text)
                if time is None:
                    raise _Refused(found[0].start_pos, f"{name} cannot read {text!r}", _TIME_ADVICE)
                return Literal(time)
            case arguments:
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
        return _name(found[0]), found[1]

    def elvis(self, found: list[Any]) -> Tree:
        return Elvis(found[0], found[2])

    def unary(self, found: list[Any]) -> Tree:
        return Unary(str(found[0]), found[1])

    def binary(self, found: list[Any]) -> Tree:
        left, token, right = found
        operator = token.lower()
        return Binary(_SPELLINGS.get(operator, operator), left, right)

    def conjunction(self, found: list[Tree]) -> Tree:
        return Logic("&&", tuple(found))

    def disjunction(self, found: list[Tree]) -> Tree:
        return Logic("||", tuple(found))

    def conditional(self, found: list[Tree]) -> Tree:
        return Conditional(found[0], found[1], found[2])


_MAX_DIGITS = 21
"""Of an integer; reading far more takes quadratic time, and one with so many is refused in any case."""
_SPELLINGS = {"=?=": "is", "=!=": "isnt"}
_TIMES: dict[str, Callable[[str], AbsTime | RelTime | None]] = {"abstime": read_abs_time, "reltime": read_rel_time}
_TIME_ADVICE = 'Write absTime("2024-01-31T12:00:00+01:00") or relTime("1+02:03:04").'


def _name(token: Token) -> str:
    return _readable(token, lambda quoted: unescaped(quoted[1:-1])) if token[0] == "'" else str(token)


def _readable(token: Token, read: Callable[[str], str]) -> str:
    try:
        return read(token)
    except BadLiteral as bad:
        raise _Refused(token.start_pos, *bad.args) from None


def _syntax_error(text: str, refused: UnexpectedInput) -> ClassAdSyntaxError:
    """Say what stands where, what could have stood there, and what the writer may have meant."""
    expected = getattr(refused, "allowed", None) or getattr(refused, "expected", None) or ()
    reason = "A value or a name is expected here." if "NAME" in expected else "An operator or the end is expected here."
    offset = refused.pos_in_stream or 0
    if getattr(getattr(refused, "token", None), "type", None) == "$END":
        return ClassAdSyntaxError(text, len(text.rstrip()), "the expression ends too early", reason)
    for pattern, advice in _ADVICE:
        if pattern.match(text, offset):
            reason = advice
            break
    word = _WORD.match(text, offset)
    return ClassAdSyntaxError(text, offset, f"cannot read {word[0] if word else ''!r} here", reason)


_WORD = re.compile(r"\w{1,40}|.", re.DOTALL)
_ADVICE = [
    (re.compile(r"=(?![=?!])"), 'To compare write "==".'),
    (re.compile(r"(and|or|not)\b", re.IGNORECASE), 'Write "&&" for and, "||" for or, "!" for not.'),
    (
        re.compile(r"-?\d+[KMGTB]", re.IGNORECASE),
        "ClassAd numbers have no units; write the number in full, as in 4 * 1024.",
    ),
    (re.compile(r"-?0[\dxXbB]"), "Integers are decimal and have no leading zero."),
    (re.compile(r"-?\d+\."), "A real has digits on both sides of the point, as in 1.0."),
    (re.compile('"'), 'The string is not closed; a quotation mark inside it is written \\".'),
    (re.compile("'"), "The quoted name is not closed."),
    (re.compile("(?<=<)>"), 'Write "!=" for unequal.'),
]
