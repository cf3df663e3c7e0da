"""Random submit files, for the comparison with HTCondor's own library.

What is written avoids, by construction, what PESC does otherwise on purpose (docs/reference/submit.md) and what the
library leaves to condor_submit:

* macros refer to names that come before them in NAMES, so they cannot go in circles;
* functions get arguments that they can work with, and quote nothing that is empty;
* defaults are nested once, and no line of a continued value begins with "#";
* tables have no rows that are blank or comments, and no queue line has a slice;
* SHOWN commands are never empty.
"""

from __future__ import annotations

import random

NAMES = ["alpha", "b", "C", "data_dir", "x.y", "N2"]
NUMBERS, PATHS, TEXTS, LISTS = ["i", "j"], ["p", "q"], ["s", "t"], ["l", "m"]
WORDS = ["a", "B-1", "two words", "x=y", "1", "0", "a,b", "it's", '"quoted"', "é", "a\\b", "true", "#5", "100%", "~",
         "{}", "$x", "$(a-b)", "$$(Memory)", "$$([Cpus * 2])", "$(DOLLAR)x", "a;b", "[1:2]", "@", "%d",
         "$FOO(x)", "$f(p)"]
JOB = ["$(Process)", "$(ProcId)", "$(Cluster)", "$(ClusterId)", "$(Row)", "$(ItemIndex)", "$(Step)"]
PARTS = ["", "p", "n", "x", "d", "nx", "pn", "pnx", "q", "a", "b", "f", "fw", "u", "xb", "aq"]
CELLS = ["a", "b2", "c.dat", "data/d", "-1", "0.5", "é", "x=y", "$x", '"k"', "a/b/c.tar.gz"]


