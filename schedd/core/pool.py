"""Everything the schedd knows, and what every event does to it.

    INV-4: only the functions of this package that take a `Pool` and `now` change it, one call
           per event; what follows from the call is gathered in `pool.outcome`.
    INV-5: a pool rebuilt from the store equals the living one (`restore` in `restored`).

Events come in through `submission`, `actions`, `runs`, `ends` and `leases`; `matching` hands
out machines.
Here are the pool itself and the few steps that all of them take: moving a job, saying so,
ending it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice

from contract.messages import Refused
from contract.requests import Event, Submitted, Totals
from contract.vocabulary import RunId
from dsl.domains import Entry
from schedd.core.accounts import Account
from schedd.core.cluster import Cluster
from schedd.core.domains import ImageBuild, Live, NamedDomain
from schedd.core.job import FINAL, Job, Move, Run, moved
from schedd.core.machine import Machine
from schedd.core.matchmaker import Verdicts
from schedd.core.outcome import Ended, Outcome, detail
from schedd.core.waiting import Kind, Ticket, Waiting


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may change. The defaults suit one workstation."""

    lease_seconds: float = 2400.0
    """How long a startd may be silent before its jobs are offered elsewhere.
    As in HTCondor: longer than most reboots, shorter than most patience."""

    beat_seconds: float = 20.0
    """How often a startd says that it is alive."""

    allowed_images: tuple[str, ...] = ("*",)
    """Patterns of images of registries that domains may stand on: docker.io/library/*, say."""

    build_network: bool = True
    """Whether builds may reach a network."""


class Pool:
    """The state. `outcome` gathers what the events since the last `take_outcome` brought about."""

    def __init__(self, name: str, settings: Settings | None = None) -> None:
        self.name = name
        self.settings = settings or Settings()
        self.clusters: dict[int, Cluster] = {}
        self.machines: dict[str, Machine] = {}
        self.accounts: dict[str, Account] = {}
        self.links: dict[int, str] = {}
        self.builds: dict[str, ImageBuild] = {}
        self.domains: dict[tuple[str, str], NamedDomain] = {}
        """By owner ("" for all) and name."""
        self.live: dict[str, Live] = {}
        """Of builds under way; lives only in memory."""
        self.store: Mapping[str, Entry] = {}
        """The ready domains."""
        self.submitted: dict[tuple[str, str], Submitted] = {}
        """The answers to the latest submissions, by owner and key."""
        self.next_cluster = 1
        self.next_event = 1
        self.next_grant = 1
        self.outcome = Outcome()
        self.filing = Filing(self)

    def take_outcome(self) -> Outcome:
        outcome, self.outcome = self.outcome, Outcome()
        return outcome

    def job(self, cluster: int, proc: int) -> Job | None:
        """The row of a job that is in the queue."""
        found = self.clusters.get(cluster)
        return found.jobs.get(proc) if found else None

    def run(self, run_id: RunId) -> tuple[Cluster, Job] | None:
        """The job whose last attempt this is."""
        cluster = self.clusters.get(run_id.cluster)
        job = cluster.jobs.get(run_id.proc) if cluster is not None else None
        if cluster is None or job is None or job.attempt != run_id.attempt:
            return None
        return cluster, job

    def account(self, owner: str) -> Account:
        if owner not in self.accounts:
            self.accounts[owner] = Account(owner)
        return self.accounts[owner]

    def totals(self, owners: Collection[str] = ()) -> Totals:
        """Jobs of the clusters in the queue by state; of these owners, or of all."""
        sums = Totals()
        for cluster in self.clusters.values():
            if not owners or cluster.owner in owners:
                for name in Totals.__struct_fields__:
                    setattr(sums, name, getattr(sums, name) + getattr(cluster.state.counts, name))
        return sums


@dataclass(slots=True)
class Filing:
    """What of the pool serves matching alone; made anew whenever that is easier."""

    pool: Pool
    waiting: Waiting = field(init=False)
    kinds: dict[int, Kind] = field(default_factory=dict)
    """Of the clusters whose jobs are all of one kind."""
    rest_tickets: dict[int, Ticket] = field(default_factory=dict)
    filed: dict[tuple[int, int], int] = field(default_factory=dict)
    """The kind under which a job of a cluster of several kinds waits."""
    processors: frozenset[str] = frozenset()
    """The kinds that the machines have, or had."""
    windowed: set[int] = field(default_factory=set)
    """Clusters of several kinds: some of their rest is kept as rows."""
    ripe: set[int] = field(default_factory=set)
    """Clusters whose domain has become ready: their jobs are filed with the next match."""
    machine_reads: frozenset[str] = frozenset()
    """Job attributes, in lower case, that machines' expressions read."""
    verdicts: Verdicts = field(default_factory=dict)
    wanted: bool = False
    """Whether something changed that could make a match."""

    def __post_init__(self) -> None:
        self.waiting = Waiting(self.is_current, self.single_tickets)

    def is_current(self, kind: Kind, ticket: Ticket) -> bool:
        cluster = self.pool.clusters.get(ticket.cluster)
        if cluster is None or self.kinds.get(ticket.cluster, kind) is not kind:
            return False
        if ticket.rest:
            return cluster.rest > 0 and self.rest_tickets.get(ticket.cluster) == ticket
        job = cluster.jobs.get(ticket.proc)
        if job is None or not job.waits or job.priority != -ticket.minus_priority:
            return False
        return ticket.cluster not in self.windowed or self.filed.get((ticket.cluster, ticket.proc)) == kind.number

    def single_tickets(self, ticket: Ticket, most: int) -> list[Ticket]:
        """The first `most` jobs behind the ticket of a rest."""
        procs = islice(self.pool.clusters[ticket.cluster].rest_procs(), most)
        return [Ticket(ticket.minus_priority, ticket.cluster, proc) for proc in procs]


