"""One life of a startd: the real core, with what `startd.loop` and the runtime do around it.

The order is the loop's: what happened in one turn is decided together, recorded, then done
in order. Between any two of these the process may be killed (`world.strikes`).
"""

import hashlib
import signal
from typing import TYPE_CHECKING, Any

from contract.messages import Build, BuildEnded, Content, Grant, Image, OutputFile, RunEnd
from contract.vocabulary import EndReason, RunId
from startd.core.events import (
    AbandonBuild,
    Action,
    Begun,
    BuildOver,
    BuildSaid,
    CheckpointTaken,
    Collect,
    Collected,
    Discard,
    Event,
    Fetch,
    Fetched,
    Found,
    Kill,
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
    Signal,
    Start,
    StartBuild,
    Suspend,
    TakeCheckpoint,
    Tick,
)
from startd.core.ladder import Reading
from startd.core.startd import StartdCore
from tests.simulation.faults import QUIET
from tests.simulation.keeper import COUNTING_MOOD

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

COALESCE_SECONDS = 0.0015
SEE_MACHINE_SECONDS = 5.0
SEE_OWNER_SECONDS = 1.0
FULL = "No space left on device"

BEFORE_JOURNAL = "startd: before it records"
INSIDE_JOURNAL = "startd: while it records"
AFTER_JOURNAL = "startd: recorded, nothing done"
BETWEEN_ACTIONS = "startd: between two actions"
AFTER_ACTIONS = "startd: all done, nothing said"
AFTER_SAYING = "startd: just said something"
MOMENTS = (BEFORE_JOURNAL, INSIDE_JOURNAL, AFTER_JOURNAL, BETWEEN_ACTIONS, AFTER_ACTIONS, AFTER_SAYING)


