"""From the text of a submit file to its logical lines.

A logical line may have been written over several with `\\` at their ends; it
remembers where each stretch of it stood, so that a caret points at the place
in the file. Comments and blank lines are gone; tables and `@=` blocks are read
as they stand, line by line, by whoever finds their beginning.
"""

import re
from bisect import bisect_right
from operator import itemgetter
from typing import NamedTuple

from dsl.submit.forms import BadLine
from dsl.submit.mistakes import Mistake

MAX_LINE_CHARACTERS = 1 << 20
MOST_NO_TEXT = 5
"""So many lines that are no text are told; a file of another kind has thousands."""
_NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
_CONTINUES = re.compile(r"\\[ \t]*\Z")


class Line(NamedTuple):
    """A logical line. `pieces` are (offset in `text`, line of the file, column), ascending."""

    text: str
    pieces: tuple[tuple[int, int, int], ...]

    @property
    def indent(self) -> int:
        """How many blanks it begins with."""
        return len(self.text) - len(self.text.lstrip())

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column (from 1) of the file where the character at `offset` was written."""
        start, line, column = self.pieces[max(0, bisect_right(self.pieces, offset, key=itemgetter(0)) - 1)]
        return line, column + offset - start


class Reader:
    """Hands out the lines of one file, and makes mistakes that point into it."""

    def __init__(self, name: str, text: str, included: tuple[tuple[str, int], ...] = ()) -> None:
        self.name = name
        self.included = included
        self.raw = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
        if self.raw[-1] == "":
            self.raw.pop()
        self.mistakes: list[Mistake] = []
        self._next = 0
        if not is_text(text):
            self._take_out_what_is_no_text()

    def mistake(self, line: int, column: int, what: str, why: str = "", cure: str = "", length: int = 1) -> Mistake:
        source = self.raw[line - 1] if 1 <= line <= len(self.raw) else ""
        return Mistake(self.name, line, column, what, why, cure, source, length, self.included)

    @property
    def line_number(self) -> int:
        """The line (from 1) that was handed out last."""
        return self._next

    def raw_line(self) -> str | None:
        """The next line as it stands, or None at the end."""
        if self._next >= len(self.raw):
            return None
        self._next += 1
        return self.raw[self._next - 1]

    def logical_line(self) -> Line | None:
        """The next line that says something, its continuations joined."""
        while (raw := self.raw_line()) is not None:
            stripped = raw.lstrip(" \t\f\v")
            if not stripped or stripped.startswith("#"):
                continue
            line = self._joined(raw)
            if line is not None:
                return line
        return None

    def _joined(self, raw: str) -> Line | None:
        """`raw` with what continues it; None, and a mistake, if that is not acceptable text."""
        first, length = self._next, 0
        parts: list[str] = []
        pieces: list[tuple[int, int, int]] = []
        while True:
            body = raw.lstrip(" \t\f\v") if parts else raw
            column = len(raw) - len(body) + 1
            continues = _CONTINUES.search(body[-200:])
            if continues:
                body = body[: len(body) - (len(body[-200:]) - continues.start())]
            pieces.append((length, self._next, column))
            parts.append(body)
            length += len(body)
            if not continues or (following := self.raw_line()) is None:
                break
            raw = following
            if raw.lstrip().startswith("#"):
                self.mistakes.append(self.mistake(
                    self._next, 1, "a comment cannot stand inside a continued line",
                    f"Line {self._next - 1} ends in \"\\\", so this line would become part of its value.",
                    "Move the comment above the command.", len(raw)))
                raw = "\\"
        text = "".join(parts).rstrip()
        if length > MAX_LINE_CHARACTERS:
            self.mistakes.append(self.mistake(
                first, 1, f"this line is {length:,} characters long",
                f"A line may have at most {MAX_LINE_CHARACTERS:,}.",
                "Put long lists into a file: queue … from FILE."))
            return None
        return Line(text, tuple(pieces)) if text else None

    def _take_out_what_is_no_text(self) -> None:
        """Say where it is, and go on without those lines. Comments may hold what they like."""
        for number, line in enumerate(self.raw, 1):
            bad = _NOT_TEXT.search(line)
            if bad is None:
                continue
            if len(self.mistakes) < MOST_NO_TEXT and not line.lstrip().startswith("#"):
                kind = "a NUL byte" if bad[0] == "\0" else "a byte that is not UTF-8"
                self.mistakes.append(self.mistake(number, bad.start() + 1, f"{kind} in the text",
                                                  "A submit file is plain text.",
                                                  "Is this the right file? Save it as UTF-8."))
            self.raw[number - 1] = ""


class Written(NamedTuple):
    """Where a name was given its value."""

    spelled: str
    reader: Reader
    line: Line
    name_offset: int
    value_offset: int
    head: Line | None = None
    """The line of the name, where the value stands on others (`name @=TAG`)."""

    def mistake(self, what: str, why: str = "", cure: str = "", length: int = 0) -> Mistake:
        """A mistake at the value."""
        line, column = self.line.place(self.value_offset)
        whole = max(len(self.line.text) - self.value_offset, 1)
        return self.reader.mistake(line, column, what, why, cure, length or whole)

    def bad(self, what: str, why: str = "", cure: str = "") -> BadLine:
        """The same, to be raised while its line is taken."""
        return BadLine(self.value_offset, max(len(self.line.text) - self.value_offset, 1), what, why, cure)


def is_text(value: str) -> bool:
    """Whether `value` can be written as UTF-8, and has no NUL."""
    return not _NOT_TEXT.search(value)
