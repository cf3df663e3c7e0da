"""The bounded matcher finds what Python's engine finds."""

from __future__ import annotations

import random
import re
import warnings

import pytest

from dsl.classad import Ad, parse
from dsl.classad.regexp.backtrack import compile_program, search_program
from dsl.classad.scope import Run


class PatternWriter:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pattern(self, depth: int) -> str:
        choice = self.random.random()
        if depth == 0 or choice < 0.25:
            return self.random.choice(["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", "x", "1", "[b-c]"])
        if choice < 0.5:
            return self.pattern(depth - 1) + self.pattern(depth - 1)
        if choice < 0.6:
            return f"({self.pattern(depth - 1)}|{self.pattern(depth - 1)})"
        if choice < 0.9:
            # A group that takes at least one character: engines differ in what a repeated empty match is.
            repeat = self.random.choice(["*", "+", "?", "{1,2}", "*?", "+?", "{2}", "{0,3}", "??", "++"])
            return f"({self.random.choice('abx')}{self.pattern(depth - 1)}){repeat}"
        part = self.random.choice(["(?={})", "(?!{})", "(?>{})", "^{}", "{}$", r"\b{}", r"\B{}"])
        return part.format(self.pattern(depth - 1))


@pytest.mark.parametrize("seed", range(4))
def test_the_bounded_matcher_agrees_with_python(seed: int) -> None:
    writer = PatternWriter(seed)
    for _ in range(1_000):
        pattern, flags = writer.pattern(4), writer.random.choice([0, re.IGNORECASE, re.MULTILINE | re.DOTALL])
        text = "".join(writer.random.choice("abcAB1x \n") for _ in range(writer.random.randint(0, 9)))
        program = compile_program(re._parser.parse(pattern, flags | re.ASCII))  # type: ignore[attr-defined]
        theirs = re.compile(pattern, flags | re.ASCII).search(text)
        ours = search_program(Run(None, None), program, text, 0)
        assert (ours is None) == (theirs is None), (seed, pattern, text)
        if ours and theirs:
            assert (ours.start(), ours.end()) == theirs.span(), (seed, pattern, text)


def test_groups_are_put_into_the_replacement_by_the_bounded_matcher_too() -> None:
    ad = Ad.from_values({"t": "b" * 100 + "aab"})
    assert parse(r'replaceAll("(a|aa)+(b?)", t, "<\\2>")').evaluate(ad) == "b" * 100 + "<b>"


def test_a_pattern_that_python_wonders_about_prints_nothing() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        parse('regexp("[[:alnum:]-]x", "a")').evaluate()
    assert told == []
