"""What a command's value must be: a number, a truth, an expression, a list of files.

Every function raises `Wrong` with the command and the place in its text.
"""

import posixpath
import re

from dsl.submit import quoting
from dsl.submit.amounts import LOOKS_LIKE_AN_AMOUNT, amount
from dsl.submit.expressions import BadExpression, check, value_of
from dsl.submit.given import IWD, Given, Wrong
from dsl.submit.mistakes import shown

Attributes = dict[str, str]

TRUE_WORDS, FALSE_WORDS = ("true", "t", "yes", "y"), ("false", "f", "no", "n")


def working_folder(given: Given) -> str:
    folder = given.text("initialdir")
    return absolute(given, folder) if folder else given.macro(IWD)


def absolute(given: Given, path: str) -> str:
    """`path` from the folder where the file was submitted."""
    return posixpath.normpath(posixpath.join(given.macro(IWD), path))


def file_list(text: str | None) -> list[str]:
    """The names in a comma list; blanks around commas and quotes around all of it do not count."""
    return [name for part in without_quotes(text or "").split(",") if (name := part.strip())]


def name_list(text: str | None) -> list[str]:
    """Names separated by commas or blanks."""
    return [name for name in re.split(r"[\s,]+", without_quotes(text or "")) if name]


def without_quotes(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def expression(command: str, text: str) -> str:
    """`text` if it is an expression; otherwise Wrong, pointing at the place."""
    try:
        check(text)
    except BadExpression as bad:
        raise Wrong(command, bad.message, bad.reason, offset=bad.offset, length=1) from None
    return text


def integer(given: Given, command: str, default: int) -> int:
    """A whole number, or an expression that is worth one."""
    text = given.text(command)
    if text is None:
        return default
    value = value_of(text)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**31:
        raise Wrong(command, f"{shown(text)!r} is not a whole number", _amount_hint(text),
                    cure=f"Write, say: {command} = 3")
    return value


def truth(given: Given, command: str, default: bool = False) -> bool:
    """true or false, by any of their words, or an expression that is worth one."""
    text = given.text(command)
    if text is None:
        return default
    word = text.lower()
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    value = value_of(text)
    if not isinstance(value, bool | int | float):
        raise Wrong(command, f"{shown(text)!r} is neither true nor false", cure=f"Write: {command} = true")
    return bool(value)


def count(command: str, text: str, least: int = 1) -> int:
    """A whole number of at least `least`."""
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12 or int(digits) < least:
        negative = text.removeprefix("-").isdigit()
        why = f"It must be at least {least}." if negative else f"It must be a whole number, at least {least}."
        raise Wrong(command, f"{shown(text)!r} is not a number of {command}", _amount_hint(text) or why,
                    f"Write, say: {command} = 10")
    return int(digits)


def memory_mib(command: str, text: str) -> int | None:
    """An amount of memory in MiB; None if it is an expression."""
    number = amount(text, "M")
    if number is None and (text[0].isdigit() or LOOKS_LIKE_AN_AMOUNT.match(text)):
        try:
            check(text)
        except BadExpression:
            raise Wrong(command, f"{shown(text)!r} is not an amount of memory",
                        "Units are K, M, G and T; without one it is MiB.", f"Write, say: {command} = 8G") from None
    return number


def misquoted(command: str, text: str, bad: quoting.BadQuoting) -> Wrong:
    if bad.entry and (at := text.find(bad.entry)) >= 0:
        return Wrong(command, bad.what, "", bad.cure, at, len(bad.entry))
    offset = bad.offset if len(text) > bad.offset else 0
    return Wrong(command, bad.what, "", bad.cure, offset, 1)


def _amount_hint(text: str) -> str:
    return "It is a count: it takes no unit." if LOOKS_LIKE_AN_AMOUNT.match(text) else ""
