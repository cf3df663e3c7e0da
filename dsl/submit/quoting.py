"""How arguments and environments are written: the old syntax and the new.

New syntax: the whole value in double quotes, `""` for one; inside, blanks
separate, `'…'` groups, `''` in a group is one `'`. Old syntax: blanks separate
arguments, `;` environment variables; in arguments `\\"` is a double quote.

In a job's ad the new syntax stands without its outer quotes; `split` reads it.
"""

import re
from collections.abc import Iterable, Mapping

_WORDS = re.compile(r"[ \t\r\n\f\v]+|'|[^ \t\r\n\f\v']+")

_BLANK = " \t\r\n\f\v"
_BLANKS = re.compile(f"[{_BLANK}]+")
_NEEDS_QUOTES = re.compile(r"[\s']")
_BARE_QUOTE = re.compile(r'(?<!\\)"')


class BadQuoting(Exception):
    """The text is not quoted as it must be: at `offset`, or where `entry` stands."""

    def __init__(self, offset: int, what: str, cure: str = "", entry: str = "") -> None:
        super().__init__(what)
        self.offset, self.what, self.cure, self.entry = offset, what, cure, entry


def is_new(text: str) -> bool:
    """Whether a value is written in the new syntax."""
    return text.startswith('"')


def unwrap(text: str) -> str:
    """A value of the new syntax without its double quotes."""
    position = 1
    while True:
        position = text.find('"', position)
        if position < 0:
            raise BadQuoting(0, "this double quote is never closed", "End the value with \".")
        if text.startswith('""', position):
            position += 2
            continue
        if text[position + 1 :].strip():
            raise BadQuoting(position, "something follows the closing double quote",
                             'For a double quote inside the value write "".')
        return text[1:position].replace('""', '"')


def split(text: str) -> list[str]:
    """The words of the new syntax (outer double quotes already gone)."""
    if "'" not in text and text.isascii():
        return _BLANKS.split(text.strip(_BLANK)) if text.strip(_BLANK) else []
    words: list[str] = []
    word: str | None = None
    position, end = 0, len(text)
    while position < end:
        found = _WORDS.match(text, position)
        assert found is not None
        token = found[0]
        if token == "'":
            inside, position = _group(text, position)
            word = (word or "") + inside
            continue
        position = found.end()
        if token.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + token
    return words if word is None else [*words, word]


def _group(text: str, start: int) -> tuple[str, int]:
    """What stands between the single quote at `start` and its partner, and where that ends."""
    position = start + 1
    while True:
        position = text.find("'", position)
        if position < 0:
            raise BadQuoting(start, "this single quote is never closed", "For a single quote itself write ''''.")
        if not text.startswith("''", position):
            return text[start + 1 : position].replace("''", "'"), position + 1
        position += 2


def unescape_old(text: str) -> str:
    """Arguments in the old syntax, their `\\"` undone."""
    if '"' not in text:
        return text
    bare = _BARE_QUOTE.search(text)
    if bare:
        raise BadQuoting(bare.start(), "a double quote cannot stand bare in the old syntax",
                         'Write \\" for a double quote, or put the whole value into "…" and group with \'…\'.')
    return text.replace('\\"', '"')


def environment(text: str) -> dict[str, str]:
    """The variables that a value of either syntax sets."""
    entries = split(unwrap(text)) if is_new(text) else [entry.strip() for entry in text.split(";")]
    return _variables(entry for entry in entries if entry)


def read_environment(text: str) -> dict[str, str]:
    """The variables of a job ad's `Environment`."""
    return _variables(split(text))


def join_environment(variables: Mapping[str, str]) -> str:
    """The variables as a job ad's `Environment`: new syntax, sorted by name."""
    return " ".join(_assignment(name, value) for name, value in sorted(variables.items()))


def join(words: list[str]) -> str:
    """Words in the new syntax, without outer double quotes."""
    return " ".join(_quoted(word) if not word or _NEEDS_QUOTES.search(word) else word for word in words)


def _variables(entries: Iterable[str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals:
            raise BadQuoting(0, f"the environment variable {entry!r} has no \"=\"", f"Write {entry}=value.", entry)
        if not name:
            raise BadQuoting(0, f"{entry!r} has no name before its \"=\"", "", entry)
        variables[name] = value
    return variables


def _assignment(name: str, value: str) -> str:
    if _NEEDS_QUOTES.search(name):
        return _quoted(f"{name}={value}")
    return f"{name}={_quoted(value)}" if _NEEDS_QUOTES.search(value) else f"{name}={value}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
