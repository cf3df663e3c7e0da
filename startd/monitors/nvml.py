"""One look at the GPUs of this machine, through NVIDIA's management library.

Each look asks the driver everything anew: a card can fail, a slice of one be made, at any time.
What fails its probe is no device but a problem, told in words. What follows from several looks
is said in `gpus`.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

MIB = 1024**2
MOST_MIG_SLICES = 64


class Nvml(Protocol):
    """What we use of `pynvml`, the module of nvidia-ml-py."""

    NVMLError: type[Exception]
    NVML_ERROR_LIBRARY_NOT_FOUND: int
    nvmlMemory_v2: int
    nvmlInit: Callable[[], Any]
    nvmlShutdown: Callable[[], Any]
    nvmlSystemGetDriverVersion: Callable[[], str]
    nvmlSystemGetCudaDriverVersion: Callable[[], int]
    nvmlDeviceGetCount: Callable[[], int]
    nvmlDeviceGetHandleByIndex: Callable[[int], Any]
    nvmlDeviceGetUUID: Callable[[Any], str]
    nvmlDeviceGetName: Callable[[Any], str]
    nvmlDeviceGetMemoryInfo: Callable[..., Any]
    nvmlDeviceGetCudaComputeCapability: Callable[[Any], Any]
    nvmlDeviceGetUtilizationRates: Callable[[Any], Any]
    nvmlDeviceGetMigMode: Callable[[Any], Any]
    nvmlDeviceGetMaxMigDeviceCount: Callable[[Any], int]
    nvmlDeviceGetMigDeviceHandleByIndex: Callable[[Any, int], Any]
    nvmlDeviceGetComputeRunningProcesses: Callable[[Any], Any]
    nvmlDeviceGetGraphicsRunningProcesses: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a slice of one: what a program can be given."""

    uuid: str
    name: str
    memory_mib: int | None
    capability: float
    number: str = ""
    """By the driver's order: 0; of a slice 0:1."""
    is_slice: bool = False
    utilization: int | None = None
    """Per cent."""
    used_mib: int | None = None
    """Without what the driver keeps for itself; None where the driver does not tell these apart."""
    processes: dict[int, float] | None = field(default_factory=dict)
    """Pid → MiB; None where the driver does not say."""


@dataclass(frozen=True, slots=True)
class Look:
    """What there was to see."""

    devices: tuple[Device, ...] = ()
    problems: tuple[str, ...] = ()
    driver: str = ""
    cuda: int = 0
    """The newest CUDA that the driver supports; 12.4 is 12040."""


def load() -> Nvml:
    """The real library's module; without NVIDIA's driver it says so itself when it is used."""
    module: Nvml = importlib.import_module("pynvml")
    return module


class Gpus:
    """All GPUs, or those `chosen` by UUID or number.

    The library stays open from one look to the next: a card that nobody has open is put to sleep by its driver, and
    waking it takes seconds. After a problem it is opened anew, because what was opened before goes on failing.
    """

    def __init__(self, load: Callable[[], Nvml] = load, chosen: frozenset[str] | None = None) -> None:
        self._load = load
        self._chosen = chosen
        self._nvml: Nvml | None = None
        self._is_open = False

    def look(self) -> Look:
        if self._chosen is not None and not self._chosen:
            return Look()
        try:
            nvml = self._nvml = self._nvml or self._load()
        except ImportError:
            return Look()
        try:
            if not self._is_open:
                nvml.nvmlInit()
                self._is_open = True
            found = _look(nvml, self._chosen)
        except nvml.NVMLError as error:
            nobody = _code(error) == nvml.NVML_ERROR_LIBRARY_NOT_FOUND and self._chosen is None
            found = Look(problems=() if nobody else (f"NVIDIA's driver: {error}",))
        if found.problems:
            self.close()
        return found

    def close(self) -> None:
        if self._nvml is not None and self._is_open:
            self._is_open = False
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()


