"""What runs leave: their checkpoints while they run, their outputs afterwards, then nothing.

What is small goes with the end of the run; what is large is uploaded first.
"""

import logging
import time
from collections.abc import Callable

from contract.messages import Grant
from contract.vocabulary import RunId
from startd.core.events import CheckpointTaken, Collected, Event, Recalled
from startd.errands import Errands
from startd.files.cache import Cache
from startd.files.checkpoints import Checkpoints, Last
from startd.files.outputs import Glance, Leaving, gather, glance, nothing
from startd.files.sandbox import Sandboxes
from startd.files.transfer import CannotTransfer, Transfer
from startd.runtime.interface import Runtime

log = logging.getLogger(__name__)


class Collecting:
    """`take_checkpoint` now and then; `collect` once; `recall` until it is acknowledged; `discard`."""

    def __init__(self, runtime: Runtime, cache: Cache, sandboxes: Sandboxes, transfer: Transfer,
                 checkpoints: Checkpoints, errands: Errands, happened: Callable[[Event], None]) -> None:
        self._runtime = runtime
        self._cache = cache
        self._sandboxes = sandboxes
        self._transfer = transfer
        self._checkpoints = checkpoints
        self._errands = errands
        self._happened = happened
        self._takes = Errands(self._not_taken)
        """Checkpoints of living runs, beside what else goes on with them."""

    # --- checkpoints ---------------------------------------------------------------------

    def take_checkpoint(self, grant: Grant) -> None:
        self._takes.begin(grant.run, self._take_while_it_runs(grant))

    async def _take_while_it_runs(self, grant: Grant) -> None:
        self._happened(await self._checkpoints.take(grant, self._sandboxes.path(grant.run)))

    def _not_taken(self, run: RunId, error: BaseException) -> None:
        log.error("the checkpoint of run %s failed", run, exc_info=error, extra={"run": str(run)})
        self._happened(CheckpointTaken(run, None, trouble=f"The startd failed: {type(error).__name__}: {error}."))

    # --- when the process is gone --------------------------------------------------------

    def collect(self, grant: Grant, checkpoint: bool, doubt_seconds: float | None) -> None:
        if checkpoint:
            last = Last(time.time_ns(), doubt_seconds)
            self._errands.begin(grant.run, self._collect_with_checkpoint(grant, last))
            return
        sandbox = self._sandboxes.path(grant.run)
        seen = glance(sandbox, grant.program.contract)
        if seen is Glance.MUCH:
            self._errands.begin(grant.run, self._collect_long(grant))
            return
        bare = seen is Glance.NOTHING and not grant.program.output_files
        leaving = nothing() if bare else gather(sandbox, grant.program)
        if leaving.uploads:
            self._errands.begin(grant.run, self._return(grant, leaving))
        else:
            self._happened(_collected(grant.run, leaving))

    async def _collect_with_checkpoint(self, grant: Grant, last: Last) -> None:
        """Take the last checkpoint, once one that is under way is done; then gather what was left behind."""
        await self._takes.wait_for(grant.run)
        taken = await self._checkpoints.take(grant, self._sandboxes.path(grant.run), last)
        await self._collect_long(grant, taken)

    async def _collect_long(self, grant: Grant, taken: CheckpointTaken | None = None) -> None:
        sandbox = self._sandboxes.path(grant.run)
        await self._return(grant, await self._transfer.run(lambda: gather(sandbox, grant.program)), taken)

    async def _return(self, grant: Grant, leaving: Leaving, taken: CheckpointTaken | None = None) -> None:
        """Upload what is large; a file that cannot be sent is named, the rest of the result stands."""
        for sha256, (path, size) in leaving.uploads.items():
            try:
                await self._transfer.upload(sha256, path, size)
            except CannotTransfer as error:
                leaving.drop(sha256, str(error))
        self._happened(_collected(grant.run, leaving, taken))

    def recall(self, grant: Grant) -> None:
        """Read the small contents of its end again."""
        self._errands.begin(grant.run, self._recall_long(grant))

    async def _recall_long(self, grant: Grant) -> None:
        sandbox = self._sandboxes.path(grant.run)
        leaving = await self._transfer.run(lambda: gather(sandbox, grant.program))
        self._happened(Recalled(grant.run, leaving.blobs))

    def discard(self, run: RunId) -> None:
        """Nobody wants anything of it any more."""
        self._cache.over(run)
        if doomed := self._cache.trim():
            self._transfer.soon(lambda: self._cache.remove(doomed))
        self._errands.call_off(run)
        self._takes.call_off(run)
        self._checkpoints.forget(run)
        self._runtime.remove(run)
        if not self._sandboxes.discard(run):
            self._transfer.soon(self._sandboxes.sweep)

    def close(self) -> None:
        self._takes.close()


def _collected(run: RunId, leaving: Leaving, taken: CheckpointTaken | None = None) -> Collected:
    return Collected(run, leaving.stdout, leaving.stderr, leaving.files, leaving.warnings, leaving.blobs,
                     leaving.total_bytes // 1024, taken)
