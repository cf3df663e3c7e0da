"""Regular expressions for untrusted patterns and texts.

Patterns are Python's, which agree with HTCondor's PCRE2 in what policies use;
`(?<name>…)` is accepted too. Python's engine backtracks without a limit, so a
pattern is measured before it runs: one whose repetitions could work on the same
characters in too many ways for this text is ERROR, and never run.

INV-C2: no search takes more than about `MAX_WORK` steps of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from re import _parser as sre
from typing import Any

from dsl.classad.scope import Run
from dsl.classad.values import ERROR, Nothing

MAX_PATTERN = 1000
MAX_WORK = 20_000_000

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}


def search(run: Run, pattern: str, text: str, options: str) -> re.Match[str] | bool | Nothing:
    """Return the first match, False if there is none, ERROR if the pattern is wrong or too dear for `text`."""
    found = matches(run, pattern, text, options, every=False)
    return found if isinstance(found, Nothing) else next(iter(found), False)


def matches(run: Run, pattern: str, text: str, options: str, every: bool) -> Iterable[re.Match[str]] | Nothing:
    compiled = _compiled(pattern, "".join(sorted({letter for letter in options if letter in _FLAGS})))
    if compiled is None:
        return ERROR
    expression, degree = compiled
    work = (len(text) + 1) ** degree
    if work > MAX_WORK or not run.spend(work >> 7):
        return ERROR
    if every:
        return expression.finditer(text)
    found = expression.search(text)
    return [] if found is None else [found]


@lru_cache(maxsize=1024)
def _compiled(pattern: str, options: str) -> tuple[re.Pattern[str], int] | None:
    if len(pattern) > MAX_PATTERN:
        return None
    flags = re.ASCII
    for option in options:
        flags |= _FLAGS[option]
    pattern = _NAMED_GROUP.sub("(?P<", pattern)
    try:
        return re.compile(pattern, flags), 1 + _degree(sre.parse(pattern, flags))
    except (re.error, OverflowError, RecursionError, MemoryError):
        return None


def _degree(parsed: Any) -> int:
    """Bound the exponent by which work grows with the text: each open repetition is a choice of its end.

    A repetition inside a repetition multiplies the choices with every round; it counts as many.
    """
    total = 0
    for operation, argument in parsed:
        name = str(operation)
        if name in _REPEATS:
            _, most, body = argument
            inner = _degree(body)
            choices = 1 if most > 1 else 0
            total += inner + choices if not (inner and choices) else 4 + inner * 4
        elif name in ("POSSESSIVE_REPEAT",):
            total += 1 + _degree(argument[2])
        elif name == "BRANCH":
            total += max(_degree(branch) for branch in argument[1])
        elif name == "SUBPATTERN":
            total += _degree(argument[3])
        elif name == "ATOMIC_GROUP":
            total += _degree(argument)
        elif name in ("ASSERT", "ASSERT_NOT"):
            total += _degree(argument[1])
        elif name == "GROUPREF_EXISTS":
            total += max(_degree(branch or []) for branch in argument[1:])
    return total
