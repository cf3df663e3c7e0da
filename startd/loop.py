"""The startd's one long-running loop: it ties the core to the world.

Every happening goes through `Loop.happened`: the core decides, the journal is
written, then the decisions are done, in order. What is to be said piles up in
the core until `_say` takes it: at once when the connection was quiet, in frames
of many messages when it is busy.
"""

import asyncio
import errno
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from contract.messages import (
    Build,
    BuildEnded,
    Ended,
    FromStartd,
    Grant,
    Image,
    Refused,
    Welcome,
    decode_from_schedd,
    encode,
)
from contract.shells import CloseShell, OpenShell, ShellInput, ShellResized, ShellTaken
from contract.vocabulary import EndReason, Phase, RunId
from startd.core import words
from startd.core.events import (
    AbandonBuild,
    Action,
    Begun,
    BuildOver,
    CheckpointTaken,
    Collect,
    Collected,
    Connected,
    Discard,
    Disconnected,
    Ending,
    Entry,
    Event,
    Fetch,
    Fetched,
    Finished,
    Follow,
    Found,
    Granted,
    Heard,
    Kill,
    LeaveAsked,
    MachineSeen,
    NotBegun,
    NotFetched,
    Over,
    OwnerSeen,
    Readopt,
    Recall,
    Recalled,
    Record,
    Resume,
    Said,
    Signal,
    Start,
    StartBuild,
    Suspend,
    TakeCheckpoint,
    Throttle,
    Tick,
    Unfollow,
)
from startd.core.launch import Launch
from startd.core.startd import StartdCore
from startd.files import progress
from startd.files.cache import Cache, Spoilt
from startd.files.checkpoints import Checkpoints, Last
from startd.files.journal import Journal
from startd.files.outputs import Glance, Leaving, gather, glance, nothing
from startd.files.sandbox import CannotStart, Sandboxes
from startd.files.tails import LOOK_SECONDS, Tails
from startd.files.transfer import CannotTransfer, Transfer
from startd.images.builder import Builder
from startd.images.carrier import Carrier
from startd.images.engine import Engine
from startd.monitors import spot
from startd.monitors.gpus import GpuWatch
from startd.monitors.owner import OwnerWatch
from startd.runtime.interface import Happening, NoImage, Runtime, SpawnFailed
from startd.shells import Shells
from startd.throttle import DutyCycle, make_nice

log = logging.getLogger(__name__)

COALESCE_SECONDS = 0.004
"""Under load, frames are this far apart; after a pause, nothing waits."""

FRAME_MESSAGES = 200
FRAME_BYTES = 4 * 1024 * 1024

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
SEE_MACHINE_SECONDS = 5.0
GPU_SECONDS = 1.0
NO_GPU_SECONDS = 60.0

SEE_OWNER_SECONDS = 0.2
"""While there are runs; the owner feels them for no longer than this."""

SEE_OWNER_IDLE_SECONDS = 0.5

AT_ONCE_BYTES = 256 * 1024
"""What is copied on the loop itself; more goes to a thread."""

LEAVE_SECONDS = 10.0
"""Beyond the longest grace: how long a leaving startd waits for its last runs."""

ACKNOWLEDGE_SECONDS = 3.0
"""How long it then waits for the schedd; what is not acknowledged is kept for the next start."""

MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO}

Dial = Callable[[], Awaitable[ClientConnection]]


