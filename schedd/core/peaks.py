"""What runs used at most, kept by what they ran, so that it can be told what the next one needs."""

from typing import NamedTuple

import msgspec

from contract.messages import RunEnd
from contract.vocabulary import EndReason
from schedd.core.cluster import Cluster

KEPT = 50
"""Of each program, in its domain, of each owner: so many of the latest runs."""

FIRST_RUNS = 50
WORTH_SECONDS = 1.0
"""Of a cluster's first runs each is kept, of the later ones those that last: millions of brief ones tell no more."""

WANTED_MORE = frozenset({EndReason.MEMORY, EndReason.DISK, EndReason.GPU_MEMORY})


class PeakKey(NamedTuple):
    """`program` is the SHA-256 of what was sent along, or the path of a program that is on the machine;
    `domain` is "" where there is none."""

    program: str
    domain: str
    owner: str


class Peak(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run."""

    at: float
    wall_seconds: float
    cpus: float
    """Processors that it used on average."""
    peak_cpus: float
    memory_mib: float
    disk_kib: int
    gpu_memory_mib: float = 0.0
    enough: bool = True
    """False, if it was ended because it wanted more."""


def peak_of(end: RunEnd, now: float) -> Peak | None:
    """What the end tells, if it tells what such a run needs: one that was stopped half way does not."""
    if not end.started or (end.reason is not EndReason.EXITED and end.reason not in WANTED_MORE):
        return None
    return Peak(now, end.wall_seconds, average_cpus(end), max(end.peak_cpus, average_cpus(end)), end.peak_memory_mib,
                end.peak_disk_kib, end.peak_gpu_memory_mib, end.reason is EndReason.EXITED)


def average_cpus(end: RunEnd) -> float:
    return round((end.user_seconds + end.system_seconds) / end.wall_seconds, 3) if end.wall_seconds > 0 else 0.0


def is_worth_keeping(cluster: Cluster, end: RunEnd) -> bool:
    cluster.ended_runs += 1
    return cluster.ended_runs <= FIRST_RUNS or end.wall_seconds >= WORTH_SECONDS
