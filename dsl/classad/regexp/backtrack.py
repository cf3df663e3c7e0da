"""A backtracking matcher that never tries the same thing twice.

A pattern, as Python's parser reads it, becomes a program of small instructions.
Running it remembers every pair of instruction and place that was tried: what
failed once fails again, so the time is bounded by their number. That is what
RE2 calls a bit-state search. References back to groups do not fit, as their
outcome depends on more than the place; a pattern with one is TooLarge.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from dsl.classad.scope import Run
from dsl.classad.values import ERROR, Nothing

MAX_INSTRUCTIONS = 2000
MAX_STATES = 1_000_000
"""Pairs of instruction and place: about half a second."""

Test: TypeAlias = Callable[[str], bool]


class TooLarge(Exception):
    """A pattern that cannot become a program of reasonable size."""


class Found:
    """A match, with as much of `re.Match` as is needed here."""

    def __init__(self, text: str, places: tuple[int, ...]) -> None:
        self.text = text
        self.places = places

    def start(self) -> int:
        return self.places[0]

    def end(self) -> int:
        return self.places[1]

    def __getitem__(self, group: int) -> str | None:
        start, end = self.places[2 * group : 2 * group + 2] or self._absent(group)
        return None if start < 0 or end < 0 else self.text[start:end]

    @staticmethod
    def _absent(group: int) -> tuple[int, int]:
        raise IndexError(f"no such group: {group}")


class Character(NamedTuple):
    test: Test


class Split(NamedTuple):
    """Go on at `first`, and at `second` if that fails."""

    first: int
    second: int


class Save(NamedTuple):
    place: int


class At(NamedTuple):
    """A condition on the place: the pattern that holds there without taking a character."""

    condition: re.Pattern[str]


class Inside(NamedTuple):
    """A part that is matched once and for all: an assertion, or an atomic group that takes what it matches."""

    program: list[Instruction]
    behind: int
    negated: bool
    takes: bool


class Done(NamedTuple):
    pass


Instruction: TypeAlias = Character | Split | Save | At | Inside | Done


class Program(NamedTuple):
    instructions: list[Instruction]
    groups: int


def compile_program(parsed: Any) -> Program:
    """Translate what Python's parser read; raise TooLarge if it does not fit."""
    writer = _Writer(parsed.state.flags)
    writer.save(0)
    writer.sequence(parsed)
    writer.save(1)
    writer.add(Done())
    return Program(writer.instructions, parsed.state.groups)


def search_program(run: Run, program: Program, text: str, start: int) -> Found | Nothing | None:
    """Find the leftmost match from `start` on; ERROR where the bounds do not suffice."""
    if len(program.instructions) * (len(text) - start + 1) > MAX_STATES:
        return ERROR
    tried: set[tuple[int, int]] = set()
    for begin in range(start, len(text) + 1):
        places = _run(program.instructions, text, begin, (-1,) * (2 * program.groups), tried)
        if places is not None:
            break
    else:
        places = None
    if not run.spend(len(tried) >> 3):
        return ERROR
    return None if places is None else Found(text, places)


def _run(
    program: list[Instruction], text: str, begin: int, places: tuple[int, ...], tried: set[tuple[int, int]]
) -> tuple[int, ...] | None:
    """Match at `begin`; return where the groups lie. The last two places hold a part's own end while it runs."""
    waiting = [(0, begin, places)]
    while waiting:
        counter, place, places = waiting.pop()
        while (counter, place) not in tried:
            tried.add((counter, place))
            match program[counter]:
                case Character(test):
                    if place >= len(text) or not test(text[place]):
                        break
                    place += 1
                case Split(first, second):
                    waiting.append((second, place, places))
                    counter = first
                    continue
                case Save(at):
                    places = (*places[:at], place, *places[at + 1 :])
                case At(condition):
                    if condition.match(text, place) is None:
                        break
                case Inside() as part:
                    end = _inside(part, text, place, places)
                    if (end is None) != part.negated:
                        break
                    place = end if part.takes and end is not None else place
                case Done():
                    return (*places[:1], place, *places[2:])
            counter += 1
    return None


def _inside(part: Inside, text: str, place: int, places: tuple[int, ...]) -> int | None:
    if place < part.behind:
        return None
    found = _run(part.program, text, place - part.behind, places, set())
    return None if found is None else found[1]


