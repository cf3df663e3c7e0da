"""Sweeps: rows that are computed, not stored.

A sweep is a list of axes. An axis is a range of exact decimals, or rows that are
written out (a list of values, a table). The rows of a sweep are the product of its
axes in their written order: the last one goes round fastest.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Protocol

from dsl.submit.expressions import quote
from dsl.submit.forms import BadLine, SweepAxis
from dsl.submit.mistakes import shown
from dsl.submit.parse import parse_sweep

MOST_ROWS = 100_000_000
MOST_PLACES = 17
MOST_DIGITS = 17
"""Of a number, places included: what is counted in fits into 64 bits."""
KEPT_FACTORS = 4096
"""Of each axis: most sweeps go round in a few values."""
NUMBER, TRUTH, TEXT = "number", "truth", "text"
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
_RESERVED = frozenset({"true", "false", "undefined", "error", "is", "isnt", "my", "target", "parent"})


@dataclass(frozen=True, slots=True)
class Axis:
    """One factor of a sweep: `rows`, or `count` numbers from `start` in steps of `step`, both in units of
    10 to the power of -`places`. `kinds`: what the values of each name are."""

    names: list[str]
    kinds: list[str]
    count: int
    start: int = 0
    step: int = 0
    places: int = 0
    rows: list[list[str]] = field(default_factory=list)


class AxisLike(Protocol):
    """An axis as it came over the wire, or as it was read."""

    @property
    def names(self) -> list[str]: ...
    @property
    def kinds(self) -> list[str]: ...
    @property
    def count(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def places(self) -> int: ...
    @property
    def rows(self) -> list[list[str]]: ...


class BadSweep(Exception):
    """What came as a sweep is none."""


class Rows(Sequence[list[str]]):
    """The rows of a sweep, each made when it is asked for. Nothing is taken on trust: BadSweep."""

    __slots__ = ("_axes", "_count", "_kinds", "_known", "names")

    def __init__(self, axes: Iterable[AxisLike]) -> None:
        self._axes = list(axes)
        self._count = 1
        for axis in self._axes:
            self._check(axis)
            self._count *= axis.count
            if self._count > MOST_ROWS:
                raise BadSweep(f"the sweep has more than {MOST_ROWS:,} rows")
        self.names = [name for axis in self._axes for name in axis.names]
        self._kinds = [kind for axis in self._axes for kind in axis.kinds]
        self._known: list[dict[int, tuple[list[str], str]]] = [{} for _ in self._axes]

    def _check(self, axis: AxisLike) -> None:
        rows = len(axis.rows)
        if axis.count < 0 or len(axis.kinds) != len(axis.names) or not 0 <= axis.places <= MOST_PLACES or (
                rows not in (0, axis.count)) or (not rows and axis.count and len(axis.names) != 1) or (
                not all(_NAME.match(name) for name in axis.names)) or (
                rows and any(len(row) != len(axis.names) for row in axis.rows)):
            raise BadSweep("an axis of the sweep contradicts itself")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[str]]:
        return (self[index] for index in range(self._count))

    def __getitem__(self, index: int) -> list[str]:  # type: ignore[override]
        """Row `index`, its last axis fastest."""
        return [cell for cells, _ in self._factors(index) for cell in cells]

    def record(self, index: int) -> str:
        """Row `index` as a ClassAd record."""
        return f"[ {'; '.join(fields for _, fields in self._factors(index))} ]"

    def json(self, index: int) -> str:
        """Row `index` as a JSON object on one line; numbers are written as they stand in the row."""
        from json import dumps  # only the schedd asks

        members = (f"{dumps(name)}: {_json(cell, kind, dumps)}"
                   for name, cell, kind in zip(self.names, self[index], self._kinds, strict=True))
        return f"{{{', '.join(members)}}}"

    def _factors(self, index: int) -> list[tuple[list[str], str]]:
        """What each axis gives to a row: its cells, and the same as fields of a record."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        factors = []
        for axis, known in zip(reversed(self._axes), reversed(self._known), strict=True):
            index, place = divmod(index, axis.count)
            factor = known.get(place)
            if factor is None:
                cells = axis.rows[place] if axis.rows else [decimal(axis.start + place * axis.step, axis.places)]
                factor = cells, "; ".join(f"{_attribute(name)} = {_literal(cell, kind)}" for name, cell, kind in zip(
                    axis.names, cells, axis.kinds, strict=True))
                if len(known) < KEPT_FACTORS:
                    known[place] = factor
            factors.append(factor)
        factors.reverse()
        return factors


