"""The machine's GPUs over time: what it offers of them, and what its runs use.

A device can be shared where the driver says how much memory each process has, so that a run
which takes more than its share is found out. Where there is reason to doubt what it says, the
device is given to one run at a time until the startd is started again.
"""

import asyncio
import logging
import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from contract.messages import GpuPart
from contract.vocabulary import RunId
from startd.core.events import GpuUsage
from startd.monitors.nvml import Device, Gpus, Look
from startd.runtime import procfs

log = logging.getLogger(__name__)

LIMIT = 0.7
"""Of a device's memory this share is offered: what the driver, contexts and fragments take is in nobody's request."""

HUNG_SECONDS = 60.0
"""A driver that takes longer to answer is taken for hung."""

USE_SECONDS = 30.0
"""How long what is said of their use stands: with every change of an ad, matches are worked out anew."""

UNEXPLAINED_MIB = 512
"""More than this in use and in no process's account: processes are hidden from us, say by a pid namespace."""

DOUBTS = 3
"""So many looks in a row must give reason to doubt: between two questions anything may start or end."""


class GpuWatch:
    """Looks from a thread: a driver that hangs holds up nothing else."""

    def __init__(self, gpus: Gpus, limit: float = LIMIT) -> None:
        self.why_not: Callable[[str], str | None] = lambda uuid: None
        """Why a GPU cannot be given to a run, though the driver is content with it; None: it can."""
        self._gpus = gpus
        self._limit = limit
        self._last = Look()
        self._looking: asyncio.Future[Look] | None = None
        self._looking_since = 0.0
        self._doubts: Counter[str] = Counter()
        self._said: tuple[str, ...] = ()
        self._use, self._use_at = Look(), -math.inf

    async def look(self) -> None:
        """Look once; only one look is under way, however long it takes."""
        loop = asyncio.get_running_loop()
        if self._looking is None:
            self._looking, self._looking_since = loop.create_future(), time.monotonic()
            threading.Thread(target=self._look_beside, args=(loop, self._looking), daemon=True).start()
        found = await asyncio.shield(self._looking)
        self._looking = None
        self._see(found)

    @property
    def is_there(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._last.devices or self._last.problems)

    def parts(self) -> tuple[GpuPart, ...]:
        """What the machine offers."""
        return tuple(GpuPart(device.uuid, max(1, int((device.memory_mib or 0) * self._limit)), self._may_share(device))
                     for device in self._seen().devices)

    def attributes(self) -> dict[str, str]:
        """The same and more for the machine's ad, as ClassAd texts."""
        seen = self._seen()
        if seen == Look():
            return {}
        if time.monotonic() - self._use_at >= USE_SECONDS:
            self._use, self._use_at = seen, time.monotonic()
        return ad_of(seen, self._use, any(map(self._may_share, seen.devices)), self._limit)

    def usage(self, pids: Mapping[RunId, int], identity: str) -> list[GpuUsage]:
        """What the runs, given by their main processes, use of every device."""
        mains = {pid: run for run, pid in pids.items()}
        used: dict[RunId, dict[str, float]] = {}
        for device in self._seen().devices:
            for pid, mib in (device.processes or {}).items():
                run = run_of(pid, mains, identity)
                if run is not None:
                    of_run = used.setdefault(run, {})
                    of_run[device.uuid] = of_run.get(device.uuid, 0.0) + mib
        return [GpuUsage(run, by_device) for run, by_device in used.items()]

    def _look_beside(self, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Look]") -> None:
        try:
            found = self._without_useless(self._gpus.look())
        except Exception as error:
            log.exception("the GPUs cannot be looked at")
            found = Look(problems=(f"The GPUs cannot be looked at: {type(error).__name__}: {error}",))
        with suppress(RuntimeError):   # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(_answer, answer, found)

    def _without_useless(self, found: Look) -> Look:
        why = {device.uuid: self.why_not(device.uuid) for device in found.devices}
        useful = tuple(device for device in found.devices if why[device.uuid] is None)
        problems = (f"GPU {device.number} ({device.uuid}): {why[device.uuid]}"
                    for device in found.devices if why[device.uuid] is not None)
        return replace(found, devices=useful, problems=(*found.problems, *problems))

    def _seen(self) -> Look:
        if self._looking is not None and time.monotonic() - self._looking_since > HUNG_SECONDS:
            return Look(problems=(f"NVIDIA's driver has not answered for {HUNG_SECONDS:.0f} s.",))
        return self._last

    def _see(self, found: Look) -> None:
        self._last = found
        for device in found.devices:
            if self._doubts[device.uuid] < DOUBTS:
                self._doubts[device.uuid] = self._doubts[device.uuid] + 1 if is_doubtful(device) else 0
        if found.problems != self._said:
            self._said = found.problems
            for problem in found.problems:
                log.warning("not offered: %s", problem)

    def _may_share(self, device: Device) -> bool:
        return device.processes is not None and device.memory_mib is not None and self._doubts[device.uuid] < DOUBTS


