"""Compares what a startd holds with what it should hold, and mends the difference.

Level, not edge: whatever message was lost, the next `Hello` or `Beat` shows it.
"""

from collections.abc import Sequence

from contract.messages import HeldRun, Stop
from contract.vocabulary import JobStatus, Phase, RunId
from schedd.core.building import is_built_for
from schedd.core.checkpoints import take_back
from schedd.core.cluster import Cluster
from schedd.core.job import Job, Run
from schedd.core.leases import lose
from schedd.core.machine import Machine, fits
from schedd.core.matching import grant_message
from schedd.core.phases import advance, is_later, under_way
from schedd.core.pool import Pool, say, take_claim

GRACE_BEATS = 2
"""A run that a beat does not list is given up only when it should have been listed this often."""

OVER_THERE = frozenset({Phase.ENDED, Phase.RETURNING})


def reconcile(pool: Pool, machine: Machine, held: Sequence[HeldRun], now: float, fresh: bool) -> None:
    """Compare what the startd holds with what it should hold, and mend the difference."""
    listed: set[RunId] = set()
    for held_run in held:
        run_id = RunId(*held_run.run)
        listed.add(run_id)
        found = pool.run(run_id)
        job = found[1] if found is not None else None
        if found is None or job is None or not _belongs(pool, found[0], job, machine, held_run.phase, now):
            if held_run.phase not in OVER_THERE:
                pool.outcome.send(machine.link, Stop(run_id, "this attempt no longer counts", keep=False))
        elif job.run is not None:
            if job.run.stopping and held_run.phase not in OVER_THERE:
                pool.outcome.send(machine.link, Stop(run_id, job.run.stopping, job.run.evict, job.run.keep))
            elif is_later(job.run, held_run.phase, held_run.halts, fresh):
                advance(pool, found[0], job, job.run, held_run.phase, held_run.halts, "", now)
    for run_id in [run_id for run_id in (*machine.claims, *machine.ahead) if run_id not in listed]:
        found = pool.run(run_id)
        if found is not None and found[1].run is not None:
            _mend_unlisted(pool, machine, found[0], found[1], found[1].run, now, fresh)


def _belongs(pool: Pool, cluster: Cluster, job: Job, machine: Machine, phase: Phase, now: float) -> bool:
    """Whether the last attempt at `job` is rightly on `machine`; a lapsed run is taken up again."""
    if job.run is not None:
        return job.run.machine == machine.name
    lapsed = job.lapsed
    if lapsed is None or lapsed.machine != machine.name or job.status != JobStatus.IDLE:
        return False
    if not fits(lapsed.claim, machine.free):
        return phase in OVER_THERE     # its report is on the way, and counts unless another grant is faster
    job.run, job.lapsed = lapsed, None
    take_back(job, lapsed)
    say(pool, cluster, job.proc, "reconnected", now, machine.name)
    take_claim(pool, machine, job, lapsed, now)
    under_way(pool, cluster, job, lapsed, now)
    return True


def _mend_unlisted(
    pool: Pool, machine: Machine, cluster: Cluster, job: Job, run: Run, now: float, fresh: bool
) -> None:
    """The startd does not have a run that it should have."""
    if not fresh and now - run.granted_at < GRACE_BEATS * pool.settings.beat_seconds:
        return                     # the grant may still be on its way
    if run.phase is Phase.GRANTED and not run.stopping and is_built_for(pool, cluster, machine):
        pool.outcome.send(machine.link, grant_message(pool, cluster, job, run))
        return
    lose(pool, cluster, job, "its machine no longer knows of it", now)


def started_runs(pool: Pool, machine: Machine) -> list[tuple[Cluster, Job]]:
    found = [pool.run(run_id) for run_id in machine.claims]
    return [(c, job) for c, job in filter(None, found) if job.run is not None and job.run.started_at is not None]
