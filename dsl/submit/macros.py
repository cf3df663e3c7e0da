"""What a value becomes when its macros are put in.

A `Scope` knows the macros of one description. `program` compiles a value once:
what is the same for every job is folded into text, so that a job costs only its
slots (`$(Process)`, item variables …). `expand` fills the slots in.

MACRO-1: compiling and expanding take bounded time and memory whatever the macros
say; cycles, bombs and endless nesting end in `BadMacro`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dsl.submit.expressions import Plain, integer_of, value_of
from dsl.submit.mistakes import shown
from dsl.submit.scan import RANDOM, Call, Part, TooDeep, references, scan

MAX_VALUE_CHARACTERS = 1 << 20
MAX_WEIGHT = 20_000
"""How many slots and calls one value may come to, those of its macros included."""
MAX_WORK = 1 << 26
"""Characters that the macros of all values of a file, or of a job, may come to and their functions may read."""
EVALUATION, EVALUATED_CHARACTER = 20_000, 500
"""To evaluate an expression takes as long as to read so many characters, and so many more for each of its own."""
MAX_DEPTH = 100
"""How many macros may stand for one another in a row."""
MAX_CELL_DEPTH = 8
_KEPT_CELLS = 1024

JOB_NAMES = frozenset({"cluster", "clusterid", "process", "procid", "step", "row", "itemindex", "jobid", "node"})
"""Macros that every job has its own value of."""

ENVIRONMENT = "env:"
"""Macros of this prefix carry what `$ENV(NAME)` needs; no submit file can name them so."""


SEED = "factory.seed"
"""The macro that all `$RANDOM_…` of a submission begin from: a job is the same whenever it is looked at."""


class BadMacro(Exception):
    """A value cannot be expanded."""

    def __init__(self, what: str, why: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.cure = what, why, cure


class Slot(NamedTuple):
    """The job's own value of `name`, or `default` where that is empty."""

    name: str
    default: "Program | None" = None


class Computed(NamedTuple):
    """A function whose arguments differ from job to job."""

    function: str
    arguments: "Program"
    named: Mapping[str, "Program"]
    salt: str = ""
    """Which of all `$RANDOM_…` this one is."""


class Program(NamedTuple):
    """A compiled value. `weight` bounds the steps of one expansion."""

    nodes: tuple[str | Slot | Computed, ...]
    weight: int

    @property
    def constant(self) -> bool:
        return not self.nodes or (len(self.nodes) == 1 and isinstance(self.nodes[0], str))


EMPTY = Program((), 0)


@dataclass(slots=True)
class _Budget:
    steps: int = MAX_WEIGHT * 2
    depth: int = 0


