"""Removes what nothing refers to any more: images that were built and are not used, then contents.

A content comes before what refers to it: an upload before its submission, an output before the
end of its run. So what came lately is kept in any case; and of a run whose machine is away, or
was lately, what may have come since the run was granted, for its end may still be said. The same
holds while a run or a build sends what it made, however long that takes.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from contract.problems import Problem
from contract.vocabulary import Phase
from schedd.blobs import Blobs
from schedd.core.domains import State
from schedd.core.job import Run
from schedd.core.named import forget_unused
from schedd.core.pool import Pool
from schedd.loop import Loop
from schedd.store.unreferred import CannotTell, unreferred

log = logging.getLogger("schedd.collector")

KEPT_SECONDS = 86_400.0
"""Longer than any pause between an upload and what it is for."""

LEAST_KEPT_SECONDS = 3600.0
"""With less, what is slowly sent would go before it is submitted."""

ROUND_SECONDS = 3600.0
LOOK_SECONDS = 60.0

PAUSE_SECONDS = 0.002
"""After each page of the database, for whoever waits for the interpreter."""


class GivenUp(Exception):
    """The schedd stops."""


class Collector:
    """One task: looks which machines are away, and removes now and then."""

    def __init__(self, loop: Loop, blobs: Blobs, database: Path, kept_seconds: float = KEPT_SECONDS) -> None:
        self._loop, self._blobs, self._database, self._kept = loop, blobs, database, kept_seconds
        self._began = loop.clock()
        self._away: dict[str, float] = {}
        """When a machine was away last, as far as was seen."""
        self._is_stopping = False

    async def work(self) -> None:
        next_round = time.monotonic()
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self.look()
                if time.monotonic() >= next_round:
                    await self._collect_if_possible()
                    next_round = time.monotonic() + ROUND_SECONDS
        finally:
            self._is_stopping = True

    async def _collect_if_possible(self) -> None:
        try:
            await self.collect()
        except (OSError, Problem, CannotTell) as error:
            log.warning("contents could not be removed now: %s", error)

    def look(self) -> None:
        """Note which machines with runs are away."""
        now, pool = self._loop.clock(), self._loop.pool
        for run in _outstanding(pool):
            machine = pool.machines.get(run.machine)
            if machine is None or machine.link is None:
                self._away[run.machine] = now
        self._away = {name: at for name, at in self._away.items() if now - at < self._kept}

    async def collect(self) -> None:
        """One round."""
        for name in await self._loop.ask(forget_unused):
            log.info("the image or program %s is forgotten: nobody has needed it for long", name)
        self.look()
        before, bytes_before = self._blobs.removed, self._blobs.removed_bytes
        await asyncio.to_thread(self._remove, self._oldest_kept())
        if removed := self._blobs.removed - before:
            log.info("%d contents that nothing referred to are removed (%d bytes)", removed,
                     self._blobs.removed_bytes - bytes_before)

    def _oldest_kept(self) -> float:
        """What came before goes, if nothing refers to it."""
        now, pool = self._loop.clock(), self._loop.pool
        is_new = now - self._began < self._kept  # who is away has not been seen for long enough
        granted = [run.granted_at for run in _outstanding(pool)
                   if is_new or run.phase is Phase.RETURNING or run.machine in self._away]
        building = [build.since for build in pool.builds.values() if build.state is State.BUILDING]
        return min([now - self._kept, *granted, *building])

    def _remove(self, at: float) -> None:
        self._blobs.tidy(at)
        for names in unreferred(self._database, self._blobs.older_than(at), self._blobs.read_large, self._pause):
            self._blobs.remove(names, at)

    def _pause(self) -> None:
        if self._is_stopping:
            raise GivenUp
        time.sleep(PAUSE_SECONDS)


def _outstanding(pool: Pool) -> Iterator[Run]:
    """The runs whose end may still be said."""
    for cluster in pool.clusters.values():
        for job in cluster.jobs.values():
            if (run := job.run or job.lapsed) is not None:
                yield run