def say(
    pool: Pool, cluster: Cluster, proc: int, kind: str, now: float, machine: str = "", **fields: object
) -> None:
    """Put an event into the outcome."""
    event = Event(pool.next_event, now, cluster.id, proc, kind, machine, detail(**fields))
    pool.next_event += 1
    pool.outcome.events.append(event)


def move(pool: Pool, cluster: Cluster, job: Job, how: Move, now: float) -> None:
    """Move `job` along its table and keep the counts."""
    before = moved(job, how, now)
    cluster.recount(before, job.status)
    pool.outcome.touch(job)
    if job.status in FINAL and job.run is None:
        leave_queue(pool, cluster, job, now)


def leave_queue(pool: Pool, cluster: Cluster, job: Job, now: float) -> None:
    """A job that is over, and whose run is too, goes into the history."""
    job.lapsed = None
    job.ended_at = now
    del cluster.jobs[job.proc]
    pool.filing.filed.pop((job.cluster, job.proc), None)
    pool.outcome.drop(job)
    pool.outcome.history.append(Ended(cluster.owner, now, job, job.proc))
    if cluster.wants_delivered(job):
        pool.outcome.deliveries.append((job.cluster, job.proc))
    close_if_over(pool, cluster)


def close_if_over(pool: Pool, cluster: Cluster) -> None:
    """Forget a cluster none of whose jobs is left."""
    if cluster.is_over:
        del pool.clusters[cluster.id]
        pool.filing.kinds.pop(cluster.id, None)
        pool.filing.rest_tickets.pop(cluster.id, None)
        pool.filing.windowed.discard(cluster.id)
        pool.outcome.clusters.add(cluster.id)
        pool.outcome.closed[cluster.id] = cluster


def take_claim(pool: Pool, machine: Machine, job: Job, run: Run, now: float) -> None:
    """The run takes its amounts on the machine."""
    run.queued = False
    machine.ahead.pop(job.run_id, None)
    machine.claims[job.run_id] = run.claim
    pool.account(pool.clusters[job.cluster].owner).use(run.claim.cpus, now)
    pool.outcome.accounts.add(pool.clusters[job.cluster].owner)


def free_claim(pool: Pool, job: Job, owner: str, now: float) -> Run | None:
    """The run gives its amounts back, and the job has no run any more."""
    run, job.run = job.run, None
    if run is None:
        return None
    count_suspension(job, run, now)
    pool.clusters[job.cluster].progress.pop(job.proc, None)
    machine = pool.machines.get(run.machine)
    if machine is not None:
        machine.claims.pop(job.run_id, None)
        machine.ahead.pop(job.run_id, None)
    if not run.queued:
        pool.account(owner).use(-run.claim.cpus, now)
        pool.outcome.accounts.add(owner)
    pool.outcome.touch(job)
    pool.filing.wanted = True
    return run


def count_suspension(job: Job, run: Run, now: float) -> None:
    """It stands still no longer: book how long it did."""
    if run.suspended_at is not None:
        job.suspended_seconds += max(0.0, now - run.suspended_at)
        run.suspended_at, run.suspended_because = None, ""


def heard(pool: Pool, link: int, now: float) -> Machine | None:
    """The machine that speaks through `link`; its lease begins anew."""
    name = pool.links.get(link)
    machine = pool.machines.get(name) if name is not None else None
    if machine is not None:
        machine.last_heard_at = now
    else:
        # Its lease ended, or another connection greeted in its name: only a new Hello mends that.
        pool.outcome.send(link, Refused("not_found", "This connection belongs to no machine any more; connect again."))
    return machine


def book_start(pool: Pool, cluster: Cluster, job: Job, run: Run, now: float) -> None:
    if run.started_at is not None:
        return
    run.started_at = now
    job.starts += 1
    job.first_start_at = job.first_start_at or now
    job.last_start_at = now
    job.last_machine = run.machine
    say(pool, cluster, job.proc, "executing", now, run.machine, host=run.machine, slot=f"slot1@{run.machine}",
        start=job.starts)
