"""Regular expressions for untrusted patterns and texts.

Patterns are read by Python, which agrees with HTCondor's PCRE2 in what policies
use; `(?<name>…)` is accepted too. Python's engine is fast and backtracks without
limit, so a pattern is measured first (`cost.py`): where its repetitions could
work on the same characters in too many ways, it runs in `backtrack.py`, whose
time grows only with the size of pattern times text. Beyond that it is ERROR.

INV-C2: no search takes longer than some tenths of a second.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from re import _parser as sre
from typing import NamedTuple, TypeAlias

from dsl.classad.regexp.backtrack import Found, Program, TooLarge, compile_program, search_program
from dsl.classad.regexp.cost import degree_of
from dsl.classad.scope import Run
from dsl.classad.values import ERROR, Nothing

MAX_PATTERN = 1000
MAX_WORK = 50_000
"""Ways of matching, at most, for a pattern that is given to Python's engine."""

Match: TypeAlias = re.Match[str] | Found

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")


class _Compiled(NamedTuple):
    fast: re.Pattern[str]
    degree: int
    program: Program | None


def search(run: Run, pattern: str, text: str, options: str) -> bool | Nothing:
    """Say whether `pattern` is found in `text`; ERROR if it cannot be read or costs too much."""
    found = matches(run, pattern, text, options, every=False)
    return found if isinstance(found, Nothing) else bool(found)


def matches(run: Run, pattern: str, text: str, options: str, every: bool) -> list[Match] | Nothing:
    """Find the first match or every one, left to right."""
    compiled = _compiled(pattern, "".join(sorted({letter for letter in options if letter in _FLAGS})))
    if compiled is None:
        return ERROR
    found: list[Match] = []
    start = 0
    while start <= len(text):
        match = _next(run, compiled, text, start)
        if isinstance(match, Nothing):
            return ERROR
        if match is None:
            break
        found.append(match)
        if not every:
            break
        start = max(match.end(), match.start() + 1)
    return found


def _next(run: Run, compiled: _Compiled, text: str, start: int) -> Match | Nothing | None:
    if not run.spend(1 + (len(text) >> 8)):
        return ERROR
    if (len(text) - start + 1) ** compiled.degree <= MAX_WORK or compiled.degree <= 1:
        return compiled.fast.search(text, start)
    return ERROR if compiled.program is None else search_program(run, compiled.program, text, start)


@lru_cache(maxsize=256)
def _compiled(pattern: str, options: str) -> _Compiled | None:
    if len(pattern) > MAX_PATTERN:
        return None
    flags = re.ASCII
    for option in options:
        flags |= _FLAGS[option]
    pattern = _NAMED_GROUP.sub("(?P<", pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)      # "possible nested set": no concern of who asks
            fast, parsed = re.compile(pattern, flags), sre.parse(pattern, flags)
    except (re.error, OverflowError, RecursionError, MemoryError):
        return None
    try:
        program = compile_program(parsed)
    except TooLarge:
        program = None
    return _Compiled(fast, degree_of(parsed), program)
