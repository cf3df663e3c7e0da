"""The pure function from demands and offers to matches.

Whose turn it is (`turn`) and which machine is best (`taste`) are numbered lists that end in
a tie-break: equal inputs give equal answers, whatever order they come in.

Both sides' `Requirements` are evaluated against what a machine has in all; what it has free
is compared as numbers, and carved with every match. So an answer for (kind of job, machine's
ad) holds until the ad changes, and is kept by the caller in `Verdicts`.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contract.messages import Amounts
from dsl.classad import Ad, symmetric_match
from schedd.core.machine import fits, less
from schedd.core.waiting import Kind, Ticket


@dataclass(frozen=True, slots=True)
class Demand:
    """Jobs of one user and one kind, in the order they want to go."""

    owner: str
    kind: Kind
    jobs: Sequence[Ticket]


@dataclass(frozen=True, slots=True)
class Offer:
    """A machine that takes jobs."""

    name: str
    version: int
    ad: Ad
    free: Amounts


@dataclass(frozen=True, slots=True)
class Share:
    """What a user has in use and is due: `weight` is the effective priority, smaller is better."""

    in_use: float
    weight: float


class Match(NamedTuple):
    """This job goes there, and takes this much."""

    ticket: Ticket
    machine: str
    claim: Amounts


Verdicts = dict[tuple[int, str, int], float | None]
"""(kind, machine, version of its ad) → the job's Rank of it, None if the two do not match."""


def negotiate(
    demands: Sequence[Demand], offers: Sequence[Offer], shares: Mapping[str, Share], verdicts: Verdicts, now: float
) -> list[Match]:
    """Give free amounts to waiting jobs, one at a time, fairly. `verdicts` only saves work."""
    free = {offer.name: offer.free for offer in offers}
    in_use = {owner: share.in_use for owner, share in shares.items()}
    cursors = [0] * len(demands)
    # Keys only grow within a cycle, so one that has grown is found out when it comes to the front.
    queue = [(turn(demand, 0, in_use, shares), index) for index, demand in enumerate(demands)]
    heapq.heapify(queue)
    matches: list[Match] = []
    while queue:
        key, index = queue[0]
        demand = demands[index]
        if key != (key := turn(demand, cursors[index], in_use, shares)):
            heapq.heapreplace(queue, (key, index))
            continue
        name = best_machine(demand.kind, offers, free, verdicts, now)
        if name is None:
            # Within a cycle amounts only shrink: what finds nothing now finds nothing later.
            heapq.heappop(queue)
            continue
        request = demand.kind.request
        matches.append(Match(demand.jobs[cursors[index]], name, request))
        free[name] = less(free[name], request)
        in_use[demand.owner] = in_use.get(demand.owner, 0.0) + request.cpus
        cursors[index] += 1
        if cursors[index] == len(demand.jobs):
            heapq.heappop(queue)
    return matches


def turn(
    demand: Demand, cursor: int, in_use: Mapping[str, float], shares: Mapping[str, Share]
) -> tuple[float, str, Ticket]:
    """Sort key: whose turn it is.

    1. the user who would, with one cpu more, have least in use for what is due to them
    2. the user's name, only to break ties the same way every time
    3. within a user: own priority, then order of submission
    """
    owner = demand.owner
    weight = shares[owner].weight if owner in shares else 1.0
    return (in_use.get(owner, 0.0) + 1.0) * weight, owner, demand.jobs[cursor]


def best_machine(
    kind: Kind, offers: Sequence[Offer], free: Mapping[str, Amounts], verdicts: Verdicts, now: float
) -> str | None:
    """The machine for the next job of `kind`, or None."""
    best: tuple[tuple[float, float, float, str], str] | None = None
    for offer in offers:
        left = free[offer.name]
        if not fits(kind.request, left):
            continue
        rank = verdict(kind, offer, verdicts, now)
        if rank is None:
            continue
        key = taste(rank, left, offer.name)
        if best is None or key < best[0]:
            best = key, offer.name
    return best[1] if best else None


def taste(rank: float, left: Amounts, name: str) -> tuple[float, float, float, str]:
    """Sort key: which machine is best.

    1. the highest Rank of the job
    2. the most free cpus, then the most free memory
    3. the name, only to break ties the same way every time
    """
    return -rank, -left.cpus, -left.memory_mib, name


def verdict(kind: Kind, offer: Offer, verdicts: Verdicts, now: float) -> float | None:
    """The Rank that jobs of `kind` give to the machine, None if the two do not match."""
    key = kind.number, offer.name, offer.version
    if key not in verdicts:
        verdicts[key] = _rank(kind.ad, offer.ad, now) if symmetric_match(kind.ad, offer.ad, now=now) else None
    return verdicts[key]


def _rank(job: Ad, machine: Ad, now: float) -> float:
    value = job.evaluate("Rank", machine, now=now)
    return float(value) if isinstance(value, int | float) else 0.0
