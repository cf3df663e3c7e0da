"""What one logical line says; the grammar is `submit.lark`.

What cannot be read becomes a `BadLine`, in words that say what such a line should look like.
"""

import re
from functools import cache
from typing import Any

from dsl.submit.forms import (
    Assignment,
    Attribute,
    BadLine,
    Block,
    Condition,
    Include,
    Message,
    Queue,
    QueueArguments,
    Statement,
    Sweep,
    SweepAxis,
    TableFile,
    Use,
)
from dsl.submit.mistakes import nearest, shown
from dsl.submit.reader import Reader, Token, Unread

COUNT_LIMIT = 10**12
"""Counts beyond it stay at it: they are out of range anyway."""


def parse_line(text: str) -> Statement:
    """Return the statement of one logical line, or raise BadLine."""
    return _plain(text) or parse_by_grammar(text)


_PLAIN_LINE = re.compile(r"[ \t\f\v]*(?:(?P<own>(?:\+|MY\.)(?=[A-Za-z0-9_]+[ \t\f\v]*=))?(?P<name>[A-Za-z0-9_.]+)"
                         r"[ \t\f\v]*=[ \t\f\v]*(?P<value>.*)|queue(?:[ \t]+(?P<count>[0-9]+))?)\Z",
                         re.IGNORECASE | re.DOTALL)
_KEYWORDS = frozenset({"queue", "if", "elif"})


def _plain(text: str) -> Statement | None:
    """What most lines are, without the grammar, which takes ten times as long."""
    found = _PLAIN_LINE.match(text)
    if found is None:
        return None
    name, value = found["name"], found["value"]
    if name is None:
        return Queue(found["count"] or "", found.start("count") if found["count"] else len(text) - len(text.lstrip()))
    start = found.start("own") if found["own"] else found.start("name")
    offset = found.start("value") if value else start
    if found["own"]:
        return Attribute(name, value, offset, start)
    return None if name.lower() in _KEYWORDS else Assignment(name, value, offset, start)


def parse_by_grammar(text: str) -> Statement:
    """The same for any line."""
    try:
        statement: Statement = _reader().read(text, "line")
    except Unread as error:
        raise _bad_line(text, error.offset) from None
    return statement


def parse_queue_arguments(text: str) -> QueueArguments:
    """Return what stands after `queue`, macros expanded, or raise BadLine."""
    if not text.strip():
        return QueueArguments()
    if text.strip().isdecimal() and text.isascii():
        digits = text.strip()
        return QueueArguments(int(digits) if len(digits) < 13 else COUNT_LIMIT)
    try:
        arguments: QueueArguments = _reader().read(text, "queue_arguments")
    except Unread as error:
        offset = error.offset
        rest = text[offset:]
        raise BadLine(offset, len(rest), "this queue line is not understood",
                      f"{shown(rest, 30)!r} does not fit here." if rest else 'After names comes "in", "from" or '
                      '"matching"; a count is a number.',
                      "Write: queue [count] [names in (list) | names from FILE | names matching GLOB]") from None
    return arguments


def parse_sweep(text: str) -> list[SweepAxis]:
    """Return the axes of `sweep text`, macros expanded, or raise BadLine."""
    try:
        axes: list[SweepAxis] = _reader().read(text, "sweep_axes")
    except Unread as error:
        offset = error.offset
        raise BadLine(offset, max(len(text) - offset, 1), "this sweep is not understood",
                      f"{shown(text[offset:], 30)!r} does not fit here." if text[offset:] else "It ends too early.",
                      "Write: sweep alpha in 0.1..1.0 step 0.1, name in (a, b, c)") from None
    return axes


@cache
def _reader() -> Reader:
    return Reader(_Statements())


