"""What startds say, and what follows.

Messages may be lost, doubled, late or out of order, and either end may have been killed
in between. Three rules mend all of it:

* reports are keyed by run: one of an attempt that is not the current one is acknowledged
  and changes nothing;
* `Hello` and `Beat` list what the startd holds (`_reconcile`): what should not be there is
  stopped, what should be there and is not is granted again or given up;
* a machine's lease runs on the schedd's clock: when it ends, its runs end as `lapsed`, and
  their results still count until somebody else is granted the job.
"""

import math
import re
from collections.abc import Sequence

from contract.messages import (
    Acknowledge,
    AdChanged,
    Beat,
    Ended,
    HeldRun,
    Hello,
    Progressed,
    Refused,
    RunEnd,
    Stop,
    Used,
    Welcome,
)
from contract.vocabulary import MAX_NAME_CHARACTERS, PROTOCOL, EndReason, JobStatus, Phase, RunId
from schedd.core.ads import job_ad
from schedd.core.cluster import Cluster
from schedd.core.job import Job, Move, Run
from schedd.core.judge import Fate, Verdict, judge
from schedd.core.machine import Machine, MachineRecord, fits
from schedd.core.matching import file_job, grant_message, heed_machine, hold
from schedd.core.pool import Pool, free_claim, leave_queue, move, say, take_claim

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
MOST_AD_ATTRIBUTES = 5_000
GRACE_BEATS = 2
"""A run that a beat does not list is given up only when it should have been listed this often."""

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 600.0
"""How long a machine that cannot carry out runs is left alone: doubling from the first to the longest."""

LONGEST_QUEUED_SECONDS = 2.0

OVER_THERE = frozenset({Phase.ENDED, Phase.RETURNING})


def on_hello(pool: Pool, now: float, link: int, hello: Hello) -> bool:
    """A startd introduces itself; return whether it is taken."""
    refusal = _refusal(pool, hello)
    if refusal is not None:
        pool.outcome.send(link, refusal)
        return False
    machine = pool.machines.get(hello.name)
    if machine is None:
        machine = Machine(MachineRecord(hello.name, hello.identity, hello.amounts, hello.ad), now)
        pool.machines[hello.name] = machine
    if machine.record.identity != hello.identity:
        _lose_all(pool, machine, "the machine came back without any memory of it", now)
        machine.record.identity = hello.identity
    if machine.link is not None:
        pool.links.pop(machine.link, None)
    machine.link, machine.last_heard_at = link, now
    pool.links[link] = hello.name
    machine.describe(hello.amounts, _with_requirements(hello.ad))
    pool.outcome.machines.add(hello.name)
    settings = pool.settings
    pool.outcome.send(link, Welcome(pool.name, settings.beat_seconds, settings.lease_seconds))
    if machine.out_of_touch:
        machine.out_of_touch = False
        for cluster, job in _started_runs(pool, machine):
            say(pool, cluster, job.proc, "reconnected", now, machine.name)
    _reconcile(pool, machine, hello.runs, now, fresh=True)
    heed_machine(pool, machine, now)
    return True


def on_gone(pool: Pool, now: float, link: int) -> None:
    """A connection broke. The machine's lease goes on."""
    name = pool.links.pop(link, None)
    machine = pool.machines.get(name) if name else None
    if machine is None or machine.link != link:
        return
    machine.link, machine.last_heard_at, machine.out_of_touch = None, now, True
    for cluster, job in _started_runs(pool, machine):
        say(pool, cluster, job.proc, "disconnected", now, machine.name,
            reason="The connection to its machine broke; the run goes on there.")


def on_beat(pool: Pool, now: float, link: int, beat: Beat) -> None:
    machine = _heard(pool, link, now)
    if machine is not None:
        _reconcile(pool, machine, beat.runs, now, fresh=False)


def on_ad(pool: Pool, now: float, link: int, change: AdChanged) -> None:
    machine = _heard(pool, link, now)
    if machine is not None and len(machine.record.ad) + len(change.changes) <= MOST_AD_ATTRIBUTES:
        machine.change_ad(change.changes)
        heed_machine(pool, machine, now)


