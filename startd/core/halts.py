"""Giving way to the machine's owner: runs are throttled, stand still and go on, or leave.

`ladder` says how far; here the runs follow. `halts` of a run counts its suspensions and its
resumptions together, and is written down, so that a restart knows who is to stand still.
"""

from startd.core import words
from startd.core.checkpoints import LONG_AGO_SECONDS
from startd.core.events import Action, Halted, OwnerSeen, Record, Resume, Suspend, Throttle
from startd.core.jobrun import JobRun, Turn, step
from startd.core.ladder import Step
from startd.core.saying import ladder_ad, say_ad
from startd.core.state import State
from startd.core.stops import stop_all


def on_owner_seen(state: State, seen: OwnerSeen, now: float) -> list[Action]:
    """The machine's owner comes or goes: the runs follow down the ladder, or up."""
    ladder, before, said = state.ladder, state.ladder.step, ladder_ad(state)
    here = ladder.see(seen.reading, now)
    if said != ladder_ad(state):
        say_ad(state)
    if here is before:
        return []
    actions: list[Action] = []
    share = ladder.policy.share if here >= Step.THROTTLE else None
    if share != state.share:
        state.share = share
        actions.append(Throttle(share))
    if here is Step.LEAVE:
        return actions + stop_all(state, words.owner_wants_it(state.name, ladder.why), now)
    for run in state.runs.values():
        actions += _suspend(state, run, now) if here is Step.FREEZE else _resume(state, run)
    return actions


def go_on_as_halted(state: State, run: JobRun, now: float) -> list[Action]:
    """A process that is there now stands still or goes on, as the ladder has it."""
    freezes = state.ladder.step >= Step.FREEZE
    if run.halts % 2:
        step(run, Turn.SUSPEND)
        run.frozen_at = now - LONG_AGO_SECONDS
        return [Suspend(run.run)] if freezes else _resume(state, run)
    # One that was found may have been frozen by a throttle that is no more.
    awake: list[Action] = [Resume(run.run)] if run.found else []
    return awake + _suspend(state, run, now) if freezes else awake


def _suspend(state: State, run: JobRun, now: float) -> list[Action]:
    if not step(run, Turn.SUSPEND):
        return []
    run.frozen_at = now
    return [*_halt(state, run), Suspend(run.run)]


def _resume(state: State, run: JobRun) -> list[Action]:
    if not step(run, Turn.RESUME):
        return []
    run.frozen_at = None
    return [*_halt(state, run), Resume(run.run)]


def _halt(state: State, run: JobRun) -> list[Action]:
    run.halts += 1
    state.changed[run.run] = None
    return [Record(Halted(run.run, run.halts))]
