"""Puts the header into a copy of a program that wants it, as one line: line numbers in error messages stay."""

import re
from typing import NamedTuple

from dsl.headers import python
from dsl.headers.texts import INJECTED, one_line
from dsl.headers.wanting import has_header, reads_itself, uses

MAX_CHARACTERS = 1 << 20
"""A longer program is no program that somebody wrote."""

BYTE_ORDER_MARK = "\ufeff"

_OWN_LINE = {"octave": re.compile(r"\s*(?:[%#]\{\s*$|function\b|classdef\b)")}
"""What must stand at the beginning of its line."""

_SHELL = re.compile(r"#!.*\b(?:sh|bash|dash|ksh|zsh)\b")


class LeftAlone(Exception):
    """The program gets no header, and why."""


class Copy(NamedTuple):
    """A program with its header in `line`; `added`: by so much later lines have moved."""

    text: str
    line: int
    added: int


def put_in(language: str, text: str, set_elsewhere: frozenset[str] = frozenset()) -> Copy:
    """The copy that travels; LeftAlone if there is none to be made, or all it uses is set elsewhere."""
    if language not in INJECTED:
        raise LeftAlone("it is no program of a language that gets one")
    if len(text) > MAX_CHARACTERS:
        raise LeftAlone("it is too long")
    if text.startswith(BYTE_ORDER_MARK):
        copy = put_in(language, text.removeprefix(BYTE_ORDER_MARK), set_elsewhere)
        return copy._replace(text=BYTE_ORDER_MARK + copy.text)
    if has_header(text):
        raise LeftAlone("it has the header")
    if language == "shell" and text.startswith("#!") and not _SHELL.match(text):
        raise LeftAlone("its first line names no Bourne shell")
    if reads_itself(language, text):
        raise LeftAlone("it reads its arguments, or variables of PESC, by itself")
    try:
        if not uses(language, text) - set_elsewhere:
            raise LeftAlone("it uses none of the header's variables, or sets those it uses")
        return _checked(text) if language == "python" else _before_first_line(language, text)
    except python.NotPython:
        raise LeftAlone("this Python cannot parse it") from None


def _checked(text: str) -> Copy:
    copy = Copy(*python.put_in(text, one_line("python")))
    python.parsed(copy.text)
    return copy


def _before_first_line(language: str, text: str) -> Copy:
    lines = text.splitlines(keepends=True)
    at = 1 if lines[0].startswith("#!") else 0
    code = one_line(language)
    if at < len(lines) and not _must_stand_alone(language, lines[at]):
        lines[at] = f"{code}; {lines[at]}"
        return Copy("".join(lines), at + 1, 0)
    lines.insert(at, f"{code};\n")
    return Copy("".join(lines), at + 1, 1)


def _must_stand_alone(language: str, line: str) -> bool:
    pattern = _OWN_LINE.get(language)
    return pattern is not None and pattern.match(line) is not None
