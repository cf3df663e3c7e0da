"""Runs the tables that Lark made of `submit.lark`, with the words that fit where the text stands."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from dsl.submit.tables import ENDS, IGNORED, RULES, STARTS, STATES, TOKENS


class Token(str):
    """A piece of the text, and where it stands."""

    __slots__ = ("end_pos", "start_pos", "type")

    type: str
    start_pos: int
    end_pos: int


class Unread(Exception):
    """The text cannot be read from `offset` on."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class _Rule(NamedTuple):
    name: str
    size: int
    kept: tuple[tuple[int, bool], ...]
    make: Callable[..., Any] | None
    stands_aside: bool


class Reader:
    """`maker` has a method for every rule, or alias, of the grammar that makes something of its parts."""

    def __init__(self, maker: object) -> None:
        self._rules = [_Rule(name, size, kept, getattr(maker, made, None) if made else None, aside)
                       for name, size, kept, made, aside in RULES]

    def read(self, text: str, start: str) -> Any:
        """What the maker makes of `text`, or Unread."""
        states, values, place = [STARTS[start]], list[Any](), 0
        while True:
            found = _scanner(states[-1]).match(text, place)
            if found is None or found.lastgroup is None:
                raise Unread(_after_blanks(text, place))
            name = found.lastgroup
            name = "$END" if name == _END else name
            while (action := STATES[states[-1]].get(name, 0)) < 0:
                self._reduce(self._rules[-1 - action], states, values)
                if name == "$END" and states[-1] == ENDS[start]:
                    return values[-1]
            if not action:
                raise Unread(found.start(found.lastgroup))
            states.append(action)
            values.append(_token(found, name))
            place = found.end()

    def _reduce(self, rule: _Rule, states: list[int], values: list[Any]) -> None:
        first = len(values) - rule.size
        parts = values[first:]
        del states[first + 1 :], values[first:]
        kept: list[Any] = []
        for at, spliced in rule.kept:
            if not spliced:
                kept.append(parts[at])
            elif kept:
                kept += parts[at]
            else:
                # Nobody else has it: copying it for every element would take quadratic time.
                kept = parts[at]
        if rule.stands_aside and len(kept) == 1:
            values.append(kept[0])
        else:
            values.append(rule.make(*kept) if rule.make else kept)
        states.append(STATES[states[-1]][rule.name])


_END = "END_OF_TEXT"
_AT_END = f"(?P<{_END}>\\Z)"
_BLANKS = "|".join(IGNORED)


def _token(found: re.Match[str], name: str) -> Token:
    group = found.lastgroup or ""
    token = Token(found[group])
    token.type, token.start_pos, token.end_pos = name, found.start(group), found.end(group)
    return token


@cache
def _scanner(state: int) -> re.Pattern[str]:
    """Blanks, then one of the words that fit in this state; the name of the group is that of the word."""
    named = [f"(?P<{name}>{pattern})" for name, pattern in TOKENS.items() if name in STATES[state]]
    return re.compile(f"(?:{_BLANKS})*+(?:{'|'.join([*named, _AT_END])})")


def _after_blanks(text: str, place: int) -> int:
    found = re.compile(f"(?:{_BLANKS})*+").match(text, place)
    return found.end() if found else place