def on_progressed(pool: Pool, now: float, link: int, progress: Progressed) -> None:
    """A run came to another phase."""
    machine = _heard(pool, link, now)
    found = _run(pool, progress.run) if machine is not None else None
    if machine is None or found is None:
        return
    cluster, job = found
    run = job.run
    if run is None or run.machine != machine.name or ORDER[progress.phase] <= ORDER[run.phase]:
        return
    run.phase = progress.phase
    if progress.phase is Phase.RUNNING:
        _book_start(pool, cluster, job, run, now)
    pool.outcome.touch(job)


def on_used(pool: Pool, now: float, link: int, used: Used) -> None:
    """What a run has used so far; said aloud when it grew noticeably."""
    machine = _heard(pool, link, now)
    found = _run(pool, used.run) if machine is not None else None
    if machine is None or found is None:
        return
    cluster, job = found
    if job.run is None or job.run.machine != machine.name:
        return
    grew = used.memory_mib > 1.1 * job.memory_mib or used.disk_kib > 1.1 * job.disk_kib + 1024
    if grew:
        job.memory_mib, job.disk_kib = max(job.memory_mib, used.memory_mib), max(job.disk_kib, used.disk_kib)
        pool.outcome.touch(job)
        say(pool, cluster, job.proc, "usage", now, machine.name, memory_mib=round(used.memory_mib, 1),
            disk_kib=used.disk_kib, cpu_seconds=round(used.cpu_seconds, 3))


def on_ended(pool: Pool, now: float, link: int, ended: Ended) -> None:
    """A run is over: free its claim, judge it, say what follows. A late or second report changes nothing."""
    machine = _heard(pool, link, now)
    if machine is None:
        return
    pool.outcome.send(link, Acknowledge([ended.run]))
    found = _run(pool, ended.run)
    if found is None:
        return
    cluster, job = found
    run = job.run or job.lapsed
    if run is None or run.machine != machine.name:
        return
    if job.run is None and ended.end.reason is not EndReason.EXITED:
        job.lapsed = None          # the job waits already; this end tells nothing
        pool.outcome.touch(job)
        return
    pool.outcome.contents.update(ended.blobs)
    _book_end(pool, cluster, job, run, ended.end, now)
    free_claim(pool, job, cluster.owner, now)
    job.lapsed = None
    if ended.end.reason is EndReason.EXITED:
        machine.note_run(ended.end.wall_seconds)
    _take_blame(pool, machine, job, ended.end, now)
    _settle(pool, cluster, job, ended.end, now)


def tick(pool: Pool, now: float) -> None:
    """End the leases of machines that have been silent too long."""
    lease = pool.settings.lease_seconds
    for machine in list(pool.machines.values()):
        if now - machine.last_heard_at <= lease:
            continue
        _lose_all(pool, machine, f"its machine {machine.name} has been silent for {lease:.0f} s", now, lapse=True)
        if machine.link is not None:
            pool.links.pop(machine.link, None)
            machine.link = None
        del pool.machines[machine.name]
        pool.outcome.machines.discard(machine.name)
        pool.outcome.gone_machines.add(machine.name)
    for machine in pool.machines.values():
        if 0 < machine.avoid_until <= now:
            machine.avoid_until = 0.0
            pool.filing.wanted = True
        _recall_queued(pool, machine, now)
    # Expressions may read the clock: no answer is kept for longer than a tick.
    pool.filing.verdicts.clear()


def move_clocks(pool: Pool, now: float, jump: float) -> None:
    """The wall clock jumped: what is measured from one moment to another must not see it."""
    for machine in pool.machines.values():
        machine.last_heard_at += jump
        machine.avoid_until += jump if machine.avoid_until else 0.0
    for account in pool.accounts.values():
        account.at += jump


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


ORDER = {phase: number for number, phase in enumerate(Phase)}


def _refusal(pool: Pool, hello: Hello) -> Refused | None:
    if hello.protocol != PROTOCOL:
        return Refused("other_version", f"The schedd speaks protocol {PROTOCOL}, the startd {hello.protocol}.")
    if not NAME.fullmatch(hello.name) or len(hello.name) > MAX_NAME_CHARACTERS:
        return Refused("bad_request", f"{hello.name[:80]!r} is not a name for a machine.")
    if len(hello.ad) > MOST_AD_ATTRIBUTES:
        return Refused("too_large", f"The machine's ad has {len(hello.ad)} attributes.")
    amounts = hello.amounts
    if not (0 <= amounts.cpus <= 100_000 and 0 <= amounts.memory_mib <= 2**40 and 0 <= amounts.disk_kib <= 2**50):
        return Refused("bad_request", "The machine advertises amounts that no machine has.")
    known = pool.machines.get(hello.name)
    if known is not None and known.link is not None and known.record.identity != hello.identity:
        return Refused("name_taken", f"Another startd named {hello.name} is connected. "
                       "Give this one a --name of its own.")
    return None


