"""GPUs: what a job asks of them, which of a machine's will do, and which of those it gets.

A machine offers of each device some memory. A run has a device to itself, or a share of its
memory: what its job said with gpu_memory, else what the cluster's earlier runs used. Until
one of them has been measured, a job that would share has a device to itself too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from contract.messages import Amounts, GpuPart
from dsl.classad import Ad, Expression, parse

MOST_GPUS = 1024

LEARNED_STEP_MIB = 64
"""What is learned is rounded up to this, so that not every run teaches something new."""

LEARNED_MARGIN = 1.25
"""A share is so much larger than the largest peak seen: no two runs are quite the same."""


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """So many devices, of each a share of this much memory; None: the whole device."""

    count: int
    share_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU of a machine as matching sees it."""

    name: str
    index: int
    """Its place in the machine's AvailableGPUs."""
    offered_mib: int
    may_share: bool
    memory_mib: float
    capability: float


def request_of(ad: Ad, now: float) -> GpuRequest | str | None:
    """The GPUs that a job asks for, None if it asks for none, or why that cannot be said."""
    count = ad.evaluate("RequestGPUs", now=now) if "RequestGPUs" in ad else 0
    if type(count) not in (int, float) or not 0 <= count <= MOST_GPUS:  # type: ignore[operator]
        return f"RequestGPUs is not a number of GPUs: {ad.text('RequestGPUs')[:200]} gives {count!s:.100}."
    if not count:
        return None
    number = math.ceil(count)  # type: ignore[arg-type]
    if ad.evaluate("PescGpuSharing", now=now) is not True:
        return GpuRequest(number)
    if "GPUsMinMemory" not in ad:
        peak = ad.evaluate("PescGpuPeak", now=now)
        return GpuRequest(number, math.ceil(peak * LEARNED_MARGIN) if isinstance(peak, int) else None)
    said = ad.evaluate("GPUsMinMemory", now=now)
    if type(said) not in (int, float) or not 0 <= said <= 2**40:  # type: ignore[operator]
        return f"GPUsMinMemory is not an amount of memory: {ad.text('GPUsMinMemory')[:200]} gives {said!s:.100}."
    return GpuRequest(number, max(1, math.ceil(said)))  # type: ignore[arg-type]


def learned(peak_mib: float) -> int:
    """What is kept of a measured peak."""
    return math.ceil(peak_mib / LEARNED_STEP_MIB) * LEARNED_STEP_MIB


def are_possible(offered: Sequence[GpuPart]) -> bool:
    """Whether a machine could have these."""
    return (len({part.device for part in offered}) == len(offered) <= MOST_GPUS
            and all(0 < part.memory_mib <= 2**40 for part in offered))


def devices_of(machine: Ad, offered: Sequence[GpuPart]) -> tuple[Device, ...]:
    """The devices that a machine offers and describes."""
    if not offered:
        return ()
    described = machine.evaluate("AvailableGPUs")
    parts = {part.device: part for part in offered}
    found: dict[str, Device] = {}
    for index, ad in enumerate(described if isinstance(described, list) else []):
        name = ad.evaluate("Id") if isinstance(ad, Ad) else None
        if isinstance(ad, Ad) and isinstance(name, str) and (part := parts.get(name)) is not None:
            found[name] = Device(name, index, part.memory_mib, part.shared,
                                 _number(ad.evaluate("GlobalMemoryMb")), _number(ad.evaluate("Capability")))
    return tuple(found.values())


def suitable(job: Ad, machine: Ad, devices: Sequence[Device], now: float) -> tuple[Device, ...]:
    """The devices for which the job's RequireGPUs is true, best fit first: least memory, lowest capability, name."""
    if "RequireGPUs" in job:
        devices = [device for device in devices
                   if _is_met_by(device.index).evaluate(job, machine, now=now) == 1]
    return tuple(sorted(devices, key=lambda device: (device.memory_mib, device.capability, device.name)))


