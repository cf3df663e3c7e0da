"""Everything a startd knows, and the few steps that all of its decisions take.

Only the functions of this package that take a `State` change it; `startd` says which there are.
"""

from collections.abc import Iterable, Mapping

from contract.messages import Amounts, FromStartd, Grant, RunEnd
from contract.vocabulary import RunId
from startd.core.builds import Builds
from startd.core.claims import Claims
from startd.core.events import Action, Finished, Record
from startd.core.jobrun import JobRun, Turn, step
from startd.core.ladder import PRESETS, Ladder, Policy
from startd.core.owner import Owner

TOMBSTONES = 8192
"""Acknowledged runs remembered, so that a late Grant of one starts nothing."""

FIRST_BEAT_SECONDS = 5.0


class State:
    """All runs of one machine, what they hold, and what is still to be said."""

    def __init__(self, name: str, identity: str, amounts: Amounts, ad: Mapping[str, str],
                 policy: Policy = PRESETS["off"]) -> None:
        self.name = name
        self.identity = identity
        self.amounts = amounts
        self.owner = Owner(ad)
        self.seen_ad = dict(ad)
        self.builds = Builds()

        self.runs: dict[RunId, JobRun] = {}
        self.tombs: dict[RunId, None] = {}
        self.claims = Claims(amounts)
        self.waiting: dict[RunId, Grant] = {}
        """Queued runs that lie ready until there is room, in the order granted."""
        self.made_room = False
        """Whether some of those may start now."""
        self.stopping: set[RunId] = set()
        """Living runs that were asked to end."""
        self.checkpointing: set[RunId] = set()
        """Living runs whose checkpoints are taken now and then."""

        self.leaving: str | None = None
        """Why the startd leaves, if it does."""
        self.gone_at: float | None = None
        """When the machine will be gone, if that is known."""
        self.ladder = Ladder(policy)
        self.share: float | None = None
        """What RUNNING runs get of their time, while the owner is there."""

        self.is_connected = False
        self.is_welcome = False
        """Whether the schedd listens."""
        self.to_say: list[FromStartd] = []
        self.changed: dict[RunId, None] = {}
        """Runs of which there may be news."""
        self.checkpoint_number = 0
        self.beat_seconds = FIRST_BEAT_SECONDS
        self.beat_at = 0.0

    def free(self) -> Amounts:
        """What the runs that have not ended leave; those that wait for room hold nothing."""
        return self.claims.free()


def say(state: State, message: FromStartd) -> None:
    """Say it, if the schedd listens; what it must not miss waits in `changed` until it does."""
    if state.is_welcome:
        state.to_say.append(message)


def end(state: State, run: JobRun, turn: Turn | None, how: RunEnd) -> list[Action]:
    """The run is over, and `how` never changes afterwards: give back what it holds."""
    if turn is not None:
        step(run, turn)
    run.end, run.kill_at = how, None
    _let_go(state, run.run)
    state.made_room = True
    state.changed[run.run] = None
    return [Record(Finished(run.run, how))]


def bury(state: State, runs: Iterable[RunId]) -> bool:
    """Remember as over; whether any was news."""
    news = False
    for run in runs:
        news = news or run not in state.tombs
        state.runs.pop(run, None)
        state.changed.pop(run, None)
        _let_go(state, run)
        state.tombs[run] = None
    while len(state.tombs) > TOMBSTONES:
        del state.tombs[next(iter(state.tombs))]
    return news


def _let_go(state: State, run: RunId) -> None:
    state.stopping.discard(run)
    state.checkpointing.discard(run)
    state.waiting.pop(run, None)
    state.claims.let_go(run)
