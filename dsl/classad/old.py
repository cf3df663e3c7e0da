"""Old syntax: one `Name = expression` to a line, as HTCondor's tools print ads."""

from __future__ import annotations

import re

from dsl.classad.ad import Ad, parse
from dsl.classad.errors import ClassAdSyntaxError
from dsl.classad.expression import Expression
from dsl.classad.literals import name_text
from dsl.classad.text import OLD, in_order, text_of

# A closing quotation mark may follow a backslash only where the line ends.
_STRING = re.compile(r'"((?:[^"\\]|\\(?!"\Z).)*(?:\\(?="\Z))?)"')
_LONE_BACKSLASH = re.compile(r'\\(?!")|\\(?="?\Z)')
# `1K` is a 1 and a word; `1e` and `0x1F` are numbers gone wrong.
_NUMBER = re.compile(r"(?:0(?![xX])|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?=[A-DF-Za-df-z_])")


def parse_old(text: str) -> Ad:
    """Read an ad in old syntax. As in HTCondor a line that cannot be read is left out,
    and so is what follows a complete expression."""
    ad = Ad()
    for line in text.split("\n"):
        name, equals, written = line.removesuffix("\r").partition("=")
        name = name.strip(" ")
        if not equals or not name or name.startswith("#"):
            continue
        expression = _longest(_in_new_syntax(written))
        if expression is not None:
            ad[name] = expression
    return ad


def old_text(ad: Ad) -> str:
    """Write an ad in old syntax, short names first; reals with up to 16 digits."""
    lines = [(name, text_of(ad[name].tree, OLD)) for name in ad]
    return "\n".join([f"{name_text(name)} = {text}" for name, text in in_order(lines)])


def _longest(text: str) -> Expression | None:
    """Read the expression that `text` begins with."""
    try:
        return parse(text)
    except ClassAdSyntaxError as fault:
        if fault.line > 1:
            return None
        try:
            return parse(text[: _end_before(text, fault.column - 1)])
        except ClassAdSyntaxError:
            return None


def _end_before(text: str, offset: int) -> int:
    """Where the tokens end that stand before what cannot be read at `offset`."""
    if text[offset - 1 : offset] == "." and text[offset : offset + 1].isdigit():
        return offset - 1                   # a real without digits before its point
    number = _NUMBER.match(text, offset)
    return number.end() if number else offset


def _in_new_syntax(written: str) -> str:
    """Double the backslashes that are plain characters in old syntax."""
    return _STRING.sub(lambda found: '"' + _LONE_BACKSLASH.sub(r"\\\\", found[1]) + '"', written)
