"""How far a run has come, as its startd tells it.

Phases go one way, but for one pair: a run that stands still may run again, as often as its
machine's owner comes and goes. `halts` counts both turns, so the later of two messages is
known whatever order they arrive in.

A job is SUSPENDED exactly while it is under way and its run is.
"""

from contract.vocabulary import Phase
from schedd.core.cluster import Cluster
from schedd.core.job import RUNNING, SUSPENDED, Job, Move, Run
from schedd.core.pool import Pool, book_start, count_suspension, move, say

ORDER = {phase: number for number, phase in enumerate(Phase)} | {Phase.SUSPENDED: list(Phase).index(Phase.RUNNING)}


def is_later(run: Run, phase: Phase, halts: int, surely: bool = False) -> bool:
    """Whether this is news of `run`; `surely`, if its startd has just said all it knows."""
    if ORDER[phase] != ORDER[run.phase]:
        return ORDER[phase] > ORDER[run.phase]
    return phase is not run.phase or halts != run.halts if surely else halts > run.halts


def advance(pool: Pool, cluster: Cluster, job: Job, run: Run, phase: Phase, halts: int, why: str, now: float) -> None:
    """The run came to `phase`, which is news."""
    if phase in (Phase.RUNNING, Phase.SUSPENDED):
        book_start(pool, cluster, job, run, now)
    job.suspensions += max(0, (halts + 1) // 2 - (run.halts + 1) // 2)
    run.phase, run.halts = phase, halts
    if phase is Phase.SUSPENDED:
        _stands_still(pool, cluster, job, run, why, now)
    elif run.suspended_at is not None:
        count_suspension(job, run, now)
        if job.status == SUSPENDED:
            say(pool, cluster, job.proc, "unsuspended", now, run.machine)
            move(pool, cluster, job, Move.RESUME, now)
    pool.outcome.touch(job)


def under_way(pool: Pool, cluster: Cluster, job: Job, run: Run, now: float) -> None:
    """The job has its machine: it runs there, or stands still if its run already does."""
    move(pool, cluster, job, Move.GRANT, now)
    if run.phase is Phase.SUSPENDED:
        _stands_still(pool, cluster, job, run, run.suspended_because, now)


def _stands_still(pool: Pool, cluster: Cluster, job: Job, run: Run, why: str, now: float) -> None:
    if run.suspended_at is None:
        run.suspended_at = job.last_suspended_at = now
    run.suspended_because = why or run.suspended_because
    if job.status == RUNNING:
        say(pool, cluster, job.proc, "suspended", now, run.machine, reason=run.suspended_because)
        move(pool, cluster, job, Move.SUSPEND, now)
