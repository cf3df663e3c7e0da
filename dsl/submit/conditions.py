"""`if`, `elif`, `else`, `endif`: which lines count.

A condition is a word of truth, a number, `defined NAME` or `version >= X.Y`, each
with `!` before it if wanted; anything more is refused, as in HTCondor.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from dsl.submit.mistakes import shown

HTCONDOR_VERSION = (25, 14, 1)
"""The version whose language this is, for `if version >= …`."""

_WORD = re.compile(r"[ \t\f\v]*(?:(?:if|elif)(?=[ \t!]|\Z)|(?:else|endif)\b)", re.IGNORECASE)
_TRUTH = {"true": True, "yes": True, "t": True, "false": False, "no": False, "f": False}
_NUMBER = re.compile(r"[-+]?[0-9]{1,300}(\.[0-9]{0,300})?\Z")
_VERSION = re.compile(r"version\s*(<=|>=|==?|!=|<|>)\s*([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?\Z", re.IGNORECASE)
_DEFINED = re.compile(r"defined(?:\s+(.*))?\Z", re.IGNORECASE | re.DOTALL)


class BadCondition(Exception):
    """The line cannot stand here, or its condition is none."""

    def __init__(self, what: str, why: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.cure = what, why, cure


@dataclass(slots=True)
class _Open:
    line: int
    taking: bool
    taken: bool
    outer: bool
    has_else: bool = False

    def decide(self, truth: bool | None) -> None:
        self.taking, self.taken = truth is True, truth is not False


@dataclass(slots=True)
class Conditions:
    """The conditions that are open at a line."""

    _open: list[_Open] = field(default_factory=list)

    @property
    def taking(self) -> bool:
        return self._open[-1].taking if self._open else True

    def enter(self, word: str, truth: Callable[[], bool | None], line: int) -> None:
        """Take one of the four words; `truth` is asked only if the answer matters.

        If that is None, nobody knows, and no branch is taken.
        """
        if word == "if":
            outer = self.taking
            opened = _Open(line, False, False, outer)
            self._open.append(opened)
            opened.decide(truth() if outer else False)
            return
        if not self._open:
            raise BadCondition(f'"{word}" without "if"', "", "Add the if line, or take this one out.")
        top = self._open[-1]
        if word == "endif":
            self._open.pop()
            return
        if top.has_else:
            raise BadCondition(f'"{word}" after "else"', f'The "if" is on line {top.line}.', "Else comes last, once.")
        if word == "else":
            top.has_else = True
            top.taking = top.outer and not top.taken
        elif top.taken or not top.outer:
            top.taking = False
        else:
            top.decide(truth())

    def unclosed(self) -> list[int]:
        """The lines of the `if`s that have no `endif`."""
        return [opened.line for opened in self._open]


def is_condition(text: str) -> bool:
    """Whether a line is one of the four, which count even where other lines do not."""
    return bool(_WORD.match(text))


def is_true(written: str, expanded: str | None, is_defined: Callable[[str], bool]) -> bool:
    """What the condition comes to, or BadCondition."""
    if expanded is None:
        raise BadCondition("a condition cannot depend on the job", "It is decided once, when the file is read.")
    whole = expanded.strip()
    text = whole.lstrip("! \t\f\v")
    negated = whole.count("!", 0, len(whole) - len(text)) % 2 == 1
    if not text and written.strip(" !"):
        return negated
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()] != negated
    if _NUMBER.match(text):
        return bool(float(text)) != negated
    if found := _DEFINED.match(text):
        name = (found[1] or "").strip()
        known = bool(name) if "$" in written else is_defined(name)
        return known != negated
    if found := _VERSION.match(text):
        wanted = tuple(int(part) for part in found.groups()[1:] if part is not None)
        return _compare(found[1], HTCONDOR_VERSION[: len(wanted)], wanted) != negated
    raise BadCondition(f"{shown(text)!r} is not a condition" if text else "the condition is missing", "",
                       "A condition is true or false, a number, \"defined NAME\" or \"version >= X.Y\", "
                       "with \"!\" before it for the opposite.")


def _compare(operator: str, left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    return {"<": left < right, "<=": left <= right, ">": left > right,
            ">=": left >= right, "=": left == right, "==": left == right, "!=": left != right}[operator]