def _look(nvml: Nvml, chosen: frozenset[str] | None) -> Look:
    devices: list[Device] = []
    problems: list[str] = []
    seen: set[str] = set()
    for index in range(nvml.nvmlDeviceGetCount()):
        name = str(index)
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            name = f"{index} ({uuid})" if (uuid := nvml.nvmlDeviceGetUUID(handle)) else name
            for device in _devices(nvml, handle, uuid, str(index)):
                seen |= (names := {str(index), uuid, device.uuid})
                if chosen is None or names & chosen:
                    devices.append(device)
        except nvml.NVMLError as error:
            seen.add(str(index))
            if chosen is None or not chosen.isdisjoint(name.replace("(", "").replace(")", "").split()):
                problems.append(f"GPU {name}: {error}")
    problems += [f"GPU {name}: there is no such GPU." for name in sorted((chosen or frozenset()) - seen)]
    return Look(tuple(devices), tuple(problems), nvml.nvmlSystemGetDriverVersion(),
                _unless_unsupported(nvml, nvml.nvmlSystemGetCudaDriverVersion) or 0)


def _devices(nvml: Nvml, handle: Any, uuid: str, number: str) -> Iterator[Device]:
    """The GPU itself or, where it is cut into slices, these: then it can be given to nobody whole."""
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    capability = float(f"{major}.{minor}")
    rates = _unless_unsupported(nvml, partial(nvml.nvmlDeviceGetUtilizationRates, handle))
    utilization = None if rates is None else int(rates.gpu)
    mode = _unless_unsupported(nvml, partial(nvml.nvmlDeviceGetMigMode, handle))
    if not mode or not mode[0]:
        yield _device(nvml, handle, uuid, number, capability, utilization, is_slice=False)
        return
    for place in range(min(nvml.nvmlDeviceGetMaxMigDeviceCount(handle), MOST_MIG_SLICES)):
        part = _unless_unsupported(nvml, partial(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place))
        if part is not None:       # else this slice is not made
            name = f"{number}:{place}"
            yield _device(nvml, part, nvml.nvmlDeviceGetUUID(part), name, capability, None, is_slice=True)


def _device(nvml: Nvml, handle: Any, uuid: str, number: str, capability: float, utilization: int | None,
            is_slice: bool) -> Device:
    memory = _unless_unsupported(nvml, partial(nvml.nvmlDeviceGetMemoryInfo, handle))
    apart = _unless_unsupported(nvml, partial(nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2))
    return Device(
        uuid, nvml.nvmlDeviceGetName(handle), None if memory is None else memory.total // MIB, capability, number,
        is_slice, utilization, None if apart is None else apart.used // MIB, _processes(nvml, handle),
    )


def _processes(nvml: Nvml, handle: Any) -> dict[int, float] | None:
    """Those that compute and those that draw; one that does both is listed twice."""
    found: dict[int, float] = {}
    for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        listed = _unless_unsupported(nvml, partial(ask, handle))
        if listed is None and ask is nvml.nvmlDeviceGetComputeRunningProcesses:
            return None
        for process in listed or ():
            if process.usedGpuMemory is None:
                return None
            found[process.pid] = max(found.get(process.pid, 0.0), process.usedGpuMemory / MIB)
    return found


FAILURES = ("GPU_IS_LOST", "UNKNOWN", "RESET_REQUIRED", "UNINITIALIZED", "DRIVER_NOT_LOADED", "TIMEOUT", "IRQ_ISSUE")
"""Of NVML's errors those that say that a card has failed, and not only that one question has no answer."""


def _unless_unsupported(nvml: Nvml, ask: Callable[[], Any]) -> Any:
    """The answer, or None where this card, driver or user cannot have one."""
    try:
        return ask()
    except nvml.NVMLError as error:
        if _code(error) in [getattr(nvml, f"NVML_ERROR_{name}") for name in FAILURES]:
            raise
        return None


def _code(error: Exception) -> int:
    return int(getattr(error, "value", 0))
