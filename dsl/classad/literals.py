"""The texts of scalar values, both ways: what a literal means, and how a value is written as one."""

from __future__ import annotations

import re

from dsl.classad.times import abs_time_text, rel_time_text
from dsl.classad.values import ERROR, UNDEFINED, AbsTime, RelTime, Scalar

KEYWORDS: dict[str, Scalar] = {"true": True, "false": False, "undefined": UNDEFINED, "error": ERROR}
RESERVED = frozenset(KEYWORDS) | {"is", "isnt", "parent"}

_ESCAPE = re.compile(r"\\([0-3][0-7]{2}|[0-7]{1,2}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "v": "\v", "a": "\a"}
_UNESCAPED = {character: f"\\{letter}" for letter, character in _ESCAPED.items()} | {"\\": "\\\\"}
_SPECIAL = re.compile(r"[^ -\[\]-~]")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_QUOTED_NAME = re.compile(r"\s*'((?:[^'\\]|\\.)*)'", re.DOTALL)
_BETWEEN_STRINGS = re.compile(r'\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


class BadLiteral(Exception):
    """A literal that has the right shape and no meaning; `args` are what is wrong and why."""


def unquoted(token: str) -> str:
    """Read the string that one token, possibly several strings side by side, stands for."""
    return "".join(unescaped(part) for part in _BETWEEN_STRINGS.findall(token))


def unquoted_name(token: str) -> str:
    """Read the name in quotes that one token stands for; names side by side join as strings do."""
    return "".join(unescaped(part) for part in _QUOTED_NAME.findall(token))


def unescaped(body: str) -> str:
    if "\0" in body:
        raise BadLiteral("a NUL character cannot stand in a text")
    if "\\" not in body:
        return body
    return _utf8_together(_ESCAPE.sub(_unescape, body))


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] not in "01234567":
        return _ESCAPED.get(code, code)
    number = int(code, 8)
    if number == 0:
        raise BadLiteral(r"\0 cannot stand in a text")
    # A byte above 127 is marked by a lone surrogate until its neighbours complete the character.
    return chr(number) if number < 0x80 else chr(0xDC00 + number)


def _utf8_together(text: str) -> str:
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise BadLiteral("the octal escapes in this string are not UTF-8") from None


def quote(text: str) -> str:
    """Write `text` as a string literal; characters beyond ASCII become the octal escapes of their UTF-8."""
    return f'"{_escaped(text, chr(34))}"'


def _escaped(text: str, mark: str) -> str:
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(_escape, text)
    return text.replace(mark, "\\" + mark)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    known = _UNESCAPED.get(character)
    if known is not None:
        return known
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "replace"))


def name_text(name: str) -> str:
    """Write an attribute name, in quotes where it would otherwise be read as something else."""
    if _PLAIN_NAME.match(name) and name.lower() not in RESERVED:
        return name
    return f"'{_escaped(name, chr(39))}'"


def selected_name_text(name: str) -> str:
    """Write a name after a dot, where `parent` is a scope and needs no quotes."""
    return name if name.lower() == "parent" else name_text(name)


def real_text(number: float) -> str:
    """Write a real with 16 digits, as `string()` shows it."""
    if number == 0.0 or number != number or number in (float("inf"), float("-inf")):
        return _unusual_real_text(number)
    return f"{number:.15E}"


def exact_real_text(number: float) -> str:
    """Write a real so that reading it gives the same number: with a 17th digit where 16 do not tell it."""
    text = real_text(number)
    return text if number != number or text[0] == "r" or float(text) == number else f"{number:.16E}"


def _unusual_real_text(number: float) -> str:
    if number == 0.0:
        return str(number)
    if number != number:
        return 'real("NaN")'
    return 'real("INF")' if number > 0 else 'real("-INF")'


def literal_text(value: Scalar) -> str:
    """Write a scalar value as the literal that is read back as it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return exact_real_text(value)
        case str():
            return quote(value)
        case AbsTime():
            return f'absTime("{abs_time_text(value)}")'
        case RelTime(seconds):
            if not abs(seconds) <= 1e15 or seconds != int(seconds):
                return f"relTime({exact_real_text(seconds)})"
            return f'relTime("{rel_time_text(value)}")'
        case _:
            return value.value


def old_literal_text(value: Scalar) -> str:
    """Write a scalar value in old syntax, where only the quotation mark is escaped in a string."""
    match value:
        case str():
            return '"' + value.replace('"', '\\"') + '"'
        case float() if abs(value) < float("inf") and value != 0.0:
            text = f"{value:.16G}"
            return text if "." in text or "E" in text else f"{text}.0"
        case _:
            return literal_text(value)
