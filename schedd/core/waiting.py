"""Who waits: the idle jobs of each user, grouped by what matters to matching.

A **kind** of job (HTCondor's autocluster) is all that the matchmaker can tell apart: the
texts of Requirements, Rank and requests, and of the job attributes these and the machines'
expressions read. A million jobs of one sweep are one kind, matched once.

Each line (one user, one kind) is a heap of tickets in the order of `turn`; a ticket whose
job no longer waits is dropped when it comes to the front.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from contract.messages import Amounts
from dsl.classad import Ad
from schedd.core.gpus import GpuRequest


class Ticket(NamedTuple):
    """A place in a line, and its sort key: the user's own priority, highest first, then
    the order of submission. `rest` stands for all jobs of a cluster that are no rows yet."""

    minus_priority: int
    cluster: int
    proc: int
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What the matchmaker sees of a job."""

    number: int
    ad: Ad
    request: Amounts
    gpus: GpuRequest | None = None
    processors: frozenset[str] | None = None
    """Kinds for which all is built that these jobs need; None: for any."""


@dataclass(slots=True)
class Line:
    """The waiting jobs of one user and one kind."""

    owner: str
    kind: Kind
    heap: list[Ticket] = field(default_factory=list)


class Waiting:
    """All lines. `is_current` tells whether a ticket still stands for somebody who waits."""

    def __init__(
        self, is_current: Callable[[Kind, Ticket], bool], expand: Callable[[Ticket, int], Iterable[Ticket]]
    ) -> None:
        self._is_current = is_current
        self._expand = expand
        self._kinds: dict[tuple[tuple[str, str], ...], Kind] = {}
        self._lines: dict[tuple[str, int], Line] = {}

    def kind(self, signature: tuple[tuple[str, str], ...], make: Callable[[int], Kind]) -> Kind:
        """The kind with this signature; `make` describes a new one."""
        kind = self._kinds.get(signature)
        if kind is None:
            kind = self._kinds[signature] = make(len(self._kinds))
        return kind

    def forget_kinds(self) -> None:
        """What matters to matching has changed: every job must be filed anew."""
        self._kinds.clear()
        self._lines.clear()

    def add(self, owner: str, kind: Kind, ticket: Ticket) -> None:
        line = self._lines.get((owner, kind.number))
        if line is None:
            line = self._lines[owner, kind.number] = Line(owner, kind)
        heapq.heappush(line.heap, ticket)

    def lines(self) -> list[Line]:
        """The lines in which somebody waits."""
        for key, line in list(self._lines.items()):
            self._drop_stale(line)
            if not line.heap:
                del self._lines[key]
        return list(self._lines.values())

    def first(self, line: Line, most: int) -> list[Ticket]:
        """Up to `most` single jobs from the front of `line`, in order; the line keeps them."""
        found: list[Ticket] = []
        taken: set[Ticket] = set()
        # A rest keeps its place in the heap while its first jobs go: single ones may belong between the others.
        last_of_rest: Ticket | None = None
        while line.heap and (len(found) < most or (last_of_rest is not None and line.heap[0] < last_of_rest)):
            ticket = heapq.heappop(line.heap)
            if ticket in taken or not self._is_current(line.kind, ticket):
                continue
            taken.add(ticket)
            if ticket.rest:
                found.extend(self._expand(ticket, most))
                last_of_rest = found[-1]
            else:
                found.append(ticket)
        for ticket in taken:
            heapq.heappush(line.heap, ticket)
        return sorted(found)[:most]

    def _drop_stale(self, line: Line) -> None:
        while line.heap and not self._is_current(line.kind, line.heap[0]):
            heapq.heappop(line.heap)
