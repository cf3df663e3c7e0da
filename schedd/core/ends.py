"""The end of a run: booked, its claim freed, judged, and its job sent where it belongs."""

from contract.messages import Acknowledge, Ended, RunEnd
from contract.vocabulary import EndReason, JobStatus
from schedd.core.ads import devices_text, job_ad
from schedd.core.checkpoints import book_time, count_barren, is_checkpoint_exit, keep, take_back
from schedd.core.cluster import Cluster
from schedd.core.gpus import learned
from schedd.core.job import UNDER_WAY, Job, Move, Run
from schedd.core.judge import Fate, Verdict, judge, judge_checkpoint
from schedd.core.machine import Machine
from schedd.core.matching import file_job, hold, refile
from schedd.core.peaks import PeakKey, average_cpus, is_worth_keeping, peak_of
from schedd.core.pool import Pool, book_start, free_claim, heard, leave_queue, move, say
from schedd.core.program import program_of

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 600.0
"""How long a machine that cannot carry out runs is left alone: doubling from the first to the longest."""


def on_ended(pool: Pool, now: float, link: int, ended: Ended) -> None:
    """A run is over: free its claim, judge it, say what follows. A late or second report changes nothing."""
    machine = heard(pool, link, now)
    if machine is None:
        return
    pool.outcome.send(link, Acknowledge([ended.run]))
    found = pool.run(ended.run)
    if found is None:
        return
    cluster, job = found
    run = job.run or job.lapsed
    if run is None or run.machine != machine.name:
        return
    machine.checkpoints.pop(ended.run, None)
    if job.run is None:
        take_back(job, run)
    keep(pool, cluster, job, run, ended.end.checkpoint, ended.end.covered_seconds, ended.end.checkpoint_trouble, now)
    if job.run is None and ended.end.reason is not EndReason.EXITED:
        book_time(job, run, max(0.0, ended.end.wall_seconds), counts=False)
        job.lapsed = None          # the job waits already; this end tells nothing more
        pool.outcome.touch(job)
        return
    pool.outcome.contents.update(ended.blobs)
    checkpointed = is_checkpoint_exit(cluster, job, ended.end)
    _book_end(pool, cluster, job, run, ended.end, now, checkpointed)
    free_claim(pool, job, cluster.owner, now)
    job.lapsed = None
    if run.claim.gpus:
        _learn(pool, cluster, ended.end, now)
    _note_peak(pool, cluster, job, run, ended.end, now)
    if ended.end.reason is EndReason.EXITED:
        machine.note_run(ended.end.wall_seconds)
    _take_blame(pool, machine, job, ended.end, now)
    _settle(pool, cluster, job, ended.end, now, checkpointed)


def _book_end(pool: Pool, cluster: Cluster, job: Job, run: Run, end: RunEnd, now: float, checkpointed: bool) -> None:
    """Write down what the run used and left behind."""
    if end.started:
        book_start(pool, cluster, job, run, now - end.wall_seconds)
        job.last_gpus = devices_text(run.claim)
    job.last_machine = run.machine
    book_time(job, run, max(0.0, end.wall_seconds), counts=end.reason is EndReason.EXITED and not checkpointed)
    job.user_seconds += max(0.0, end.user_seconds)
    job.system_seconds += max(0.0, end.system_seconds)
    job.peak_cpus = max(job.peak_cpus, end.peak_cpus, average_cpus(end))
    job.memory_mib = max(job.memory_mib, end.peak_memory_mib)
    job.disk_kib = max(job.disk_kib, end.peak_disk_kib)
    if end.peak_gpu_memory_mib > job.gpu_memory_mib:
        job.gpu_memory_mib = end.peak_gpu_memory_mib
    job.start_seconds, job.start_cpu_seconds = end.start_seconds, end.start_cpu_seconds
    job.exit_code, job.exit_signal = end.exit_code, end.signal
    job.stdout, job.stderr, job.files = end.stdout, end.stderr, end.files
    job.warnings = end.warnings
    if checkpointed:
        count_barren(job, run, end)
    elif end.reason is EndReason.EXITED:
        job.completions += 1
    pool.outcome.touch(job)


def _note_peak(pool: Pool, cluster: Cluster, job: Job, run: Run, end: RunEnd, now: float) -> None:
    """Keep what the run used, by what it ran."""
    program = program_of(cluster, job.proc, run.claim)
    peak = peak_of(end, now, program.name)
    if peak is None or not is_worth_keeping(cluster, end):
        return
    name = program.content.sha256 if program.content is not None else program.command or ""
    domain = cluster.ad.evaluate("PescDomain")
    pool.outcome.peaks.append((PeakKey(name, domain if isinstance(domain, str) else "", cluster.owner), peak))


def _learn(pool: Pool, cluster: Cluster, end: RunEnd, now: float) -> None:
    """What a run used of a GPU is the share that the next ones of its cluster get, if they would share."""
    peak = learned(end.peak_gpu_memory_mib)
    if peak > cluster.state.gpu_peak_mib and "PescGpuSharing" in cluster.ad:
        cluster.state.gpu_peak_mib = peak
        pool.outcome.clusters.add(cluster.id)
        refile(pool, cluster, now)


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


def _settle(pool: Pool, cluster: Cluster, job: Job, end: RunEnd, now: float, checkpointed: bool) -> None:
    """Send the job, whose run is over and booked, where it belongs."""
    if job.status == JobStatus.REMOVED:
        leave_queue(pool, cluster, job, now)
        return
    if job.status not in UNDER_WAY and end.reason is not EndReason.EXITED:
        file_job(pool, cluster, job, now)      # held, or released again while its run was being stopped
        return
    if checkpointed:
        verdict = judge_checkpoint(job, end)
    elif end.reason is EndReason.EXITED and not cluster.judges_exits:
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
            # A machine that took nothing on, because its owner came meanwhile, has taken nothing away.
            job.evictions += end.started if end.reason is EndReason.EVICTED else end.reason is not EndReason.EXITED
            say(pool, cluster, job.proc, "evicted", now, job.last_machine, reason=verdict.reason,
                wall_seconds=round(end.wall_seconds, 3), user_seconds=round(end.user_seconds, 6),
                system_seconds=round(end.system_seconds, 6))
            if job.status in UNDER_WAY:
                move(pool, cluster, job, Move.RETURN, now)
            file_job(pool, cluster, job, now)
