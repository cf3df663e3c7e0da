"""Jobs and machines to match, as texts that both engines read."""

import sys
from collections.abc import Iterator

from benchmarks.classad_reference import ClassAd
from dsl.classad import Ad

START = "(KeyboardIdle > 900 || Draining =!= true) && LoadAvg - CondorLoadAvg <= 0.5"
LIMITS = ("(Cpus > 0 && RequestCpus <= Cpus && Memory > 0 && RequestMemory <= Memory && "
          "Disk > 0 && RequestDisk <= Disk && (GPUs ?: 0) >= (RequestGPUs ?: 0))")
JOB_REQUIREMENTS = ('Arch == "X86_64" && OpSys == "LINUX" && Disk >= RequestDisk && Memory >= RequestMemory && '
                    "Cpus >= RequestCpus && HasFileTransfer")
JOB_RANK = "Mips + Memory / 1024"
DYNAMIC = ("LoadAvg", "CondorLoadAvg", "KeyboardIdle", "ConsoleIdle", "Memory", "Disk", "Cpus", "TotalDisk", "Mips",
           "VirtualMemory")


def machine(number: int, moment: int = 0) -> dict[str, str]:
    """A machine ad of 45 attributes, with the ones of DYNAMIC as they are at a moment."""
    several = number * 7919 + moment * 104729
    texts = {
        "MyType": '"Machine"', "Name": f'"slot1@node{number}.example.org"', "Machine": f'"node{number}.example.org"',
        "Arch": '"X86_64"' if number % 50 else '"aarch64"', "OpSys": '"LINUX"' if number % 20 else '"WINDOWS"',
        "OpSysAndVer": f'"Debian{11 + number % 3}"', "OpSysMajorVer": str(11 + number % 3),
        "LoadAvg": f"{several % 97 / 100}", "CondorLoadAvg": f"{several % 31 / 100}",
        "KeyboardIdle": str(several % 7200), "ConsoleIdle": str(several % 7100),
        "Memory": str(1024 * (1 + several % 256)), "Disk": str(1000 * (several % 90_000)), "Cpus": str(several % 65),
        "TotalDisk": str(1000 * (several % 90_000 + 5)), "Mips": str(10_000 + several % 5000),
        "VirtualMemory": str(several % 1_000_000), "TotalCpus": "64.0", "TotalMemory": "262144",
        **({"GPUs": str(number % 4)} if number % 3 else {}), "HasFileTransfer": "true" if number % 30 else "false",
        "FileSystemDomain": '"example.org"', "UidDomain": '"example.org"', "HasContainer": "true",
        "State": '"Unclaimed"', "Activity": '"Idle"', "SlotID": "1", "SlotType": '"Partitionable"',
        "PartitionableSlot": "true", "CondorVersion": '"$CondorVersion: 25.14.1 $"', "Rank": "0.0",
        "EnteredCurrentState": "1750000000", "JobStarts": str(number % 100), "DetectedCpus": "64",
        "DetectedMemory": "262144", "MaxJobRetirementTime": "0", "MyAddress": f'"<10.0.{number >> 8 & 255}.7:9618>"',
        "HasJava": "false", "HasVM": "false", "Rooms": f'"r{number % 9}"', "UpdateSequenceNumber": str(moment),
        "CpuBusy": "(LoadAvg - CondorLoadAvg) >= 0.5", "Start": START, "WithinResourceLimits": LIMITS,
        "Requirements": "START && WithinResourceLimits",
    }
    return {name: sys.intern(text) for name, text in texts.items()}


def job(memory: int = 4096, cpus: int = 4, disk: int = 5_000_000) -> dict[str, str]:
    return {"Owner": '"lee"', "RequestMemory": str(memory), "RequestCpus": str(cpus), "RequestDisk": str(disk),
            "Requirements": JOB_REQUIREMENTS, "Rank": JOB_RANK, "JobUniverse": "5", "Cmd": '"/bin/true"'}


def job_values() -> Iterator[tuple[int, int, int]]:
    """Memory, cpus and disk of one new autocluster after the other, each value known from others."""
    for disk in range(1_000_000, 9_000_000, 1_000_000):
        for memory in range(1024, 33 * 1024, 1024):
            for cpus in range(1, 17):
                yield memory, cpus, disk


def ours(attributes: dict[str, str]) -> Ad:
    return Ad.from_texts(attributes)


def theirs(attributes: dict[str, str]) -> ClassAd:
    return ClassAd(f"[{'; '.join(f'{name} = {text}' for name, text in attributes.items())}]")
