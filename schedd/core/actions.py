"""Hold, release, remove, prioritise: what people do to jobs.

The rest of a cluster is acted on as one thing wherever the selection allows it. An id that
is named and cannot be acted on is answered with the reason; jobs that a wider selection
sweeps up and that are so already are left alone without a word.
"""

from collections.abc import Callable

from contract.messages import Stop
from contract.problems import Problem
from contract.requests import Action, ActionAnswer, Selection
from contract.vocabulary import HoldCode, JobStatus
from schedd.core.cluster import Cluster
from schedd.core.job import IDLE, Job, Move, can
from schedd.core.matching import file_job, file_rest
from schedd.core.outcome import Ended
from schedd.core.pool import Pool, close_if_over, move, say
from schedd.core.selection import Wanted, check_bounds, rest_procs, rows, wanted, whole_rest

VERBS = {"hold": Move.HOLD, "release": Move.RELEASE, "remove": Move.REMOVE}
DEFAULT_REASON = {"hold": "via pesc_hold (by user {user})", "release": "via pesc_release (by user {user})",
                  "remove": "via pesc_rm (by user {user})"}
MOST_PRIORITY = 2**31


def act(pool: Pool, now: float, user: str, may_touch_all: bool, action: Action) -> ActionAnswer:
    """Do what `action` says to the jobs it means, as far as `user` may."""
    if action.what not in VERBS and action.what != "priority":
        raise Problem("bad_request", f"{action.what[:80]!r} is nothing that can be done to jobs.",
                      "hold, release, remove and priority can.")
    if abs(action.priority) > MOST_PRIORITY:
        raise Problem("bad_request", f"A priority of {action.priority} is out of range.",
                      f"Priorities lie between {-MOST_PRIORITY} and {MOST_PRIORITY}.")
    selection = action.selection
    if not (selection.ids or selection.owners or selection.everything or selection.constraint):
        raise Problem("bad_request", "No jobs were named.", "Name ids, users, a constraint, or all jobs.")
    refused: list[str] = []
    changed = 0
    wants = _permitted(pool, user, may_touch_all, selection, refused)
    for want in wants:
        check_bounds(want, now)        # before anything is changed
    for want in wants:
        changed += _apply(pool, want, action, user, bool(selection.ids), refused, now)
    return ActionAnswer(changed, refused)


def _permitted(
    pool: Pool, user: str, may_touch_all: bool, selection: Selection, refused: list[str]
) -> list[Wanted]:
    wants, missing = wanted(pool.clusters, selection)
    for text in missing:
        refused.append(f"There is no job {text} in the queue. If it has left, pesc_history {text} shows it.")
    if may_touch_all:
        return wants
    for owner in selection.owners:
        if owner != user:
            refused.append(f"The jobs of {owner} are not yours; you are signed in as {user}. "
                           "Only their owner or an administrator can change them.")
    mine = []
    for want in wants:
        if want.cluster.owner == user:
            mine.append(want)
        elif selection.ids:
            ids = [str(want.cluster.id)] if want.procs is None else [f"{want.cluster.id}.{p}" for p in want.procs]
            refused += [f"Job {text} belongs to {want.cluster.owner}; you are signed in as {user}. "
                        "Only its owner or an administrator can change it." for text in ids]
    return mine


def _apply(
    pool: Pool, want: Wanted, action: Action, user: str, named: bool, refused: list[str], now: float
) -> int:
    cluster = want.cluster
    reason = action.reason or DEFAULT_REASON.get(action.what, "").format(user=user)
    whole = whole_rest(want, now)
    changed = 0
    picked = rows(want, now)
    if whole is None:
        picked += [cluster.materialize(proc) for proc in list(rest_procs(want, now))]
    if whole:
        changed += (
            _prioritise_rest(pool, cluster, action.priority, now)
            if action.what == "priority"
            else _move_rest(pool, cluster, VERBS[action.what], reason, now)
        )
    for job in picked:
        pool.outcome.touch(job)
        if action.what == "priority":
            why_not = _prioritise(pool, cluster, job, action.priority, now)
        else:
            why_not = _move_one(pool, cluster, job, VERBS[action.what], reason, now)
        if not why_not:
            changed += 1
        elif named and want.procs is not None and want.constraint is None:
            refused.append(f"Job {cluster.id}.{job.proc} {why_not}")
        if (whole is None or not why_not) and cluster.id in pool.clusters:
            file_job(pool, cluster, job, now)
    if whole is None and cluster.id in pool.clusters:
        file_rest(pool, cluster, now)
    return changed


