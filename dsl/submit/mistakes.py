"""How a mistake in a submit file is said.

A mistake knows where it was made and says what, why and what to do; a reader
collects all of a file before it gives up. `SubmitErrors` carries them out.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from dsl import DslError
from dsl.carets import underlined

SHOWN_CHARACTERS = 100
"""As much of a long source line as is shown around the caret."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Mistake(NamedTuple):
    """One mistake; `line` and `column` count from 1, 0 means the file as a whole."""

    file: str
    line: int
    column: int
    what: str
    why: str = ""
    cure: str = ""
    source: str = ""
    length: int = 1
    included: tuple[tuple[str, int], ...] = ()
    """The include lines that led to the file, the nearest first: file and line."""

    def __str__(self) -> str:
        text = [f"{self._where()}: {self.what}"]
        if self.source and self.line:
            shown, column = _crop(self.source, max(self.column, 1) - 1)
            number = f"{self.line:6d}"
            length = max(1, min(self.length, len(shown) - column))
            text += [f"{number} | {shown}", f"{' ' * len(number)} | {underlined(shown, column, length)}"]
        text += [f"  included from {file}:{line}" for file, line in self.included]
        text += [f"  {line}" for part in (self.why, self.cure) if part for line in part.splitlines()]
        return "\n".join(text)

    def as_json(self) -> dict[str, str | int]:
        """The mistake for editors: stable names, and the whole message as `text`."""
        return {"file": self.file, "line": self.line, "column": self.column, "length": self.length,
                "what": self.what, "why": self.why, "cure": self.cure,
                "source": _crop(self.source, max(self.column, 1) - 1)[0], "text": str(self),
                "included_from": ", ".join(f"{file}:{line}" for file, line in self.included)}

    @property
    def order(self) -> tuple[int, int, int]:
        """Where to tell it among others of one submit file: what is included stands where it is included."""
        return (self.included[-1][1] if self.included else self.line), self.line, self.column

    def _where(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class SubmitErrors(DslError):
    """Everything that is wrong with a submit file; `warnings` and `refusals` is what would be said without that."""

    def __init__(self, mistakes: Sequence[Mistake], warnings: Sequence[Mistake] = (),
                 refusals: Sequence[Mistake] = ()) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes, self.warnings, self.refusals = list(mistakes), list(warnings), list(refusals)


def shown(text: str, limit: int = 60) -> str:
    """`text` as it may stand in a message: short, and without what would upset a terminal."""
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    if len(word) > 60:
        return None
    import difflib

    found = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.7)
    return found[0] if found else None


def _crop(source: str, column: int) -> tuple[str, int]:
    start = max(0, column - SHOWN_CHARACTERS * 2 // 3) if len(source) > SHOWN_CHARACTERS else 0
    piece = source[start : start + SHOWN_CHARACTERS]
    before, after = "…" * (start > 0), "…" * (start + SHOWN_CHARACTERS < len(source))
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", piece.replace("\t", " "))
    return before + clean + after, min(column - start, len(piece)) + len(before)