class Writer:
    """Writes one file after another; `part` is a file that they may include."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def file(self, shown: tuple[str, ...]) -> tuple[str, int]:
        """A whole file, in which every command of `shown` has a value; and how many jobs it queues for an item."""
        self._variables: list[str] = []
        queue = self._queue()
        lines = ["executable = /bin/true"]
        for names, values in ((NUMBERS, ["7", "-3", "12", "1 + 2", "100"]),
                              (PATHS, ["/a/b/c.tar.gz", "d.txt", "../e/f", "g/"]),
                              (TEXTS, ["abcdef", "hello world", "xyz"]),
                              (LISTS, ["u,v,w", "1, 2, 3"])):
            lines += [self._assignment(name, self.random.choice(values)) for name in names]
        lines += self._lines(8, 0)
        for command in shown:
            lines.append(self._assignment(command, self._value(len(NAMES), ".")))
        lines += self._lines(4, 0)
        end = self.random.choice(["\n", "\n", "\n", "\r\n"])
        return end.join([*lines, *queue]) + end, self._steps

    def _lines(self, most: int, depth: int) -> list[str]:
        lines: list[str] = []
        for _ in range(self.random.randrange(most + 1)):
            kind = self.random.random()
            if kind < 0.15 and depth < 3:
                lines += self._conditional(depth)
            elif kind < 0.2:
                lines.append(self.random.choice(["", "  ", "# a comment", "\t# queue 3", "#"]))
            elif kind < 0.25:
                inside = self.random.choices(["x", " y", "# z", "a = b", ""], k=2)
                lines += [f"{self.random.choice(NAMES)} @=END", *inside, "w", "@END"]
            elif kind < 0.3:
                name = self.random.choice(NAMES)
                lines.append(f"{name} = $({name}){self.random.choice(WORDS)}")
            else:
                rank = self.random.randrange(len(NAMES))
                lines.append(self._assignment(NAMES[rank], self._value(rank)))
        return lines

    def _conditional(self, depth: int) -> list[str]:
        lines = [f"{self._any_case('if')} {self._condition()}", *self._lines(3, depth + 1)]
        while self.random.random() < 0.3:
            lines += [f"{self._any_case('elif')} {self._condition()}", *self._lines(3, depth + 1)]
        if self.random.random() < 0.5:
            lines += [self._any_case("else"), *self._lines(3, depth + 1)]
        return [*lines, self._any_case("endif")]

    def _condition(self) -> str:
        condition = self.random.choice([
            "true", "false", "Yes", "no", "1", "0", "-2", "0.5", f"defined {self.random.choice(NAMES)}",
            "defined nothing", "defined $(nothing)", "version >= 8.1.6", "version < 9.0", "version = 6.0.0",
        ])
        if self.random.random() < 0.2:
            return f"! {condition}"
        return self.random.choice([condition, condition, condition, "$(nothing)", "$(nothing:1)"])

    def _assignment(self, name: str, value: str) -> str:
        name = self._any_case(name)
        before, after = (self.random.choice(["", " ", "  ", "\t"]) for _ in range(2))
        line = f"{self.random.choice(['', '', ' ', chr(9)])}{name}{before}={after}{value}"
        if " " in value and "#" not in value and self.random.random() < 0.2:
            cut = len(line) - len(value) + value.index(" ")
            line = f"{line[:cut]} \\\n{self.random.choice(['', '   '])}{line[cut + 1 :].lstrip()}"
        return line + self.random.choice(["", "", " "])

    def _value(self, rank: int, ends: str = "") -> str:
        pieces = [self._piece(rank) for _ in range(self.random.choice([1, 1, 2, 3, 5]))]
        return self.random.choice(["", " ", "-", "/"]).join(pieces) + ends

    def _piece(self, rank: int) -> str:
        kind = self.random.random()
        names = [*NAMES[:rank], *self._variables] or ["nothing"]
        name = self._any_case(self.random.choice(names))
        if kind < 0.3:
            return self.random.choice(WORDS)
        if kind < 0.55:
            return f"$({name})"
        if kind < 0.65:
            return f"$({self.random.choice([name, 'nothing'])}:{self._default(rank)})"
        if kind < 0.75:
            return self.random.choice(JOB)
        return self._function()

    def _default(self, rank: int) -> str:
        return self.random.choice(["", "d", "two words", "a,b", "$(Process)", "$(nothing:z)",
                                   *(f"$({name})" for name in NAMES[:rank])])

    def _function(self) -> str:
        number, path, text, listed = (self.random.choice(names) for names in (NUMBERS, PATHS, TEXTS, LISTS))
        index, start, length = self.random.randrange(3), self.random.randrange(-4, 5), self.random.randrange(1, 6)
        return self.random.choice([
            f"$INT({number})", f"$INT({number},%04d)", f"$REAL({number},%.2f)", f"$STRING({text})",
            f"$STRING({number})", f"$EVAL({number})",
            f"$F{self.random.choice(PARTS)}({path})", f"$BASENAME({path})", f"$DIRNAME({path})",
            f"$SUBSTR({text},{start})", f"$SUBSTR({text},{start},{length})", f"$CHOICE({index},{listed})",
            f"$CHOICE({index},k1,k2,k3)", "$ENV(HOME)", "$ENV(NO_SUCH)", "$ENV(NO_SUCH:none)", "$INT(Process)",
        ])

    def _any_case(self, name: str) -> str:
        return self.random.choice([name, name, name.upper(), name.title()])

    def _queue(self) -> list[str]:
        word = self.random.choice(["queue", "Queue", "QUEUE", "iterate"])
        count, self._steps = self.random.choice([("", 1), ("", 1), (" 2", 2), (" 1 + 2", 3), (" 2*2", 4)])
        kind = self.random.randrange(5)
        if kind == 0:
            return [f"{word}{count}"]
        self._variables = self.random.sample(["v", "W2", "u_u"], self.random.choice([1, 1, 2, 3]))
        names = self.random.choice([", ", ",", " "]).join(self._variables)
        if kind == 1:
            cells = self.random.choice([", ", ",", " ", "  "]).join(self._cells(4))
            return [f"{word}{count} {self._variables[0]} in ({cells})"]
        if kind == 2:
            return [f"{word}{count} {self._variables[0]} in (", *(" ".join(self._cells(2)) for _ in range(3)), ")"]
        between = self.random.choice([", ", ",", " ", "\t"])
        rows = [between.join(self._cells(len(self._variables) + 1)) for _ in range(self.random.randrange(1, 4))]
        if kind == 3:
            return [f"{word}{count} {names} from (", *rows, ")"]
        return [f"{word}{count} from table (", ",".join(self._variables), *rows, ")"]

    def _cells(self, number: int) -> list[str]:
        return [self.random.choice(CELLS) for _ in range(self.random.randrange(1, number + 1))]