def _with_requirements(ad: dict[str, str]) -> dict[str, str]:
    """A machine matches when its START says so, unless it says more in Requirements."""
    names = {name.lower() for name in ad}
    if "start" not in names:
        ad = {**ad, "START": "true"}
    return ad if "requirements" in names else {**ad, "Requirements": "START"}


def _heard(pool: Pool, link: int, now: float) -> Machine | None:
    """The machine that speaks through `link`; its lease begins anew."""
    name = pool.links.get(link)
    machine = pool.machines.get(name) if name is not None else None
    if machine is not None:
        machine.last_heard_at = now
    else:
        # Its lease ended, or another connection greeted in its name: only a new Hello mends that.
        pool.outcome.send(link, Refused("not_found", "This connection belongs to no machine any more; connect again."))
    return machine


def _run(pool: Pool, run_id: RunId) -> tuple[Cluster, Job] | None:
    """The job whose last attempt this is."""
    cluster = pool.clusters.get(run_id.cluster)
    job = cluster.jobs.get(run_id.proc) if cluster is not None else None
    if cluster is None or job is None or job.attempt != run_id.attempt:
        return None
    return cluster, job


def _started_runs(pool: Pool, machine: Machine) -> list[tuple[Cluster, Job]]:
    found = [_run(pool, run_id) for run_id in machine.claims]
    return [(c, job) for c, job in filter(None, found) if job.run is not None and job.run.started_at is not None]


def _reconcile(pool: Pool, machine: Machine, held: Sequence[HeldRun], now: float, fresh: bool) -> None:
    """Compare what the startd holds with what it should hold, and mend the difference."""
    listed: set[RunId] = set()
    for held_run in held:
        run_id = RunId(*held_run.run)
        listed.add(run_id)
        found = _run(pool, run_id)
        job = found[1] if found is not None else None
        if found is None or job is None or not _belongs(pool, found[0], job, machine, held_run.phase, now):
            if held_run.phase not in OVER_THERE:
                pool.outcome.send(machine.link, Stop(run_id, "this attempt no longer counts"))
        elif job.run is not None:
            if job.run.stopping and held_run.phase not in OVER_THERE:
                pool.outcome.send(machine.link, Stop(run_id, job.run.stopping))
            elif ORDER[held_run.phase] > ORDER[job.run.phase]:
                job.run.phase = held_run.phase
                if held_run.phase is Phase.RUNNING:
                    _book_start(pool, found[0], job, job.run, now)
                pool.outcome.touch(job)
    for run_id in [run_id for run_id in (*machine.claims, *machine.ahead) if run_id not in listed]:
        found = _run(pool, run_id)
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
    move(pool, cluster, job, Move.GRANT, now)
    take_claim(pool, machine, job, lapsed, now)
    say(pool, cluster, job.proc, "reconnected", now, machine.name)
    return True


def _mend_unlisted(
    pool: Pool, machine: Machine, cluster: Cluster, job: Job, run: Run, now: float, fresh: bool
) -> None:
    """The startd does not have a run that it should have."""
    if not fresh and now - run.granted_at < GRACE_BEATS * pool.settings.beat_seconds:
        return                     # the grant may still be on its way
    if run.phase is Phase.GRANTED and not run.stopping:
        pool.outcome.send(machine.link, grant_message(pool, cluster, job, run))
        return
    _lose(pool, cluster, job, "its machine no longer knows of it", now)


def _lose_all(pool: Pool, machine: Machine, why: str, now: float, lapse: bool = False) -> None:
    for run_id in [*machine.claims, *machine.ahead]:
        if (found := _run(pool, run_id)) is not None:
            _lose(pool, found[0], found[1], why, now, lapse)
    machine.claims.clear()
    machine.ahead.clear()


def _lose(pool: Pool, cluster: Cluster, job: Job, why: str, now: float, lapse: bool = False) -> None:
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
    if lapse and not run.stopping:
        job.lapsed = run
    say(pool, cluster, job.proc, "evicted", now, run.machine, reason=f"The run was given up: {why}.")
    if job.status == JobStatus.RUNNING:
        move(pool, cluster, job, Move.RETURN, now)
        file_job(pool, cluster, job, now)
    elif job.status == JobStatus.REMOVED:
        leave_queue(pool, cluster, job, now)
    else:
        file_job(pool, cluster, job, now)


