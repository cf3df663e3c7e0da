"""Having runs end: asked to by the job's own signal, killed when the grace is over.

Why a run is to end is written down before anything is done about it, and the first reason
stands. How it did end is for `ends` to tell.
"""

from signal import SIGKILL

from contract.messages import Ended, RunEnd, Stop
from contract.vocabulary import EndReason, Phase
from startd.core.events import Action, Ending, Forgotten, Halted, Kill, LeaveAsked, Record, Resume, Signal
from startd.core.jobrun import JobRun, Turn, step
from startd.core.saying import say_end_again
from startd.core.state import State, bury, end

LEAST_GRACE_SECONDS = 1.0

MOST_SENDING_SECONDS = 30.0
"""Of the time that a machine will still be there, half is kept for sending what was left behind, or so much."""


def on_stop(state: State, asked: Stop, now: float) -> list[Action]:
    run = state.runs.get(asked.run)
    if run is None:
        # Never came, or long forgotten. Answered so that the schedd can move on;
        # remembered so that the grant, if it is still on its way, starts nothing.
        state.to_say.append(Ended(asked.run, RunEnd(
            EndReason.STOPPED, message="This machine has no such run.", started=False)))
        return [Record(Forgotten([asked.run]))] if bury(state, [asked.run]) else []
    if run.phase is Phase.ENDED:
        return say_end_again(state, run)
    run.unwanted = not asked.keep
    if run.ending is None and not asked.evict:
        program = run.grant.program
        run.signal = program.hold_signal if asked.keep else program.remove_signal
    return stop(state, run, EndReason.EVICTED if asked.evict else EndReason.STOPPED, asked.why, now)


def on_leave(state: State, asked: LeaveAsked, now: float) -> list[Action]:
    state.leaving = asked.why
    state.gone_at = None if asked.seconds is None else now + asked.seconds
    return stop_all(state, asked.why, now) + state.builds.leave(asked.why)


def stop_all(state: State, why: str, now: float) -> list[Action]:
    stops = [stop(state, run, EndReason.EVICTED, why, now) for run in list(state.runs.values())]
    return [action for actions in stops for action in actions]


def stop(state: State, run: JobRun, reason: EndReason, why: str, now: float) -> list[Action]:
    if run.ending is not None or not step(run, Turn.STOP):
        return []
    if run.phase is Phase.ENDED:
        return end(state, run, None, RunEnd(reason, message=why, started=False))
    run.ending, run.message = reason, why
    state.changed[run.run] = None
    records: list[Action] = [Record(Ending(run.run, reason, why))]
    if run.halts % 2:
        run.halts += 1
        records.append(Record(Halted(run.run, run.halts)))
    return records + ask_to_end(state, run, now) if run.alive else records


def ask_to_end(state: State, run: JobRun, now: float) -> list[Action]:
    """By the job's own signal, or at once when there is no grace or a limit was passed."""
    step(run, Turn.STOP)
    program = run.grant.program
    grace = _grace(state, run, now)
    at_once = run.ending in (EndReason.MEMORY, EndReason.DISK, EndReason.GPU_MEMORY)
    run.kill_at = now + max(1.0, grace)
    state.stopping.add(run.run)
    state.checkpointing.discard(run.run)
    number = run.signal or program.kill_signal
    if at_once or grace <= 0 or number == SIGKILL:
        return [Kill(run.run)]
    run.kill_at = now + grace
    # Who stands still cannot heed a signal; and for its last moments it is not throttled.
    stands_still = run.halts > 0 or state.share is not None
    awake: list[Action] = [Resume(run.run)] if stands_still else []
    return [*awake, Signal(run.run, number)]


def _grace(state: State, run: JobRun, now: float) -> float:
    """What the job asked for; less when the machine will be gone before."""
    grace = run.grant.program.grace_seconds
    if state.gone_at is None:
        return grace
    left = state.gone_at - now
    return min(grace, max(LEAST_GRACE_SECONDS, left - min(MOST_SENDING_SECONDS, left / 2)))


def kill_overdue(state: State, now: float) -> list[Action]:
    """Kill those whose grace is over."""
    actions: list[Action] = []
    for run_id in sorted(state.stopping):
        run = state.runs[run_id]
        if run.kill_at is not None and run.kill_at <= now:
            # Asked for again until it is gone, should the request have been lost.
            run.kill_at = now + max(1.0, run.grant.program.grace_seconds)
            actions.append(Kill(run_id))
    return actions