class _Statements:
    """What is made of each rule, by its alias or name in the grammar."""

    def assignment(self, name: Token, value: Token | None = None) -> Assignment:
        return Assignment(str(name), _text(value), _start(value, name), _start(name))

    def attribute(self, name: Token, value: Token | None = None) -> Attribute:
        bare = name[1:] if name.startswith("+") else name[3:]
        return Attribute(str(bare), _text(value), _start(value, name), _start(name))

    def block(self, name: Token, tag: Token) -> Block:
        return Block(str(name), str(tag), _start(name))

    def queue(self, word: Token, arguments: Token | None = None) -> Queue:
        return Queue(_text(arguments), _start(arguments, word))

    def condition(self, word: Token, condition: Token | None = None) -> Condition:
        return Condition(word.lower(), _text(condition), _start(condition, word))

    def message(self, kind: Token, text: Token | None = None) -> Message:
        return Message(kind.lower(), _text(text))

    def include(self, word: Token, *rest: Token) -> Include:
        how, target = _how_and_value(rest)
        return Include(_text(how).strip(), _text(target), _start(target, word))

    def use(self, word: Token, *rest: Token) -> Use:
        _, template = _how_and_value(rest)
        return Use(_text(template), _start(template, word))

    def sweep(self, word: Token, axes: Token) -> Sweep:
        return Sweep(_text(axes), _start(axes))

    def table(self, word: Token, path: Token) -> TableFile:
        return TableFile(_text(path), _start(path))

    def queue_arguments(self, *parts: Any) -> QueueArguments:
        known: dict[str, Any] = {}
        for part in parts:
            known |= part
        return QueueArguments(**known)

    def sweep_axes(self, *axes: SweepAxis) -> list[SweepAxis]:
        return list(axes)

    def range(self, name: Token, _in: Token, first: Token, last: Token,
              *step: Token) -> SweepAxis:
        end = (step[-1] if step else last).end_pos
        start = first.start_pos
        return SweepAxis(str(name), start, end - start, str(first), str(last), str(step[-1]) if step else "")

    def values(self, name: Token, _in: Token, *values: str) -> SweepAxis:
        return SweepAxis(str(name), name.start_pos, len(name), values=[str(value) for value in values])

    def quoted(self, token: Token) -> str:
        return token[1:-1].replace('""', '"')

    def bare(self, token: Token) -> str:
        return str(token)

    def count(self, value: int) -> dict[str, Any]:
        return {"count": value}

    def names(self, *tokens: Token) -> dict[str, Any]:
        return {"names": tuple(str(token) for token in tokens)}

    def source(self, word: Token, *tokens: Token) -> dict[str, Any]:
        return {"source": word.lower()} | {token.type.lower(): str(token) for token in tokens}

    def integer(self, digits: Token) -> int:
        return int(digits) if len(digits) < 13 else COUNT_LIMIT

    def add(self, left: int, right: int) -> int:
        return _bounded(left + right)

    def subtract(self, left: int, right: int) -> int:
        return _bounded(left - right)

    def multiply(self, left: int, right: int) -> int:
        return _bounded(left * right)

    def negate(self, value: int) -> int:
        return -value


def _how_and_value(tokens: tuple[Token, ...]) -> tuple[Token | None, Token | None]:
    """What stands before a colon and after it."""
    found = {token.type: token for token in tokens}
    return found.get("HOW"), found.get("VALUE")


def _bounded(value: int) -> int:
    return max(-COUNT_LIMIT, min(COUNT_LIMIT, value))


def _text(token: Token | None) -> str:
    return "" if token is None else str(token)


def _start(*tokens: Token | None) -> int:
    return next((token.start_pos for token in tokens if token is not None), 0)


_EXAMPLES = {"include": "include : FILE", "use": "use CATEGORY : template", "sweep": "sweep x in 1..10",
             "table": "table FILE.csv"}
_FIRST_WORD = re.compile(r"[ \t\f\v]*([^\s=:]*)")


def _bad_line(text: str, offset: int) -> BadLine:
    """Say what is wrong with a line that is no statement."""
    found = _FIRST_WORD.match(text)
    word, start = (found[1], found.start(1)) if found else ("", 0)
    lower = word.lower()
    if lower in _EXAMPLES:
        return BadLine(start, len(word), f'this is not how "{lower}" is written', cure=f"Write: {_EXAMPLES[lower]}")
    if lower in ("else", "elseif", "endif"):
        return BadLine(start, len(word), f'"{lower}" stands alone on its line',
                       cure="For another condition write: elif CONDITION")
    before, equals, _ = text.partition("=")
    if equals and not before.strip(" \t@"):
        return BadLine(start, 1, 'there is no name before "="', cure="Write: name = value")
    if equals and ":" not in before:
        name = before.strip(" \t@")
        why = "A name consists of letters, digits, \"_\" and \".\"."
        cure = "For an attribute of your own write: +Name = value" if name.startswith("+") else ""
        return BadLine(start, len(name), f'"{shown(name)}" is not a name', why, cure)
    if text[offset:].lstrip().startswith(":") or lower.endswith(":"):
        return BadLine(start, len(word), f'"{shown(word)}" does not take a colon',
                       'Only "include", "use", "error" and "warning" do.', f"Write: {shown(word)} = value")
    guess = nearest(lower, ("queue", "if", "elif", "else", "endif", *_EXAMPLES))
    return BadLine(start, len(word) or 1, "this line says nothing that is known here",
                   'A line is "name = value", "+Attribute = expression" or "queue …".',
                   f'Did you mean "{guess}"?' if guess and guess != lower else "")
