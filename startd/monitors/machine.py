"""What this machine is: its ad, with HTCondor's names, and how much it offers.

`fixed` is read once; `changing` is what a look every few seconds may find
different, already rounded so that small wobbles are no news.
"""

import os
import platform
import shutil
import socket
import time
from dataclasses import dataclass

import psutil

from contract.messages import Amounts
from contract.vocabulary import VERSION

CONDOR_VERSION = "$CondorVersion: 25.14.1 2026-01-01 PescVersion: " + VERSION + " $"
"""The HTCondor whose language and habits we follow, where its users' expressions look for it."""

INTERPRETERS = {"HasPython": "python3", "HasR": "Rscript", "HasJulia": "julia", "HasJava": "java",
                "HasOctave": "octave-cli"}

KEPT_FREE_MIB = 512
"""Memory of the machine that is not offered: for the system, the daemons, and their caches."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the operator wants offered; None: what the machine has."""

    cpus: float | None = None
    memory_mib: int | None = None
    disk_kib: int | None = None


def amounts(offer: Offer, state: str) -> Amounts:
    """What this machine offers to runs."""
    memory = psutil.virtual_memory().total // 1024**2
    return Amounts(
        offer.cpus if offer.cpus is not None else float(len(os.sched_getaffinity(0))),
        offer.memory_mib if offer.memory_mib is not None else max(memory // 2, memory - KEPT_FREE_MIB),
        offer.disk_kib if offer.disk_kib is not None else int(shutil.disk_usage(state).free * 0.95) // 1024,
    )


def fixed(name: str, offered: Amounts, start: str) -> dict[str, str]:
    """Attributes that hold for the life of the startd, as ClassAd texts."""
    host = socket.gethostname()
    system, version = _operating_system()
    texts = {
        "MyType": _quoted("Machine"),
        "Machine": _quoted(host),
        "Name": _quoted(name),
        "Arch": _quoted({"x86_64": "X86_64", "aarch64": "AARCH64"}.get(platform.machine(), platform.machine())),
        "OpSys": _quoted("LINUX"),
        "OpSysName": _quoted(system),
        "OpSysVer": str(version * 100),
        "OpSysMajorVer": str(version),
        "OpSysAndVer": _quoted(f"{system}{version}"),
        "OpSysShortName": _quoted(system),
        "Cpus": f"{offered.cpus:g}",
        "Memory": str(offered.memory_mib),
        "Disk": str(offered.disk_kib),
        "TotalCpus": f"{offered.cpus:g}",
        "TotalMemory": str(offered.memory_mib),
        "TotalDisk": str(offered.disk_kib),
        "DetectedCpus": str(os.cpu_count() or 1),
        "DetectedMemory": str(psutil.virtual_memory().total // 1024**2),
        "HasFileTransfer": "true",
        "HasSelfCheckpointTransfers": "true",
        "FileSystemDomain": _quoted(host),
        "UidDomain": _quoted(host),
        "CondorVersion": _quoted(CONDOR_VERSION),
        "PescVersion": _quoted(VERSION),
        "START": start,
    }
    microarch = _microarch()
    if microarch:
        texts["Microarch"] = _quoted(microarch)
    return texts


def changing(busy: bool) -> dict[str, str]:
    """Attributes that change, coarse enough to be news when they do."""
    now = time.localtime()
    load = os.getloadavg()[0]
    texts = {
        "LoadAvg": f"{round(load * 4) / 4:.2f}" if load < 4 else f"{round(load)}.0",
        "ClockMin": str((now.tm_hour * 60 + now.tm_min) // 5 * 5),
        "ClockDay": str((now.tm_wday + 1) % 7),
        "State": _quoted("Claimed" if busy else "Unclaimed"),
        "Activity": _quoted("Busy" if busy else "Idle"),
    }
    texts.update((name, "true" if shutil.which(program) else "false") for name, program in INTERPRETERS.items())
    return texts


def _operating_system() -> tuple[str, int]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "Linux", 0
    name = {"debian": "Debian", "ubuntu": "Ubuntu", "rhel": "RedHat", "rocky": "Rocky", "almalinux": "AlmaLinux",
            "fedora": "Fedora", "centos": "CentOS"}.get(release.get("ID", ""), release.get("NAME", "Linux").split()[0])
    major = release.get("VERSION_ID", "0").split(".")[0]
    return name, int(major) if major.isdigit() else 0


def _microarch() -> str | None:
    """The x86-64 level by the processor's flags, as the psABI defines it."""
    if platform.machine() != "x86_64":
        return None
    try:
        with open("/proc/cpuinfo") as file:
            flags = next((set(line.split(":", 1)[1].split()) for line in file if line.startswith("flags")), set[str]())
    except OSError:
        return None
    level = 1
    for needed in _LEVELS:
        if not needed <= flags:
            break
        level += 1
    return f"x86_64-v{level}"


_LEVELS = (
    {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
    {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
    {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
