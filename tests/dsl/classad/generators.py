"""Random expressions: as trees for properties, and as texts for the comparison with HTCondor."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import strategies as st

from dsl.classad import ERROR, UNDEFINED, AbsTime, RelTime
from dsl.classad.tree import (
    Binary,
    Call,
    Conditional,
    Elvis,
    ListTree,
    Literal,
    Logic,
    Parenthesis,
    RecordTree,
    Reference,
    Select,
    Subscript,
    Tree,
    Unary,
)

NAMES = ["A", "B", "Memory", "Cpus", "odd name", "it's", "true", "MY", "TARGET", "parent", "é", "x\\y"]
PLAIN_NAMES = ["A", "B", "Memory", "Cpus", "N", "L"]
FUNCTIONS = [
    "strcat",
    "size",
    "member",
    "ifThenElse",
    "eval",
    "sum",
    "substr",
    "regexp",
    "split",
    "formatTime",
    "nosuch",
]

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    texts,
    st.sampled_from([UNDEFINED, ERROR]),
    st.builds(AbsTime, st.integers(0, 1 << 33), st.integers(-840, 840).map(lambda minutes: minutes * 60)),
    st.builds(RelTime, st.one_of(st.integers(-(1 << 40), 1 << 40).map(float), st.just(1.5))),
)
literals = scalars.map(Literal)
names = st.sampled_from(NAMES)
references = st.builds(Reference, names, st.booleans())


def _unique(items: list[tuple[str, Tree]]) -> RecordTree:
    return RecordTree(tuple({name.lower(): (name, item) for name, item in items}.values()))


def _grown(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    # Operands are in parentheses, so that the tree is the one its text has.
    operand = st.one_of(references, inner.map(Parenthesis))
    several = st.lists(operand, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        operand,
        st.builds(Conditional, operand, operand, operand),
        st.builds(Logic, st.sampled_from(["&&", "||"]), several),
        st.builds(
            Binary, st.sampled_from("+ - * / % & | ^ << >> >>> == != < <= > >= is isnt".split()), operand, operand
        ),
        st.builds(Unary, st.sampled_from("+-!~"), operand),
        st.builds(Elvis, operand, operand),
        st.builds(Select, operand, names),
        st.builds(Subscript, operand, inner),
        st.builds(Call, st.sampled_from(FUNCTIONS), st.lists(inner, max_size=3).map(tuple)),
        st.builds(ListTree, st.lists(inner, max_size=3).map(tuple)),
        st.lists(st.tuples(names, inner), max_size=3).map(_unique),
    )


trees: st.SearchStrategy[Tree] = st.recursive(st.one_of(literals, references), _grown, max_leaves=12)


class Writer:
    """Writes random expressions and ads in new syntax, of what both engines promise to agree on."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def ad(self, depth: int = 2) -> str:
        items = [f"{name} = {self.expression(depth)}" for name in ("A", "B", "Memory", "Cpus")]
        # No names in the list: one that leads back to it is answered in several ways by HTCondor.
        items.append(f"L = {{ {self.number()}, {self.string()}, {self.random.choice([self.number, self.word])()} }}")
        items.append(f"N = [ A = {self.expression(1)}; Q = {self.atom()} ]")
        self.random.shuffle(items)
        return f"[ {'; '.join(items)} ]"

    def expression(self, depth: int) -> str:
        if depth <= 0 or self.random.random() < 0.15:
            return self.atom()
        form: Callable[[int], str] = self.random.choice(
            [
                self.binary,
                self.binary,
                self.binary,
                self.logic,
                self.logic,
                self.unary,
                self.call,
                self.call,
                self.other,
            ]
        )
        return form(depth - 1)

    def operand(self, depth: int) -> str:
        return f"({self.expression(depth)})" if self.random.random() < 0.8 else self.atom()

    def atom(self) -> str:
        return self.random.choice([self.number, self.string, self.name, self.name, self.word])()

    def number(self) -> str:
        return self.random.choice(["0", "1", "2", "7", "64", "1024", "-3", "0.5", "2.0", "-1.25", "1e3", "3.75"])

    def string(self) -> str:
        return self.random.choice(
            ['""', '"a"', '"A"', '"abc"', '"a,b, c"', '"12"', '"1.10"', '"joe@cs"', '"x y"', '"b.c"']
        )

    def name(self) -> str:
        scope = self.random.choice(["", "", "MY.", "TARGET.", "TARGET."])
        return scope + self.random.choice([*PLAIN_NAMES, "Nope"])

    def word(self) -> str:
        return self.random.choice(["true", "false", "undefined", "error"])

    def binary(self, depth: int) -> str:
        operator = self.random.choice("+ - * / % & | ^ == != < <= > >= =?= =!= is isnt".split())
        return f"{self.operand(depth)} {operator} {self.operand(depth)}"

    def logic(self, depth: int) -> str:
        operator = self.random.choice(["&&", "||"])
        return f" {operator} ".join(self.operand(depth) for _ in range(self.random.randint(2, 3)))

    def unary(self, depth: int) -> str:
        return f"{self.random.choice('!-+~')}({self.expression(depth)})"

    def call(self, depth: int) -> str:
        name, count = self.random.choice(CALLS)
        return f"{name}({', '.join(self.expression(depth) for _ in range(count))})"

    def other(self, depth: int) -> str:
        a, b, c = (self.operand(depth) for _ in range(3))
        return self.random.choice(
            [
                f"{a} ? {b} : {c}",
                f"{a} ?: {b}",
                f"{{ {a}, {b}, {c} }}[{self.random.randint(0, 3)}]",
                f"sum({{ {a}, {b} }})",
                f"member({a}, {{ {b}, {c} }})",
                f"size({{ {a} }})",
                f"[ q = {a}; r = {b} ].q",
                f"N.{self.random.choice(['A', 'Q', 'Nope'])}",
                f"L[{self.random.randint(0, 3)}]",
            ]
        )


CALLS = [
    ("isUndefined", 1),
    ("isError", 1),
    ("isString", 1),
    ("isInteger", 1),
    ("isReal", 1),
    ("isBoolean", 1),
    ("int", 1),
    ("real", 1),
    ("string", 1),
    ("bool", 1),
    ("floor", 1),
    ("ceiling", 1),
    ("round", 1),
    ("strcat", 2),
    ("strcat", 3),
    ("toUpper", 1),
    ("toLower", 1),
    ("substr", 2),
    ("substr", 3),
    ("strcmp", 2),
    ("stricmp", 2),
    ("size", 1),
    ("ifThenElse", 3),
    ("stringListSize", 1),
    ("stringListMember", 2),
    ("stringListIMember", 2),
    ("stringListsIntersect", 2),
    ("stringListSubsetMatch", 2),
    ("versionGE", 2),
    ("versionLT", 2),
    ("regexp", 2),
    ("replaceAll", 3),
    ("join", 2),
    ("split", 1),
    ("splitUserName", 1),
    ("member", 2),
    ("identicalMember", 2),
    ("interval", 1),
    ("quantize", 2),
    ("nosuchfunction", 1),
]
