"""Give runs a share of their time only: frozen and thawed in turn, many times a second.

Works with whatever runtime can suspend and resume, and needs no rights. Runs take turns, so
that all of them together never use more than the share of the machine either.

Not used: a cgroup's quota, which a startd may set only where it was delegated one.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from contract.vocabulary import RunId
from startd.runtime import procfs

PERIOD_SECONDS = 0.2
"""Shorter costs more signals; longer is felt as stutter by programs that talk to others."""

SECONDS_PER_RUN = 0.02
"""With many runs the period grows, so that signals stay at a hundred a second."""

NICE = 10
"""Of all runs on a machine that heeds its owner: between the step of a key and the throttle,
the kernel already prefers the owner's programs, ten to one."""


class DutyCycle:
    """`set` is all there is; of `runs` those that are `is_running` may be frozen and thawed now."""

    def __init__(self, suspend: Callable[[RunId], None], resume: Callable[[RunId], None],
                 runs: Callable[[], list[RunId]], is_running: Callable[[RunId], bool]) -> None:
        self._suspend = suspend
        self._resume = resume
        self._runs = runs
        self._is_running = is_running
        self._share: float | None = None
        self._frozen: set[RunId] = set()
        self._timers: list[asyncio.TimerHandle] = []

    def set(self, share: float | None) -> None:
        """From now on runs get this share of their time; None, or all of it: they go on."""
        self._cancel()
        self._share = share if share is not None and share < 1.0 else None
        if self._share is not None:
            for run in self._runs():
                self._freeze(run)
            self._turn()
            return
        for run in sorted(self._frozen):
            self._thaw(run)
        self._frozen.clear()

    def close(self) -> None:
        self._cancel()

    def _turn(self) -> None:
        """Plan one period: every run has its slice, one after the other as far as there is room."""
        assert self._share is not None
        self._timers.clear()
        runs = [run for run in self._runs() if self._is_running(run)]
        self._frozen &= set(runs)
        period = max(PERIOD_SECONDS, SECONDS_PER_RUN * len(runs))
        slice_seconds = period * self._share
        loop = asyncio.get_running_loop()
        now = loop.time()
        for place, run in enumerate(runs):
            self._freeze(run)
            if slice_seconds > 0:
                begin = now + (period - slice_seconds) * place / max(1, len(runs))
                self._timers.append(loop.call_at(begin, self._thaw, run))
                self._timers.append(loop.call_at(begin + slice_seconds, self._freeze, run))
        self._timers.append(loop.call_at(now + period, self._turn))

    def _thaw(self, run: RunId) -> None:
        if run in self._frozen and self._is_running(run):
            self._frozen.discard(run)
            self._resume(run)

    def _freeze(self, run: RunId) -> None:
        if run not in self._frozen and self._is_running(run):
            self._frozen.add(run)
            self._suspend(run)

    def _cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def make_nice(pid: int) -> None:
    """Let everybody else's programs go before `pid`, what it has started, and what it will start."""
    for each in procfs.descendants([pid]):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, each, NICE)
    # Where every session is a group of its own to the scheduler, it is the group's value that counts.
    with suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as file:
        file.write(str(NICE))
