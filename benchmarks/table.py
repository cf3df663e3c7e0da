"""The one table that all measures fill."""

from collections.abc import Iterable
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside what it is measured against: a peer of the same run, or a limit."""

    name: str
    ours: float
    unit: str = ""
    peer: float | None = None
    """What a peer did in the same run, in the same unit."""
    at_least: float | None = None
    """The target for ours / peer; without a peer, for ours."""
    at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        value = self.ratio if self.peer is not None else self.ours
        if value is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def target(self) -> str:
        times = " ×" if self.peer is not None else f" {self.unit}"
        if self.at_least is not None:
            return f"≥ {_short(self.at_least)}{times}"
        return f"≤ {_short(self.at_most)}{times}" if self.at_most is not None else ""


def render(rows: Iterable[Row]) -> str:
    """The table as text."""
    lines = [
        (row.name, _with_unit(row.ours, row.unit), "" if row.peer is None else _with_unit(row.peer, row.unit),
         "" if row.ratio is None else f"{row.ratio:.2f}", row.target,
         {True: "yes", False: "NO", None: ""}[row.met], row.note)
        for row in rows
    ]
    return tabulate(lines, ["what", "ours", "peer", "ratio", "target", "met", ""], disable_numparse=True)


def _with_unit(value: float, unit: str) -> str:
    return f"{_short(value)} {unit}".rstrip()


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
