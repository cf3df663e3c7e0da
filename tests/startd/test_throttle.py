"""Freezing and thawing in turn, seen from the runtime's side."""

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable

from startd.throttle import NICE, DutyCycle, make_nice
from tests.builders import a_run

RUNS = [a_run(1, proc) for proc in range(3)]


def test_a_nice_program_and_all_that_it_starts_give_way(tmp_path):
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    script = f"setsid sleep 60 & echo $! > {pids}; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True) as run:
        child = int(pids.read_text())
        make_nice(run.pid)
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in (run.pid, child)] == [NICE, NICE]
        os.kill(child, signal.SIGKILL)


class Frozen:
    """What a runtime was asked, and whom that leaves standing still."""

    def __init__(self) -> None:
        self.running = list(RUNS)
        self.now: set = set()
        self.thawed: Counter = Counter()
        self._changed = asyncio.Event()
        self.cycle = DutyCycle(self._suspend, self._resume, lambda: RUNS, lambda run: run in self.running)

    def _suspend(self, run) -> None:
        assert run not in self.now
        self.now.add(run)
        self._changed.set()

    def _resume(self, run) -> None:
        self.now.remove(run)
        self.thawed[run] += 1
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


def story(tell: Callable[[Frozen], Awaitable[None]]) -> None:
    async def whole() -> None:
        frozen = Frozen()
        try:
            await tell(frozen)
        finally:
            frozen.cycle.close()

    asyncio.run(whole())


def test_all_runs_stand_still_at_once_and_then_each_has_its_turns():
    async def tell(frozen: Frozen) -> None:
        frozen.cycle.set(0.1)
        assert frozen.now == set(RUNS)
        await frozen.until(lambda: all(frozen.thawed[run] >= 3 for run in RUNS))
        await frozen.until(lambda: frozen.now == set(RUNS))

    story(tell)


def test_who_may_go_on_goes_on():
    async def tell(frozen: Frozen) -> None:
        frozen.cycle.set(0.1)
        frozen.cycle.set(None)
        assert frozen.now == set()

    story(tell)


def test_a_share_of_nothing_wakes_nobody_and_a_share_of_all_freezes_nobody():
    async def tell(frozen: Frozen) -> None:
        frozen.cycle.set(1.0)
        assert frozen.now == set()
        frozen.cycle.set(0.0)
        assert frozen.now == set(RUNS)
        frozen.running.remove(RUNS[0])
        frozen.cycle.set(None)
        assert frozen.now == {RUNS[0]}

    story(tell)


def test_a_run_that_came_later_is_throttled_too_and_one_that_is_frozen_for_good_is_left_alone():
    async def tell(frozen: Frozen) -> None:
        late, gone, other = RUNS
        frozen.running = [gone, other]
        frozen.cycle.set(0.5)
        frozen.running = [late, other]
        await frozen.until(lambda: frozen.thawed[late] >= 2)
        assert frozen.thawed[gone] == 0

    story(tell)