class _Writer:
    """Writes the instructions of one pattern, or of one part of it that stands for itself."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.instructions: list[Instruction] = []

    def add(self, instruction: Instruction) -> int:
        if len(self.instructions) >= MAX_INSTRUCTIONS:
            raise TooLarge
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def save(self, place: int) -> None:
        self.add(Save(place))

    def sequence(self, parsed: Any) -> None:
        for operation, argument in parsed:
            self.item(str(operation), argument)

    def item(self, operation: str, argument: Any) -> None:
        match operation:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                self.add(Character(_test(operation, argument, self.flags)))
            case "BRANCH":
                self.branch(argument[1])
            case "SUBPATTERN":
                self.group(*argument)
            case "MAX_REPEAT" | "MIN_REPEAT":
                fewest, most, body = argument
                self.repeat(fewest, most, body, eager=operation == "MAX_REPEAT")
            case "POSSESSIVE_REPEAT":
                self.part(0, False, True, [("MAX_REPEAT", argument)])
            case "ATOMIC_GROUP":
                self.part(0, False, True, argument)
            case "ASSERT" | "ASSERT_NOT":
                direction, body = argument
                behind = body.getwidth()[0] if direction < 0 else 0
                self.part(behind, operation == "ASSERT_NOT", False, body)
            case "AT":
                self.add(At(_CONDITIONS[str(argument), bool(self.flags & re.MULTILINE)]))
            case _:
                raise TooLarge

    def branch(self, branches: list[Any]) -> None:
        ends: list[int] = []
        for branch in branches[:-1]:
            split = self.add(Done())
            self.sequence(branch)
            ends.append(self.add(Done()))
            self.instructions[split] = Split(split + 1, len(self.instructions))
        self.sequence(branches[-1])
        for end in ends:
            self.instructions[end] = Split(len(self.instructions), len(self.instructions))

    def group(self, number: int | None, added: int, removed: int, body: Any) -> None:
        before = self.flags
        self.flags = (self.flags | added) & ~removed
        if number is not None:
            self.save(2 * number)
        self.sequence(body)
        if number is not None:
            self.save(2 * number + 1)
        self.flags = before

    def repeat(self, fewest: int, most: int, body: Any, eager: bool) -> None:
        for _ in range(fewest):
            self.sequence(body)
        if int(most) > MAX_INSTRUCTIONS:
            split = self.add(Done())
            self.sequence(body)
            self.add(Split(split, split))
            self.instructions[split] = _ordered(split + 1, len(self.instructions), eager)
            return
        splits = []
        for _ in range(int(most) - fewest):
            splits.append(self.add(Done()))
            self.sequence(body)
        for split in splits:
            self.instructions[split] = _ordered(split + 1, len(self.instructions), eager)

    def part(self, behind: int, negated: bool, takes: bool, body: Any) -> None:
        writer = _Writer(self.flags)
        writer.sequence(body)
        writer.add(Done())
        if len(self.instructions) + len(writer.instructions) > MAX_INSTRUCTIONS // 10:
            raise TooLarge
        self.add(Inside(writer.instructions, behind, negated, takes))


def _ordered(inside: int, after: int, eager: bool) -> Split:
    return Split(inside, after) if eager else Split(after, inside)


_CONDITIONS = {
    (name, multiline): re.compile(pattern, re.ASCII | (re.MULTILINE if multiline else 0))
    for multiline in (False, True)
    for name, pattern in {
        "AT_BEGINNING": "^",
        "AT_BEGINNING_STRING": r"\A",
        "AT_END": "$",
        "AT_END_STRING": r"\Z",
        "AT_BOUNDARY": r"\b",
        "AT_NON_BOUNDARY": r"\B",
    }.items()
}

_CATEGORIES = {
    f"CATEGORY_{name}": re.compile(pattern, re.ASCII)
    for name, pattern in {
        "DIGIT": r"\d",
        "NOT_DIGIT": r"\D",
        "SPACE": r"\s",
        "NOT_SPACE": r"\S",
        "WORD": r"\w",
        "NOT_WORD": r"\W",
    }.items()
}


def _test(operation: str, argument: Any, flags: int) -> Test:
    """Make the test of one character; it remembers the characters it has seen."""
    known: dict[str, bool] = {}

    def test(character: str) -> bool:
        answer = known.get(character)
        if answer is None:
            others = (character.lower(), character.upper()) if flags & re.IGNORECASE and character.isascii() else ()
            answer = known[character] = _takes(operation, argument, flags, {character, *others})
            if len(known) > 128:
                known.clear()
        return answer

    return test


def _takes(operation: str, argument: Any, flags: int, spellings: set[str]) -> bool:
    match operation:
        case "ANY":
            return bool(flags & re.DOTALL) or "\n" not in spellings
        case "LITERAL":
            return chr(argument) in spellings
        case "NOT_LITERAL":
            return chr(argument) not in spellings
        case _:
            negated = str(argument[0][0]) == "NEGATE"
            return negated != any(_holds(str(kind), value, spellings) for kind, value in argument)


def _holds(kind: str, value: Any, spellings: set[str]) -> bool:
    match kind:
        case "LITERAL":
            return chr(value) in spellings
        case "RANGE":
            return any(value[0] <= ord(character) <= value[1] for character in spellings)
        case "CATEGORY":
            return any(_CATEGORIES[str(value)].match(character) for character in spellings)
        case _:
            return False
