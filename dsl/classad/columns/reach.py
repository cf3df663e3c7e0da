"""What an expression can reach: which attributes its value may depend on, and how much it may cost.

The value of an expression over a job and a machine depends on the attributes that
it names, on those that their expressions name, and so on: the *closure*. Rows
that agree in the closure agree in the value. Where it is not plain whose
attribute a name means, both count: the closure is rather too large than too small.

A conjunction may be taken apart only where its parts, evaluated each for
itself, are worth what they are worth together: see `Reach.is_divisible`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from dsl.classad.expression import Expression
from dsl.classad.scope import ELEMENT_DEPTH, MAX_DEPTH, MAX_STEPS
from dsl.classad.tree import Call, ListTree, Literal, RecordTree, Reference, Select, Subscript, Tree, children, depth_of

SCOPES = frozenset({"my", "target", "parent"})
_CLOCKS = frozenset({"time", "currenttime", "daytime", "formattime", "abstime"})
_IN_ELEMENTS = frozenset({"evalineachcontext", "countmatches"})

COSTLY_STEPS = MAX_STEPS // 4
"""Steps from which on a question is not taken apart: its parts share one budget."""


class Side(Enum):
    """Whose eyes a tree is seen with, and whose attribute one is."""

    JOB = "job"
    MACHINE = "machine"

    @property
    def other(self) -> Side:
        return Side.MACHINE if self is Side.JOB else Side.JOB

    # A member is equal to itself alone; the hash of `Enum` is Python code, and this is much hashed.
    __hash__ = object.__hash__


Named = tuple[str, str]
"""A scope ("" for a plain name, "my", "target", "any" for a part of some record) and a name in lower case."""

Attribute = tuple[Side, str]

Meant = dict[Attribute, int]
"""What attributes an expression names, and how often."""


@dataclass(slots=True)
class Facts:
    """What one expression says by itself."""

    names: Counter[Named] = field(default_factory=Counter)
    depth: int = 0
    lists: int = 0
    asks_clock: bool = False
    is_dynamic: bool = False
    """It may look up names that do not stand in it: `eval(text)`, `MY[name]`, or a whole ad as a value."""
    looks_into_elements: bool = False
    within_elements: set[str] = field(default_factory=set)
    """Attributes evaluated inside the elements of a list; if there is none of the name, both ads get out of sight."""
    has_records: bool = False


def facts_of(expression: Expression) -> Facts:
    """Read an expression; as with its compiled form this is done once, for all who hold the same text."""
    facts = _KNOWN.get(expression)
    if facts is None:
        if len(_KNOWN) >= MAX_KNOWN:
            _KNOWN.clear()
        facts = _KNOWN[expression] = _read(expression.tree)
    return facts


def expression_of(tree: Tree) -> Expression:
    """Return the expression that `tree` is by itself: one for each tree, so that its text is written once."""
    expression = _PARTS.get(id(tree))
    if expression is None:
        if len(_PARTS) >= MAX_KNOWN:
            _PARTS.clear()
        expression = _PARTS[id(tree)] = Expression(tree)
    return expression


_PARTS: dict[int, Expression] = {}
"""By the identity of their trees, which they keep alive."""

_KNOWN: dict[Expression, Facts] = {}
MAX_KNOWN = 4096


def _read(tree: Tree) -> Facts:
    facts = Facts(depth=depth_of(tree) + 1)
    waiting = [tree]
    while waiting:
        here = waiting.pop()
        match here:
            case Reference(name, False):
                _name(facts, "", name)
            case Select(Reference(scope, False), name) if scope.lower() in ("my", "target"):
                _name(facts, scope.lower(), name)
                # An ad may have an attribute MY: then the name is a part of that.
                facts.names["", scope.lower()] += 1
                continue
            case Select(_, name):
                _name(facts, "any", name)
            case Call(name, arguments):
                _call(facts, name.lower(), arguments)
            case Subscript(_, index):
                facts.is_dynamic |= not (isinstance(index, Literal) and isinstance(index.value, int))
            case ListTree():
                facts.lists += 1
            case RecordTree():
                facts.has_records = True
        waiting.extend(children(here))
    return facts


def _name(facts: Facts, scope: str, name: str) -> None:
    key = name.lower()
    facts.names[scope, key] += 1
    facts.is_dynamic |= key in SCOPES
    facts.asks_clock |= key == "currenttime"


def _call(facts: Facts, name: str, arguments: tuple[Tree, ...]) -> None:
    facts.asks_clock |= name in _CLOCKS
    facts.is_dynamic |= name == "eval"
    if name in _IN_ELEMENTS:
        facts.looks_into_elements = True
        facts.lists += 1
        match arguments:
            case (Reference(attribute) | Select(_, attribute), _):
                facts.within_elements.add(attribute.lower())


@dataclass(slots=True, frozen=True)
class Reach:
    """The closure of an expression, with what must be known to evaluate it in parts."""

    job_names: tuple[str, ...]
    machine_names: tuple[str, ...]
    asks_clock: bool
    rows_may_differ: bool
    """Even rows that agree in the closure: which attributes are read is only known when they are."""
    is_divisible: bool
    """Parts may be evaluated one by one: nothing leads back to where it came from, no bound of the scalar
    evaluator is near, and no part takes the ads out of sight of the next."""


Holders = Callable[[Side, str], Iterable[Facts]]


class _Walk:
    """Follows names from attribute to attribute."""

    def __init__(self, holders: Holders, job_has: Callable[[str], bool], either: bool) -> None:
        self.holders = holders
        self.job_has = job_has
        self.either = either
        """Names are looked up on both sides: inside the elements of a list it is not plain who is asked first."""
        self.seen: set[Attribute] = set()
        self.under: dict[Attribute, list[tuple[Facts, Meant]]] = {}
        """The expressions under the attributes that have any, and what each of them names how often."""

    def follow(self, root: Facts, side: Side) -> Meant:
        meant = self.meant(root, side)
        waiting = list(meant)
        while waiting:
            attribute = waiting.pop()
            if attribute in self.seen:
                continue
            self.seen.add(attribute)
            held = [(facts, self.meant(facts, attribute[0])) for facts in self.holders(*attribute)]
            if held:
                self.under[attribute] = held
                for _, others in held:
                    waiting.extend(others)
        return meant

    def meant(self, facts: Facts, side: Side) -> Meant:
        """Count the attributes that the names in an expression of `side` may mean."""
        meant: Meant = {}
        for named, times in facts.names.items():
            for attribute in self.meanings(named, side):
                meant[attribute] = meant.get(attribute, 0) + times
        return meant

    def meanings(self, named: Named, side: Side) -> tuple[Attribute, ...]:
        scope, name = named
        if self.either or scope == "any":
            return (Side.JOB, name), (Side.MACHINE, name)
        if scope == "my":
            return ((side, name),)
        if scope == "target":
            return ((side.other, name),)
        if side is Side.JOB and self.job_has(name):
            return ((Side.JOB, name),)
        # Whether the job has the attribute matters too, so it counts even where the machine's is meant.
        return (Side.MACHINE, name), (Side.JOB, name)

    def costs(self) -> dict[Attribute, int] | None:
        """Count the steps behind each attribute that holds expressions; None if one leads back to itself."""
        costs: dict[Attribute, int] = {}
        remaining = dict(self.under)
        while remaining:
            ready = [
                attribute
                for attribute, held in remaining.items()
                if not any(other in remaining for _, others in held for other in others)
            ]
            if not ready:
                return None
            for attribute in ready:
                costs[attribute] = max(_cost(others, costs) for _, others in remaining.pop(attribute))
        return costs


def _cost(meant: Meant, costs: Mapping[Attribute, int]) -> int:
    """Count the steps of an expression: one for itself and those of what it names."""
    return min(MAX_STEPS, 1 + sum(times * costs.get(attribute, 0) for attribute, times in meant.items()))


def reach(root: Facts, side: Side, holders: Holders, job_has: Callable[[str], bool]) -> Reach:
    """Follow `root`, seen from `side`; `holders` gives the expressions that stand under an attribute's name."""
    walk, meant, everything = _followed(root, side, holders, job_has, either=False)
    if any(facts.looks_into_elements for facts in everything):
        walk, meant, everything = _followed(root, side, holders, job_has, either=True)
    costs = walk.costs()
    is_dynamic = any(facts.is_dynamic for facts in everything)
    return Reach(
        job_names=tuple(sorted(name for side, name in walk.seen if side is Side.JOB)),
        machine_names=tuple(sorted(name for side, name in walk.seen if side is Side.MACHINE)),
        asks_clock=any(facts.asks_clock for facts in everything),
        rows_may_differ=is_dynamic or costs is None,
        is_divisible=not is_dynamic
        and costs is not None
        and _cost(meant, costs) < COSTLY_STEPS
        and sum(map(_depth, everything)) < MAX_DEPTH
        and all(_stays_in_sight(facts, job_has) for facts in everything),
    )


def _followed(
    root: Facts, side: Side, holders: Holders, job_has: Callable[[str], bool], either: bool
) -> tuple[_Walk, Meant, list[Facts]]:
    walk = _Walk(holders, job_has, either)
    meant = walk.follow(root, side)
    return walk, meant, [root, *(facts for held in walk.under.values() for facts, _ in held)]


def _depth(facts: Facts) -> int:
    return facts.depth + ELEMENT_DEPTH * facts.lists


def _stays_in_sight(facts: Facts, job_has: Callable[[str], bool]) -> bool:
    return not facts.looks_into_elements or (not facts.has_records and all(map(job_has, facts.within_elements)))
