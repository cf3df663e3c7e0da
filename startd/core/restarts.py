"""Going on where an earlier life of the startd was: from its journal, and from what still runs."""

from collections.abc import Iterable

from contract.messages import RunEnd
from contract.vocabulary import EndReason, Phase, RunId
from startd.core.events import Action, Ending, Entry, Finished, Forgotten, Granted, Halted, Kill, Readopt, Record
from startd.core.jobrun import JobRun, Turn, step
from startd.core.state import State, bury, end


def take_in(state: State, entries: Iterable[Entry]) -> None:
    """Take in the journal; the runs that had not ended wait for `Found`."""
    for entry in entries:
        match entry:
            case Granted(grant) if grant.run not in state.runs and grant.run not in state.tombs:
                state.runs[grant.run] = JobRun(grant)
                state.claims.take(grant.run, grant.claim)
            case Ending(run, reason, message) if run in state.runs:
                state.runs[run].ending, state.runs[run].message = reason, message
            case Halted(run, halts) if run in state.runs:
                state.runs[run].halts = halts
            case Finished(run, end_of_run) if run in state.runs:
                state.runs[run].phase, state.runs[run].end = Phase.ENDED, end_of_run
                state.claims.let_go(run)
            case Forgotten(runs):
                bury(state, runs)
    if any(run.halts % 2 and run.end is None for run in state.runs.values()):
        state.ladder.was_frozen()


def entries_of(state: State) -> list[Entry]:
    """The shortest journal that restores this state."""
    kept: list[Entry] = [Forgotten(list(state.tombs))] if state.tombs else []
    for run in state.runs.values():
        kept.append(Granted(run.grant))
        if run.ending is not None:
            kept.append(Ending(run.run, run.ending, run.message))
        if run.halts:
            kept.append(Halted(run.run, run.halts))
        if run.end is not None:
            kept.append(Finished(run.run, run.end))
    return kept


def on_found(state: State, found: frozenset[RunId]) -> list[Action]:
    """Go on after a restart with what runs or ran; give back what never did.

    What the runtime does not have was not started yet, or is over and forgotten and the full
    disk did not take that. Only the schedd knows which, so it is not started here again.
    """
    strays = sorted(found - state.runs.keys())
    bury(state, strays)
    actions: list[Action] = [Record(Forgotten(strays)), *map(Kill, strays)] if strays else []
    for run in list(state.runs.values()):
        if run.phase is not Phase.GRANTED:
            continue
        if run.run in found:
            step(run, Turn.FOUND)
            run.found = True
            if run.ending is not None:
                step(run, Turn.STOP)
            actions.append(Readopt(run.grant))
        elif run.ending is not None:
            actions += end(state, run, Turn.STOP, RunEnd(run.ending, message=run.message, started=False))
        else:
            actions += end(state, run, Turn.FAILED, RunEnd(
                EndReason.EVICTED, message="The startd was restarted before it started.", started=False))
    return actions
