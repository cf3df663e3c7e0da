"""The decisions of a startd: which runs it takes on, how they end, what it says.

Read `events` first (what goes in, what comes out), then `jobrun` (the life of one
run), then `StartdCore.handle`. The core has no clock and no I/O: `now` is any
steady clock in seconds. Rebuilt from its journal by `restore`, it goes on where
it was; `Found` then tells what the runtime has.

INV-S1: a run that is unknown, living or remembered as forgotten is never started twice.
INV-S2: the claims of the runs that have not ended fit into the machine.
INV-S3: an end is said again until it is acknowledged; only then is the run discarded.
"""

from collections.abc import Iterable, Mapping
from signal import SIGKILL, SIGXFSZ

from msgspec.structs import replace

from contract.messages import (
    Acknowledge,
    AcknowledgeBuild,
    AdChanged,
    Amounts,
    Beat,
    Build,
    CancelBuild,
    Checkpointed,
    Ended,
    FromSchedd,
    FromStartd,
    GpuPart,
    Grant,
    HeldRun,
    Hello,
    OutputChunk,
    Progressed,
    Reached,
    Refused,
    RunEnd,
    Stop,
    Unwatch,
    Used,
    Watch,
    Welcome,
)
from contract.vocabulary import INLINE_BYTES, PROTOCOL, VERSION, EndReason, Phase, RunId
from dsl.classad import literal
from startd.core import words
from startd.core.builds import Builds
from startd.core.claims import Claims
from startd.core.events import (
    Action,
    Begun,
    BuildOver,
    BuildSaid,
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
    Forgotten,
    Found,
    GpuUsage,
    Granted,
    Halted,
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
    Suspend,
    TakeCheckpoint,
    Throttle,
    Tick,
    Unfollow,
    Usage,
)
from startd.core.jobrun import JobRun, Turn, step
from startd.core.ladder import PRESETS, Ladder, Policy, Step
from startd.core.owner import Owner

TOMBSTONES = 8192
"""Acknowledged runs remembered, so that a late Grant of one starts nothing."""

MOST_OF_LIMIT = 0.9
"""The kernel keeps a group of processes to its limit: what was seen of one that it killed lies a little below."""

USED_SECONDS = 3.0
PEAK_CPU_SECONDS = 1.0
FIRST_BEAT_SECONDS = 5.0
LONG_AGO_SECONDS = 1e8
LEAST_GRACE_SECONDS = 1.0
MOST_SENDING_SECONDS = 30.0
"""Of the time that a machine will still be there, half is kept for sending what was left behind, or so much."""


