"""What a container is shown so that a program in it can use a GPU: the devices granted, and the driver's libraries.

The libraries belong to the driver of the kernel, not to an image: they are shown in a folder
of their own, which the program's loader is pointed to. Slices of a GPU (MIG) have devices
besides, which are not shown here yet.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress

from startd.core.launch import Bind

DRIVER = "/pesc/driver"
ALWAYS = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
LIBRARY = re.compile(r"(libcuda|libcudadebugger|libnvidia-(ml|ptxjitcompiler|nvvm\d*|gpucomp|opencl|allocator))"
                     r"\.so\S*")


class NoDevice(Exception):
    """A GPU that was granted cannot be shown to a container; says which and why."""


def devices(uuids: Iterable[str], root: str = "") -> list[Bind]:
    """The device files of these GPUs and no others."""
    minors = _minors(f"{root}/proc/driver/nvidia/gpus")
    names = list(ALWAYS)
    for uuid in uuids:
        if uuid not in minors:
            why = "slices (MIG) cannot yet" if uuid.startswith("MIG-") else "the driver does not know it"
            raise NoDevice(f"The GPU {uuid} cannot be shown to a container: {why}.")
        names.append(f"nvidia{minors[uuid]}")
    return [Bind(f"/dev/{name}", f"{root}/dev/{name}", True, device=True) for name in names
            if os.path.exists(f"{root}/dev/{name}")]


def libraries(state: str, found: Mapping[str, str]) -> list[Bind]:
    """The driver's libraries by name, each bound to a place that is made for it in STATE/driver."""
    places = f"{state}/driver"
    os.makedirs(places, exist_ok=True)
    for name in found:
        with suppress(FileExistsError):
            os.close(os.open(f"{places}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    return [Bind(DRIVER, places), *(Bind(f"{DRIVER}/{name}", path) for name, path in sorted(found.items()))]


def driver_libraries() -> dict[str, str]:
    """Where the loader of this machine finds the driver's libraries."""
    said = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    return read_loader_cache(said.stdout)


def read_loader_cache(text: str) -> dict[str, str]:
    """The 64-bit libraries of the driver among what `ldconfig -p` prints; the first of a name counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, path = line.strip().partition(" => ")
        name, _, kind = name.partition(" ")
        if LIBRARY.fullmatch(name) and ("x86-64" in kind or "AArch64" in kind):
            found.setdefault(name, os.path.realpath(path))
    return found


def _minors(folder: str) -> dict[str, str]:
    """By UUID, the number in the name of the device file."""
    minors = {}
    with suppress(OSError):
        for card in os.listdir(folder):
            with open(f"{folder}/{card}/information") as file:
                said = dict(line.split(":", 1) for line in file if ":" in line)
            minors[said.get("GPU UUID", "").strip()] = said.get("Device Minor", "").strip()
    return minors
