"""What an event brings about: what must be saved, what may then be sent and said.

The loop gathers the outcomes of many events in one `Outcome`, saves its rows in one
transaction, and only then lets sends and events go (answers too). Rows are named here and
written out when they are saved, so a job that moves three times in a group is saved once.
"""

from dataclasses import dataclass, field
from typing import Any

from contract.messages import FromSchedd
from contract.requests import Event
from schedd.core.cluster import Cluster
from schedd.core.job import Job
from schedd.core.peaks import Peak, PeakKey

JobKey = tuple[int, int]


@dataclass(slots=True)
class Ended:
    """A row of history: one job, or a range of jobs that ended as one and never ran."""

    owner: str
    at: float
    job: Job
    last_proc: int


@dataclass(slots=True)
class Outcome:
    """Gathered changes; `touch` and friends name what changed."""

    new_clusters: list[int] = field(default_factory=list)
    clusters: set[int] = field(default_factory=set)
    jobs: set[JobKey] = field(default_factory=set)
    gone_jobs: set[JobKey] = field(default_factory=set)
    history: list[Ended] = field(default_factory=list)
    machines: set[str] = field(default_factory=set)
    gone_machines: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    contents: dict[str, bytes] = field(default_factory=dict)
    deliveries: list[JobKey] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    peaks: list[tuple[PeakKey, Peak]] = field(default_factory=list)
    closed: dict[int, Cluster] = field(default_factory=dict)
    """Clusters that left memory in this group: their last state is still to be saved."""
    builds: set[str] = field(default_factory=set)
    """Keys of images whose building changed, or that are gone."""
    domains: set[tuple[str, str]] = field(default_factory=set)
    """Owners and names that were given or taken away."""
    submitted: list[tuple[str, str]] = field(default_factory=list)
    """Owner and key of new submissions."""
    next_ids: bool = False
    stirred: set[int] = field(default_factory=set)
    """Clusters of which something changed that is worth a look and not worth the disk."""
    sends: list[tuple[int, FromSchedd]] = field(default_factory=list)
    """(link, message): instructions to startds, in order."""

    @property
    def saves_something(self) -> bool:
        return bool(
            self.clusters or self.jobs or self.gone_jobs or self.history or self.machines or self.gone_machines
            or self.accounts or self.contents or self.events or self.next_ids or self.builds or self.domains
        )

    def touch(self, job: Job) -> None:
        self.jobs.add((job.cluster, job.proc))
        self.clusters.add(job.cluster)

    def drop(self, job: Job) -> None:
        key = (job.cluster, job.proc)
        self.jobs.discard(key)
        self.gone_jobs.add(key)
        self.clusters.add(job.cluster)

    def send(self, link: int | None, message: FromSchedd) -> None:
        """Silence if the machine is away: its next Hello or Beat mends what it missed."""
        if link is not None:
            self.sends.append((link, message))


def detail(**fields: Any) -> dict[str, Any]:
    """The fields of an event that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "")}