def decimal(number: int, places: int) -> str:
    """`number` in units of 10 to the power of -`places`, exactly."""
    if not places:
        return str(number)
    digits = str(abs(number)).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def kind_of(cells: Iterable[str]) -> str:
    """What a column holds: numbers, truths, or text. `007` is text."""
    kinds = set()
    for cell in cells:
        if _NUMBER.match(cell) and not _LEADING_ZERO.match(cell):
            kinds.add(NUMBER)
        elif cell.lower() in ("true", "false"):
            kinds.add(TRUTH)
        else:
            return TEXT
    return kinds.pop() if len(kinds) == 1 else TEXT


def read_sweep(text: str) -> tuple[list[Axis], list[str]]:
    """The axes that `sweep text` names, and what should be said about them; or BadLine."""
    axes, warnings = [], []
    for written in parse_sweep(text):
        axis, warning = _axis(written)
        axes.append(axis)
        warnings += [warning] if warning else []
    return axes, warnings


def _axis(written: SweepAxis) -> tuple[Axis, str]:
    if written.values is not None:
        return Axis([written.name], [kind_of(written.values)], len(written.values),
                    rows=[[value] for value in written.values]), ""
    from decimal import Decimal  # slow to import, and few files sweep

    first, last = Decimal(written.first), Decimal(written.last)
    if not written.step and not (first == first.to_integral() and last == last.to_integral()):
        raise BadLine(written.offset, written.length, f"the sweep of {shown(written.name)} has no step", "",
                      f"Write, say: {written.first}..{written.last} step 0.1")
    step = Decimal(written.step or ("1" if last >= first else "-1"))
    places = max(0, *(-int(number.as_tuple().exponent) for number in (first, last, step)))
    shown_places = max(0, *(-int(number.as_tuple().exponent) for number in (first, step)))
    if places + max(0, first.adjusted(), last.adjusted(), step.adjusted()) + 1 > MOST_DIGITS:
        raise BadLine(written.offset, written.length, "these numbers have too many digits")
    begin, end, by = (int(number.scaleb(places)) for number in (first, last, step))
    if not by or (end - begin) * by < 0:
        raise BadLine(written.offset, written.length, f"{written.first}..{written.last} is never reached in steps of "
                      f"{written.step}", "", "Steps lead from the first number to the last.")
    count = (end - begin) // by + 1
    if count > MOST_ROWS:
        raise BadLine(written.offset, written.length, f"this sweep has {count:,} values", f"At most {MOST_ROWS:,}.")
    less = 10 ** (places - shown_places)
    reached = decimal((begin + (count - 1) * by) // less, shown_places)
    warning = "" if (end - begin) % by == 0 else f"{written.last} is not reached; the last {written.name} is {reached}"
    return Axis([written.name], [NUMBER], count, begin // less, by // less, shown_places), warning


def _attribute(name: str) -> str:
    return f"'{name}'" if name.lower() in _RESERVED or not name.isidentifier() or not name.isascii() else name


def _literal(cell: str, kind: str) -> str:
    if kind == NUMBER and _NUMBER.match(cell):
        return cell.removeprefix("+")
    if kind == TRUTH and cell.lower() in ("true", "false"):
        return cell.lower()
    return quote(cell)


def _json(cell: str, kind: str, dumps: Callable[..., str]) -> str:
    if kind == NUMBER and _NUMBER.match(cell) and not _LEADING_ZERO.match(cell) and isfinite(float(cell)):
        return cell.removeprefix("+")
    if kind == TRUTH and cell.lower() in ("true", "false"):
        return cell.lower()
    return dumps(cell, ensure_ascii=False)
