"""How fast a startd runs no-op jobs when the schedd costs nothing.

    python -m benchmarks.startd_runtime [JOBS]

The startd's loop, core, journal, sandboxes and keeper as they are, with the other
end of the connection in the same process; beside it, in turns, a bare loop of
posix_spawn and wait. The ratio is what counts; times are of this machine.
"""

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import psutil

from contract.client import Client
from contract.messages import (
    Acknowledge,
    Amounts,
    Ended,
    FromSchedd,
    Grant,
    Program,
    Welcome,
    decode_from_startd,
    encode,
)
from contract.vocabulary import RunId
from startd.connection import NoSchedd
from startd.core.contract import Person
from startd.core.startd import StartdCore
from startd.files.cache import Cache
from startd.files.checkpoints import Checkpoints
from startd.files.journal import Journal
from startd.files.sandbox import Sandboxes
from startd.files.transfer import Transfer
from startd.loop import Loop
from startd.monitors.gpus import GpuWatch
from startd.monitors.nvml import Gpus
from startd.runtime.interface import Happening
from startd.runtime.process import ProcessRuntime

SLOTS = 8
READY = 16
"""Runs that lie ready on the machine beside those that run, as the schedd grants short ones."""

ROUNDS = 3


class Schedd:
    """A connection whose other end is here: grants the next run for every one that ends."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._granted = self._ended = 0
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.done = asyncio.Event()
        self._say(Welcome("bench", 3600.0, 3600.0), *(self._grant() for _ in range(min(SLOTS + READY, jobs))))

    def __aiter__(self) -> "Schedd":
        return self

    async def __anext__(self) -> bytes:
        return await self._frames.get()

    async def send(self, frame: bytes, text: bool = False) -> None:
        answers: list[FromSchedd] = []
        for message in decode_from_startd(frame):
            if isinstance(message, Ended):
                assert message.end.exit_code == 0, message.end
                self._ended += 1
                answers.append(Acknowledge([message.run]))
                if self._granted < self._jobs:
                    answers.append(self._grant())
        if answers:
            self._say(*answers)
        if self._ended == self._jobs:
            self.done.set()

    async def close(self) -> None:
        return None

    def _say(self, *messages: FromSchedd) -> None:
        self._frames.put_nowait(encode(list(messages)))

    def _grant(self) -> Grant:
        self._granted += 1
        program = Program(command="/bin/true", arguments=[str(self._granted)])
        return Grant(RunId(1, self._granted, 1), Amounts(1, 1, 1), program, {}, "bench", queued=True)


async def ours(jobs: int) -> tuple[float, float, float]:
    """Seconds, and the startd's and the keeper's CPU seconds."""
    state = tempfile.mkdtemp(prefix="pesc-bench-")
    amounts = Amounts(SLOTS, 1 << 20, 1 << 30)
    core = StartdCore("bench", "bench", amounts, {"START": "true"})
    journal = Journal(f"{state}/journal")
    journal.rewrite([])
    cache = Cache(state)
    sandboxes = Sandboxes(state, cache, Person("bench", "/usr/bin:/bin"), shutil.which)
    runtime: list[ProcessRuntime] = []

    def make(tell: Callable[[Happening], None]) -> ProcessRuntime:
        runtime.append(ProcessRuntime(state, "bench", tell))
        return runtime[0]

    transfer = Transfer(cache, no_client)
    loop = Loop(core, make, journal, cache, sandboxes, transfer, Checkpoints(transfer), lambda busy: {"START": "true"},
                GpuWatch(Gpus(chosen=frozenset())))
    schedd = Schedd(jobs)
    begun: list[tuple[float, float, float]] = []

    async def dial() -> Any:
        begun.append((time.perf_counter(), time.process_time(), _cpu_of_keeper(state)))
        return schedd

    leave = asyncio.Event()
    working = asyncio.create_task(loop.run(dial, leave))
    await schedd.done.wait()
    ended = (time.perf_counter(), time.process_time(), _cpu_of_keeper(state))
    leave.set()
    await working
    shutil.rmtree(state)
    seconds, startd, keeper = (after - before for before, after in zip(begun[0], ended, strict=True))
    return seconds, startd, keeper


def bare(jobs: int) -> tuple[float, float]:
    """The same processes, started and waited for by a loop that does nothing else."""
    begun, cpu = time.perf_counter(), time.process_time()
    started = 0
    living: set[int] = set()
    while started < jobs or living:
        while started < jobs and len(living) < SLOTS:
            started += 1
            living.add(os.posix_spawn("/bin/true", ["true", str(started)], {}, setsid=True))
        pid, _ = os.wait()
        living.discard(pid)
    return time.perf_counter() - begun, time.process_time() - cpu


def no_client() -> Client:
    raise NoSchedd("there is nothing to fetch in this benchmark")


def _cpu_of_keeper(state: str) -> float:
    with open(f"{state}/keeper.pid") as file:
        times = psutil.Process(int(file.read())).cpu_times()
    return times.user + times.system


def main() -> int:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    costs: dict[str, list[float]] = {"startd": [], "keeper": [], "bare": []}
    for _ in range(ROUNDS):
        seconds, startd, keeper = asyncio.run(ours(jobs))
        rates["ours"].append(jobs / seconds)
        costs["startd"].append(startd / jobs * 1e6)
        costs["keeper"].append(keeper / jobs * 1e6)
        seconds, cpu = bare(jobs)
        rates["bare"].append(jobs / seconds)
        costs["bare"].append(cpu / jobs * 1e6)
    rate = {name: statistics.median(values) for name, values in rates.items()}
    cost = {name: statistics.median(values) for name, values in costs.items()}
    print(f"{jobs} x /bin/true on {SLOTS} slots: {rate['ours']:.0f} jobs/s, bare posix_spawn {rate['bare']:.0f}/s, "
          f"ratio {rate['ours'] / rate['bare']:.2f}")
    print(f"CPU per job: startd {cost['startd']:.0f} us, keeper {cost['keeper']:.0f} us "
          f"(a bare spawn and wait: {cost['bare']:.0f} us)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
