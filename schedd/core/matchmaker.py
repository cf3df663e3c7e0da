"""The pure function from demands and offers to matches.

Whose turn it is (`turn`) and which machine is best (`taste`) are numbered lists that end in
a tie-break: equal inputs give equal answers, whatever order they come in.

Both sides' `Requirements` are evaluated against what a machine has in all, and RequireGPUs
against each of its GPUs; what it has free is compared as numbers, and carved with every match.
So an answer for (kind of job, machine's ad) holds until the ad changes, and is kept by the
caller in `Verdicts`.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from contract.messages import Amounts
from dsl.classad import Ad, symmetric_match
from schedd.core import gpus
from schedd.core.gpus import Device
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
    devices: tuple[Device, ...] = ()
    processor: str = ""
    """Its kind, as compilers name it."""


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


class Verdict(NamedTuple):
    """The two match: the job's Rank of the machine, and the GPUs that will do."""

    rank: float
    devices: tuple[Device, ...] = ()


Verdicts = dict[tuple[int, str, int], Verdict | None]
"""(kind, machine, version of its ad) → what was found, None if the two do not match."""


Taste = tuple[float, float, float, str]


class Ranking(NamedTuple):
    """The machines for one kind of job."""

    heap: list[Taste]
    """By `taste`, some places out of date since amounts were carved."""
    devices: dict[str, tuple[Device, ...]]
    """Their GPUs that will do; empty for a kind that asks for none."""


def negotiate(
    demands: Sequence[Demand], offers: Sequence[Offer], shares: Mapping[str, Share], verdicts: Verdicts, now: float
) -> list[Match]:
    """Give free amounts to waiting jobs, one at a time, fairly. `verdicts` only saves work."""
    free = {offer.name: offer.free for offer in offers}
    rankings: dict[int, Ranking] = {}
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
        kind = demand.kind
        if kind.number not in rankings:
            rankings[kind.number] = ranking(kind, offers, free, verdicts, now)
        found = best_machine(kind, rankings[kind.number], free)
        if found is None:
            # Within a cycle amounts only shrink: what finds nothing now finds nothing later.
            heapq.heappop(queue)
            continue
        name, claim = found
        matches.append(Match(demand.jobs[cursors[index]], name, claim))
        free[name] = less(free[name], claim)
        in_use[demand.owner] = in_use.get(demand.owner, 0.0) + claim.cpus
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


def ranking(
    kind: Kind, offers: Sequence[Offer], free: Mapping[str, Amounts], verdicts: Verdicts, now: float
) -> Ranking:
    """The machines for jobs of `kind`."""
    heap, devices = [], {}
    for offer in offers:
        left = free[offer.name]
        if fits(kind.request, left) and (found := verdict(kind, offer, verdicts, now)) is not None:
            heap.append(taste(found.rank, left, offer.name))
            if kind.gpus is not None:
                devices[offer.name] = found.devices
    heapq.heapify(heap)
    return Ranking(heap, devices)


def best_machine(kind: Kind, ranked: Ranking, free: Mapping[str, Amounts]) -> tuple[str, Amounts] | None:
    """The machine for the next job of `kind` and what it takes there, or None."""
    heap = ranked.heap
    while heap:
        minus_rank, _, _, name = key = heap[0]
        left = free[name]
        claim: Amounts | None = kind.request
        if not fits(kind.request, left):
            claim = None
        elif kind.gpus is not None:
            parts = gpus.pick(kind.gpus, ranked.devices[name], left.gpus)
            claim = None if parts is None else replace(kind.request, gpus=parts)
        if claim is None:
            heapq.heappop(heap)
        elif (fresh := taste(-minus_rank, left, name)) == key:
            return name, claim
        else:
            # What is free only shrinks, so a machine only falls: an outdated first place is the only one that misleads.
            heapq.heapreplace(heap, fresh)
    return None


def taste(rank: float, left: Amounts, name: str) -> Taste:
    """Sort key: which machine is best.

    1. the highest Rank of the job
    2. the most free cpus, then the most free memory
    3. the name, only to break ties the same way every time
    """
    return -rank, -left.cpus, -left.memory_mib, name


def verdict(kind: Kind, offer: Offer, verdicts: Verdicts, now: float) -> Verdict | None:
    """What jobs of `kind` think of the machine, None if the two do not match."""
    key = kind.number, offer.name, offer.version
    if key not in verdicts:
        verdicts[key] = _judge(kind, offer, now)
    return verdicts[key]


def _judge(kind: Kind, offer: Offer, now: float) -> Verdict | None:
    if kind.processors is not None and offer.processor not in kind.processors:
        return None
    if not symmetric_match(kind.ad, offer.ad, now=now):
        return None
    devices = () if kind.gpus is None else gpus.suitable(kind.ad, offer.ad, offer.devices, now)
    if kind.gpus is not None and len(devices) < kind.gpus.count:
        return None
    return Verdict(_rank(kind.ad, offer.ad, now), devices)


def _rank(job: Ad, machine: Ad, now: float) -> float:
    value = job.evaluate("Rank", machine, now=now)
    rank = float(value) if isinstance(value, int | float) else 0.0
    return 0.0 if math.isnan(rank) else rank       # what equals nothing has no place in an order
