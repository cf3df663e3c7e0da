"""From text to tree.

`classad.lark` says what may be written; `tables.py` is what Lark makes of it (see
`dsl/maketables.py`); `builder.py` makes trees; what cannot be read becomes a
ClassAdSyntaxError here.

Lark reads the grammar and makes the tables; the loop over them is ours. With
twelve levels of precedence most of what an LALR parser does is to raise an
operand from one level to the next: `_Reader` takes such a chain in one step.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dsl.classad.builder import Builder, Refused
from dsl.classad.errors import ClassAdSyntaxError
from dsl.classad.literals import KEYWORDS
from dsl.classad.tree import Literal, Tree, depth_of

MAX_TEXT = 1 << 20
"""Characters in one text: far beyond any policy, small enough to be read in seconds."""

MAX_DEPTH = 200
"""Levels of nesting; HTCondor stops at about 165. Walking a tree must not exhaust the stack."""

MAX_OPEN = 8 * MAX_DEPTH
"""States that may be open while a text is read: more than a tree of MAX_DEPTH levels needs."""

_PLAIN = re.compile(
    r"\s*(?:(-?(?:0|[1-9][0-9]{0,17}))|\"([^\"\\\0]*)\"|(true|false|undefined|error))\s*\Z", re.IGNORECASE
)


def parse_tree(text: str) -> Tree:
    """Read one expression; raise ClassAdSyntaxError if `text` is none."""
    if len(text) > MAX_TEXT:
        raise ClassAdSyntaxError(text, MAX_TEXT, f"the expression is longer than {MAX_TEXT} characters")
    plain = _PLAIN.match(text)
    if plain is not None:
        integer, string, keyword = plain.groups()
        if integer is not None:
            return Literal(int(integer))
        return Literal(string) if string is not None else Literal(KEYWORDS[keyword.lower()])
    return _check_depth(text, _reader().read(text))


def _check_depth(text: str, tree: Tree) -> Tree:
    """Refuse what is nested too deeply, without walking down it by recursion."""
    if len(text) <= MAX_DEPTH:
        return tree
    if depth_of(tree) <= MAX_DEPTH:
        return tree
    raise _too_deep(text, 0)


def _too_deep(text: str, offset: int) -> ClassAdSyntaxError:
    what = f"the expression is nested deeper than {MAX_DEPTH} levels"
    return ClassAdSyntaxError(text, offset, what, "Split it into several attributes.")


@lru_cache(maxsize=1)
def _reader() -> _Reader:
    return _Reader()


class _Reader:
    """Runs the tables that Lark made of the grammar."""

    def __init__(self) -> None:
        # The first text that is more than a plain literal pays for the tables.
        from dsl.classad.tables import ENDS, IGNORED, RULES, STARTS, STATES, TOKENS

        builder = Builder()
        self.start, self.end, self.actions = STARTS["start"], ENDS["start"], STATES
        self.rules = [_Rule(builder, *rule) for rule in RULES]
        self.tokens = builder.tokens
        self.raised: dict[tuple[int, int, str], int] = {}
        self.values = _scanner(IGNORED, TOKENS)
        # After a value a sign is an operator, even directly before a digit.
        self.operators = _scanner(IGNORED, {name: TOKENS[name] for name in TOKENS if name not in ("INTEGER", "REAL")})
        self.scanners = [self.values if "INTEGER" in row else self.operators for row in STATES]

    def read(self, text: str) -> Tree:
        actions, rules, raised = self.actions, self.rules, self.raised
        states: list[int] = [self.start]
        values: list[Any] = []
        place = 0
        while True:
            found = self.scanners[states[-1]].match(text, place)
            kind = found.lastgroup if found is not None else None
            if found is None or kind is None:
                raise self.refused(text, place, states[-1])
            name = "$END" if kind == _END else kind
            while True:
                state = states[-1]
                action = actions[state].get(name)
                if action is None:
                    raise self.refused(text, found.start(kind), state)
                if action >= 0:
                    break
                rule = rules[-1 - action]
                if rule.only_raises:
                    key = states[-2], state, name
                    states[-1] = raised.get(key) or self.raise_operand(key)
                else:
                    self.reduce(rule, states, values, text, found.start(kind))
                if name == "$END" and states[-1] == self.end:
                    tree: Tree = values[-1]
                    return tree
            if len(states) > MAX_OPEN:
                raise _too_deep(text, found.start(kind))
            states.append(action)
            token = self.tokens.get(name)
            written = found[kind]
            try:
                values.append(written if token is None else token(written, found.start(kind)))
            except Refused as refused:
                raise ClassAdSyntaxError(text, *refused.args) from None
            place = found.end()

    def reduce(self, rule: _Rule, states: list[int], values: list[Any], text: str, place: int) -> None:
        size = rule.size
        parts = values[len(values) - size :]
        del states[len(states) - size :], values[len(values) - size :]
        kept: list[Any] = []
        for at, spliced in rule.kept:
            if not spliced:
                kept.append(parts[at])
            elif kept:
                kept += parts[at]
            else:
                # Nobody else has it: copying it for every element would take quadratic time.
                kept = parts[at]
        try:
            values.append(kept[0] if rule.stands_aside and len(kept) == 1 else rule.make(kept))
        except Refused as refused:
            _, what, why = refused.args
            raise ClassAdSyntaxError(text, max(0, text.rfind(kept[0], 0, place)), what, why) from None
        states.append(self.actions[states[-1]][rule.name])

    def raise_operand(self, key: tuple[int, int, str]) -> int:
        """Follow an operand up the levels that do nothing to it, until something else is to be done."""
        below, state, name = key
        while True:
            action = self.actions[state].get(name)
            if action is None or action >= 0 or not self.rules[-1 - action].only_raises:
                self.raised[key] = state
                return state
            state = self.actions[below][self.rules[-1 - action].name]
            if state == self.end:
                return state

    def refused(self, text: str, place: int, state: int) -> ClassAdSyntaxError:
        """Say what stands where, what could have stood there, and what the writer may have meant."""
        offset = _after_blanks(text, place)
        wants_value = "NAME" in self.actions[state]
        reason = "A value or a name is expected here." if wants_value else "An operator or the end is expected here."
        if offset >= len(text):
            return ClassAdSyntaxError(text, len(text.rstrip()), "the expression ends too early", reason)
        for pattern, advice in _ADVICE:
            if pattern.match(text, offset):
                reason = advice
                break
        word = _WORD.match(text, offset)
        return ClassAdSyntaxError(text, offset, f"cannot read {word[0] if word else ''!r} here", reason)


_END = "END_OF_TEXT"


class _Rule:
    """One way to write a syntax class, and what becomes of its parts."""

    __slots__ = ("kept", "make", "name", "only_raises", "size", "stands_aside")

    def __init__(self, builder: Builder, name: str, size: int, kept: tuple[tuple[int, bool], ...],
                 maker: str | None, stands_aside: bool) -> None:
        self.name, self.size, self.kept, self.stands_aside = name, size, kept, stands_aside
        self.make: Callable[[list[Any]], Any] = _itself if maker is None else getattr(builder, maker, _unmade)
        self.only_raises = stands_aside and size == 1


def _itself(parts: list[Any]) -> list[Any]:
    return parts


def _unmade(parts: list[Any]) -> Any:
    raise AssertionError("a rule that always stands aside has several parts")


def _scanner(ignored: list[str], tokens: dict[str, str]) -> re.Pattern[str]:
    """Make the pattern of blanks, comments and then one token; the name of its group is that of the terminal."""
    named = [f"(?P<{name}>{pattern})" for name, pattern in tokens.items()]
    return re.compile(f"(?:{'|'.join(ignored)})*+(?:{'|'.join(named)}|(?P<{_END}>\\Z))")


_BLANKS = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*+", re.DOTALL)


def _after_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return place if found is None else found.end()


_WORD = re.compile(r"\w{1,40}|.", re.DOTALL)
_ADVICE = [
    (re.compile(r"=(?![=?!])"), 'To compare write "==".'),
    (re.compile(r"(and|or|not)\b", re.IGNORECASE), 'Write "&&" for and, "||" for or, "!" for not.'),
    (
        re.compile(r"-?\d+[KMGTB]", re.IGNORECASE),
        "ClassAd numbers have no units; write the number in full, as in 4 * 1024.",
    ),
    (re.compile(r"-?0[\dxXbB]"), "Integers are decimal and have no leading zero."),
    (re.compile(r"-?\d+\."), "A real has digits on both sides of the point, as in 1.0."),
    (re.compile('"'), 'The string is not closed; a quotation mark inside it is written \\".'),
    (re.compile("'"), "The quoted name is not closed."),
    (re.compile("(?<=<)>"), 'Write "!=" for unequal.'),
]
