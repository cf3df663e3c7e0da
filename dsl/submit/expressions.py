"""What `dsl.submit` asks of ClassAds: is it an expression, what is it worth, what does it name.

Plain numbers, words and simple strings are answered here: most jobs need no more,
and the ClassAd parser costs a command its start-up.
"""

import re
from collections.abc import Iterator

Plain = int | float | str | bool

MOST_STEPS = 1000
"""Attributes and elements that one value may look at: a file may hold many."""

_INTEGER = re.compile(r"\s*([-+]?[0-9]{1,18})\s*\Z")
_PLAIN = re.compile(r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,15})?"
                    r'|"[^"\\\x00-\x1f\x7f]*")\s*\Z')
_RESERVED = frozenset({"is", "isnt"})
_NEEDS_ESCAPES = re.compile(r'["\\\x00-\x1f\x7f]')
_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*(?:\"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)"
                    r"|(?P<scope>[A-Za-z_]\w*)\s*\.\s*(?P<member>[A-Za-z_]\w*)|(?P<name>[A-Za-z_]\w*)(?P<call>\s*\()?",
                    re.DOTALL)


class BadExpression(Exception):
    """The text is no ClassAd expression, from `offset` on."""

    def __init__(self, offset: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.offset, self.message, self.reason = offset, message, reason


def check(text: str) -> None:
    """Raise BadExpression if `text` is no ClassAd expression."""
    plain = _PLAIN.match(text)
    if plain and (plain["name"] or "").lower() not in _RESERVED:
        return
    from dsl import classad

    try:
        classad.parse(text)
    except classad.ClassAdSyntaxError as error:
        lines = text.split("\n")[: error.line - 1]
        offset = sum(len(line) + 1 for line in lines) + error.column - 1
        raise BadExpression(min(max(offset, 0), len(text)), error.message, error.reason) from None


def integer_of(text: str) -> int | None:
    """The number that `text` is; None if it is anything else."""
    plain = _INTEGER.match(text)
    return int(plain[1]) if plain else None


def value_of(text: str) -> Plain | None:
    """What `text` is worth by itself; None if that is nothing, or takes many steps, or it is no expression."""
    if (number := integer_of(text)) is not None:
        return number
    if (word := text.strip().lower()) in ("true", "false"):
        return word == "true"
    from dsl import classad

    try:
        value = classad.parse(text).evaluate(steps=MOST_STEPS)
    except classad.ClassAdSyntaxError:
        return None
    return value if isinstance(value, bool | int | float | str) else None


def inside(text: str) -> str:
    """An expression as a part of another: a comment in it would swallow what follows."""
    if "//" not in text and "/*" not in text:
        return text
    from dsl import classad

    return str(classad.parse(text))


def as_text(value: Plain) -> str:
    """A value as it stands in a text: strings without their quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.16G}" if isinstance(value, float) else str(value)


def quote(text: str) -> str:
    """`text` as a ClassAd string."""
    if not _NEEDS_ESCAPES.search(text):
        return f'"{text}"'
    from dsl import classad

    return classad.quote(text)


def string_list(items: list[str]) -> str:
    """A ClassAd list of strings."""
    return "{ " + ", ".join(map(quote, items)) + " }" if items else "{ }"


def called_functions(text: str) -> Iterator[tuple[int, str]]:
    """Where `text` calls a function, and which."""
    return ((token.start("name"), token["name"]) for token in _TOKEN.finditer(text) if token["call"])


def machine_names(text: str) -> frozenset[str]:
    """The attributes, in lower case, that `text` may look up in a machine's ad.

    Read from the words alone: cheaper than the parser, and good enough to decide
    whether the user has already said something about them.
    """
    found: set[str] = set()
    for token in _TOKEN.finditer(text):
        if token["member"]:
            if token["scope"].lower() in ("target", "my"):
                found.add(token["member"].lower())
            else:
                found.add(token["scope"].lower())
        elif token["name"] and not token["call"]:
            found.add(token["name"].lower())
    return frozenset(found)