def _move_one(pool: Pool, cluster: Cluster, job: Job, how: Move, reason: str, now: float) -> str:
    """Move one row; return why it was not, in words that follow the job's number."""
    if not can(job, how):
        return WHY_NOT[how].format(status=JobStatus(job.status).name.lower().replace("_", " "))
    match how:
        case Move.HOLD:
            job.hold_reason, job.hold_code, job.hold_subcode = reason, HoldCode.USER_REQUEST, 0
        case Move.RELEASE:
            job.release_reason, job.faults, job.barren = reason, 0, 0
        case _:
            job.remove_reason = reason
    if how is not Move.RELEASE:
        job.lapsed = None
        _stop_run(pool, job, "held" if how is Move.HOLD else "removed", keep=how is Move.HOLD)
    SAY[how](pool, cluster, job, reason, now)
    move(pool, cluster, job, how, now)
    return ""


def _stop_run(pool: Pool, job: Job, why: str, keep: bool) -> None:
    if job.run is not None:
        job.run.stopping, job.run.evict, job.run.keep = why, False, keep
        machine = pool.machines.get(job.run.machine)
        if machine is not None:
            pool.outcome.send(machine.link, Stop(job.run_id, why, keep=job.run.keep))


def _move_rest(pool: Pool, cluster: Cluster, how: Move, reason: str, now: float) -> int:
    """Move the whole rest as one thing."""
    state, jobs, ranges = cluster.state, cluster.rest, cluster.rest_ranges()
    before = state.rest_status
    if (how is Move.RELEASE and before != JobStatus.HELD) or (how is Move.HOLD and before != IDLE):
        return 0
    pool.outcome.clusters.add(cluster.id)
    if how is Move.REMOVE:
        for first, last in ranges:
            gone = Job(cluster.id, first, JobStatus.REMOVED, now, priority=state.priority, remove_reason=reason,
                       ended_at=now)
            pool.outcome.history.append(Ended(cluster.owner, now, gone, last))
        cluster.recount(before, JobStatus.REMOVED, jobs)
        cluster.drop_rest()
        say(pool, cluster, -1, "removed", now, reason=reason, jobs=jobs, procs=ranges)
        close_if_over(pool, cluster)
        return jobs
    held = how is Move.HOLD
    state.rest_status = JobStatus.HELD if held else IDLE
    state.rest_entered_at = now
    state.rest_reason, state.rest_code = (reason, int(HoldCode.USER_REQUEST)) if held else ("", 0)
    cluster.recount(before, state.rest_status, jobs)
    if held:
        say(pool, cluster, -1, "held", now, reason=reason, code=int(HoldCode.USER_REQUEST), jobs=jobs,
            procs=ranges)
    else:
        say(pool, cluster, -1, "released", now, reason=reason, jobs=jobs, procs=ranges)
    file_rest(pool, cluster, now)
    return jobs


def _prioritise(pool: Pool, cluster: Cluster, job: Job, priority: int, now: float) -> str:
    if job.priority != priority:
        job.priority = priority
        say(pool, cluster, job.proc, "priority", now, priority=priority)
    return ""


def _prioritise_rest(pool: Pool, cluster: Cluster, priority: int, now: float) -> int:
    cluster.state.priority = priority
    pool.outcome.clusters.add(cluster.id)
    say(pool, cluster, -1, "priority", now, priority=priority, jobs=cluster.rest)
    file_rest(pool, cluster, now)
    return cluster.rest


WHY_NOT = {
    Move.HOLD: "is {status}; only idle and running jobs can be held.",
    Move.RELEASE: "is {status}, not held; there is nothing to release.",
    Move.REMOVE: "is {status} already.",
}

SAY: dict[Move, Callable[[Pool, Cluster, Job, str, float], None]] = {
    Move.HOLD: lambda pool, cluster, job, reason, now: say(
        pool, cluster, job.proc, "held", now, reason=reason, code=int(HoldCode.USER_REQUEST)),
    Move.RELEASE: lambda pool, cluster, job, reason, now: say(pool, cluster, job.proc, "released", now, reason=reason),
    Move.REMOVE: lambda pool, cluster, job, reason, now: say(pool, cluster, job.proc, "removed", now, reason=reason),
}
