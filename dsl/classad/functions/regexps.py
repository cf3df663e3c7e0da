"""Functions of regular expressions."""

from __future__ import annotations

import re

from dsl.classad.functions.convert import bounded
from dsl.classad.functions.table import Function
from dsl.classad.regexp import Match, matches, search
from dsl.classad.scope import Inner, Run, is_list
from dsl.classad.values import ERROR, UNDEFINED, Nothing

_GROUP = re.compile(r"\\([0-9])")


def _strings(*values: Inner) -> Nothing | None:
    """Say what a function of strings is worth when one of them is no string."""
    if ERROR in values:
        return ERROR
    if UNDEFINED in values:
        return UNDEFINED
    return None if all(isinstance(value, str) for value in values) else ERROR


def regexp(run: Run, pattern: Inner, text: Inner, options: Inner = "") -> Inner:
    wrong = _strings(pattern, text, options)
    if wrong is not None:
        return wrong
    return search(run, pattern, text, options)  # type: ignore[arg-type]


def regexp_member(run: Run, pattern: Inner, elements: Inner, options: Inner = "") -> Inner:
    if ERROR in (pattern, elements, options):
        return ERROR
    if UNDEFINED in (pattern, elements, options):
        return UNDEFINED
    if not (isinstance(pattern, str) and isinstance(options, str) and is_list(elements)):
        return ERROR
    result: Inner = False
    for element in elements:  # type: ignore[union-attr]
        found = regexp(run, pattern, element, options)
        if found is True or found is ERROR:
            return found
        if found is UNDEFINED:
            result = UNDEFINED
    return result


def regexps(run: Run, pattern: Inner, text: Inner, replacement: Inner, options: Inner = "") -> Inner:
    """Return the replacement for the match; with the option f the whole text with it, with g for every match."""
    wrong = _strings(pattern, text, replacement, options)
    if wrong is not None:
        return wrong
    return _substitute(run, pattern, text, replacement, options)  # type: ignore[arg-type]


def _replacing(extra: str) -> Function:
    def replace(run: Run, pattern: Inner, text: Inner, replacement: Inner, options: Inner = "") -> Inner:
        wrong = _strings(pattern, text, replacement, options)
        if wrong is not None:
            return wrong
        return _substitute(run, pattern, text, replacement, f"{options}{extra}")  # type: ignore[arg-type]

    return Function(replace, 3, 4)


def _substitute(run: Run, pattern: str, text: str, replacement: str, options: str) -> Inner:
    found = matches(run, pattern, text, options, every="g" in options)
    if isinstance(found, Nothing):
        return found
    whole = "f" in options
    parts: list[str] = []
    end = 0
    for match in found:
        if match.end() == match.start() and "g" in options:
            return ERROR
        filled = _filled(replacement, match)
        if filled is None:
            return ERROR
        if whole:
            parts.append(text[end : match.start()])
        parts.append(filled)
        end = match.end()
        if not run.spend(1 + (len(filled) >> 10)):
            return ERROR
    if whole:
        parts.append(text[end:])
    return bounded(run, "".join(parts))


def _filled(replacement: str, match: Match) -> str | None:
    """Put groups in the place of \\0 to \\9; None if one does not exist."""
    try:
        return _GROUP.sub(lambda place: match[int(place[1])] or "", replacement)
    except IndexError:
        return None


FUNCTIONS = {
    "regexp": Function(regexp, 2, 3),
    "regexpmember": Function(regexp_member, 2, 3),
    "regexps": Function(regexps, 3, 4),
    "replace": _replacing("f"),
    "replaceall": _replacing("fg"),
}