def _answer(looking: "asyncio.Future[Look]", found: Look) -> None:
    if not looking.done():
        looking.set_result(found)


def is_doubtful(device: Device) -> bool:
    """Whether what the driver says of processes cannot be all, or is about others than ours."""
    if device.processes is None:
        return True
    if any(not os.path.exists(f"/proc/{pid}") for pid in device.processes):
        return True
    return device.used_mib is not None and device.used_mib - sum(device.processes.values()) > UNEXPLAINED_MIB


def run_of(pid: int, mains: Mapping[int, RunId], identity: str) -> RunId | None:
    """The run that a process belongs to: by the marker it was started with, else by whom it descends from."""
    key, _, owner = (procfs.marker(pid) or "").rpartition("@")
    if owner == identity and (named := _KEY.fullmatch(key)):
        return RunId(*map(int, named.groups()))
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        if pid in mains:
            return mains[pid]
        seen.add(pid)
        stat = procfs.read_stat(pid)
        pid = 0 if stat is None else stat.parent
    return None


_KEY = re.compile(r"([0-9]+)\.([0-9]+)#([0-9]+)")


def ad_of(seen: Look, use: Look, may_share: bool, limit: float) -> dict[str, str]:
    """Attributes by HTCondor's names; those that it has not begin with Pesc. `use` may be an older look."""
    names = _short_names(seen.devices)
    records = {f"GPUs_{names[device.uuid]}": _record(device, seen) for device in seen.devices}
    texts = {
        "GPUs": str(len(seen.devices)),
        "TotalGPUs": str(len(seen.devices)),
        "DetectedGPUs": _quoted(", ".join(device.uuid for device in seen.devices)),
        "AvailableGPUs": "{ " + ", ".join(records) + " }",
        "HasGPUSharing": "true" if may_share else "false",
        "PescGpuLimit": f"{limit:g}",
        "PescGpuUse": "{ " + ", ".join(map(_use, use.devices)) + " }",
        **records,
    }
    for attribute, values in {
        "GPUs_DeviceName": {_quoted(device.name) for device in seen.devices},
        "GPUs_Capability": {str(device.capability) for device in seen.devices},
        "GPUs_GlobalMemoryMb": {str(device.memory_mib) for device in seen.devices if device.memory_mib is not None},
    }.items():
        if len(values) == 1:
            texts[attribute] = values.pop()
    if seen.problems:
        texts["PescGpuProblems"] = "{ " + ", ".join(map(_quoted, seen.problems)) + " }"
    return texts


def _record(device: Device, seen: Look) -> str:
    """What holds as long as the device does: changes would be news for every expression that reads it."""
    fields = {
        "Id": _quoted(device.uuid),
        "DeviceUuid": _quoted(device.uuid.removeprefix("GPU-").removeprefix("MIG-")),
        "DeviceName": _quoted(device.name),
        "Capability": str(device.capability),
        "DriverVersion": f"{seen.cuda // 1000}.{seen.cuda % 1000 // 10}",
        "MaxSupportedVersion": str(seen.cuda),
        "PescDriver": _quoted(seen.driver),
    }
    if device.memory_mib is not None:
        fields["GlobalMemoryMb"] = str(device.memory_mib)
    if device.is_slice:
        fields["PescIsSlice"] = "true"
    return "[ " + "; ".join(f"{name} = {text}" for name, text in fields.items()) + " ]"


def _use(device: Device) -> str:
    """Coarse, so that a wobble is no news: quarters of the time, eighths of the memory."""
    fields = [f"Id = {_quoted(device.uuid)}"]
    if device.utilization is not None:
        fields.append(f"Utilization = {round(device.utilization / 25) * 25}")
    used = device.used_mib if device.used_mib is not None else sum((device.processes or {}).values())
    if device.memory_mib:
        step = max(1, device.memory_mib // 8)
        fields.append(f"MemoryUsedMb = {int(-(-used // step)) * step}")
    return "[ " + "; ".join(fields) + " ]"


def _short_names(devices: Iterable[Device]) -> dict[str, str]:
    """UUID → GPU_3b7f1e2a, as HTCondor calls them; the whole of it where that is not enough."""
    whole = {device.uuid: re.sub(r"\W", "_", device.uuid) for device in devices}
    short = {uuid: re.sub(r"\W", "_", uuid[:12]) for uuid in whole}
    often = Counter(short.values())
    return {uuid: short[uuid] if often[short[uuid]] == 1 else whole[uuid] for uuid in whole}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
