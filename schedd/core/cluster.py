"""One submission: a template, a count, and those of its jobs that have become rows.

Jobs are *materialized* late. A cluster of a million repetitions is three numbers until
they run: procs from `next_proc` on, except those in `ahead`, are the **rest**: all alike,
all in `rest_status`. What becomes a row leaves the rest for good.

    INV-1: every proc is in exactly one place: the rest, `jobs`, or the history.
    INV-2: `counts` adds up to `count`.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from contract.messages import Program
from contract.requests import Batch, Submission, Totals
from contract.vocabulary import JobStatus
from dsl.classad import Ad
from dsl.submit import Expander
from schedd.core.job import Job
from schedd.core.needs import needs_of
from schedd.core.progress import Progress, of_batch

COUNTER = {
    JobStatus.IDLE: "idle",
    JobStatus.RUNNING: "running",
    JobStatus.REMOVED: "removed",
    JobStatus.COMPLETED: "completed",
    JobStatus.HELD: "held",
    JobStatus.SUSPENDED: "suspended",
}

DYNAMIC = frozenset(
    name.lower()
    for name in (
        "ClusterId ProcId PescRank JobStatus EnteredCurrentStatus JobPrio NumJobStarts NumJobCompletions NumRestarts "
        "PescAttempt PescPhase PescStopping PescProgress PescProgressMessage PescExpectedEnd "
        "RemoteHost LastRemoteHost HoldReason HoldReasonCode HoldReasonSubCode "
        "ReleaseReason RemoveReason JobStartDate JobCurrentStartDate RemoteWallClockTime RemoteUserCpu RemoteSysCpu "
        "MemoryUsage DiskUsage ExitBySignal ExitCode ExitSignal CompletionDate EndDate PescWarnings GlobalJobId "
        "CpusUsage PescPeakCpus TotalSuspensions CumulativeSuspensionTime LastSuspensionTime PescSuspended "
        "AssignedGPUs GPUsMemoryUsage "
        "NumCkpts LastCkptTime CheckpointSize PescCheckpointTrouble CommittedTime PescLostTime"
    ).split()
)
"""Attributes, in lower case, that may differ between jobs whatever the submit file says."""

OURS = DYNAMIC | {"owner", "user", "qdate", "totalsubmitprocs", "mytype", "pescgpupeak"}
"""Attributes, in lower case, that are the schedd's to say: what a submission says of them is not believed."""

EXIT_DEFAULTS = {"onexithold": "false", "onexitremove": "true"}
"""What every template says of its own accord; it needs no judging."""

EXIT_COMMANDS = ("on_exit", "onexit", "max_retries", "retry_until", "success_exit_code")


class ClusterRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What never changes after the submission; saved once."""

    id: int
    owner: str
    submitted_at: float
    host: str
    delivers: bool
    """Whether outputs and the log are written into the submit folder: submitter and schedd
    are the same user of the same machine."""
    submission: Submission


class ClusterState(msgspec.Struct, omit_defaults=True):
    """What changes; saved with every change."""

    id: int
    counts: Totals
    next_proc: int = 0
    ahead: list[int] = []
    """Procs beyond `next_proc` that have become rows already."""
    rest_status: JobStatus = JobStatus.IDLE
    rest_entered_at: float = 0.0
    rest_reason: str = ""
    rest_code: int = 0
    priority: int = 0
    gpu_peak_mib: int = 0
    """What runs that would share a GPU used of one at most, as far as that was measured; 0: not yet."""


class Cluster:
    """The record, the state, and what is worked out from them once."""

    __slots__ = (
        "_expander", "_varies", "_wants", "ad", "ahead", "ended_runs", "jobs", "json", "judges_exits", "needs",
        "program", "progress", "record", "state", "texts",
    )

    def __init__(self, record: ClusterRecord, state: ClusterState) -> None:
        self.record = record
        self.state = state
        self.ahead = set(state.ahead)
        self.jobs: dict[int, Job] = {}
        self.progress: dict[int, Progress] = {}
        """How far running jobs say they are, by proc."""
        submission = record.submission
        self.texts = {name: text for name, text in submission.template.items() if name.lower() not in OURS}
        self.ad = Ad.from_texts(self.texts)
        self.json: dict[str, Any] | None = None
        """The template as JSON, once somebody has looked at it."""
        self.program: Program | None = None
        """What every job starts, but for its rank; once the first one starts."""
        self.judges_exits = any(
            name.lower().startswith("onexit") and text.strip().lower() != EXIT_DEFAULTS.get(name.lower())
            for name, text in submission.template.items()
        ) or any(name.lower().lstrip("+").startswith(EXIT_COMMANDS) for name in submission.varying)
        """Whether a job that ended by itself may be held or run again."""
        self.ended_runs = 0
        """As far as this life of the schedd has seen."""
        self.needs = needs_of(submission, self.ad)
        """What must be built before its jobs run; None for nothing."""
        self._varies = bool(submission.varying or submission.sweep)
        self._expander: Expander | None = None
        self._wants: tuple[bool, bool, bool] | None = None

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def owner(self) -> str:
        return self.record.owner

    @property
    def count(self) -> int:
        return self.record.submission.count

    @property
    def rest(self) -> int:
        """How many jobs are not rows yet."""
        return self.count - self.state.next_proc - len(self.ahead)

    @property
    def is_over(self) -> bool:
        return not self.jobs and self.rest == 0

    def wants_delivered(self, job: Job) -> bool:
        """Whether something that `job` left behind belongs into the submit folder."""
        if not self.record.delivers:
            return False
        if self._wants is None:
            varying = self.record.submission.varying
            self._wants = (
                _names_a_file(self.ad, "Out") or "output" in varying,
                _names_a_file(self.ad, "Err") or "error" in varying,
                "PescProcess" not in self.ad,
            )
        stdout, stderr, files = self._wants
        return bool((stdout and job.stdout) or (stderr and job.stderr) or (files and job.files))

    @property
    def asks_for_gpus(self) -> bool:
        return "RequestGPUs" in self.ad or not {"gpus", "request_gpus"}.isdisjoint(self.record.submission.varying)

    @property
    def batch_name(self) -> str:
        name = self.ad.evaluate("JobBatchName")
        return name if isinstance(name, str) and name else f"ID: {self.id}"

    def batch(self) -> Batch:
        """Its line in `pesc_q`."""
        counts = self.state.counts
        return Batch(self.id, self.owner, self.batch_name, self.record.submitted_at, self.count,
                     msgspec.structs.replace(counts), of_batch(self.progress.values()))

    def varying(self, proc: int) -> dict[str, str]:
        """Attributes of job `proc` that the template does not have, as ClassAd text."""
        return self._expanded_by().attributes(self.id, proc) if self._varies else {}

    def row(self, proc: int) -> tuple[str, int]:
        """Its row of a sweep as JSON, and which repetition of that row; "" and 0 where nothing is swept."""
        return self._expanded_by().row(proc) if self.record.submission.sweep else ("", 0)

    def _expanded_by(self) -> Expander:
        if self._expander is None:
            s = self.record.submission
            self._expander = Expander(s.varying, s.macros, s.item_names, s.items, s.steps, cluster=self.id,
                                      sweep=s.sweep)
        return self._expander

    def in_rest(self, proc: int) -> bool:
        return self.state.next_proc <= proc < self.count and proc not in self.ahead

    def rest_procs(self) -> Iterator[int]:
        """The procs that are not rows yet, in order."""
        return (proc for proc in range(self.state.next_proc, self.count) if proc not in self.ahead)

    def rest_ranges(self) -> list[tuple[int, int]]:
        """The same as (first, last) pairs."""
        ranges, first = [], self.state.next_proc
        for taken in [*sorted(self.ahead), self.count]:
            if taken > first:
                ranges.append((first, taken - 1))
            first = taken + 1
        return ranges

    def materialize(self, proc: int) -> Job:
        """Make a row of job `proc` of the rest."""
        state = self.state
        job = Job(
            cluster=self.id, proc=proc, status=state.rest_status, entered_at=state.rest_entered_at,
            priority=state.priority, hold_reason=state.rest_reason, hold_code=state.rest_code,
        )
        self.jobs[proc] = job
        self.ahead.add(proc)
        self._settle()
        return job

    def drop_rest(self) -> None:
        """The rest is over as a whole; the caller has written its history."""
        self.state.next_proc = self.count
        self.ahead.clear()
        self._settle()

    def state_to_save(self) -> ClusterState:
        self.state.ahead = sorted(self.ahead)
        return self.state

    def recount(self, before: JobStatus, after: JobStatus, jobs: int = 1) -> None:
        """Move `jobs` from one counter to another."""
        counts = self.state.counts
        setattr(counts, COUNTER[before], getattr(counts, COUNTER[before]) - jobs)
        setattr(counts, COUNTER[after], getattr(counts, COUNTER[after]) + jobs)

    def _settle(self) -> None:
        state = self.state
        while state.next_proc in self.ahead:
            self.ahead.remove(state.next_proc)
            state.next_proc += 1


def _names_a_file(ad: Ad, name: str) -> bool:
    value = ad.evaluate(name)
    return isinstance(value, str) and value not in ("", "/dev/null")
