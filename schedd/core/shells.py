"""Looking inside a running job: who may is asked before; here are when one can, and what is written down of it.

Every use is two events, `exec` before anything is started and `exec_ended`. They are kept for ever.
"""

from typing import NamedTuple

from contract.problems import Problem
from contract.requests import Event
from contract.vocabulary import JobStatus, Phase, RunId
from schedd.core.job import UNDER_WAY
from schedd.core.outcome import detail
from schedd.core.pool import Pool, say

AUDITED = frozenset({"exec", "exec_ended"})

NOT_NOW = {
    Phase.SUSPENDED: "is suspended: its machine is needed for other things now",
    Phase.STOPPING: "is being ended",
    Phase.RETURNING: "is over, and its results are on their way",
    Phase.ENDED: "is over, and its results are on their way",
}
CURES = {
    JobStatus.IDLE: "It waits for a machine. See when it runs: pesc_q -nobatch {cluster}.",
    JobStatus.HELD: "It runs again when it is released: pesc_release {cluster}.",
    JobStatus.COMPLETED: "See what it left behind: pesc_fetch {cluster}.",
    JobStatus.REMOVED: "See what it left behind: pesc_fetch {cluster}.",
}


class Place(NamedTuple):
    """Where a job runs now."""

    link: int
    run: RunId
    machine: str


def place_of(pool: Pool, number: int, proc: int) -> Place:
    """Where one can look inside, or the Problem that says what the job does instead."""
    cluster, job = pool.clusters.get(number), pool.job(number, proc)
    if cluster is not None and cluster.in_rest(proc):
        raise not_running(number, proc, cluster.state.rest_status)
    if job is None:
        raise not_running(number, proc, JobStatus.COMPLETED)
    run = job.run
    if run is None or run.queued or job.status not in UNDER_WAY:
        raise not_running(number, proc, job.status, job.hold_reason)
    if run.stopping or run.phase is not Phase.RUNNING:
        what = NOT_NOW[Phase.STOPPING] if run.stopping else NOT_NOW.get(run.phase, "has not started on its machine yet")
        raise Problem("wrong_state", f"Job {number}.{proc} {what}.", f"See what it does: pesc_q -nobatch {number}.")
    machine = pool.machines.get(run.machine)
    if machine is None or machine.link is None:
        raise Problem("unavailable", f"Job {number}.{proc} runs on {run.machine}, which is out of touch.",
                      "Try again when it is back: pesc_status.")
    return Place(machine.link, job.run_id, run.machine)


def not_running(number: int, proc: int, status: JobStatus, reason: str = "") -> Problem:
    why = f" ({reason.rstrip('.')})" if status == JobStatus.HELD and reason else ""
    return Problem("wrong_state", f"Job {number}.{proc} is {status.name.lower()}{why}: there is nothing to look into.",
                   CURES.get(status, "See what it does: pesc_q -nobatch {cluster}.").format(cluster=number))


def on_exec(pool: Pool, now: float, number: int, proc: int, user: str, command: str, tty: bool) -> Place:
    """Somebody looks inside a job; answered when that is on disk."""
    place = place_of(pool, number, proc)
    say(pool, pool.clusters[number], proc, "exec", now, place.machine, user=user, command=command, tty=tty,
        attempt=place.run.attempt)
    return place


def on_exec_ended(pool: Pool, now: float, place: Place, user: str, command: str, seconds: float,
                  exit_code: int | None, signal: int | None, reason: str) -> None:
    """It is over; the job, and its cluster, may be gone by now."""
    fields = detail(user=user, command=command, seconds=round(seconds, 3), exit_code=exit_code, signal=signal,
                    reason=reason, attempt=place.run.attempt)
    event = Event(pool.next_event, now, place.run.cluster, place.run.proc, "exec_ended", place.machine, fields)
    pool.next_event += 1
    pool.outcome.events.append(event)
