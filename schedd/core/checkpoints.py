"""Checkpoints: written down when a startd has one, given along with the next grant, reckoned up at the end.

A checkpoint that is on disk here is never taken back for an older one (INV-7): reports of
attempts that are over are fenced off, and of one attempt the number decides.
"""

from contract.messages import Checkpoint, Checkpointed, RunEnd
from contract.vocabulary import CHECKPOINT_EXIT_CODE, EndReason
from dsl.classad import Ad
from schedd.core.ads import job_ad
from schedd.core.cluster import Cluster
from schedd.core.job import Job, Run, SavedCheckpoint
from schedd.core.pool import Pool, heard, say

SHORT_RUN_SECONDS = 60.0
"""A run that checkpoints and ends sooner than this, with nothing new in its checkpoint, has come no further."""


def on_checkpointed(pool: Pool, now: float, link: int, said: Checkpointed) -> None:
    """A run has a new checkpoint with us, or could not have one."""
    machine = heard(pool, link, now)
    found = pool.run(said.run) if machine is not None else None
    if machine is None or found is None:
        return
    cluster, job = found
    run = job.run or job.lapsed
    if run is None or run.machine != machine.name or said.number <= machine.checkpoints.get(said.run, 0):
        return
    machine.checkpoints[said.run] = said.number
    covered = now - said.age_seconds - run.started_at if run.started_at is not None else 0.0
    keep(pool, cluster, job, run, said.checkpoint, covered, said.trouble, now)


def keep(pool: Pool, cluster: Cluster, job: Job, run: Run, checkpoint: Checkpoint | None, covered: float,
         trouble: str, now: float) -> None:
    """Let `checkpoint` be what the next run begins with."""
    if trouble != job.checkpoint_trouble:
        job.checkpoint_trouble = trouble
        pool.outcome.touch(job)
    if checkpoint is None:
        return
    run.covered_seconds = max(run.covered_seconds, covered)
    pool.outcome.touch(job)
    if job.checkpoint is not None and job.checkpoint.content == checkpoint.content:
        return
    run.checkpoints += 1
    job.checkpoints += 1
    job.checkpoint = SavedCheckpoint(checkpoint.content, checkpoint.files, checkpoint.size, now)
    say(pool, cluster, job.proc, "checkpointed", now, run.machine, files=checkpoint.files, bytes=checkpoint.size)


def book_time(job: Job, run: Run, seconds: float, counts: bool) -> None:
    """Reckon up what a run was good for: all of it if it `counts`, else what its checkpoint keeps."""
    committed = seconds if counts else min(seconds, run.covered_seconds)
    run.booked_seconds, run.committed_seconds = seconds, committed
    job.wall_seconds += seconds
    job.committed_seconds += committed


def take_back(job: Job, run: Run) -> None:
    """A run that was given up is heard of again: what was reckoned up of it does not hold."""
    job.wall_seconds = max(0.0, job.wall_seconds - run.booked_seconds)
    job.committed_seconds = max(0.0, job.committed_seconds - run.committed_seconds)
    run.booked_seconds = run.committed_seconds = 0.0


def count_barren(job: Job, run: Run, end: RunEnd) -> None:
    """Count the runs in a row that checkpointed and ended without having come any further."""
    came_further = run.checkpoints > 0 or end.wall_seconds >= SHORT_RUN_SECONDS
    job.barren = 0 if came_further else job.barren + 1


def is_checkpoint_exit(cluster: Cluster, job: Job, end: RunEnd) -> bool:
    """Whether the program said by its exit code: checkpointed, run me again."""
    if end.reason is not EndReason.EXITED or not end.exit_code:
        return False
    program = cluster.program
    code = program.checkpoint_exit_code if program is not None else exit_code_of(job_ad(cluster, job.proc, None))
    return end.exit_code == code


def exit_code_of(ad: Ad) -> int | None:
    """The exit code that means it, if any does; never 0, which is success."""
    code = ad.evaluate("SuccessCheckpointExitCode")
    if type(code) is int:
        return code or None
    return CHECKPOINT_EXIT_CODE if "PescProcess" in ad else None