class Loop:
    """One startd at work. `run` is all of its life."""

    def __init__(self, core: StartdCore, make_runtime: Callable[[Callable[[Happening], None]], Runtime],
                 journal: Journal, cache: Cache, sandboxes: Sandboxes, transfer: Transfer,
                 checkpoints: Checkpoints, see_machine: Callable[[bool], dict[str, str]], gpus: GpuWatch,
                 owner: OwnerWatch | None = None, engine: Engine | None = None) -> None:
        self.core = core
        self._runtime = make_runtime(self._on_runtime)
        self._journal = journal
        self._cache = cache
        self._sandboxes = sandboxes
        self._transfer = transfer
        self._checkpoints = checkpoints
        self._see_machine = see_machine
        self._owner = owner
        self._throttle = DutyCycle(self._runtime.suspend, self._runtime.resume, lambda: list(core.runs),
                                   core.is_running)
        self._gpus = gpus
        self._pids: dict[RunId, int] = {}
        """The main processes of runs."""
        self._builder = Builder(engine, cache.state, cache, transfer, self.happened) if engine else None
        self._carrier = Carrier(engine, cache, transfer) if engine else None
        self._tails = Tails()
        self._progress = progress.Watcher()
        self._extra: list[FromStartd] = []
        self._tailing: asyncio.Task[None] | None = None
        self._launches: dict[RunId, tuple[Grant, Launch]] = {}
        self._tasks: dict[RunId, asyncio.Task[None]] = {}
        self._takes: dict[RunId, asyncio.Task[None]] = {}
        """Checkpoints of living runs, beside what else goes on with them."""
        self._events: list[Event] = []
        self._working = False
        self._news = asyncio.Event()
        self._shells = Shells(self._news.set)
        self._worked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    async def run(self, dial: Dial, leave: asyncio.Event, provider: spot.Poller | None = None) -> None:
        """Work until `leave` is set or the machine is taken away; then end the runs, report them, and return."""
        self._sandboxes.keep_only(set(self.core.runs))
        found = await self._runtime.open()
        self._machine_seen()
        self.happened(Found(frozenset(found)))
        duties = [asyncio.create_task(duty) for duty in (
            self._stay_connected(dial), self._look_at_machine(), self._look_at_gpus(), self._look_at_progress())]
        if self._owner is not None and self.core.heeds_owner:
            duties.append(asyncio.create_task(self._look_at_owner(self._owner)))
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
            besides = [*self._tasks.values(), *self._takes.values(), *([self._tailing] if self._tailing else [])]
            for task in (*duties, asked, *([warned] if warned else []), *besides):
                task.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._throttle.close()
            if self._builder is not None:
                await self._builder.close()
            await self._runtime.close(leave=True)
            self._transfer.close()
            self._journal.close()

    def happened(self, event: Event) -> None:
        """Take note; all that happens in one turn of the loop is decided, and recorded, together."""
        self._events.append(event)
        if not self._working:
            self._working = True
            asyncio.get_running_loop().call_soon(self._work)

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
                    self._log(entries)
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
                self._fetch(grant)
            case Start(grant):
                self._start(grant)
            case Readopt(grant):
                self._cache.lacking(grant)  # what it needs is not to go
                self._runtime.watch(grant.run, _limits(grant, self._sandboxes))
            case TakeCheckpoint(grant):
                self._take_checkpoint(grant)
            case Signal(run, number):
                self._runtime.signal(run, number)
            case Kill(run):
                self._runtime.kill(run)
            case Suspend(run):
                self._runtime.suspend(run)
                self._checkpoints.disturb(run)
            case Resume(run):
                self._runtime.resume(run)
            case Throttle(share):
                self._throttle.set(share)
            case Collect(grant, checkpoint, doubt_seconds):
                self._collect(grant, checkpoint, doubt_seconds)
            case Recall(grant, _):
                self._beside(grant.run, self._recall(grant))
            case Discard(run):
                self._discard(run)
            case Follow(watch):
                self._tails.follow(watch, self._sandboxes.path(watch.run))
                if self._tailing is None:
                    self._tailing = asyncio.get_running_loop().create_task(self._tail())
            case Unfollow(watch):
                self._tails.unfollow(watch)
            case StartBuild(build):
                self._start_build(build)
            case AbandonBuild(key, attempt):
                if self._builder is not None:
                    self._builder.abandon(key, attempt)

    def _start_build(self, build: Build) -> None:
        if self._builder is not None:
            self._builder.start(build)
            return
        self.happened(BuildOver(BuildEnded(build.key, build.attempt, message="This machine has no container engine.",
                                           blames_machine=True)))

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

    def _beside(self, run: RunId, work: Coroutine[Any, Any, None]) -> None:
        """Do long work of a run beside the loop; a run has one such work at a time."""
        old = self._tasks.get(run)
        if old is not None and not old.done():
            work.close()
            return
        task = self._tasks[run] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: self._done_beside(run, done))

    def _done_beside(self, run: RunId, done: "asyncio.Task[None]") -> None:
        if self._tasks.get(run) is done:
            del self._tasks[run]
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed(run, error)

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

    # --- before the process --------------------------------------------------------------

    def _fetch(self, grant: Grant) -> None:
        self._cache.hold(grant)
        try:
            lacking = self._cache.lacking(grant)
        except Spoilt as error:
            self.happened(NotFetched(grant.run, f"The job cannot be laid out: {error}.", EndReason.REFUSED))
            return
        if lacking or grant.program.image is not None:
            self._beside(grant.run, self._fetch_long(grant))
        else:
            self.happened(Fetched(grant.run))

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
            self.happened(NotFetched(grant.run, str(error),
                                     EndReason.REFUSED if wrong else EndReason.MACHINE_FAULT))
        except CannotTransfer as error:
            self.happened(NotFetched(grant.run, f"What the job needs could not be had: {error}"))
        except Spoilt as error:
            self.happened(NotFetched(grant.run, f"The job cannot be laid out: {error}.", EndReason.REFUSED))
        else:
            self.happened(Fetched(grant.run))

    async def _bring(self, image: Image) -> None:
        """Have the image of a domain, which another machine may have built."""
        if self._carrier is None:
            raise NoImage("This machine has no container engine, and cannot have the image of a domain.")
        await self._carrier.bring(image)

    def _start(self, grant: Grant) -> None:
        if grant.program.checkpoint is None and self._sandboxes.bytes_to_copy(grant) <= AT_ONCE_BYTES:
            try:
                self._launch(grant, self._sandboxes.prepare(grant))
            except CannotStart as error:
                self.happened(NotBegun(grant.run, error.reason, str(error)))
        else:
            self._beside(grant.run, self._start_long(grant))

    async def _start_long(self, grant: Grant) -> None:
        try:
            launch = await self._transfer.run(lambda: self._sandboxes.prepare(grant))
        except CannotStart as error:
            self.happened(NotBegun(grant.run, error.reason, str(error)))
            return
        run = self.core.runs.get(grant.run)
        if run is None or run.ending is not None:
            self.happened(NotBegun(grant.run, EndReason.STOPPED, "Stopped before it started."))
            return
        self._launch(grant, launch)

    def _launch(self, grant: Grant, launch: Launch) -> None:
        self._cache.release(grant.run)
        self._launches[grant.run] = grant, launch
        self._runtime.start(grant.run, launch)

    def _on_runtime(self, happening: Happening) -> None:
        if self._owner is not None:
            self._owner.ours.saw(happening)
        if isinstance(happening, Begun) and self.core.heeds_owner:
            make_nice(happening.pid)
        if isinstance(happening, Begun):
            self._pids[happening.run] = happening.pid
        elif isinstance(happening, Over):
            self._pids.pop(happening.run, None)
        launched = self._launches.pop(happening.run, None)
        if isinstance(happening, Over):
            self._shells.end_run(happening.run, f"job {happening.run.job} is over.")
        if not isinstance(happening, SpawnFailed):
            self.happened(happening)
        elif launched is not None:
            grant, launch = launched
            at_fault = happening.errno in MACHINE_ERRORS or happening.where == "engine"
            reason = EndReason.MACHINE_FAULT if at_fault else EndReason.REFUSED
            message = happening.words or words.not_started(
                happening.errno, happening.where, launch.argv, grant.program, launch.box is not None)
            self.happened(NotBegun(happening.run, reason, message))

    # --- checkpoints ---------------------------------------------------------------------

    def _take_checkpoint(self, grant: Grant) -> None:
        task = self._takes[grant.run] = asyncio.get_running_loop().create_task(self._take_while_it_runs(grant))
        task.add_done_callback(lambda done: self._taken(grant.run, done))

    def _taken(self, run: RunId, done: "asyncio.Task[None]") -> None:
        if self._takes.get(run) is done:
            del self._takes[run]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("the checkpoint of run %s failed", run, exc_info=error, extra={"run": str(run)})
            self.happened(CheckpointTaken(run, None, trouble=f"The startd failed: {type(error).__name__}: {error}."))

    async def _take_while_it_runs(self, grant: Grant) -> None:
        self.happened(await self._checkpoints.take(grant, self._sandboxes.path(grant.run)))

    async def _collect_with_checkpoint(self, grant: Grant, last: Last) -> None:
        """Take the last checkpoint, once one that is under way is done; then gather what was left behind."""
        if (earlier := self._takes.get(grant.run)) is not None:
            await asyncio.wait([earlier])
        taken = await self._checkpoints.take(grant, self._sandboxes.path(grant.run), last)
        await self._collect_long(grant, taken)

    # --- after the process ---------------------------------------------------------------

    def _collect(self, grant: Grant, checkpoint: bool, doubt_seconds: float | None) -> None:
        if checkpoint:
            self._beside(grant.run, self._collect_with_checkpoint(grant, Last(time.time_ns(), doubt_seconds)))
            return
        sandbox = self._sandboxes.path(grant.run)
        seen = glance(sandbox, grant.program.contract)
        if seen is Glance.MUCH:
            self._beside(grant.run, self._collect_long(grant))
            return
        bare = seen is Glance.NOTHING and not grant.program.output_files
        leaving = nothing() if bare else gather(sandbox, grant.program)
        if leaving.uploads:
            self._beside(grant.run, self._return(grant, leaving))
        else:
            self.happened(_collected(grant.run, leaving))

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
        self.happened(_collected(grant.run, leaving, taken))

    async def _recall(self, grant: Grant) -> None:
        sandbox = self._sandboxes.path(grant.run)
        leaving = await self._transfer.run(lambda: gather(sandbox, grant.program))
        self.happened(Recalled(grant.run, leaving.blobs))

    def _discard(self, run: RunId) -> None:
        self._say_last_words(run)
        self._launches.pop(run, None)
        self._cache.over(run)
        if doomed := self._cache.trim():
            self._transfer.soon(lambda: self._cache.remove(doomed))
        task = self._tasks.pop(run, None)
        if task is not None:
            task.cancel()
        if (take := self._takes.pop(run, None)) is not None:
            take.cancel()
        self._checkpoints.forget(run)
        self._runtime.remove(run)
        if not self._sandboxes.discard(run):
            self._transfer.soon(self._sandboxes.sweep)

    # --- watching ------------------------------------------------------------------------

    async def _tail(self) -> None:
        while len(self._tails):
            for watch in self._tails.watches():
                self._extra += self._tails.look(watch, self.core.is_writing(watch.run))
            if self._extra:
                self._news.set()
            await asyncio.sleep(LOOK_SECONDS)
        self._tailing = None

    def _say_last_words(self, run: RunId) -> None:
        for watch in self._tails.watches():
            if watch.run == run:
                while chunks := self._tails.look(watch, still_writing=False):
                    self._extra += chunks
                self._news.set()

    async def _look_at_machine(self) -> None:
        while True:
            await asyncio.sleep(SEE_MACHINE_SECONDS)
            self._machine_seen()

    def _machine_seen(self) -> None:
        ad = self._see_machine(bool(self.core.runs))
        self.happened(MachineSeen(ad, time.time(), self._gpus.parts()))

    async def _look_at_gpus(self) -> None:
        """Often while runs have any; else now and then, whether one has come or failed."""
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(GPU_SECONDS)
            in_use = any(run.grant.claim.gpus for run in self.core.runs.values())
            wanted = GPU_SECONDS if in_use else SEE_MACHINE_SECONDS if self._gpus.is_there else NO_GPU_SECONDS
            if time.monotonic() - looked_at >= 0.9 * wanted:
                looked_at = time.monotonic()
                await self._gpus.look()
                for usage in self._gpus.usage(self._pids, self.core.identity):
                    self.happened(usage)

    async def _look_at_owner(self, owner: OwnerWatch) -> None:
        while True:
            self.happened(OwnerSeen(owner.look()))
            await asyncio.sleep(SEE_OWNER_SECONDS if self.core.runs else SEE_OWNER_IDLE_SECONDS)

    async def _look_at_progress(self) -> None:
        while True:
            await asyncio.sleep(progress.LOOK_SECONDS)
            runs = {run: self._sandboxes.path(run) for run in self.core.running()}
            for run, (percent, message) in self._progress.look(runs):
                self.happened(Said(run, percent, message))

    # --- the connection ------------------------------------------------------------------

    async def _stay_connected(self, dial: Dial) -> None:
        """Connect, talk, and connect again, for ever; pauses grow while nobody answers."""
        pause = FIRST_PAUSE_SECONDS
        said = ""
        while True:
            try:
                connection = await dial()
            except NoSchedd as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("waiting for the schedd: %s", said)
            else:
                said = ""
                try:
                    if await self._talk(connection):
                        pause = FIRST_PAUSE_SECONDS
                finally:
                    await connection.close()
                log.info("the connection to the schedd is gone")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    async def _talk(self, connection: ClientConnection) -> bool:
        """Hear and say until the connection breaks; whether we were welcome."""
        self._extra.clear()
        self.happened(Connected())
        speaking = asyncio.create_task(self._speak(connection))
        welcome = False
        try:
            async for frame in connection:
                for message in decode_from_schedd(frame):
                    match message:
                        case Welcome(pool):
                            welcome = True
                            log.info("welcome in pool %s", pool, extra={"pool": pool})
                        case Refused(code, words_of_schedd):
                            log.error("the schedd refuses this startd: %s", words_of_schedd, extra={"code": code})
                            self.happened(Heard(message))
                            # Nothing more comes here: only a new Hello tells it again what runs on this machine.
                            return False
                        case OpenShell():
                            self._shells.open(message, self._runtime.inside)
                            continue
                        case ShellInput() | ShellResized() | ShellTaken() | CloseShell():
                            self._shells.heard(message)
                            continue
                    self.happened(Heard(message))
        except ConnectionClosed:
            pass
        except msgspec.MsgspecError as error:
            log.error("the schedd said what cannot be understood: %s", error)
        finally:
            speaking.cancel()
            self._tails.clear()
            self._shells.clear()
            self.happened(Disconnected())
        return welcome

    async def _speak(self, connection: ClientConnection) -> None:
        quiet_until = 0.0
        with suppress(ConnectionClosed):
            while True:
                await self._news.wait()
                if (pause := quiet_until - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                self._news.clear()
                extra, self._extra = self._extra, []
                said = [*self.core.outgoing(time.monotonic()), *extra, *self._shells.outgoing()]
                for frame in frames(said):
                    await connection.send(frame, text=True)
                quiet_until = time.monotonic() + COALESCE_SECONDS

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

    def _log(self, entries: list[Entry]) -> None:
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


class NoSchedd(Exception):
    """Nobody answers where the schedd should be, or it would not have us; says so in words."""


def frames(messages: list[FromStartd]) -> Iterator[bytes]:
    """`messages` as frames, none with too many, and large ends alone."""
    frame: list[FromStartd] = []
    size = 0
    for message in messages:
        weight = sum(map(len, message.blobs.values())) if isinstance(message, Ended) else 0
        if frame and (len(frame) >= FRAME_MESSAGES or size + weight > FRAME_BYTES):
            yield encode(frame)
            frame, size = [], 0
        frame.append(message)
        size += weight
    if frame:
        yield encode(frame)


def _run_of(action: Action) -> RunId | None:
    match action:
        case Fetch(grant) | Start(grant) | Readopt(grant) | TakeCheckpoint(grant) | Collect(grant) | Recall(grant):
            return grant.run
        case Signal(run) | Kill(run) | Suspend(run) | Resume(run) | Discard(run):
            return run
    return None


def _limits(grant: Grant, sandboxes: Sandboxes) -> Launch:
    """As much of a launch as is needed to watch a run that runs already, and to look inside."""
    sandbox = sandboxes.path(grant.run)
    return Launch([], sandboxes.environment(grant), sandbox, f"{sandbox}/work", f"{sandbox}/stdout",
                  f"{sandbox}/stderr", None, grant.program.memory_limit_mib, grant.program.disk_limit_kib)


def _collected(run: RunId, leaving: Leaving, taken: CheckpointTaken | None = None) -> Collected:
    return Collected(run, leaving.stdout, leaving.stderr, leaving.files, leaving.warnings, leaving.blobs,
                     leaving.total_bytes // 1024, taken)