def _book_start(pool: Pool, cluster: Cluster, job: Job, run: Run, now: float) -> None:
    if run.started_at is not None:
        return
    run.started_at = now
    job.starts += 1
    job.first_start_at = job.first_start_at or now
    job.last_start_at = now
    job.last_machine = run.machine
    say(pool, cluster, job.proc, "executing", now, run.machine, host=run.machine, slot=f"slot1@{run.machine}",
        start=job.starts)


def _book_end(pool: Pool, cluster: Cluster, job: Job, run: Run, end: RunEnd, now: float) -> None:
    """Write down what the run used and left behind."""
    if end.started:
        _book_start(pool, cluster, job, run, now - end.wall_seconds)
    job.last_machine = run.machine
    job.wall_seconds += max(0.0, end.wall_seconds)
    job.user_seconds += max(0.0, end.user_seconds)
    job.system_seconds += max(0.0, end.system_seconds)
    job.memory_mib = max(job.memory_mib, end.peak_memory_mib)
    job.disk_kib = max(job.disk_kib, end.peak_disk_kib)
    job.exit_code, job.exit_signal = end.exit_code, end.signal
    job.stdout, job.stderr, job.files = end.stdout, end.stderr, end.files
    job.warnings = end.warnings
    if end.reason is EndReason.EXITED:
        job.completions += 1
    pool.outcome.touch(job)


def _take_blame(pool: Pool, machine: Machine, job: Job, end: RunEnd, now: float) -> None:
    """A machine that cannot carry out runs is left alone for a while, so that it does not eat the queue."""
    if end.reason is EndReason.MACHINE_FAULT:
        machine.faults += 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(machine.faults - 1, 10))
        machine.avoid_until = now + pause
        job.faults += 1
    elif end.reason is EndReason.LOST:
        job.faults += 1
    else:
        job.faults = 0
        if end.reason is EndReason.EXITED:
            machine.faults, machine.avoid_until = 0, 0.0
        elif end.reason is EndReason.EVICTED and not end.started:
            # It would refuse the next one too: its owner says no, or it is about to leave.
            machine.avoid_until = max(machine.avoid_until, now + FIRST_PAUSE_SECONDS)


def _settle(pool: Pool, cluster: Cluster, job: Job, end: RunEnd, now: float) -> None:
    """Send the job, whose run is over and booked, where it belongs."""
    if job.status == JobStatus.REMOVED:
        leave_queue(pool, cluster, job, now)
        return
    if job.status != JobStatus.RUNNING and end.reason is not EndReason.EXITED:
        file_job(pool, cluster, job, now)      # held, or released again while its run was being stopped
        return
    if end.reason is EndReason.EXITED and not cluster.judges_exits:
        verdict = Verdict(Fate.DONE)
    else:
        verdict = judge(job, end, job_ad(cluster, job.proc, job), now)
    match verdict.fate:
        case Fate.DONE:
            say(pool, cluster, job.proc, "terminated", now, job.last_machine, exit_code=end.exit_code,
                signal=end.signal, wall_seconds=round(end.wall_seconds, 3), user_seconds=round(end.user_seconds, 6),
                system_seconds=round(end.system_seconds, 6), memory_mib=round(job.memory_mib, 1),
                sent_bytes=sum(file.size for file in job.files))
            move(pool, cluster, job, Move.FINISH, now)
        case Fate.HOLD:
            if job.status == JobStatus.HELD:
                return
            job.evictions += end.reason is not EndReason.EXITED
            hold(pool, cluster, job, verdict.reason, verdict.code, now, verdict.subcode)
        case Fate.AGAIN:
            if job.status == JobStatus.HELD:
                return
            job.evictions += end.reason is not EndReason.EXITED
            say(pool, cluster, job.proc, "evicted", now, job.last_machine, reason=verdict.reason,
                wall_seconds=round(end.wall_seconds, 3), user_seconds=round(end.user_seconds, 6),
                system_seconds=round(end.system_seconds, 6))
            if job.status == JobStatus.RUNNING:
                move(pool, cluster, job, Move.RETURN, now)
            file_job(pool, cluster, job, now)


