"""What outsiders know: what users were told, what really ran, what is over for ever.

The schedd's memory may die at any moment; the ledger does not, so it can tell when
something was promised and is not there, or was counted twice.
"""

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from contract.messages import Checkpoint, Content, Ended, Grant
from contract.requests import Submitted
from contract.vocabulary import JobStatus, RunId
from schedd.core.job import Job
from schedd.core.outcome import Outcome
from schedd.core.restored import restore
from tests.simulation.picture import picture
from tests.simulation.schedd import SETTINGS
from tests.simulation.startd import output_of

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World

REBUILD_EVERY = 25
"""Of so many commits one is checked by making the pool anew from the disk."""


class Truth:
    """What ran and how it ended, whoever knows of it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.began: dict[RunId, str] = {}
        self.ended: dict[RunId, tuple[int | None, int | None]] = {}
        self.steps: dict[str, float] = {}
        """How far a job is that has a checkpoint of this name."""

    def checkpoint(self, run: RunId, steps: float) -> Checkpoint:
        """The name of a checkpoint, and what it stands for."""
        name = hashlib.sha256(f"{run.job} {steps}".encode()).hexdigest()
        self.steps[name] = steps
        return Checkpoint(Content(name, 10, tree=True), 1, 10)

    def begins(self, machine: "Machine", grant: Grant, steps: float) -> None:
        """At most one process per attempt, anywhere, whatever was killed or forgotten."""
        run = grant.run
        self.world.say(run, f"begins on {machine.name}")
        if (before := self.began.get(run)) is not None:
            raise self.world.story.violated(f"an attempt began twice: on {before}, and on {machine.name}", run)
        self.began[run] = machine.name
        job = self.world.database.job(run.cluster, run.proc)
        if job is not None and job.attempt == run.attempt:
            self.world.ledger.must_be_as_far(run, steps)

    def ends(self, machine: "Machine", run: RunId, exit_code: int | None, number: int | None) -> None:
        self.world.say(run, f"is over on {machine.name}: exit code {exit_code}, signal {number}")
        self.ended[run] = exit_code, number


class Ledger:
    def __init__(self, world: "World") -> None:
        self.world = world
        self.acknowledged: dict[int, int] = {}
        """Clusters whose submitter was told so, and how many jobs they have."""
        self.clusters: dict[str, int] = {}
        """Key of a submission → its cluster."""
        self.finished: dict[tuple[int, int], JobStatus] = {}
        """Jobs in the history on disk."""
        self.gone: dict[int, dict[int, JobStatus]] = {}
        """Jobs that have left the living pool, on disk or about to be."""
        self.removed: set[tuple[int, int]] = set()
        """Jobs whose row said REMOVED on disk: they can never be anything else."""
        self.steps: dict[tuple[int, int], float] = {}
        """How far jobs are by the checkpoints that were on disk."""
        self.commits = 0
        self._last_history_row = 0

    def totals(self) -> Counter[str]:
        """How many jobs ended how."""
        return Counter(JobStatus(status).name for status in self.finished.values())

    # --- what users are told -------------------------------------------------------------

    def submitted(self, key: str, answer: Submitted) -> None:
        """Acknowledged means on disk; the same key is answered the same."""
        if self.clusters.setdefault(key, answer.cluster) != answer.cluster:
            raise self.world.story.violated(f"{key} was queued as {self.clusters[key]} too", (answer.cluster,))
        self.world.say((answer.cluster,), f"is acknowledged: {answer.jobs} jobs")
        if not self.world.database.ask("select 1 from clusters where id = ?", (answer.cluster,)):
            raise self.world.story.violated("an acknowledged submit is not on disk", (answer.cluster,))
        self.acknowledged[answer.cluster] = answer.jobs

    def answered(self, events: tuple[int, int]) -> None:
        """What the answer speaks of is on disk."""
        first, end = events
        ((count,),) = self.world.database.ask("select count(*) from events where id >= ? and id < ?", (first, end))
        if count != end - first:
            raise self.world.story.violated(f"a user was told of {end - first} events; {count} are on disk")

    # --- what startds are told -----------------------------------------------------------

    def sends_grant(self, run: RunId, machine: str) -> None:
        """A grant that leaves is on disk, so no other schedd of ours grants that attempt again."""
        job = self.world.database.job(run.cluster, run.proc)
        if job is None or job.attempt != run.attempt or job.run is None or job.run.machine != machine:
            raise self.world.story.violated(f"a grant to {machine} was sent that is not on disk", run)

    def gives_along(self, run: RunId, checkpoint: Content | None) -> None:
        """A run begins with the last checkpoint that was acknowledged, not with an earlier one."""
        self.must_be_as_far(run, self.world.truth.steps[checkpoint.sha256] if checkpoint is not None else 0.0)

    def must_be_as_far(self, run: RunId, steps: float) -> None:
        """INV-7: what was checkpointed, and is on disk, is never lost."""
        before = self.steps.get((run.cluster, run.proc), 0.0)
        if steps < before:
            raise self.world.story.violated(f"it was at {before} and goes on from {steps}", run)

    def sends_acknowledgement(self, run: RunId, machine: str) -> None:
        """An end that is acknowledged is on disk, or never counted."""
        job = self.world.database.job(run.cluster, run.proc)
        if job is not None and job.attempt == run.attempt and job.run is not None and job.run.machine == machine:
            raise self.world.story.violated("an end was acknowledged that is not on disk", run)

    def forged(self, ended: Ended) -> Ended:
        """The report, under the attempt that is current: what fencing is there to prevent."""
        pool = self.world.schedd.pool
        job = pool.job(ended.run.cluster, ended.run.proc) if pool is not None else None
        if job is None or job.run is None:
            return ended
        return replace(ended, run=RunId(ended.run.cluster, ended.run.proc, job.attempt))

    # --- what the schedd did -------------------------------------------------------------

    def applied(self, outcome: Outcome) -> None:
        pool = self.world.schedd.pool
        for number in outcome.new_clusters:
            if pool is not None and number in pool.clusters:
                s = pool.clusters[number].record.submission
                self.world.say((number,), f"{s.count} jobs, {s.template} {s.varying or ''}")
        for event in outcome.events:
            key = (event.cluster,) if event.proc < 0 else (event.cluster, event.proc)
            self.world.say(key, f"{event.kind} {event.machine} {event.detail or ''}")
        for row in outcome.history:
            gone = self.gone.setdefault(row.job.cluster, {})
            for proc in range(row.job.proc, row.last_proc + 1):
                if proc in gone:
                    raise self.world.story.violated("a job left the queue twice", (row.job.cluster, proc))
                gone[proc] = row.job.status

    def committed(self, outcome: Outcome) -> None:
        """Look at every new row of history, and now and then at everything."""
        self.commits += 1
        for number, first, last, job in self.world.database.history_after(self._last_history_row):
            self._last_history_row = number
            for proc in range(first, last + 1):
                self._finish((job.cluster, proc), job)
            if job.status == JobStatus.COMPLETED:
                self._check_result(job)
        pool = self.world.schedd.pool
        assert pool is not None
        for key in outcome.jobs - outcome.gone_jobs:
            job_now = pool.job(*key)
            if job_now is not None and job_now.status == JobStatus.REMOVED:
                self.removed.add(key)
            if job_now is not None:
                kept = job_now.checkpoint
                steps = self.world.truth.steps[kept.content.sha256] if kept is not None else 0.0
                self.must_be_as_far(job_now.run_id, steps)
                self.steps[key] = steps
        if self.commits % REBUILD_EVERY == 0:
            self.check_disk()
            self.check_rebuilt()

    def schedd_restarted(self) -> None:
        self.gone = {}
        for (cluster, proc), status in self.finished.items():
            self.gone.setdefault(cluster, {})[proc] = status
        self.check_disk()

    def check_disk(self) -> None:
        """Every job is in exactly one place on disk: the rest, a row, or the history."""
        database = self.world.database
        finished = Counter(cluster for cluster, _ in self.finished)
        saved = database.load()
        rows = Counter(job.cluster for job in saved.jobs)
        for record, state in saved.clusters:
            count = record.submission.count
            rest = count - state.next_proc - len(state.ahead)
            if rest + rows[record.id] + finished[record.id] != count:
                raise self.world.story.violated(
                    f"of {count} jobs {rest} are the rest, {rows[record.id]} rows, {finished[record.id]} over",
                    (record.id,))
        for job in saved.jobs:
            if (job.cluster, job.proc) in self.finished:
                raise self.world.story.violated("a job is in the queue and in the history", (job.cluster, job.proc))
        living = {record.id for record, _ in saved.clusters}
        for cluster, count in self.acknowledged.items():
            if cluster not in living and finished[cluster] != count:
                raise self.world.story.violated(
                    f"of {count} acknowledged jobs {finished[cluster]} are in the history, none is in the queue",
                    (cluster,))

    def check_rebuilt(self) -> None:
        """INV-5: the pool made from the disk equals the living one."""
        pool, now = self.world.schedd.pool, self.world.now
        assert pool is not None
        rebuilt = picture(restore(pool.name, SETTINGS, self.world.database.load(), now), now)
        living = picture(pool, now)
        for name, value in living.items():
            if rebuilt.get(name) != value:
                raise self.world.story.violated(
                    f"the rebuilt pool differs in {name}\n  living:  {value}\n  rebuilt: {rebuilt.get(name)}", name[1])
        if rebuilt.keys() != living.keys():
            raise self.world.story.violated(f"the rebuilt pool has more: {rebuilt.keys() - living.keys()}")

    def _finish(self, key: tuple[int, int], job: Job) -> None:
        if key in self.finished:
            raise self.world.story.violated("a job is in the history twice", key)
        if key in self.removed and job.status != JobStatus.REMOVED:
            raise self.world.story.violated(f"a removed job ended as {job.status!r}", key)
        if job.status not in (JobStatus.REMOVED, JobStatus.COMPLETED):
            raise self.world.story.violated(f"a job in the history is {job.status!r}", key)
        self.finished[key] = job.status
        self.world.say(key, f"is over for ever: {JobStatus(job.status).name}")

    def _check_result(self, job: Job) -> None:
        """The result is that of the attempt which counts, as it really ended there."""
        truth, run = self.world.truth, job.run_id
        machine = truth.began.get(run)
        if machine is None:
            raise self.world.story.violated("a job completed whose attempt never began", run)
        if job.exit_signal is not None:
            raise self.world.story.violated("a job that was killed counts as completed", run)
        if truth.ended.get(run) != (job.exit_code, job.exit_signal):
            raise self.world.story.violated(
                f"it ended with {truth.ended.get(run)}, counted was {(job.exit_code, job.exit_signal)}", run)
        wanted = hashlib.sha256(output_of(run, machine)).hexdigest()
        if job.stdout is None or job.stdout.sha256 != wanted:
            raise self.world.story.violated(f"the output counted is not that of {run} on {machine}: {job.stdout}", run)
        if not self.world.database.ask("select 1 from contents where sha256 = ?", (wanted,)):
            raise self.world.story.violated("the output of a completed job is not on disk", run)
