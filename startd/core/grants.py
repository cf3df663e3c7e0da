"""Taking runs on: a grant is checked against what is free and the owner's word, then started.

What a run needs is fetched first. A queued run for which there is no room yet waits for it, in
the order granted. A grant that comes again starts nothing (INV-S1).
"""

from msgspec.structs import replace

from contract.messages import Ended, Grant, RunEnd
from contract.vocabulary import EndReason, Phase, RunId
from startd.core import words
from startd.core.checkpoints import plan_first
from startd.core.events import Action, Fetch, Granted, Kill, Record, Start
from startd.core.halts import go_on_as_halted
from startd.core.jobrun import JobRun, Turn, step
from startd.core.ladder import Step
from startd.core.saying import say_end_again
from startd.core.state import State, end
from startd.core.stops import ask_to_end


def on_grant(state: State, grant: Grant, now: float) -> list[Action]:
    known = state.runs.get(grant.run)
    if known is not None:
        known.told = None
        state.changed[grant.run] = None
        return say_end_again(state, known) if known.phase is Phase.ENDED else []
    if grant.run in state.tombs:
        # Said again, should the schedd still count on a run that is over here.
        state.to_say.append(Ended(grant.run, RunEnd(
            EndReason.EVICTED, message=f"The run is over on {state.name} already.", started=False)))
        return []
    bare = replace(grant, blobs={}) if grant.blobs else grant
    if grant.queued and not state.claims.fits(grant.claim):
        state.runs[grant.run] = JobRun(bare)
        state.waiting[grant.run] = grant
        return [Record(Granted(bare))]
    refusal = _refusal(state, grant, now)
    run = state.runs[grant.run] = JobRun(bare)
    if refusal is not None:
        return [Record(Granted(bare)), *_refuse(state, run, refusal)]
    state.claims.take(grant.run, grant.claim)
    return [Record(Granted(bare)), *_launch(state, run, grant)]


def start_waiting(state: State, now: float) -> list[Action]:
    """Let queued runs have the room there is now, in the order granted."""
    actions: list[Action] = []
    for run_id, grant in list(state.waiting.items()):
        if not state.claims.fits(grant.claim):
            break
        del state.waiting[run_id]
        refusal = _unwelcome(state, grant, now)
        if refusal is None:
            state.claims.take(run_id, grant.claim)
            actions += _launch(state, state.runs[run_id], grant)
        else:
            actions += _refuse(state, state.runs[run_id], refusal)
    return actions


def _refusal(state: State, grant: Grant, now: float) -> str | None:
    if not state.claims.fits(grant.claim):
        return words.does_not_fit(grant.claim, state.free())
    return _unwelcome(state, grant, now)


def _unwelcome(state: State, grant: Grant, now: float) -> str | None:
    if state.leaving is not None:
        return f"The startd on {state.name} is leaving: {state.leaving}"
    if state.ladder.step is not Step.FREE:
        return words.owner_is_there(state.name, state.ladder.why)
    return state.owner.refusal(grant.ad, now)


def _refuse(state: State, run: JobRun, refusal: str) -> list[Action]:
    return end(state, run, Turn.FAILED, RunEnd(EndReason.EVICTED, message=refusal, started=False))


def _launch(state: State, run: JobRun, grant: Grant) -> list[Action]:
    program = grant.program
    if (program.content or program.stdin or program.inputs or program.shared or program.image
            or program.checkpoint):
        step(run, Turn.FETCH)
        state.changed[run.run] = None
        return [Fetch(grant)]
    return _start(run)


def on_fetched(state: State, run_id: RunId) -> list[Action]:
    run = state.runs.get(run_id)
    return _start(run) if run and run.phase is Phase.FETCHING else []


def _start(run: JobRun) -> list[Action]:
    step(run, Turn.START)
    return [Start(run.grant)]


def on_not_started(state: State, run_id: RunId, reason: EndReason, message: str) -> list[Action]:
    """It could not be fetched or started. Where it was to end anyway, that is why it ended."""
    run = state.runs.get(run_id)
    if run is None or run.phase not in (Phase.FETCHING, Phase.STARTING, Phase.STOPPING) or run.alive:
        return []
    if run.ending is not None:
        reason, message = run.ending, run.message
    return end(state, run, Turn.FAILED, RunEnd(reason, message=message, started=False))


def on_begun(state: State, run_id: RunId, now: float) -> list[Action]:
    """Its process is there; what was decided meanwhile is done to it now."""
    run = state.runs.get(run_id)
    if run is None or run.phase is Phase.ENDED:
        return [Kill(run_id)]  # a run that nobody wants any more
    if not step(run, Turn.BEGUN):
        return []
    run.alive = True
    state.changed[run_id] = None
    if run.ending is not None:
        return ask_to_end(state, run, now)
    plan_first(state, run, now)
    return go_on_as_halted(state, run, now)