@dataclass(slots=True)
class Scope:
    """The macros of one description: `macros` by lower-case name, `live` those of each job."""

    macros: Mapping[str, str]
    live: Collection[str] = JOB_NAMES
    used: set[str] = field(default_factory=set)
    """Every name that was looked for, whether it is there or not."""
    work: int = MAX_WORK
    """What may still be put in and read."""
    _compiled: dict[str, Program] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _cells: dict[str, Program] = field(default_factory=dict)
    _text: str = ""
    _randoms: int = 0

    def program(self, text: str) -> Program:
        """Compile `text`; raise BadMacro if its macros cannot be followed."""
        before = self._text, self._randoms
        self._text, self._randoms = text, 0
        try:
            return self._compile(scan(text))
        except TooDeep:
            raise BadMacro("macros are nested too deeply here", f"{shown(text, 40)!r} opens too many \"$(\".") from None
        finally:
            self._text, self._randoms = before

    def constant(self, text: str) -> str | None:
        """`text` expanded, if it is the same for every job."""
        program = self.program(text)
        return None if not program.constant else "".join(map(str, program.nodes))

    def expand(self, program: Program, values: Mapping[str, str], budget: _Budget | None = None) -> str:
        """Fill in the slots of `program`."""
        pieces = []
        for node in program.nodes:
            if type(node) is str:
                pieces.append(node)
            elif type(node) is Slot:
                value = values.get(node.name, "")
                if not value and node.default is not None:
                    value = self.expand(node.default, values, budget)
                elif "$" in value:
                    budget = budget or _Budget()
                    value = self._expand_cell(value, values, budget)
                pieces.append(value)
            else:
                pieces.append(self._call(node, values, budget))  # type: ignore[arg-type]
        if len(pieces) == 1:
            return pieces[0]
        length = sum(map(len, pieces))
        if length > MAX_VALUE_CHARACTERS:
            raise _too_large()
        self._spend(length)
        return "".join(pieces)

    def _compile(self, parts: tuple[Part, ...]) -> Program:
        nodes: list[str | Slot | Computed] = []
        text: list[str] = []
        weight, length = 0, 0
        for part in parts:
            for node, cost in self._nodes(part):
                weight += cost
                if isinstance(node, str):
                    length += len(node)
                    text.append(node)
                else:
                    nodes += _joined(text)
                    nodes.append(node)
                    text = []
                if length > MAX_VALUE_CHARACTERS or weight > MAX_WEIGHT:
                    raise _too_large()
        self._spend(length)
        return Program((*nodes, *_joined(text)), weight)

    def _nodes(self, part: Part) -> list[tuple[str | Slot | Computed, int]]:
        if isinstance(part, str):
            return [(part, 0)]
        if isinstance(part, Call):
            return [self._compile_call(part)]
        if part.name == "dollar":
            return [("$", 0)]
        if part.name in self.live:
            self.used.add(part.name)
            default = None if part.default is None else self._compile(part.default)
            return [(Slot(part.name, default), 1 + (default.weight if default else 0))]
        if part.default is not None and not self.macros.get(part.name, "").strip():
            # As in HTCondor: what comes out empty only when it is expanded is not replaced.
            self.used.add(part.name)
            program: Program | None = self._compile(part.default)
        else:
            program = self.named(part.name)
        return [] if program is None else _with_costs(program)

    def named(self, name: str) -> Program | None:
        """The compiled macro `name`, None if there is none."""
        self.used.add(name)
        if name in self._compiled:
            return self._compiled[name]
        if name in self.live:
            return Program((Slot(name),), 1)
        if name not in self.macros:
            return None
        if name in self._open:
            path = " → ".join([*self._open[self._open.index(name) :], name])
            raise BadMacro(f"the macro {name} needs itself", f"{shown(path, 200)}: this never ends.",
                           "Give one of them a value that does not use the others.")
        if len(self._open) >= MAX_DEPTH:
            raise BadMacro("macros stand for macros too many times in a row", f"More than {MAX_DEPTH} levels.")
        self._open.append(name)
        try:
            program = self.program(self.macros[name])
        finally:
            self._open.pop()
        self._compiled[name] = program
        return program

    def _compile_call(self, call: Call) -> tuple[str | Computed, int]:
        arguments = self._compile(call.arguments)
        named: dict[str, Program] = {}
        if call.function == "ENV" and not arguments.constant:
            raise BadMacro("$ENV() cannot depend on the job", "The environment is read once, at submission.")
        if call.function != "ENV":
            for word in "".join(node for node in arguments.nodes if isinstance(node, str)).split(","):
                name = word.strip().lower()
                if name and len(named) < 100 and (program := self.named(name)) is not None:
                    named[name] = program
        weight = 1 + arguments.weight + sum(program.weight for program in named.values())
        if call.function in RANDOM:
            self.used.add(SEED)
            return Computed(call.function, arguments, named, self._salt()), weight
        node = Computed(call.function, arguments, named)
        if weight > 1 or not arguments.constant or not all(program.constant for program in named.values()):
            return node, weight
        return self._call(node, {}, None), 0

    def _call(self, node: Computed, values: Mapping[str, str], budget: _Budget | None) -> str:
        from dsl.submit.functions import call

        argument = self.expand(node.arguments, values, budget)
        if node.function == "ENV":
            return self._environment(argument)
        self._spend(len(argument))

        def look(name: str) -> str | None:
            program = node.named.get(name.lower())
            if program is None:
                return None
            found = self.expand(program, values, budget)
            self._spend(len(found))
            return found

        if node.salt:
            job = f"{values.get('cluster', '')}.{values.get('process', '')}"
            return call(node.function, argument, look, self._worth, draw(self.macros.get(SEED, ""), job, node.salt))
        return call(node.function, argument, look, self._worth)

    def _worth(self, text: str) -> Plain | None:
        """What an expression is worth."""
        number = integer_of(text)
        if number is not None:
            return number
        self._spend(EVALUATION + EVALUATED_CHARACTER * len(text))
        return value_of(text)

    def _spend(self, characters: int) -> None:
        self.work -= characters
        if self.work < 0:
            raise BadMacro("the macros come to too much here, all values together",
                           f"At most {MAX_WORK >> 20} Mi characters are put in and read by functions; an expression "
                           f"that is evaluated counts as {EVALUATION:,} and more.",
                           "Use long macros, and functions of them, less often.")

    def _salt(self) -> str:
        """A name for the `$RANDOM_…` that is being compiled, the same in every program."""
        self._randoms += 1
        return draw(self._open[-1] if self._open else "", str(self._randoms), self._text)

    def _environment(self, argument: str) -> str:
        name, colon, default = argument.partition(":")
        self.used.add(ENVIRONMENT + name.strip())
        value = self.macros.get(ENVIRONMENT + name.strip())
        return value if value is not None else default if colon else "UNDEFINED"

    def _expand_cell(self, value: str, values: Mapping[str, str], budget: _Budget) -> str:
        """An item's text may name macros itself, and other items."""
        program = self._cells.get(value)
        if program is None:
            program = self.program(value)
            if len(self._cells) >= _KEPT_CELLS:
                self._cells.clear()
            self._cells[value] = program
        budget.steps -= 1 + program.weight
        if budget.depth >= MAX_CELL_DEPTH or budget.steps < 0:
            raise BadMacro("item variables stand for one another without end", f"{shown(value, 40)!r} is one of them.")
        budget.depth += 1
        try:
            return self.expand(program, values, budget)
        finally:
            budget.depth -= 1


