"""What runs used at most, kept by what they ran, so that it can be told what the next one needs.

Not held in memory: a run's peak goes to the disk with its end, and whoever wants to know asks the store
for the latest of a program; what these come to is worked out here.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from contract.messages import RunEnd
from contract.requests import ProgramPeaks, Spread
from contract.vocabulary import EndReason
from schedd.core.cluster import Cluster

KEPT = 50
"""Of each program, in its domain, of each owner: so many of the latest runs."""

FIRST_RUNS = 50
WORTH_SECONDS = 1.0
"""Of a cluster's first runs each is kept, of the later ones those that last: millions of brief ones tell no more."""

SHARE = 0.95
"""What so many of the runs did with: those beyond are worth another try, not a larger request for all."""

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
    name: str = ""
    """How the program's file is called."""


class Measured(NamedTuple):
    """What is kept of one program."""

    key: PeakKey
    runs: int
    """How many were kept in all; the latest of them are in `peaks`."""
    peaks: list[Peak]
    """Latest first."""


def peak_of(end: RunEnd, now: float, name: str = "") -> Peak | None:
    """What the end tells, if it tells what such a run needs: one that was stopped half way does not."""
    if not end.started or (end.reason is not EndReason.EXITED and end.reason not in WANTED_MORE):
        return None
    return Peak(now, end.wall_seconds, average_cpus(end), max(end.peak_cpus, average_cpus(end)), end.peak_memory_mib,
                end.peak_disk_kib, end.peak_gpu_memory_mib, end.reason is EndReason.EXITED, name)


def average_cpus(end: RunEnd) -> float:
    return round((end.user_seconds + end.system_seconds) / end.wall_seconds, 3) if end.wall_seconds > 0 else 0.0


def is_worth_keeping(cluster: Cluster, end: RunEnd) -> bool:
    cluster.ended_runs += 1
    return cluster.ended_runs <= FIRST_RUNS or end.wall_seconds >= WORTH_SECONDS


def told(measured: Measured) -> ProgramPeaks:
    """What the runs of a program come to, as people are told."""
    key, runs, peaks = measured
    return ProgramPeaks(
        key.program, peaks[0].name if peaks else "", key.domain, key.owner, runs, len(peaks),
        sum(not peak.enough for peak in peaks), max((peak.at for peak in peaks), default=0.0),
        memory_mib=spread(peak.memory_mib for peak in peaks),
        cpus=spread(peak.peak_cpus for peak in peaks),
        disk_kib=spread(float(peak.disk_kib) for peak in peaks),
        gpu_memory_mib=spread(peak.gpu_memory_mib for peak in peaks),
        wall_seconds=spread(round(peak.wall_seconds, 3) for peak in peaks),
    )


def spread(values: Iterable[float]) -> Spread:
    """Each is a value that was measured: nothing is made up between two of them."""
    ordered = sorted(values)
    return Spread(_least_for(ordered, 0.5), _least_for(ordered, SHARE), ordered[-1]) if ordered else Spread()


def _least_for(ordered: Sequence[float], share: float) -> float:
    """The least that was enough for so many."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
