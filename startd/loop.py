"""The startd's loop: it ties the core to the world.

Every happening goes through `Loop.happened`: the core decides, the journal is
written, then the decisions are done, in order. What is to be said piles up in
the core until the connection takes it.

What takes longer than a moment, or goes on for ever, has a module beside this one:

* `connection`  hearing the schedd, and speaking to it
* `starting`    from a grant to a process
* `collecting`  what runs leave: checkpoints, outputs, then nothing
* `errands`     the long work of both
* `following`   stdout and stderr that somebody watches
* `looking`     at the machine, its GPUs, its owner, and at progress
* `images.stock`  which images are here, and which go
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from contract.messages import Build, BuildEnded
from contract.vocabulary import EndReason, Phase, RunId
from startd.collecting import Collecting
from startd.connection import Connection, Dial
from startd.core.events import (
    AbandonBuild,
    Action,
    BuildOver,
    Collect,
    Collected,
    Discard,
    Ending,
    Entry,
    Event,
    Fetch,
    Finished,
    Follow,
    Found,
    Granted,
    Kill,
    LeaveAsked,
    NotBegun,
    NotFetched,
    Over,
    Readopt,
    Recall,
    Record,
    Resume,
    Signal,
    Start,
    StartBuild,
    Suspend,
    TakeCheckpoint,
    Throttle,
    Tick,
    Unfollow,
)
from startd.core.startd import StartdCore
from startd.errands import Errands
from startd.files.cache import Cache
from startd.files.checkpoints import Checkpoints
from startd.files.journal import Journal
from startd.files.sandbox import Sandboxes
from startd.files.transfer import Transfer
from startd.following import Following
from startd.images.builder import Builder
from startd.images.carrier import Carrier
from startd.images.engine import Engine
from startd.images.stock import BASE, Stock
from startd.looking import Looking
from startd.monitors import spot
from startd.monitors.gpus import GpuWatch
from startd.monitors.owner import OwnerWatch
from startd.runtime.interface import Happening, Runtime, SpawnFailed
from startd.shells import Shells
from startd.starting import Starting
from startd.throttle import DutyCycle

log = logging.getLogger(__name__)

LEAVE_SECONDS = 10.0
"""Beyond the longest grace: how long a leaving startd waits for its last runs."""

ACKNOWLEDGE_SECONDS = 3.0
"""How long it then waits for the schedd; what is not acknowledged is kept for the next start."""


class Loop:
    """One startd at work. `run` is all of its life."""

    def __init__(self, core: StartdCore, make_runtime: Callable[[Callable[[Happening], None]], Runtime],
                 journal: Journal, cache: Cache, sandboxes: Sandboxes, transfer: Transfer,
                 checkpoints: Checkpoints, see_machine: Callable[[bool], dict[str, str]], gpus: GpuWatch,
                 owner: OwnerWatch | None = None, engine: Engine | None = None,
                 stock: Stock | None = None) -> None:
        self.core = core
        self._runtime = make_runtime(self._on_runtime)
        self._journal = journal
        self._sandboxes = sandboxes
        self._transfer = transfer
        self._checkpoints = checkpoints
        self._throttle = DutyCycle(self._suspend, self._resume, lambda: list(core.runs), core.is_running)
        self._stock = stock
        carrier = Carrier(engine, cache, transfer, stock) if engine and stock else None
        self._builder = (Builder(engine, cache.state, cache, transfer, carrier, stock, self.happened)
                         if engine and stock and carrier else None)
        self._errands = Errands(self._failed)
        self._starting = Starting(core, self._runtime, cache, sandboxes, transfer, carrier, self._errands,
                                  self.happened)
        self._collecting = Collecting(self._runtime, cache, sandboxes, transfer, checkpoints, self._errands,
                                      self.happened)
        self._looking = Looking(core, sandboxes, see_machine, gpus, owner, self.happened)
        self._news = asyncio.Event()
        self._shells = Shells(self._news.set, is_halted=core.is_halted)
        self._following = Following(core, sandboxes, self._news.set)
        self._connection = Connection(core, self._runtime, self._shells, self._following, self.happened, self._news)
        self._events: list[Event] = []
        self._working = False
        self._worked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        if stock is not None:
            stock.wanted = lambda: {run.grant.program.image or BASE for run in core.runs.values() if run.end is None}

    async def run(self, dial: Dial, leave: asyncio.Event, provider: spot.Poller | None = None) -> None:
        """Work until `leave` is set or the machine is taken away; then end the runs, report them, and return."""
        self._sandboxes.keep_only(set(self.core.runs))
        found = await self._runtime.open()
        self._looking.see_machine()
        self.happened(Found(frozenset(found)))
        duties = [asyncio.create_task(duty) for duty in (self._connection.stay(dial), *self._looking.duties())]
        if self._stock is not None:
            duties.append(asyncio.create_task(self._stock.keep_tidy()))
        asked = asyncio.create_task(leave.wait())
        warned = asyncio.create_task(spot.watch(provider, time.time)) if provider is not None else None
        try:
            ends = [asked] if warned is None else [asked, warned]
            done, _ = await asyncio.wait([*duties, *ends], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if warned is not None and warned.done():
                notice = warned.result()
                await self._leave(f"{notice.why}, in {notice.seconds:.0f} seconds.", notice.seconds)
            else:
                await self._leave("the startd was told to shut down.")
        finally:
            for task in (*duties, asked, *([warned] if warned else [])):
                task.cancel()
            self._errands.close()
            self._collecting.close()
            self._following.close()
            if self._timer is not None:
                self._timer.cancel()
            self._throttle.close()
            if self._builder is not None:
                await self._builder.close()
            await self._runtime.close(leave=True)
            if self._stock is not None:
                await self._stock.leave()
            self._transfer.close()
            self._journal.close()

    def happened(self, event: Event) -> None:
        """Take note; all that happens in one turn of the loop is decided, and recorded, together."""
        self._events.append(event)
        if not self._working:
            self._working = True
            asyncio.get_running_loop().call_soon(self._work)

    def _on_runtime(self, happening: Happening) -> None:
        self._looking.saw(happening)
        if isinstance(happening, Over):
            self._shells.end_run(happening.run, f"job {happening.run.job} is over.")
        if isinstance(happening, SpawnFailed):
            self._starting.failed(happening)
        else:
            self._starting.forget(happening.run)
            self.happened(happening)

    # --- decide, record, do --------------------------------------------------------------

    def _work(self) -> None:
        try:
            while self._events:
                events, self._events = self._events, []
                now = time.monotonic()
                actions = [action for event in events for action in self.core.handle(event, now)]
                entries: list[Entry] = [action.entry for action in actions if isinstance(action, Record)]
                if entries:
                    self._journal.append(entries, self.core.entries)
                    _log(entries)
                for action in actions:
                    try:
                        self._do(action)
                    except Exception as error:
                        self._failed(_run_of(action), error)
        finally:
            self._working = False
        self._arm()
        self._worked.set()
        if self.core.has_news:
            self._news.set()

    def _do(self, action: Action) -> None:
        match action:
            case Record():
                pass
            case Fetch(grant):
                self._starting.fetch(grant)
            case Start(grant):
                self._starting.start(grant)
            case Readopt(grant):
                self._starting.watch(grant)
            case TakeCheckpoint(grant):
                self._collecting.take_checkpoint(grant)
            case Signal(run, number):
                self._runtime.signal(run, number)
            case Kill(run):
                self._runtime.kill(run)
            case Suspend(run):
                self._suspend(run)
                self._checkpoints.disturb(run)
            case Resume(run):
                self._resume(run)
            case Throttle(share):
                self._throttle.set(share)
            case Collect(grant, checkpoint, doubt_seconds):
                self._collecting.collect(grant, checkpoint, doubt_seconds)
            case Recall(grant, _):
                self._collecting.recall(grant)
            case Discard(run):
                self._following.say_last_words(run)
                self._starting.forget(run)
                self._collecting.discard(run)
                if self._stock is not None:
                    self._stock.over()
            case Follow(watch):
                self._following.follow(watch)
            case Unfollow(watch):
                self._following.unfollow(watch)
            case StartBuild(build):
                self._start_build(build)
            case AbandonBuild(key, attempt):
                if self._builder is not None:
                    self._builder.abandon(key, attempt)

    def _suspend(self, run: RunId) -> None:
        """The run, and whatever somebody has started beside it."""
        self._runtime.suspend(run)
        self._shells.stand_still(run)

    def _resume(self, run: RunId) -> None:
        self._runtime.resume(run)
        self._shells.go_on(run)

    def _start_build(self, build: Build) -> None:
        if self._builder is not None:
            self._builder.start(build)
            return
        self.happened(BuildOver(BuildEnded(build.key, build.attempt, message="This machine has no container engine.",
                                           blames_machine=True)))

    def _failed(self, run: RunId | None, error: BaseException) -> None:
        """We are wrong about something. Others are not to suffer, and the run is not to wait for ever."""
        log.error("work for run %s failed", run, exc_info=error, extra={"run": str(run)})
        known = self.core.runs.get(run) if run is not None else None
        if known is None:
            return
        words_for_it = f"The startd failed: {type(error).__name__}: {error}."
        match known.phase:
            case Phase.FETCHING:
                self.happened(NotFetched(known.run, words_for_it))
            case Phase.STARTING | Phase.STOPPING:
                self.happened(NotBegun(known.run, EndReason.MACHINE_FAULT, words_for_it))
            case Phase.RETURNING:
                self.happened(Collected(known.run, warnings=[f"Nothing could be kept of it. {words_for_it}"]))

    def _arm(self) -> None:
        """Have a Tick come when the core wants one."""
        due = self.core.next_due()
        if due is None or (self._timer is not None and self._timer_due <= due and not self._timer.cancelled()):
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_due = due
        self._timer = loop.call_later(max(0.0, due - time.monotonic()), self._ticked)

    def _ticked(self) -> None:
        self._timer = None
        self.happened(Tick())

    # --- leaving -------------------------------------------------------------------------

    async def _leave(self, why: str, seconds: float | None = None) -> None:
        """End all runs and have their ends acknowledged, as far as that can be waited for."""
        log.info("leaving: %s", why, extra={"runs": len(self.core.runs)})
        self._shells.end_all("its machine leaves the pool.")
        grace = max((run.grant.program.grace_seconds for run in self.core.runs.values()), default=0.0)
        self.happened(LeaveAsked(why, seconds))
        patience = grace + LEAVE_SECONDS if seconds is None else seconds
        await self._until(lambda: all(run.end is not None for run in self.core.runs.values()), patience)
        await self._until(lambda: not self.core.runs or not self.core.is_welcome, ACKNOWLEDGE_SECONDS)

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self._worked.clear()
                    if not self._events and holds():
                        return
                    await self._worked.wait()


def _log(entries: list[Entry]) -> None:
    for entry in entries:
        match entry:
            case Granted(grant):
                log.debug("run granted", extra={"run": str(grant.run)})
            case Ending(run, reason, message):
                log.info("run %s is to end: %s", run, message, extra={"run": str(run), "reason": reason})
            case Finished(run, end):
                if log.isEnabledFor(logging.INFO):
                    log.info("run %s ended: %s%s", run, end.reason, f": {end.message}" if end.message else "",
                             extra={"run": str(run), "exit_code": end.exit_code, "signal": end.signal})


def _run_of(action: Action) -> RunId | None:
    match action:
        case Fetch(grant) | Start(grant) | Readopt(grant) | TakeCheckpoint(grant) | Collect(grant) | Recall(grant):
            return grant.run
        case Signal(run) | Kill(run) | Suspend(run) | Resume(run) | Discard(run):
            return run
    return None
