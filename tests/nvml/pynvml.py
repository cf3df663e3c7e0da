"""An imitation of NVIDIA's library, at the functions of `pynvml` that the startd calls.

Tests in the same process change `state`. A startd in a process of its own finds this module
first on its PYTHONPATH, and reads its state from the JSON file that NVML_IMITATION names, anew
with every look. Both are checked against the real thing by `test_gpus_conformance`.

A card is a dict: `uuid`, and where the defaults do not suit `name`, `memory_mib`, `capability`,
`utilization`, `processes` (pid → MiB or None), `used_mib`, `error` (it fails), `cannot` (questions
that have no answer), `mig` (its slices, which are cards themselves; None where one is not made),
`each_mib`: every process that sees the card by CUDA_VISIBLE_DEVICES has so much of it, or
NVML_IMITATION_MIB of its own environment.
"""

import json
import os
from types import SimpleNamespace

MIB = 1024**2
nvmlMemory_v2 = 0x2000028

state: dict = {"gpus": []}
is_open = False

NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_TIMEOUT = 10
NVML_ERROR_IRQ_ISSUE = 11
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_FUNCTION_NOT_FOUND = 13
NVML_ERROR_GPU_IS_LOST = 15
NVML_ERROR_RESET_REQUIRED = 16
NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18
NVML_ERROR_UNKNOWN = 999

WORDS = {
    NVML_ERROR_UNINITIALIZED: "Uninitialized",
    NVML_ERROR_INVALID_ARGUMENT: "Invalid Argument",
    NVML_ERROR_NOT_SUPPORTED: "Not Supported",
    NVML_ERROR_NOT_FOUND: "Not Found",
    NVML_ERROR_DRIVER_NOT_LOADED: "Driver Not Loaded",
    NVML_ERROR_LIBRARY_NOT_FOUND: "NVML Shared Library Not Found",
    NVML_ERROR_FUNCTION_NOT_FOUND: "Function Not Found",
    NVML_ERROR_GPU_IS_LOST: "GPU is lost",
    NVML_ERROR_LIB_RM_VERSION_MISMATCH: "RM has detected an NVML/RM version mismatch.",
    NVML_ERROR_UNKNOWN: "Unknown Error",
}


class NVMLError(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value

    def __str__(self):
        return WORDS.get(self.value, f"NVML Error with code {self.value}")


def nvmlInit():
    global is_open
    _read()
    if "init_error" in state:
        raise _error(state["init_error"])
    is_open = True


def nvmlShutdown():
    global is_open
    is_open = False


def nvmlSystemGetDriverVersion():
    return state.get("driver", "550.54.14")


def nvmlSystemGetCudaDriverVersion():
    return state.get("cuda", 12_040)


def nvmlDeviceGetCount():
    _read()
    if not is_open:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    return len(state["gpus"])


def nvmlDeviceGetHandleByIndex(index):
    card = state["gpus"][index]
    if "error" in card:
        raise _error(card["error"])
    return card


def nvmlDeviceGetUUID(card):
    return _answer(card, "uuid", None)


def nvmlDeviceGetName(card):
    return _answer(card, "name", "NVIDIA Imitation")


def nvmlDeviceGetMemoryInfo(card, version=None):
    total = _answer(card, "memory_mib", 10_000)
    if version == nvmlMemory_v2:
        used = _answer(card, "used_mib", sum(mib or 0 for mib in _processes(card).values()))
        return SimpleNamespace(total=total * MIB, used=used * MIB, free=(total - used) * MIB)
    return SimpleNamespace(total=total * MIB, used=500 * MIB, free=(total - 500) * MIB)


def nvmlDeviceGetCudaComputeCapability(card):
    return tuple(_answer(card, "capability", (8, 0)))


def nvmlDeviceGetUtilizationRates(card):
    return SimpleNamespace(gpu=_answer(card, "utilization", 0), memory=0)


def nvmlDeviceGetMigMode(card):
    mode = int(bool(_answer(card, "mig", None)))
    return [mode, mode]


def nvmlDeviceGetMaxMigDeviceCount(card):
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(card, index):
    slices = card["mig"]
    if index >= len(slices) or slices[index] is None:
        raise NVMLError(NVML_ERROR_NOT_FOUND)
    return slices[index]


def nvmlDeviceGetComputeRunningProcesses(card):
    _answer(card, "compute_processes", None)
    return [SimpleNamespace(pid=pid, usedGpuMemory=None if mib is None else mib * MIB)
            for pid, mib in _processes(card).items()]


def nvmlDeviceGetGraphicsRunningProcesses(card):
    return [SimpleNamespace(pid=int(pid), usedGpuMemory=mib * MIB) for pid, mib in card.get("drawing", {}).items()]


def _answer(card, what, otherwise):
    if what in card.get("cannot", ()):
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return card.get(what, otherwise)


def _processes(card):
    listed = {int(pid): mib for pid, mib in card.get("processes", {}).items()}
    if "each_mib" in card:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            variables = _variables(pid)
            if card["uuid"] in variables.get("CUDA_VISIBLE_DEVICES", "").split(","):
                listed[int(pid)] = int(variables.get("NVML_IMITATION_MIB", card["each_mib"]))
    return listed


def _variables(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            lines = file.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _read():
    global state
    if path := os.environ.get("NVML_IMITATION"):
        with open(path) as file:
            state = json.load(file)


def _error(name):
    return NVMLError(globals()[f"NVML_ERROR_{name}"])
