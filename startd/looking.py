"""Looking, each at its own pace: at the machine, its GPUs, its owner, and at how far runs say they are."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from contract.vocabulary import RunId
from startd.core.events import Begun, Event, MachineSeen, Over, OwnerSeen, Said
from startd.core.startd import StartdCore
from startd.files import progress
from startd.files.sandbox import Sandboxes
from startd.monitors.gpus import GpuWatch
from startd.monitors.owner import OwnerWatch
from startd.runtime.interface import Happening
from startd.throttle import make_nice

SEE_MACHINE_SECONDS = 5.0
GPU_SECONDS = 1.0
NO_GPU_SECONDS = 60.0

SEE_OWNER_SECONDS = 0.2
"""While there are runs; the owner feels them for no longer than this."""

SEE_OWNER_IDLE_SECONDS = 0.5


class Looking:
    """`duties` go on for ever; what they see is told through `happened`."""

    def __init__(self, core: StartdCore, sandboxes: Sandboxes, see_machine: Callable[[bool], dict[str, str]],
                 gpus: GpuWatch, owner: OwnerWatch | None, happened: Callable[[Event], None]) -> None:
        self._core = core
        self._sandboxes = sandboxes
        self._see_machine = see_machine
        self._gpus = gpus
        self._owner = owner
        self._happened = happened
        self._progress = progress.Watcher()
        self._pids: dict[RunId, int] = {}
        """The main processes of runs."""

    def duties(self) -> list[Coroutine[Any, Any, None]]:
        duties = [self._look_at_machine(), self._look_at_gpus(), self._look_at_progress()]
        if self._owner is not None and self._core.heeds_owner:
            duties.append(self._look_at_owner(self._owner))
        return duties

    def saw(self, happening: Happening) -> None:
        """Whose processes are ours: what they use is not the owner's doing."""
        if self._owner is not None:
            self._owner.ours.saw(happening)
        if isinstance(happening, Begun):
            if self._core.heeds_owner:
                make_nice(happening.pid)
            self._pids[happening.run] = happening.pid
        elif isinstance(happening, Over):
            self._pids.pop(happening.run, None)

    def see_machine(self) -> None:
        ad = self._see_machine(bool(self._core.runs))
        self._happened(MachineSeen(ad, time.time(), self._gpus.parts()))

    async def _look_at_machine(self) -> None:
        while True:
            await asyncio.sleep(SEE_MACHINE_SECONDS)
            self.see_machine()

    async def _look_at_gpus(self) -> None:
        """Often while runs have any; else now and then, whether one has come or failed."""
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(GPU_SECONDS)
            in_use = any(run.grant.claim.gpus for run in self._core.runs.values())
            wanted = GPU_SECONDS if in_use else SEE_MACHINE_SECONDS if self._gpus.is_there else NO_GPU_SECONDS
            if time.monotonic() - looked_at >= 0.9 * wanted:
                looked_at = time.monotonic()
                await self._gpus.look()
                for usage in self._gpus.usage(self._pids, self._core.identity):
                    self._happened(usage)

    async def _look_at_owner(self, owner: OwnerWatch) -> None:
        while True:
            self._happened(OwnerSeen(owner.look()))
            await asyncio.sleep(SEE_OWNER_SECONDS if self._core.runs else SEE_OWNER_IDLE_SECONDS)

    async def _look_at_progress(self) -> None:
        while True:
            await asyncio.sleep(progress.LOOK_SECONDS)
            runs = {run: self._sandboxes.path(run) for run in self._core.running()}
            for run, (percent, message) in self._progress.look(runs):
                self._happened(Said(run, percent, message))
