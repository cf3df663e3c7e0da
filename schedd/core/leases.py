"""Silence: leases that end, runs that are given up, and what has lain ready too long.

Leases run on the schedd's clock alone.
"""

import math

from contract.messages import Stop
from contract.vocabulary import JobStatus
from schedd.core.building import lose_builds, tick_builds
from schedd.core.checkpoints import book_time
from schedd.core.cluster import Cluster
from schedd.core.draining import move_deadline, vacate_if_due
from schedd.core.job import UNDER_WAY, Job, Move
from schedd.core.machine import Machine
from schedd.core.matching import file_job
from schedd.core.pool import Pool, free_claim, leave_queue, move, say
from schedd.core.reached import say_what_waited

LONGEST_QUEUED_SECONDS = 2.0
"""What lies ready on a machine for longer could start elsewhere."""


def tick(pool: Pool, now: float) -> None:
    """End the leases of machines that have been silent too long."""
    lease = pool.settings.lease_seconds
    for machine in list(pool.machines.values()):
        if now - machine.last_heard_at <= lease:
            continue
        lose_all(pool, machine, f"its machine {machine.name} has been silent for {lease:.0f} s", now, lapse=True)
        if machine.link is not None:
            pool.links.pop(machine.link, None)
            machine.link = None
        lose_builds(pool, machine.name, now)
        if machine.record.drain is not None:
            continue
        del pool.machines[machine.name]
        pool.outcome.machines.discard(machine.name)
        pool.outcome.gone_machines.add(machine.name)
    for machine in pool.machines.values():
        if 0 < machine.avoid_until <= now:
            machine.avoid_until = 0.0
            pool.filing.wanted = True
        _recall_queued(pool, machine, now)
        vacate_if_due(pool, machine, now)
    tick_builds(pool, now)
    say_what_waited(pool, now)
    # Expressions may read the clock: no answer is kept for longer than a tick.
    pool.filing.verdicts.clear()


def move_clocks(pool: Pool, now: float, jump: float) -> None:
    """The wall clock jumped: what is measured from one moment to another must not see it."""
    for machine in pool.machines.values():
        machine.last_heard_at += jump
        machine.avoid_until += jump if machine.avoid_until else 0.0
        machine.owner_step_since = machine.owner_step_since[0], machine.owner_step_since[1] + jump
        for run_id in machine.claims:
            job = pool.job(run_id.cluster, run_id.proc)
            if job is not None and job.run is not None and job.run.suspended_at is not None:
                job.run.suspended_at += jump
                pool.outcome.touch(job)
        move_deadline(machine, jump)
    for account in pool.accounts.values():
        account.at += jump


def lose_all(pool: Pool, machine: Machine, why: str, now: float, lapse: bool = False) -> None:
    for run_id in [*machine.claims, *machine.ahead]:
        if (found := pool.run(run_id)) is not None:
            lose(pool, found[0], found[1], why, now, lapse)
    machine.claims.clear()
    machine.ahead.clear()


def lose(pool: Pool, cluster: Cluster, job: Job, why: str, now: float, lapse: bool = False) -> None:
    """A run will not be heard of for now: its job goes where it would go without it."""
    run = free_claim(pool, job, cluster.owner, now)
    if run is None:
        return
    if run.queued:
        file_job(pool, cluster, job, now)
        if job.status == JobStatus.REMOVED:
            leave_queue(pool, cluster, job, now)
        return
    job.evictions += 1
    job.last_machine = run.machine
    machine = pool.machines.get(run.machine)
    if run.started_at is not None and machine is not None:
        book_time(job, run, max(0.0, machine.last_heard_at - run.started_at), counts=False)
    if lapse and not run.stopping:
        job.lapsed = run
    say(pool, cluster, job.proc, "evicted", now, run.machine, reason=f"The run was given up: {why}.")
    if job.status in UNDER_WAY:
        move(pool, cluster, job, Move.RETURN, now)
        file_job(pool, cluster, job, now)
    elif job.status == JobStatus.REMOVED:
        leave_queue(pool, cluster, job, now)
    else:
        file_job(pool, cluster, job, now)


def _recall_queued(pool: Pool, machine: Machine, now: float) -> None:
    """What has lain ready too long could start elsewhere: take it back, and queue nothing more there for now."""
    for run_id in list(machine.ahead):
        job = pool.job(run_id.cluster, run_id.proc)
        if job is None or job.run is None or job.run.stopping:
            continue
        if now - job.run.granted_at > LONGEST_QUEUED_SECONDS:
            machine.run_seconds = math.inf
            job.run.stopping = "it waited too long on this machine"
            pool.outcome.touch(job)
            pool.outcome.send(machine.link, Stop(run_id, job.run.stopping))