def draw(*parts: str) -> str:
    """A number that looks like chance, as hexadecimal digits: the same for the same `parts`."""
    from hashlib import blake2b

    return blake2b("\0".join(parts).encode(errors="replace"), digest_size=16).hexdigest()


def resolve_self(name: str, text: str, previous: str | None) -> str:
    """`x = $(x)2` means the x of before: put it in at once."""
    try:
        parts = scan(text)
    except TooDeep:
        raise BadMacro("macros are nested too deeply here") from None
    if name not in references(parts):
        return text
    result = "".join(_unscan(part, name, previous) for part in parts)
    if len(result) > MAX_VALUE_CHARACTERS:
        raise _too_large()
    return result


def _unscan(part: Part, name: str, previous: str | None) -> str:
    """`part` as text again, with `$(name)` replaced."""
    if isinstance(part, str):
        return part
    if isinstance(part, Call):
        return f"${part.function}({''.join(_unscan(inner, name, previous) for inner in part.arguments)})"
    default = None if part.default is None else "".join(_unscan(inner, name, previous) for inner in part.default)
    if part.name == name:
        return previous or default or ""
    return f"$({part.name})" if default is None else f"$({part.name}:{default})"


def _joined(text: list[str]) -> list[str]:
    """The pieces as one, or none if that is empty."""
    joined = "".join(text)
    return [joined] if joined else []


def _with_costs(program: Program) -> list[tuple[str | Slot | Computed, int]]:
    """The nodes of `program`; the first carries what they all cost."""
    costs = [program.weight, *[0] * (len(program.nodes) - 1)]
    return list(zip(program.nodes, costs, strict=False))


def _too_large() -> BadMacro:
    return BadMacro("this value grows too large once its macros are put in",
                    f"A value may have at most {MAX_VALUE_CHARACTERS:,} characters.")
