"""Random pools and jobs, of all that can go wrong between columns and the scalar evaluator."""

from __future__ import annotations

import random
from collections.abc import Callable

from dsl.classad import ERROR, UNDEFINED, Ad, RelTime, literal, parse
from dsl.classad.expression import Expression

NAMES = ["A", "B", "C", "D", "Memory", "Os", "Start"]
STEADY = 1_750_000_000.0


class PoolWriter:
    """Writes ads whose attributes have few names, and of them everything: absent, typed otherwise, expressions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # Some pools know only what has a column form, others everything, which is seldom fast.
        self.strangeness = self.random.choice([0.0, 0.0, 0.02, 1.0])
        # In most pools only Start holds expressions, and none leads back to it: such questions are taken apart.
        self.is_layered = self.random.random() < 0.7
        self.names = [name for name in NAMES if name != "Start"] if self.is_layered else NAMES
        self.favourites = [self.condition(2) for _ in range(4)]

    def ad(self) -> Ad:
        ad = Ad()
        for name in NAMES:
            if self.random.random() < 0.75:
                ad[name] = self.attribute(name)
        if self.random.random() < 0.9:
            ad["Requirements"] = self.policy()
        if self.random.random() < 0.7:
            ad["Rank"] = self.expression(2)
        return ad

    def changed(self, ad: Ad) -> Ad:
        changed = ad.copy()
        for name in self.random.sample(NAMES, 2):
            if self.random.random() < 0.2:
                if name in changed:
                    del changed[name]
            else:
                changed[name] = self.attribute(name)
        return changed

    def attribute(self, name: str) -> Expression:
        choice = self.random.random()
        if self.is_layered:
            if name != "Start" or choice < 0.3:
                return self.value()
            return parse(self.random.choice(self.favourites) if choice < 0.8 else self.expression(2))
        if choice < 0.82:
            return self.value()
        return parse(self.expression(2)) if choice < 0.93 else parse(self.random.choice(self.favourites))

    def value(self) -> Expression:
        pick: Callable[[list[object]], object] = self.random.choice
        return literal(pick([
            pick([0, 1, 2, 3, 4, 8, -1, 1024]), pick([0, 1, 2, 3]), pick([True, False]),
            pick([0.0, -0.0, 1.0, 2.5, -1.5, float("nan"), float("inf"), float("-inf"), 1e300, 2.0**53, 2.0**63]),
            pick([(1 << 63) - 1, -(1 << 63), 1 << 53, (1 << 53) + 1, 1 << 62]),
            pick(["a", "A", "b", "", "abc", "ABC", "é", "É", "1"]), pick(["LINUX", "linux", "Windows"]),
            pick([UNDEFINED, ERROR]), pick([UNDEFINED, [1, "a"], [], {"A": 1}, RelTime(1.5)]),
        ]))

    def policy(self) -> str:
        choice = self.random.random()
        if choice < 0.2:
            return self.random.choice(["true", "Start", "MY.Start && A >= 1", "TARGET.A >= B", "1", "0.0", '"yes"'])
        if choice < 0.4:
            return self.random.choice(self.favourites)
        return " && ".join(f"({self.condition(2)})" for _ in range(self.random.randint(1, 4)))

    def condition(self, depth: int) -> str:
        operator = self.random.choice("== != < <= > >= =?= =!=".split())
        if self.random.random() < 0.3 and depth > 0:
            return self.expression(depth)
        return f"{self.operand(depth - 1)} {operator} {self.operand(depth - 1)}"

    def expression(self, depth: int) -> str:
        if depth <= 0 or self.random.random() < 0.2:
            return self.atom()
        a, b, c = (self.operand(depth - 1) for _ in range(3))
        return self.random.choice([
            f"{a} {self.random.choice('+ - * / % & | ^ << >> >>>'.split())} {b}",
            f"{a} {self.random.choice('== != < <= > >= =?= =!='.split())} {b}",
            f"{a} && {b}", f"{a} || {b}", f"{a} && {b} && {c}", f"{a} || {b} || {c}",
            f"{a} ? {b} : {c}", f"{a} ?: {b}", f"ifThenElse({a}, {b}, {c})",
            f"{self.random.choice('!-+~')}{a}", f"isUndefined({a})", f"isError({a})",
            self.rare(a, b) if self.random.random() < self.strangeness else f"{a} == {b}",
        ])

    def rare(self, a: str, b: str) -> str:
        return self.random.choice([
            f"strcat({a}, {b})", f'regexp("a", {a})', f'stringListMember({a}, "a,b,1")', f"{{ {a}, {b} }}[0]",
            f"member({a}, {{ {b}, 1 }})", f"[ A = {a}; q = A ].q", f"time() % 7 == {a}", f"toUpper({a}) == {b}",
            f"countMatches(A >= {a}, {{ [ A = 1 ], [ B = 2 ] }})", "countMatches(MY.C, {[ A = 2 ]})",
            f'eval("A") == {a}', "unparse(A)", "isClassad(TARGET)", f'TARGET["A"] == {b}', f"size({a})",
            "CurrentTime > A", "unresolved(Start)", f"C.Memory == {a}", "TARGET.B.Nope.A", "[ Q = 1 ].Memory != " + a,
            "MY.D.A", f"random() =?= {a}", ".A",
        ])

    def operand(self, depth: int) -> str:
        return f"({self.expression(depth)})" if self.random.random() < 0.6 else self.atom()

    def atom(self) -> str:
        name = self.random.choice(["", "", "MY.", "TARGET.", "TARGET."]) + self.random.choice([*self.names, "Nope"])
        return self.random.choice([name, name, name, str(self.value())])


def identity(value: object) -> object:
    """What tells a value from all others: its type, its sign where it is zero, NaN."""
    if isinstance(value, list):
        return ("list", *map(identity, value))
    return type(value).__name__, str(value) if isinstance(value, Ad) else repr(value)