@lru_cache(MOST_GPUS)
def _is_met_by(index: int) -> Expression:
    return parse(f"countMatches(MY.RequireGPUs, {{ TARGET.AvailableGPUs[{index}] }})")


def pick(request: GpuRequest, devices: Sequence[Device], free: Sequence[GpuPart]) -> tuple[GpuPart, ...] | None:
    """What a job takes of `devices`, in their order; None if too little is free.

    1. shares of devices that others have most of already
    2. where it cannot have a share, devices of its own
    """
    there = {part.device: part for part in free}
    shares: list[tuple[int, GpuPart]] = []
    wholes: list[GpuPart] = []
    for device in devices:
        left = there.get(device.name)
        if left is None:
            continue
        if device.may_share and request.share_mib is not None and request.share_mib <= device.offered_mib:
            if request.share_mib <= left.memory_mib:
                shares.append((left.memory_mib - device.offered_mib, GpuPart(device.name, request.share_mib, True)))
        elif not left.shared:
            wholes.append(GpuPart(device.name, device.offered_mib))
    parts = [part for _, part in sorted(shares, key=lambda share: share[0])] + wholes
    return tuple(parts[:request.count]) if len(parts) >= request.count else None


def shortage(job: Ad, machines: Iterable[tuple[Ad, Sequence[Device]]], now: float) -> str:
    """Why no machine of the pool has the GPUs that `job` asks for; "" where one has, or it asks for none."""
    request = request_of(job, now)
    if not isinstance(request, GpuRequest):
        return ""
    pools = [(devices, suitable(job, machine, devices, now)) for machine, devices in machines if devices]
    best = max((len(fitting) for _, fitting in pools), default=0)
    if best >= request.count:
        return ""
    if not pools:
        return "No machine of the pool has a GPU."
    every = [device for devices, _ in pools for device in devices]
    what = f"for which {_filled(job, now)} is true" if "RequireGPUs" in job else "of one machine"
    asked = f"a GPU {what}; no machine has one" if request.count == 1 else (
        f"{request.count} GPUs {what}; no machine has more than {best}")
    return (f"It asks for {asked}. The newest GPU of the pool has capability "
            f"{max(device.capability for device in every):g}, the largest has "
            f"{max(device.memory_mib for device in every):.0f} MiB.")


def _filled(job: Ad, now: float) -> str:
    """RequireGPUs, with what the job's other commands said in place of the names."""
    wanted = job.text("RequireGPUs")
    for name in ("GPUsMinCapability", "GPUsMaxCapability", "GPUsMinMemory", "GPUsMinRuntime"):
        if name in job:
            wanted = wanted.replace(name, str(job.evaluate(name, now=now)))
    return wanted[:300]


def left(offered: Sequence[GpuPart], held: Iterable[Amounts]) -> tuple[GpuPart, ...]:
    """What `held` leaves of the devices; below zero where it is more than there is."""
    taken: dict[str, int] = {}
    whole = {part.device: part.memory_mib for part in offered}
    for claim in held:
        for part in claim.gpus:
            takes = part.memory_mib if part.shared else whole.get(part.device, 0)
            taken[part.device] = taken.get(part.device, 0) + takes
    return tuple(GpuPart(part.device, part.memory_mib - taken.get(part.device, 0), part.device in taken)
                 for part in offered)


def fit(parts: Sequence[GpuPart], free: Sequence[GpuPart]) -> bool:
    """Whether these very parts are free."""
    there = {part.device: part for part in free}
    return all(
        (left := there.get(part.device)) is not None
        and (part.memory_mib <= left.memory_mib if part.shared else not left.shared)
        for part in parts
    )


def less(free: Sequence[GpuPart], parts: Sequence[GpuPart]) -> tuple[GpuPart, ...]:
    """What is left when these parts, which fit, are taken."""
    taken = {part.device: part for part in parts}
    return tuple(
        part if (taking := taken.get(part.device)) is None
        else GpuPart(part.device, part.memory_mib - (taking.memory_mib if taking.shared else part.memory_mib), True)
        for part in free
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