class StartdCore:
    """All runs of one machine. See `handle` and `outgoing`."""

    def __init__(self, name: str, identity: str, amounts: Amounts, ad: Mapping[str, str],
                 policy: Policy = PRESETS["off"]) -> None:
        self.name = name
        self.identity = identity
        self.amounts = amounts
        self.runs: dict[RunId, JobRun] = {}
        self.leaving: str | None = None
        self._owner = Owner(ad)
        self._ladder = Ladder(policy)
        self._share: float | None = None
        """What RUNNING runs get of their time, while the owner is there."""
        self._seen_ad = dict(ad)
        self._claims = Claims(amounts)
        self._tombs: dict[RunId, None] = {}
        self._connected = self._welcomed = False
        self._beat_seconds = FIRST_BEAT_SECONDS
        self._beat_at = 0.0
        self._saying: list[FromStartd] = []
        self._changed: dict[RunId, None] = {}
        self._stopping: set[RunId] = set()
        self._checkpointing: set[RunId] = set()
        """Living runs whose checkpoints are taken now and then."""
        self._checkpoint_number = 0
        self._gone_at: float | None = None
        """When the machine will be gone, if that is known."""
        self._waiting: dict[RunId, Grant] = {}
        """Queued runs that lie ready until there is room, in the order granted."""
        self._made_room = False
        self._builds = Builds()

    @classmethod
    def restore(cls, entries: Iterable[Entry], name: str, identity: str,
                amounts: Amounts, ad: Mapping[str, str], policy: Policy = PRESETS["off"]) -> "StartdCore":
        """Rebuild from the journal; the runs that had not ended wait for `Found`."""
        core = cls(name, identity, amounts, ad, policy)
        for entry in entries:
            match entry:
                case Granted(grant) if grant.run not in core.runs and grant.run not in core._tombs:
                    core.runs[grant.run] = JobRun(grant)
                    core._claims.take(grant.run, grant.claim)
                case Ending(run, reason, message) if run in core.runs:
                    core.runs[run].ending, core.runs[run].message = reason, message
                case Halted(run, halts) if run in core.runs:
                    core.runs[run].halts = halts
                case Finished(run, end) if run in core.runs:
                    core.runs[run].phase, core.runs[run].end = Phase.ENDED, end
                    core._claims.let_go(run)
                case Forgotten(runs):
                    core._bury(runs)
        if any(run.halts % 2 and run.end is None for run in core.runs.values()):
            core._ladder.was_frozen()
        return core

    def entries(self) -> list[Entry]:
        """The shortest journal that restores this core."""
        kept: list[Entry] = [Forgotten(list(self._tombs))] if self._tombs else []
        for run in self.runs.values():
            kept.append(Granted(run.grant))
            if run.ending is not None:
                kept.append(Ending(run.run, run.ending, run.message))
            if run.halts:
                kept.append(Halted(run.run, run.halts))
            if run.end is not None:
                kept.append(Finished(run.run, run.end))
        return kept

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in what happened; return what is to be done."""
        actions = self._decide(event, now)
        while self._made_room:
            self._made_room = False
            actions = [*actions, *self._start_waiting(now)]
        return actions

    def _decide(self, event: Event, now: float) -> list[Action]:
        match event:
            case Heard(message):
                return self._heard(message, now)
            case Begun(run):
                return self._begun(run, now)
            case Over(run):
                return self._over(run, event, now)
            case Collected(run):
                return self._collected(run, event, now)
            case Fetched(run):
                known = self.runs.get(run)
                return self._start(known) if known and known.phase is Phase.FETCHING else []
            case NotFetched(run, message, reason) | NotBegun(run, reason, message):
                return self._not_started(run, reason, message)
            case Usage():
                return self._used(event, now)
            case GpuUsage():
                return self._used_gpus(event, now)
            case CheckpointTaken(run):
                return self._checkpoint_taken(run, event, now)
            case Said(run, percent, message):
                self._said(run, percent, message)
            case Tick():
                return self._tick(now)
            case Recalled(run, blobs):
                return self._recalled(run, blobs)
            case Connected():
                self._greet(now)
            case Disconnected():
                self._connected = self._welcomed = False
                self._saying.clear()
            case MachineSeen(ad, clock, gpus):
                self._machine_seen(ad, clock - now, gpus)
            case OwnerSeen():
                return self._owner_seen(event, now)
            case Found(runs):
                return self._found(runs, now)
            case LeaveAsked(why, seconds):
                self.leaving = why
                self._gone_at = None if seconds is None else now + seconds
                return self._stop_all(why, now) + self._builds.leave(why)
            case BuildSaid():
                self._builds.said(event)
            case BuildOver():
                return self._builds.over(event)
        return []

    def outgoing(self, now: float) -> list[FromStartd]:
        """What is to be said now; what is taken here counts as sent."""
        if not self._connected:
            return []
        said, self._saying = self._saying, []
        if self._welcomed and self._changed:
            for run_id in self._changed:
                run = self.runs.get(run_id)
                if run is not None and (message := self._news_of(run, now)) is not None:
                    said.append(message)
                if run is not None and run.end is None and run.tells_checkpoint:
                    said.append(self._news_of_checkpoint(run, now))
            self._changed.clear()
        if self._welcomed:
            said += self._builds.outgoing()
        return said

    @property
    def has_news(self) -> bool:
        return self._connected and bool(
            self._saying or (self._welcomed and (self._changed or self._builds.has_news)))

    @property
    def is_welcome(self) -> bool:
        """Whether the schedd listens."""
        return self._welcomed

    @property
    def heeds_owner(self) -> bool:
        """Whether OwnerSeen is wanted."""
        return self._ladder.policy.heeds_anything

    def is_running(self, run: RunId) -> bool:
        """Whether a throttle may freeze and thaw the run."""
        known = self.runs.get(run)
        return known is not None and known.phase is Phase.RUNNING

    def next_due(self) -> float | None:
        """When a Tick is wanted."""
        dues = [run.kill_at for run in map(self.runs.__getitem__, self._stopping) if run.kill_at is not None]
        dues += [run.take_at for run in map(self.runs.__getitem__, self._checkpointing) if run.take_at is not None]
        if self._welcomed:
            dues.append(self._beat_at)
        return min(dues, default=None)

    def running(self) -> list[RunId]:
        """The runs whose processes are there and go on."""
        return [run.run for run in self.runs.values() if run.phase is Phase.RUNNING]

    def is_writing(self, run: RunId) -> bool:
        """Whether the run's stdout and stderr may still grow."""
        known = self.runs.get(run)
        return known is not None and known.phase not in (Phase.RETURNING, Phase.ENDED)

    # --- the schedd ----------------------------------------------------------------------

    def _heard(self, message: FromSchedd, now: float) -> list[Action]:
        match message:
            case Grant():
                return self._granted(message, now)
            case Acknowledge(runs):
                return self._acknowledged(runs)
            case Stop():
                return self._stop_asked(message, now)
            case Welcome():
                return self._welcome(message, now)
            case Watch(watch, run, _, offset):
                if run in self.runs:
                    return [Follow(message)]
                self._saying.append(OutputChunk(watch, offset, b"", last=True))
            case Unwatch(watch):
                return [Unfollow(watch)]
            case Build() | CancelBuild() | AcknowledgeBuild():
                return self._builds.heard(message)
            case Refused():
                self._welcomed = False
        return []

    def _granted(self, grant: Grant, now: float) -> list[Action]:
        known = self.runs.get(grant.run)
        if known is not None:
            known.told = None
            self._changed[grant.run] = None
            return self._recall(known) if known.phase is Phase.ENDED else []
        if grant.run in self._tombs:
            # Said again, should the schedd still count on a run that is over here.
            self._saying.append(Ended(grant.run, RunEnd(
                EndReason.EVICTED, message=f"The run is over on {self.name} already.", started=False)))
            return []
        bare = replace(grant, blobs={}) if grant.blobs else grant
        if grant.queued and not self._claims.fits(grant.claim):
            self.runs[grant.run] = JobRun(bare)
            self._waiting[grant.run] = grant
            return [Record(Granted(bare))]
        refusal = self._refusal(grant, now)
        run = self.runs[grant.run] = JobRun(bare)
        if refusal is not None:
            return [Record(Granted(bare)), *self._end(run, Turn.FAILED, RunEnd(
                EndReason.EVICTED, message=refusal, started=False))]
        self._claims.take(grant.run, grant.claim)
        return [Record(Granted(bare)), *self._launch(run, grant)]

    def _refusal(self, grant: Grant, now: float) -> str | None:
        if not self._claims.fits(grant.claim):
            return words.does_not_fit(grant.claim, self.free())
        return self._unwelcome(grant, now)

    def _unwelcome(self, grant: Grant, now: float) -> str | None:
        if self.leaving is not None:
            return f"The startd on {self.name} is leaving: {self.leaving}"
        if self._ladder.step is not Step.FREE:
            return words.owner_is_there(self.name, self._ladder.why)
        return self._owner.refusal(grant.ad, now)

    def _start_waiting(self, now: float) -> list[Action]:
        """Let queued runs have the room there is now, in the order granted."""
        actions: list[Action] = []
        for run_id, grant in list(self._waiting.items()):
            if not self._claims.fits(grant.claim):
                break
            del self._waiting[run_id]
            refusal = self._unwelcome(grant, now)
            if refusal is None:
                self._claims.take(run_id, grant.claim)
                actions += self._launch(self.runs[run_id], grant)
            else:
                actions += self._end(self.runs[run_id], Turn.FAILED, RunEnd(
                    EndReason.EVICTED, message=refusal, started=False))
        return actions

    def free(self) -> Amounts:
        """What the runs that have not ended leave; those that wait for room hold nothing."""
        return self._claims.free()

    def _launch(self, run: JobRun, grant: Grant) -> list[Action]:
        program = grant.program
        if (program.content or program.stdin or program.inputs or program.shared or program.image
                or program.checkpoint):
            step(run, Turn.FETCH)
            self._changed[run.run] = None
            return [Fetch(grant)]
        return self._start(run)

    def _start(self, run: JobRun) -> list[Action]:
        step(run, Turn.START)
        return [Start(run.grant)]

    def _stop_asked(self, stop: Stop, now: float) -> list[Action]:
        run_id = stop.run
        run = self.runs.get(run_id)
        if run is None:
            # Never came, or long forgotten. Answered so that the schedd can move on;
            # remembered so that the grant, if it is still on its way, starts nothing.
            self._saying.append(Ended(run_id, RunEnd(
                EndReason.STOPPED, message="This machine has no such run.", started=False)))
            return [Record(Forgotten([run_id]))] if self._bury([run_id]) else []
        if run.phase is Phase.ENDED:
            return self._recall(run)
        run.unwanted = not stop.keep
        return self._stop(run, EndReason.EVICTED if stop.evict else EndReason.STOPPED, stop.why, now)

    def _acknowledged(self, runs: list[RunId]) -> list[Action]:
        ended = [run for run in runs if run in self.runs and self.runs[run].phase is Phase.ENDED]
        if not ended:
            return []
        self._bury(ended)
        return [Record(Forgotten(ended)), *map(Discard, ended)]

    def _bury(self, runs: Iterable[RunId]) -> bool:
        """Remember as over; whether any was news."""
        news = False
        for run in runs:
            news = news or run not in self._tombs
            self.runs.pop(run, None)
            self._changed.pop(run, None)
            self._stopping.discard(run)
            self._checkpointing.discard(run)
            self._waiting.pop(run, None)
            self._claims.let_go(run)
            self._tombs[run] = None
        while len(self._tombs) > TOMBSTONES:
            del self._tombs[next(iter(self._tombs))]
        return news

    # --- a run's way ---------------------------------------------------------------------

    def _begun(self, run_id: RunId, now: float) -> list[Action]:
        run = self.runs.get(run_id)
        if run is None or run.phase is Phase.ENDED:
            return [Kill(run_id)]  # a run that nobody wants any more
        if not step(run, Turn.BEGUN):
            return []
        run.alive = True
        self._changed[run_id] = None
        if run.ending is not None:
            return self._ask_to_end(run, now)
        if run.grant.program.checkpoint_every > 0:
            # Of a run that was found again nobody remembers what was said of it.
            run.take_at = now if run.found else now + run.grant.program.checkpoint_every
            self._checkpointing.add(run_id)
        if run.halts % 2:
            step(run, Turn.SUSPEND)
            run.frozen_at = now - LONG_AGO_SECONDS
            return [Suspend(run_id)] if self._ladder.step >= Step.FREEZE else self._resume(run)
        # One that was found may have been frozen by a throttle that is no more.
        awake: list[Action] = [Resume(run_id)] if run.found else []
        return awake + self._suspend(run, now) if self._ladder.step >= Step.FREEZE else awake

    def _stop_all(self, why: str, now: float) -> list[Action]:
        stops = [self._stop(run, EndReason.EVICTED, why, now) for run in list(self.runs.values())]
        return [action for actions in stops for action in actions]

    def _stop(self, run: JobRun, reason: EndReason, why: str, now: float) -> list[Action]:
        if run.ending is not None or not step(run, Turn.STOP):
            return []
        if run.phase is Phase.ENDED:
            return self._end(run, None, RunEnd(reason, message=why, started=False))
        run.ending, run.message = reason, why
        self._changed[run.run] = None
        records: list[Action] = [Record(Ending(run.run, reason, why))]
        if run.halts % 2:
            run.halts += 1
            records.append(Record(Halted(run.run, run.halts)))
        return records + self._ask_to_end(run, now) if run.alive else records

    def _ask_to_end(self, run: JobRun, now: float) -> list[Action]:
        """By the job's own signal, or at once when there is no grace or a limit was passed."""
        step(run, Turn.STOP)
        program = run.grant.program
        grace = self._grace(run, now)
        at_once = run.ending in (EndReason.MEMORY, EndReason.DISK, EndReason.GPU_MEMORY)
        run.kill_at = now + max(1.0, grace)
        self._stopping.add(run.run)
        self._checkpointing.discard(run.run)
        if at_once or grace <= 0 or program.kill_signal == SIGKILL:
            return [Kill(run.run)]
        run.kill_at = now + grace
        # Who stands still cannot heed a signal; and for its last moments it is not throttled.
        stands_still = run.halts > 0 or self._share is not None
        awake: list[Action] = [Resume(run.run)] if stands_still else []
        return [*awake, Signal(run.run, program.kill_signal)]

    def _owner_seen(self, seen: OwnerSeen, now: float) -> list[Action]:
        """The machine's owner comes or goes: the runs follow down the ladder, or up."""
        ladder, before, said = self._ladder, self._ladder.step, self._ladder_ad()
        here = ladder.see(seen.reading, now)
        if said != self._ladder_ad():
            self._say_ad()
        if here is before:
            return []
        actions: list[Action] = []
        share = ladder.policy.share if here >= Step.THROTTLE else None
        if share != self._share:
            self._share = share
            actions.append(Throttle(share))
        if here is Step.LEAVE:
            return actions + self._stop_all(words.owner_wants_it(self.name, ladder.why), now)
        for run in self.runs.values():
            actions += self._suspend(run, now) if here is Step.FREEZE else self._resume(run)
        return actions

    def _suspend(self, run: JobRun, now: float) -> list[Action]:
        if not step(run, Turn.SUSPEND):
            return []
        run.frozen_at = now
        return [*self._halt(run), Suspend(run.run)]

    def _resume(self, run: JobRun) -> list[Action]:
        if not step(run, Turn.RESUME):
            return []
        run.frozen_at = None
        return [*self._halt(run), Resume(run.run)]

    def _halt(self, run: JobRun) -> list[Action]:
        run.halts += 1
        self._changed[run.run] = None
        return [Record(Halted(run.run, run.halts))]

    def _grace(self, run: JobRun, now: float) -> float:
        """What the job asked for; less when the machine will be gone before."""
        grace = run.grant.program.grace_seconds
        if self._gone_at is None:
            return grace
        left = self._gone_at - now
        return min(grace, max(LEAST_GRACE_SECONDS, left - min(MOST_SENDING_SECONDS, left / 2)))

    def _not_started(self, run_id: RunId, reason: EndReason, message: str) -> list[Action]:
        run = self.runs.get(run_id)
        if run is None or run.phase not in (Phase.FETCHING, Phase.STARTING, Phase.STOPPING) or run.alive:
            return []
        if run.ending is not None:
            reason, message = run.ending, run.message
        return self._end(run, Turn.FAILED, RunEnd(reason, message=message, started=False))

    def _used(self, usage: Usage, now: float) -> list[Action]:
        run = self.runs.get(usage.run)
        if run is None or run.phase not in (Phase.RUNNING, Phase.SUSPENDED, Phase.STOPPING):
            return []
        _note_cpus(run, usage.cpu_seconds, now)
        program = run.grant.program
        if run.ending is None and (usage.over_memory or usage.over_disk):
            if usage.over_memory:
                reason, message = EndReason.MEMORY, words.memory_killed(program.memory_limit_mib, usage.memory_mib)
            else:
                reason, message = EndReason.DISK, words.disk_killed(program.disk_limit_kib, usage.disk_kib)
            return self._stop(run, reason, message, now)
        if run.used_at is None or now - run.used_at >= USED_SECONDS:
            noticeable = (
                abs(usage.memory_mib - run.used_mib) > max(1.0, 0.05 * run.used_mib)
                or usage.cpu_seconds - run.used_cpu > 1.0
                or abs(usage.disk_kib - run.used_kib) > max(1024, run.used_kib // 10)
                or run.gpu_peak_mib > 1.05 * run.used_gpu_mib
            )
            if noticeable:
                run.used_at, run.used_mib = now, usage.memory_mib
                run.used_cpu, run.used_kib = usage.cpu_seconds, usage.disk_kib
                run.used_gpu_mib = run.gpu_peak_mib
                if self._welcomed:
                    self._saying.append(Used(run.run, round(usage.memory_mib, 1), round(usage.cpu_seconds, 2),
                                             usage.disk_kib, round(run.gpu_peak_mib, 1)))
        return []

    def _used_gpus(self, usage: GpuUsage, now: float) -> list[Action]:
        run = self.runs.get(usage.run)
        if run is None or run.phase not in (Phase.RUNNING, Phase.SUSPENDED, Phase.STOPPING):
            return []
        run.gpu_peak_mib = max([run.gpu_peak_mib, *usage.memory_mib.values()])
        for part in run.grant.claim.gpus:
            used = usage.memory_mib.get(part.device, 0.0)
            if part.shared and used > part.memory_mib and run.ending is None:
                message = words.gpu_memory_killed(part.device, part.memory_mib, used, "GPUsMinMemory" in run.grant.ad)
                return self._stop(run, EndReason.GPU_MEMORY, message, now)
        return []

    def _checkpoint_taken(self, run_id: RunId, taken: CheckpointTaken, now: float) -> list[Action]:
        run = self.runs.get(run_id)
        if run is None or run.end is not None:
            return []
        if run_id in self._checkpointing:
            run.take_at = now + run.grant.program.checkpoint_every
        self._note_checkpoint(run, taken, now)
        return []

    def _note_checkpoint(self, run: JobRun, taken: CheckpointTaken, now: float) -> None:
        if taken.checkpoint is not None:
            run.checkpoint, run.changed_at = taken.checkpoint, now - taken.age_seconds
            run.trouble, run.tells_checkpoint = taken.trouble, True
        elif taken.trouble and taken.trouble != run.trouble:
            run.trouble, run.tells_checkpoint = taken.trouble, True
        if run.tells_checkpoint:
            self._changed[run.run] = None

    def _said(self, run_id: RunId, percent: float, message: str) -> None:
        run = self.runs.get(run_id)
        if run is not None and run.alive and run.reached != (percent, message):
            run.reached = percent, message
            if self._welcomed:
                self._saying.append(Reached(run_id, percent, message))

    def _over(self, run_id: RunId, over: Over, now: float) -> list[Action]:
        run = self.runs.get(run_id)
        if run is None:
            return [Discard(run_id)]
        if not step(run, Turn.OVER):
            return []
        goes_on, doubt = _goes_on(run, over), _doubt_seconds(run, over, now)
        run.over, run.alive, run.kill_at, run.over_at = over, False, None, now
        self._stopping.discard(run_id)
        self._checkpointing.discard(run_id)
        self._changed[run_id] = None
        return [Collect(run.grant, goes_on, doubt if goes_on else None)]

    def _collected(self, run_id: RunId, left: Collected, now: float) -> list[Action]:
        run = self.runs.get(run_id)
        if run is None or run.phase is not Phase.RETURNING or run.over is None:
            return []
        over = run.over
        reason, message = _verdict(run, over)
        run.blobs = left.blobs
        if left.taken is not None:
            self._note_checkpoint(run, left.taken, now)
        covered = max(0.0, over.wall_seconds - max(0.0, run.over_at - run.changed_at)) if run.checkpoint else 0.0
        return self._end(run, Turn.COLLECTED, RunEnd(
            reason, over.exit_code, over.signal, message, True,
            round(over.wall_seconds, 4), round(over.user_seconds, 4), round(over.system_seconds, 4),
            round(over.peak_memory_mib, 1), max(over.peak_disk_kib, left.disk_kib),
            left.stdout, left.stderr, left.files, left.warnings, round(run.gpu_peak_mib, 1),
            round(over.start_seconds, 4), round(over.start_cpu_seconds, 4),
            run.checkpoint, round(covered, 4), run.trouble, round(run.peak_cpus, 2)))

    def _end(self, run: JobRun, turn: Turn | None, end: RunEnd) -> list[Action]:
        if turn is not None:
            step(run, turn)
        run.end, run.kill_at = end, None
        self._checkpointing.discard(run.run)
        self._waiting.pop(run.run, None)
        self._claims.let_go(run.run)
        self._made_room = True
        self._stopping.discard(run.run)
        self._changed[run.run] = None
        return [Record(Finished(run.run, end))]

    def _recalled(self, run_id: RunId, blobs: dict[str, bytes]) -> list[Action]:
        run = self.runs.get(run_id)
        if run is not None and run.phase is Phase.ENDED:
            run.blobs = blobs
            self._changed[run_id] = None
        return []

    # --- saying --------------------------------------------------------------------------

    def _greet(self, now: float) -> None:
        self._connected, self._welcomed = True, False
        self._saying = [Hello(self.name, self.identity, PROTOCOL, VERSION, self.amounts,
                              dict(self._owner.ad), self._held(), self._builds.held())]

    def _welcome(self, welcome: Welcome, now: float) -> list[Action]:
        """Now it is known who listens: say again every end that was not acknowledged."""
        self._welcomed = True
        self._builds.welcomed()
        self._beat_seconds = max(0.05, welcome.beat_seconds)
        self._beat_at = now + self._beat_seconds
        actions: list[Action] = []
        for run in self.runs.values():
            run.told = None
            run.tells_checkpoint = run.checkpoint is not None or bool(run.trouble)
            self._changed[run.run] = None
            if run.phase is Phase.ENDED:
                actions += self._recall(run)
            elif run.reached is not None:
                self._saying.append(Reached(run.run, *run.reached))
        return actions

    def _held(self) -> list[HeldRun]:
        return [HeldRun(run.run, run.phase, run.halts) for run in self.runs.values()]

    def _news_of(self, run: JobRun, now: float) -> FromStartd | None:
        if run.end is not None:
            if run.blobs is None and _has_small_contents(run.end):
                return None  # recalled first
            blobs, run.blobs = run.blobs or {}, None
            run.sent_at = now
            return Ended(run.run, run.end, blobs)
        if (run.phase, run.halts) == run.told or run.phase is Phase.GRANTED:
            return None
        run.told = run.phase, run.halts
        return Progressed(run.run, run.phase, run.halts, self._ladder.why if run.phase is Phase.SUSPENDED else "")

    def _news_of_checkpoint(self, run: JobRun, now: float) -> Checkpointed:
        run.tells_checkpoint = False
        self._checkpoint_number += 1
        return Checkpointed(run.run, self._checkpoint_number, run.checkpoint,
                            round(max(0.0, now - run.changed_at), 3), run.trouble)

    def _recall(self, run: JobRun) -> list[Action]:
        """Make ready to say the end again."""
        self._changed[run.run] = None
        if run.end is None or run.blobs is not None or not _has_small_contents(run.end):
            return []
        return [Recall(run.grant, run.end)]

    def _machine_seen(self, ad: Mapping[str, str], clock_ahead: float, gpus: tuple[GpuPart, ...] | None) -> None:
        self._owner.clock_ahead = clock_ahead
        self._seen_ad = dict(ad)
        self._say_ad(gpus)

    def _say_ad(self, gpus: tuple[GpuPart, ...] | None = None) -> None:
        """Say what has changed of what was seen of the machine, of its owner, and of its GPUs."""
        old, ad = self._owner.ad, {**self._seen_ad, **self._ladder_ad()}
        changes: dict[str, str | None] = {name: text for name, text in ad.items() if old.get(name) != text}
        changes.update((name, None) for name in old if name not in ad)
        if gpus == self.amounts.gpus:
            gpus = None
        if gpus is not None:
            self.amounts = replace(self.amounts, gpus=gpus)
            self._claims.offer_gpus(gpus)
            self._made_room = True
        if changes or gpus is not None:
            self._owner.see(ad)
            if self._welcomed:
                self._saying.append(AdChanged(changes, gpus))

    def _ladder_ad(self) -> dict[str, str]:
        ladder = self._ladder
        if not ladder.policy.heeds_anything:
            return {}
        return {"OwnerPresent": "true" if ladder.present else "false",
                "PescOwnerStep": f'"{ladder.step.name.lower()}"', "PescOwnerWhy": str(literal(ladder.why))}

    # --- time and restarts ---------------------------------------------------------------

    def _tick(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for run_id in sorted(self._stopping):
            run = self.runs[run_id]
            if run.kill_at is not None and run.kill_at <= now:
                # Asked for again until it is gone, should the request have been lost.
                run.kill_at = now + max(1.0, run.grant.program.grace_seconds)
                actions.append(Kill(run_id))
        for run_id in sorted(self._checkpointing):
            run = self.runs[run_id]
            if run.take_at is None or run.take_at > now:
                continue
            if run.phase is Phase.SUSPENDED:     # it may stand still in the middle of a file
                run.take_at = now + run.grant.program.checkpoint_every
            else:
                run.take_at = None
                actions.append(TakeCheckpoint(run.grant))
        if self._welcomed and self._beat_at <= now:
            self._beat_at = now + self._beat_seconds
            self._saying.append(Beat(self._held(), self._builds.held()))
            self._builds.say_again()
            for run in self.runs.values():
                if run.end is not None and (run.sent_at is None or now - run.sent_at >= self._beat_seconds / 2):
                    actions += self._recall(run)
        return actions

    def _found(self, found: frozenset[RunId], now: float) -> list[Action]:
        """Go on after a restart with what runs or ran; give back what never did.

        What the runtime does not have was not started yet, or is over and forgotten and the full
        disk did not take that. Only the schedd knows which, so it is not started here again.
        """
        strays = sorted(found - self.runs.keys())
        self._bury(strays)
        actions: list[Action] = [Record(Forgotten(strays)), *map(Kill, strays)] if strays else []
        for run in list(self.runs.values()):
            if run.phase is not Phase.GRANTED:
                continue
            if run.run in found:
                step(run, Turn.FOUND)
                run.found = True
                if run.ending is not None:
                    step(run, Turn.STOP)
                actions.append(Readopt(run.grant))
            elif run.ending is not None:
                actions += self._end(run, Turn.STOP, RunEnd(run.ending, message=run.message, started=False))
            else:
                actions += self._end(run, Turn.FAILED, RunEnd(
                    EndReason.EVICTED, message="The startd was restarted before it started.", started=False))
        return actions


def _goes_on(run: JobRun, over: Over) -> bool:
    """Whether the job will run again from where it is, as far as can be told here."""
    program = run.grant.program
    if run.unwanted or not (program.contract or program.checkpoint_files is not None):
        return False
    reason, _ = _verdict(run, over)
    if reason is EndReason.EXITED:
        return program.checkpoint_exit_code is not None and over.exit_code == program.checkpoint_exit_code
    return program.checkpoint_on_evict


def _doubt_seconds(run: JobRun, over: Over, now: float) -> float | None:
    """How long before now it may have begun to write what it never finished; None: it ended by itself."""
    if over.exit_code is not None:
        return None
    if not run.alive:
        return LONG_AGO_SECONDS      # it ended while no startd was there, who knows when
    return max(0.0, now - run.frozen_at) if run.frozen_at is not None else 0.0


def _note_cpus(run: JobRun, cpu_seconds: float, now: float) -> None:
    """Remember the most processors it used from one look to another, a second later."""
    if run.cpu_seen is None:
        run.cpu_seen = now, cpu_seconds
    elif (passed := now - run.cpu_seen[0]) >= PEAK_CPU_SECONDS:
        run.peak_cpus = max(run.peak_cpus, (cpu_seconds - run.cpu_seen[1]) / passed)
        run.cpu_seen = now, cpu_seconds


def _verdict(run: JobRun, over: Over) -> tuple[EndReason, str]:
    """Why the run is over, in the order of what counts most.

    1. what we ended it for
    2. the kernel killed it for memory
    3. it wrote a file larger than its disk
    4. nobody saw, or it was killed and a restart may have forgotten that it was us, and why
    5. it ended by itself
    """
    program = run.grant.program
    limit = program.memory_limit_mib
    if run.ending is EndReason.MEMORY and limit is not None and over.peak_memory_mib > limit:
        # It grew on between the look and the kill: what it had then is the better advice.
        return EndReason.MEMORY, words.memory_killed(limit, over.peak_memory_mib)
    if run.ending is not None:
        return run.ending, run.message
    if over.out_of_memory and limit is not None and over.peak_memory_mib > MOST_OF_LIMIT * limit:
        return EndReason.MEMORY, words.memory_killed(limit, over.peak_memory_mib)
    if over.out_of_memory:
        return EndReason.MEMORY, words.starved(program.memory_limit_mib, over.peak_memory_mib)
    if over.signal == SIGXFSZ and program.disk_limit_kib is not None:
        return EndReason.DISK, words.file_too_large(program.disk_limit_kib)
    if over.exit_code is None and over.signal is None:
        return EndReason.LOST, "The process is gone and nobody saw how it ended."
    if run.found and over.signal in (SIGKILL, program.kill_signal):
        return EndReason.LOST, f"It was killed by signal {over.signal} around a restart of the startd."
    return EndReason.EXITED, ""


def _has_small_contents(end: RunEnd) -> bool:
    files = [file for file in (end.stdout, end.stderr, *end.files) if file is not None]
    return any(0 < file.size <= INLINE_BYTES for file in files)
