"""A pool made again from what was saved (INV-5).

Machines are expected back: their leases begin anew, and their claims stand, so nothing is
given away twice while they reconnect.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from contract.requests import Submitted
from contract.vocabulary import RunId
from dsl.domains import Entry
from schedd.core.accounts import Account
from schedd.core.cluster import Cluster, ClusterRecord, ClusterState
from schedd.core.domains import ImageBuild, NamedDomain
from schedd.core.job import Job
from schedd.core.machine import Machine, MachineRecord
from schedd.core.matching import heed_machine, refile_everything
from schedd.core.pool import Pool, Settings


class Saved(NamedTuple):
    """All rows that live on."""

    clusters: list[tuple[ClusterRecord, ClusterState]]
    jobs: Iterable[Job]
    machines: list[MachineRecord]
    accounts: list[Account]
    next_cluster: int
    next_event: int
    submitted: list[tuple[str, str, Submitted]]
    builds: list[ImageBuild] = []  # noqa: RUF012  (never changed)
    domains: list[NamedDomain] = []  # noqa: RUF012


def restore(
    name: str, settings: Settings, saved: Saved, now: float, store: Mapping[str, Entry] | None = None
) -> Pool:
    """The pool as it was at the last commit."""
    pool = Pool(name, settings)
    pool.next_cluster, pool.next_event = saved.next_cluster, saved.next_event
    pool.submitted = {(owner, key): answer for owner, key, answer in saved.submitted}
    pool.store = store or {}
    pool.builds = {build.key: build for build in saved.builds}
    pool.domains = {(named.owner, named.name): named for named in saved.domains}
    for machine_record in saved.machines:
        pool.machines[machine_record.name] = Machine(machine_record, now)
    for account in saved.accounts:
        pool.accounts[account.owner] = account
        account.settle(now)
        account.in_use = 0.0
    for record, state in saved.clusters:
        pool.clusters[record.id] = Cluster(record, state)
    for job in saved.jobs:
        cluster = pool.clusters[job.cluster]
        cluster.jobs[job.proc] = job
        if job.run is not None:
            pool.next_grant = max(pool.next_grant, job.run.order + 1)
            machine = pool.machines.get(job.run.machine)
            if machine is not None:
                (machine.ahead if job.run.queued else machine.claims)[job.run_id] = job.run.claim
            if not job.run.queued:
                pool.account(cluster.owner).use(job.run.claim.cpus, now)
    for machine in pool.machines.values():
        machine.ahead = dict(sorted(machine.ahead.items(), key=lambda item: _order(pool, item[0])))
    refile_everything(pool, now)
    for machine in pool.machines.values():
        heed_machine(pool, machine, now)
    # Filing may have made rows: they are in `pool.outcome`, and are saved with whatever comes first.
    return pool


def _order(pool: Pool, run_id: RunId) -> int:
    job = pool.job(run_id.cluster, run_id.proc)
    return job.run.order if job is not None and job.run is not None else 0