class Startd:
    """Dead as soon as `machine.startd` is another one."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.world = machine.world
        self.core = StartdCore.restore(
            machine.disk.read(), machine.name, machine.identity, machine.amounts, dict(machine.ad),
            machine.policy)
        machine.disk.rewrite(self.core.entries())
        for run in machine.disk.sandboxes.keys() - self.core.runs.keys():
            del machine.disk.sandboxes[run]
        self.ends: dict[RunId, RunEnd] = {}
        """How runs ended, as first decided in this life (for the invariants)."""
        self._events: list[Event] = []
        self._working = self._speaking = False
        self._quiet_until = 0.0
        self._launched: dict[RunId, Grant] = {}
        self._living: set[RunId] = set()
        self._tick_at: float | None = None
        self._building: tuple[str, int] | None = None

    @property
    def is_alive(self) -> bool:
        return self.machine.startd is self

    def begin(self) -> None:
        found, told = self.machine.keeper.connect()
        self._see_machine()
        if self.core.heeds_owner:
            self._see_owner()
        self.happened(Found(found))
        for happening in told:
            self.on_keeper(happening)

    def happened(self, event: Event) -> None:
        self._events.append(event)
        if not self._working:
            self._working = True
            self.world.after(0.0, self._work)

    # --- decide, record, do --------------------------------------------------------------

    def _work(self) -> None:
        while self._events and self.is_alive:
            events, self._events = self._events, []
            now = self.machine.steady()
            actions = [action for event in events for action in self.core.handle(event, now)]
            entries = [action.entry for action in actions if isinstance(action, Record)]
            if self._dies(BEFORE_JOURNAL):
                return
            if entries:
                if self._dies(INSIDE_JOURNAL):
                    self.machine.disk.tear(entries)
                    return
                if self.world.broken != "starts before it records":
                    self.machine.disk.append(entries)
            for place, action in enumerate(actions):
                if self._dies(BETWEEN_ACTIONS if place else AFTER_JOURNAL):
                    return
                self._do(action)
        self._working = False
        if not self.is_alive or self._dies(AFTER_ACTIONS):
            return
        self.world.touched_startd(self)
        self._arm()
        self._speak()

    def _do(self, action: Action) -> None:
        machine, random = self.machine, self.world.random
        match action:
            case Fetch(grant):
                self.world.after(random.uniform(0.0, 0.5), self._fetched, grant)
            case Start(grant):
                if random.random() < 0.5:
                    self._launch(grant)
                else:
                    self.world.after(random.uniform(0.0, 0.3), self._start_long, grant)
            case Readopt(grant):
                self._launched[grant.run] = grant
            case Signal(run, number):
                machine.keeper.signal(run, number)
            case Kill(run):
                machine.keeper.kill(run)
            case Suspend(run):
                machine.keeper.signal(run, signal.SIGSTOP)
            case Resume(run):
                machine.keeper.signal(run, signal.SIGCONT)
            case TakeCheckpoint(grant):
                self.world.after(random.uniform(0.0, 2.0), self._take_checkpoint, grant)
            case Collect(grant, checkpoint, doubt_seconds):
                self.world.after(random.uniform(0.0, 0.5), self._collect, grant, checkpoint, doubt_seconds)
            case Recall(grant, _):
                self.world.after(random.uniform(0.0, 0.1), self._recall, grant.run)
            case StartBuild(build):
                self._building = build.key, build.attempt
                self.world.after(random.uniform(0.0, 60.0), self._built, build)
            case AbandonBuild():
                self._building = None
            case Discard(run):
                self._launched.pop(run, None)
                machine.keeper.forget(run)
                machine.disk.sandboxes.pop(run, None)

    def _built(self, build: Build) -> None:
        if not self.is_alive or self._building != (build.key, build.attempt):
            return
        self.happened(BuildSaid(build.key, build.attempt, b"STEP 1/1: FROM base\n", 1, 1, "FROM base"))
        end = BuildEnded(build.key, build.attempt, Image(build.key, Content("0" * 64, 2, tree=True)))
        if self.world.faults is not QUIET and (fate := self.world.random.random()) < 0.4:
            end = BuildEnded(build.key, build.attempt, step="FROM base", message="no luck", blames_machine=fate < 0.2)
        self.happened(BuildOver(end))

    def _fetched(self, grant: Grant) -> None:
        if self.machine.disk.full:
            self.happened(NotFetched(grant.run, FULL))
        else:
            self.happened(Fetched(grant.run))

    def _start_long(self, grant: Grant) -> None:
        if not self.is_alive:
            return
        run = self.core.runs.get(grant.run)
        if run is None or run.ending is not None:
            self.happened(NotBegun(grant.run, EndReason.STOPPED, "Stopped before it started."))
        else:
            self._launch(grant)

    def _launch(self, grant: Grant) -> None:
        if self.machine.disk.full:
            self.happened(NotBegun(grant.run, EndReason.MACHINE_FAULT, FULL))
            return
        self.machine.disk.sandboxes[grant.run] = output_of(grant.run, self.machine.name)
        self._launched[grant.run] = grant
        self.machine.keeper.start(grant)

    def _take_checkpoint(self, grant: Grant) -> None:
        if self.is_alive:
            self.happened(self._checkpoint(grant))

    def _checkpoint(self, grant: Grant) -> CheckpointTaken:
        """How far the run is, as its checkpoint folder says; its contents are with the schedd."""
        process = self.machine.keeper.remembered.get(grant.run)
        if process is None or process.mood != COUNTING_MOOD or grant.run not in self.machine.disk.sandboxes:
            return CheckpointTaken(grant.run, None)
        return CheckpointTaken(grant.run, self.world.truth.checkpoint(grant.run, process.steps_at(self.world.now)))

    def _collect(self, grant: Grant, checkpoint: bool, doubt_seconds: float | None) -> None:
        if not self.is_alive:
            return
        taken = None
        if checkpoint:
            taken = self._checkpoint(grant)
            if doubt_seconds is not None and self.world.random.random() < 0.3:
                taken = CheckpointTaken(grant.run, None, trouble="It may have been half written.")
        raw = self.machine.disk.sandboxes.get(grant.run)
        if raw is None:
            self.happened(Collected(grant.run))
            return
        name = hashlib.sha256(raw).hexdigest()
        self.happened(Collected(grant.run, OutputFile("stdout", name, len(raw)), blobs={name: raw}, taken=taken))

    def _recall(self, run: RunId) -> None:
        if self.is_alive:
            raw = self.machine.disk.sandboxes.get(run)
            self.happened(Recalled(run, {hashlib.sha256(raw).hexdigest(): raw} if raw else {}))

    # --- the keeper ----------------------------------------------------------------------

    def on_keeper(self, happening: Begun | Over) -> None:
        run = happening.run
        if isinstance(happening, Begun):
            if run in self._living:
                return
            self._living.add(run)
        else:
            self._living.discard(run)
            self._launched.pop(run, None)
        self.happened(happening)

    def reopen(self, life: "Startd") -> None:
        """The keeper is another one: what it does not know was never started, or is lost."""
        if not self.is_alive or life is not self:
            return
        found, told = self.machine.keeper.connect()
        for happening in told:
            self.on_keeper(happening)
        for run, grant in list(self._launched.items()):
            if run not in found and run not in self._living:
                self.machine.keeper.start(grant)

    # --- time and talk -------------------------------------------------------------------

    def _arm(self) -> None:
        due = self.core.next_due()
        if due is not None and (self._tick_at is None or due < self._tick_at):
            self._tick_at = due
            self.world.after(max(0.0, due - self.machine.steady()) + 1e-6, self._ticked, due)

    def _ticked(self, due: float) -> None:
        if self.is_alive and self._tick_at == due:
            self._tick_at = None
            self.happened(Tick())

    def _see_machine(self) -> None:
        if self.is_alive:
            self.happened(MachineSeen(dict(self.machine.ad), self.world.now + self.machine.clock_error,
                                      self.machine.gpus))
            self.world.after(SEE_MACHINE_SECONDS, self._see_machine)

    def _see_owner(self) -> None:
        if self.is_alive:
            self.happened(OwnerSeen(Reading(0.0 if self.machine.owner_is_there else 86_400.0)))
            self.world.after(SEE_OWNER_SECONDS, self._see_owner)

    def _speak(self) -> None:
        if self.core.has_news and not self._speaking:
            self._speaking = True
            self.world.after(max(0.0, self._quiet_until - self.world.now), self._say)

    def _say(self) -> None:
        self._speaking = False
        connection = self.machine.connection
        if not self.is_alive or connection is None:
            return
        messages: list[Any] = self.core.outgoing(self.machine.steady())
        self._quiet_until = self.world.now + COALESCE_SECONDS
        for part in self.world.parts(messages):
            connection.to_schedd(part)
        if messages:
            self._dies(AFTER_SAYING)

    def _dies(self, moment: str) -> bool:
        if self.world.strikes(moment, self.world.faults.startd_dies):
            self.machine.kill_startd(moment.removeprefix("startd: "))
        return not self.is_alive


def output_of(run: RunId, machine: str) -> bytes:
    """What a run writes: nobody else's output is the same."""
    return f"{run} on {machine}\n".encode()
