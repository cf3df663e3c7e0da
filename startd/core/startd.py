"""The decisions of a startd: which runs it takes on, how they end, what it says.

Read `events` first (what goes in, what comes out), then `jobrun` (the life of one
run), then `StartdCore.handle`. The core has no clock and no I/O: `now` is any
steady clock in seconds. Rebuilt from its journal by `restore`, it goes on where
it was; `Found` then tells what the runtime has.

Each duty has a module of its own beside this one, of functions that take the `state`:

* `grants`       taking runs on, and starting those that waited
* `stops`        having them end: asked to, or killed
* `ends`         how they ended, until the schedd has acknowledged it
* `halts`        giving way to the machine's owner
* `usage`        what runs use, and what follows when it is too much
* `checkpoints`  when they are taken, and whether a last one is wanted
* `saying`       what the schedd is told
* `restarts`     going on from the journal

INV-S1: a run that is unknown, living or remembered as forgotten is never started twice.
INV-S2: the claims of the runs that have not ended fit into the machine.
INV-S3: an end is said again until it is acknowledged; only then is the run discarded.
"""

from collections.abc import Iterable, Mapping

from contract.messages import (
    Acknowledge,
    AcknowledgeBuild,
    Amounts,
    Build,
    CancelBuild,
    FromSchedd,
    FromStartd,
    Grant,
    OutputChunk,
    Refused,
    Stop,
    Unwatch,
    Watch,
    Welcome,
)
from contract.vocabulary import Phase, RunId
from startd.core import checkpoints, ends, grants, halts, restarts, saying, stops, usage
from startd.core.events import (
    Action,
    Begun,
    BuildOver,
    BuildSaid,
    CheckpointTaken,
    Collected,
    Connected,
    Disconnected,
    Entry,
    Event,
    Fetched,
    Follow,
    Found,
    GpuUsage,
    Heard,
    LeaveAsked,
    MachineSeen,
    NotBegun,
    NotFetched,
    Over,
    OwnerSeen,
    Recalled,
    Said,
    Tick,
    Unfollow,
    Usage,
)
from startd.core.ladder import PRESETS, Policy
from startd.core.state import State


class StartdCore(State):
    """All runs of one machine. See `handle` and `outgoing`."""

    @classmethod
    def restore(cls, entries: Iterable[Entry], name: str, identity: str,
                amounts: Amounts, ad: Mapping[str, str], policy: Policy = PRESETS["off"]) -> "StartdCore":
        """Rebuild from the journal; the runs that had not ended wait for `Found`."""
        core = cls(name, identity, amounts, ad, policy)
        restarts.take_in(core, entries)
        return core

    def entries(self) -> list[Entry]:
        """The shortest journal that restores this core."""
        return restarts.entries_of(self)

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in what happened; return what is to be done."""
        actions = self._decide(event, now)
        while self.made_room:
            self.made_room = False
            actions = [*actions, *grants.start_waiting(self, now)]
        return actions

    def _decide(self, event: Event, now: float) -> list[Action]:
        match event:
            case Heard(message):
                return self._heard(message, now)
            case Fetched(run):
                return grants.on_fetched(self, run)
            case NotFetched(run, message, reason) | NotBegun(run, reason, message):
                return grants.on_not_started(self, run, reason, message)
            case Begun(run):
                return grants.on_begun(self, run, now)
            case Over():
                return ends.on_over(self, event, now)
            case Collected():
                return ends.on_collected(self, event, now)
            case Recalled():
                saying.on_recalled(self, event)
            case Usage():
                return usage.on_usage(self, event, now)
            case GpuUsage():
                return usage.on_gpu_usage(self, event, now)
            case Said():
                usage.on_said(self, event)
            case CheckpointTaken():
                checkpoints.on_taken(self, event, now)
            case OwnerSeen():
                return halts.on_owner_seen(self, event, now)
            case MachineSeen():
                saying.on_machine_seen(self, event, now)
            case Tick():
                return [*stops.kill_overdue(self, now), *checkpoints.take_due(self, now),
                        *saying.beat_if_due(self, now)]
            case Connected():
                saying.greet(self)
            case Disconnected():
                saying.fall_silent(self)
            case Found(runs):
                return restarts.on_found(self, runs)
            case LeaveAsked():
                return stops.on_leave(self, event, now)
            case BuildSaid():
                self.builds.said(event)
            case BuildOver():
                return self.builds.over(event)
        return []

    def _heard(self, message: FromSchedd, now: float) -> list[Action]:
        match message:
            case Grant():
                return grants.on_grant(self, message, now)
            case Acknowledge(runs):
                return ends.on_acknowledged(self, runs)
            case Stop():
                return stops.on_stop(self, message, now)
            case Welcome():
                return saying.on_welcome(self, message, now)
            case Watch(watch, run, _, offset):
                if run in self.runs:
                    return [Follow(message)]
                self.to_say.append(OutputChunk(watch, offset, b"", last=True))
            case Unwatch(watch):
                return [Unfollow(watch)]
            case Build() | CancelBuild() | AcknowledgeBuild():
                return self.builds.heard(message)
            case Refused():
                self.is_welcome = False
        return []

    def outgoing(self, now: float) -> list[FromStartd]:
        """What is to be said now; what is taken here counts as sent."""
        return saying.take_news(self, now)

    @property
    def has_news(self) -> bool:
        return saying.has_news(self)

    def next_due(self) -> float | None:
        """When a Tick is wanted."""
        dues = [run.kill_at for run in map(self.runs.__getitem__, self.stopping) if run.kill_at is not None]
        dues += [run.take_at for run in map(self.runs.__getitem__, self.checkpointing) if run.take_at is not None]
        if self.is_welcome:
            dues.append(self.beat_at)
        return min(dues, default=None)

    @property
    def heeds_owner(self) -> bool:
        """Whether OwnerSeen is wanted."""
        return self.ladder.policy.heeds_anything

    def is_running(self, run: RunId) -> bool:
        """Whether a throttle may freeze and thaw the run."""
        known = self.runs.get(run)
        return known is not None and known.phase is Phase.RUNNING

    def is_halted(self, run: RunId) -> bool:
        """Whether the run stands still for the machine's owner."""
        known = self.runs.get(run)
        return known is not None and known.phase is Phase.SUSPENDED

    def running(self) -> list[RunId]:
        """The runs whose processes are there and go on."""
        return [run.run for run in self.runs.values() if run.phase is Phase.RUNNING]

    def is_writing(self, run: RunId) -> bool:
        """Whether the run's stdout and stderr may still grow."""
        known = self.runs.get(run)
        return known is not None and known.phase not in (Phase.RETURNING, Phase.ENDED)
