"""From the text of a Dockerfile to its instructions.

A line that ends with the escape character goes on in the next one; comments and empty
lines in between are dropped. RUN, COPY and ADD may bring texts of their own (`<<END`).
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][\w-]*)\s*=\s*(.*?)\s*\Z")
_WORD = re.compile(r"\s*(\S+)\s*")
_HEREDOC = re.compile(r"<<(-?)(?:'([^'\s]+)'|\"([^\"\s]+)\"|([A-Za-z_][\w.-]*))")
_FLAG = re.compile(r"--([A-Za-z][\w-]*)(?:=(\S*))?(?:\s+|\Z)")

WITH_TEXTS = frozenset({"RUN", "COPY", "ADD"})


class Flag(NamedTuple):
    """`--name=value` before the arguments of an instruction, `at` in its text."""

    name: str
    value: str
    at: int


@dataclass(slots=True)
class Instruction:
    """One instruction, its lines joined. `places` says from which offset on of `text` which line is meant."""

    name: str
    line: int
    column: int
    text: str = ""
    places: list[tuple[int, int, int]] = field(default_factory=list)
    """(offset in `text`, line, column), ascending."""
    texts: list[str] = field(default_factory=list)
    """The contents of its heredocs."""
    unended: str = ""
    """The word that should have ended the last of them."""

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of what stands at `offset`."""
        line, column = self.line, self.column
        for start, its_line, its_column in self.places:
            if start > offset:
                break
            line, column = its_line, its_column + offset - start
        return line, column

    @property
    def flags(self) -> list[Flag]:
        return self._flags()[0]

    @property
    def arguments(self) -> str:
        """The text without its flags."""
        return self.text[self._flags()[1]:]

    @property
    def arguments_at(self) -> int:
        return self._flags()[1]

    def _flags(self) -> tuple[list[Flag], int]:
        found, at = [], 0
        while flag := _FLAG.match(self.text, at):
            found.append(Flag(flag[1], flag[2] or "", at))
            at = flag.end()
        return found, at


@dataclass(slots=True)
class Dockerfile:
    """What a text says."""

    lines: list[str]
    instructions: list[Instruction] = field(default_factory=list)
    directives: dict[str, str] = field(default_factory=dict)
    """`# escape=` and `# syntax=`, which count at the top only."""


def read(text: str) -> Dockerfile:
    """Take `text` apart; nothing is judged here."""
    lines = text.split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    found = Dockerfile(lines)
    at = _directives(found)
    escape = found.directives.get("escape", "\\")
    escape = escape if escape in ("\\", "`") else "\\"
    goes_on = re.compile(re.escape(escape) + r"[ \t]*\Z")
    while at < len(lines):
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        at = _instruction(found, at, goes_on)
    return found


def _directives(found: Dockerfile) -> int:
    for number, line in enumerate(found.lines):
        directive = _DIRECTIVE.match(line.lstrip())
        if not directive or directive[1].lower() not in ("escape", "syntax", "check"):
            return number
        found.directives[directive[1].lower()] = directive[2]
    return len(found.lines)


def _instruction(found: Dockerfile, at: int, goes_on: re.Pattern[str]) -> int:
    """Read the instruction that begins in line `at`; return the line after it."""
    first = found.lines[at]
    word = _WORD.match(first)
    assert word is not None
    made = Instruction(_name_in(word[1], goes_on).upper(), at + 1, word.start(1) + 1)
    found.instructions.append(made)
    column = word.start(1) + len(_name_in(word[1], goes_on))
    column += len(first[column:]) - len(first[column:].lstrip())
    while True:
        line = found.lines[at]
        ending = goes_on.search(line)
        piece = line[column : ending.start() if ending else len(line)]
        made.places.append((len(made.text), at + 1, column + 1))
        made.text += piece
        at += 1
        if not ending:
            break
        at = _skip_between(found.lines, at)
        if at >= len(found.lines):
            break
        column = 0
    made.text = made.text.rstrip()
    return _texts(found, made, at) if made.name in WITH_TEXTS else at


def _name_in(word: str, goes_on: re.Pattern[str]) -> str:
    return goes_on.sub("", word)


def _skip_between(lines: list[str], at: int) -> int:
    while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith("#")):
        at += 1
    return at


def _texts(found: Dockerfile, made: Instruction, at: int) -> int:
    for begin in _HEREDOC.finditer(made.text):
        word = begin[2] or begin[3] or begin[4]
        content: list[str] = []
        while at < len(found.lines):
            line = found.lines[at].lstrip("\t") if begin[1] else found.lines[at]
            at += 1
            if line == word:
                break
            content.append(line)
        else:
            made.unended = word
            # It was no text after all, but something like `cat <<word` that no line ends.
        made.texts.append("".join(line + "\n" for line in content))
    return at
