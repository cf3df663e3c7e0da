"""Checkpoints of runs: when one is due, what was taken, and whether a last one is wanted.

One is planned only when the one before is done, so none overtakes another.
"""

from contract.vocabulary import EndReason, Phase
from startd.core.events import Action, CheckpointTaken, Over, TakeCheckpoint
from startd.core.jobrun import JobRun
from startd.core.state import State
from startd.core.verdict import verdict

LONG_AGO_SECONDS = 1e8


def plan_first(state: State, run: JobRun, now: float) -> None:
    """Its process has begun: take its checkpoints from now on, if it wants any."""
    if run.grant.program.checkpoint_every > 0:
        # Of a run that was found again nobody remembers what was said of it.
        run.take_at = now if run.found else now + run.grant.program.checkpoint_every
        state.checkpointing.add(run.run)


def take_due(state: State, now: float) -> list[Action]:
    """Take those whose time has come."""
    actions: list[Action] = []
    for run_id in sorted(state.checkpointing):
        run = state.runs[run_id]
        if run.take_at is None or run.take_at > now:
            continue
        if run.phase is Phase.SUSPENDED:     # it may stand still in the middle of a file
            run.take_at = now + run.grant.program.checkpoint_every
        else:
            run.take_at = None
            actions.append(TakeCheckpoint(run.grant))
    return actions


def on_taken(state: State, taken: CheckpointTaken, now: float) -> None:
    run = state.runs.get(taken.run)
    if run is None or run.end is not None:
        return
    if taken.run in state.checkpointing:
        run.take_at = now + run.grant.program.checkpoint_every
    note(state, run, taken, now)


def note(state: State, run: JobRun, taken: CheckpointTaken, now: float) -> None:
    """Remember what was taken, or why nothing was; trouble that was told already is not told again."""
    if taken.checkpoint is not None:
        run.checkpoint, run.changed_at = taken.checkpoint, now - taken.age_seconds
        run.trouble, run.tells_checkpoint = taken.trouble, True
    elif taken.trouble and taken.trouble != run.trouble:
        run.trouble, run.tells_checkpoint = taken.trouble, True
    if run.tells_checkpoint:
        state.changed[run.run] = None


def goes_on(run: JobRun, over: Over) -> bool:
    """Whether the job will run again from where it is, as far as can be told here."""
    program = run.grant.program
    if run.unwanted or not (program.contract or program.checkpoint_files is not None):
        return False
    reason, _ = verdict(run, over)
    if reason is EndReason.EXITED:
        return program.checkpoint_exit_code is not None and over.exit_code == program.checkpoint_exit_code
    return program.checkpoint_on_evict


def doubt_seconds(run: JobRun, over: Over, now: float) -> float | None:
    """How long before now it may have begun to write what it never finished; None: it ended by itself."""
    if over.exit_code is not None:
        return None
    if not run.alive:
        return LONG_AGO_SECONDS      # it ended while no startd was there, who knows when
    return max(0.0, now - run.frozen_at) if run.frozen_at is not None else 0.0


def covered_seconds(run: JobRun, over: Over) -> float:
    """How much of its work its last checkpoint holds."""
    if run.checkpoint is None:
        return 0.0
    return max(0.0, over.wall_seconds - max(0.0, run.over_at - run.changed_at))
