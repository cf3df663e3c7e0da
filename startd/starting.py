"""From a grant to a process: what it needs is fetched, its sandbox laid out, the runtime asked.

What is little is done on the loop itself, so that a short run costs no thread; the rest is an
errand. Every way ends in an event: Fetched or NotFetched, Begun or NotBegun.
"""

import errno
from collections.abc import Callable

from contract.messages import Grant, Image
from contract.vocabulary import EndReason, RunId
from startd.core import words
from startd.core.events import Event, Fetched, NotBegun, NotFetched
from startd.core.launch import Launch
from startd.core.startd import StartdCore
from startd.errands import Errands
from startd.files.cache import Cache, Spoilt
from startd.files.sandbox import CannotStart, Sandboxes
from startd.files.transfer import CannotTransfer, Transfer
from startd.images.carrier import Carrier
from startd.runtime.interface import NoImage, Runtime, SpawnFailed

AT_ONCE_BYTES = 256 * 1024
"""What is copied on the loop itself; more goes to a thread."""

MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO}


class Starting:
    """`fetch`, then `start`; or `watch` a run that an earlier life of the startd has started."""

    def __init__(self, core: StartdCore, runtime: Runtime, cache: Cache, sandboxes: Sandboxes, transfer: Transfer,
                 carrier: Carrier | None, errands: Errands, happened: Callable[[Event], None]) -> None:
        self._core = core
        self._runtime = runtime
        self._cache = cache
        self._sandboxes = sandboxes
        self._transfer = transfer
        self._carrier = carrier
        self._errands = errands
        self._happened = happened
        self._launches: dict[RunId, tuple[Grant, Launch]] = {}
        """Asked of the runtime, which has not answered yet."""

    def fetch(self, grant: Grant) -> None:
        self._cache.hold(grant)
        try:
            lacking = self._cache.lacking(grant)
        except Spoilt as error:
            self._happened(NotFetched(grant.run, f"The job cannot be laid out: {error}.", EndReason.REFUSED))
            return
        if lacking or grant.program.image is not None:
            self._errands.begin(grant.run, self._fetch_long(grant))
        else:
            self._happened(Fetched(grant.run))

    async def _fetch_long(self, grant: Grant) -> None:
        try:
            await self._transfer.fetch(grant)
            if grant.program.built is not None:
                await self._bring(grant.program.built)
            if grant.program.image is not None:
                await self._runtime.provide(grant.program.image)
        except NoImage as error:
            built = grant.program.built
            if built is not None and self._carrier is not None:
                self._carrier.forget(built)  # somebody tidied up in the engine: the next run has it brought again
            wrong = error.is_wrong and built is None
            self._happened(NotFetched(grant.run, str(error),
                                      EndReason.REFUSED if wrong else EndReason.MACHINE_FAULT))
        except CannotTransfer as error:
            self._happened(NotFetched(grant.run, f"What the job needs could not be had: {error}"))
        except Spoilt as error:
            self._happened(NotFetched(grant.run, f"The job cannot be laid out: {error}.", EndReason.REFUSED))
        else:
            self._happened(Fetched(grant.run))

    async def _bring(self, image: Image) -> None:
        """Have the image of a domain, which another machine may have built."""
        if self._carrier is None:
            raise NoImage("This machine has no container engine, and cannot have the image of a domain.")
        await self._carrier.bring(image)

    def start(self, grant: Grant) -> None:
        if grant.program.checkpoint is None and self._sandboxes.bytes_to_copy(grant) <= AT_ONCE_BYTES:
            try:
                self._launch(grant, self._sandboxes.prepare(grant))
            except CannotStart as error:
                self._happened(NotBegun(grant.run, error.reason, str(error)))
        else:
            self._errands.begin(grant.run, self._start_long(grant))

    async def _start_long(self, grant: Grant) -> None:
        try:
            launch = await self._transfer.run(lambda: self._sandboxes.prepare(grant))
        except CannotStart as error:
            self._happened(NotBegun(grant.run, error.reason, str(error)))
            return
        run = self._core.runs.get(grant.run)
        if run is None or run.ending is not None:
            self._happened(NotBegun(grant.run, EndReason.STOPPED, "Stopped before it started."))
            return
        self._launch(grant, launch)

    def _launch(self, grant: Grant, launch: Launch) -> None:
        self._cache.release(grant.run)
        self._launches[grant.run] = grant, launch
        self._runtime.start(grant.run, launch)

    def failed(self, failure: SpawnFailed) -> None:
        """The runtime could not start it: say whose fault that is, and what it means."""
        launched = self._launches.pop(failure.run, None)
        if launched is None:
            return
        grant, launch = launched
        at_fault = failure.errno in MACHINE_ERRORS or failure.where == "engine"
        reason = EndReason.MACHINE_FAULT if at_fault else EndReason.REFUSED
        if failure.where == "keeper":
            reason = EndReason.EVICTED
        message = failure.words or words.not_started(
            failure.errno, failure.where, launch.argv, grant.program, launch.box is not None)
        self._happened(NotBegun(failure.run, reason, message))

    def forget(self, run: RunId) -> None:
        """It has started, or is over."""
        self._launches.pop(run, None)

    def watch(self, grant: Grant) -> None:
        """Keep watching a run that runs already."""
        self._cache.lacking(grant)  # what it needs is not to go
        self._runtime.watch(grant.run, _limits(grant, self._sandboxes))


def _limits(grant: Grant, sandboxes: Sandboxes) -> Launch:
    """As much of a launch as is needed to watch a run that runs already, and to look inside."""
    sandbox = sandboxes.path(grant.run)
    return Launch([], sandboxes.environment(grant), sandbox, f"{sandbox}/work", f"{sandbox}/stdout",
                  f"{sandbox}/stderr", None, grant.program.memory_limit_mib, grant.program.disk_limit_kib)
