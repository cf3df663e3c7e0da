"""Clocks and scales: CPU and memory of a process, medians."""

import os
import time
from collections.abc import Callable, Iterable
from statistics import median

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, its children not counted."""
    try:
        # Nanoseconds; /proc/PID/stat counts in ticks of ten milliseconds.
        total = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9
    except (OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def pss_kib(pid: int) -> int:
    """Memory of a process, with its part of what it shares."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    raise ValueError(f"no Pss for {pid}")


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def timed(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median_of(rounds: int, work: Callable[[], object]) -> float:
    """The median duration of `rounds` calls, in seconds."""
    return median(timed(work) for _ in range(rounds))


def middle(values: Iterable[float]) -> float:
    return median(values)
