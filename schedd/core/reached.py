"""A run says how far it is: its job's progress, and now and then an event."""

import math

from contract.messages import Reached
from schedd.core.cluster import Cluster
from schedd.core.job import Run
from schedd.core.pool import Pool, heard, say
from schedd.core.progress import Progress, next_event_at, taken

MESSAGE_CHARACTERS = 200


def on_reached(pool: Pool, now: float, link: int, reached: Reached) -> None:
    """A run says how far it is."""
    machine = heard(pool, link, now)
    found = pool.run(reached.run) if machine is not None else None
    if machine is None or found is None or not math.isfinite(reached.percent):
        return
    cluster, job = found
    run = job.run
    if run is None or run.queued or run.machine != machine.name:
        return
    percent = min(100.0, max(0.0, reached.percent))
    message = "".join(filter(str.isprintable, reached.message[:MESSAGE_CHARACTERS]))
    before = cluster.progress.get(job.proc)
    if before is not None and (percent, message) == (before.percent, before.message):
        return
    started = now if run.started_at is None else run.started_at
    progress = cluster.progress[job.proc] = taken(before, percent, message, now, started, job.starts > 1)
    pool.outcome.stirred.add(cluster.id)
    if now >= progress.event_at:
        _make_event(pool, cluster, job.proc, progress, run, now)


def say_what_waited(pool: Pool, now: float) -> None:
    """The last word becomes an event too, though no other follows it."""
    for cluster in pool.clusters.values():
        for proc, progress in cluster.progress.items():
            job = cluster.jobs.get(proc)
            if not progress.is_event and now >= progress.event_at and job is not None and job.run is not None:
                _make_event(pool, cluster, proc, progress, job.run, now)


def _make_event(pool: Pool, cluster: Cluster, proc: int, progress: Progress, run: Run, now: float) -> None:
    progress.is_event = True
    progress.event_at = next_event_at(now, now if run.started_at is None else run.started_at)
    left = progress.left_seconds
    say(pool, cluster, proc, "progress", now, run.machine, percent=round(progress.percent, 2),
        message=progress.message, left_seconds=None if left is None else round(left, 1))
