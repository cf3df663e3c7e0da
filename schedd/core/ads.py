"""Jobs as ClassAds: the template, what varies, and what the schedd knows of them.

Three layers, the nearer hides the farther: dynamic attributes (state, counts, times) over
varying ones (macros that differ from job to job) over the cluster's template.
"""

from typing import Any

from contract.messages import Amounts
from contract.vocabulary import JobStatus
from dsl.classad import Ad, literal
from dsl.submit import SubmitErrors
from schedd.core.cluster import OURS, Cluster
from schedd.core.job import Job


def dynamic(cluster: Cluster, proc: int, job: Job | None) -> dict[str, Any]:
    """What the schedd knows of job `proc` beyond its submit file; without a row, of the rest."""
    state = cluster.state
    fields: dict[str, Any] = {
        "ClusterId": cluster.id,
        "ProcId": proc,
        "PescRank": proc,
        "GlobalJobId": f"{cluster.record.host}#{cluster.id}.{proc}#{int(cluster.record.submitted_at)}",
    }
    if state.gpu_peak_mib:
        fields["PescGpuPeak"] = state.gpu_peak_mib
    if job is None:
        fields |= {
            "JobStatus": int(state.rest_status),
            "EnteredCurrentStatus": int(state.rest_entered_at),
            "JobPrio": state.priority,
            "NumJobStarts": 0,
            "NumJobCompletions": 0,
        }
        if state.rest_status == JobStatus.HELD:
            fields |= {"HoldReason": state.rest_reason, "HoldReasonCode": state.rest_code}
        return fields
    fields |= {
        "JobStatus": int(job.status),
        "EnteredCurrentStatus": int(job.entered_at),
        "JobPrio": job.priority,
        "NumJobStarts": job.starts,
        "NumJobCompletions": job.completions,
        "NumRestarts": job.evictions,
        "PescAttempt": job.attempt,
    }
    if job.run is not None:
        fields["RemoteHost"] = job.run.machine
        fields["PescPhase"] = str(job.run.phase)
        if job.run.claim.gpus:
            fields["AssignedGPUs"] = devices_text(job.run.claim)
        if job.run.stopping:
            fields["PescStopping"] = job.run.stopping
        if job.run.suspended_at is not None:
            fields["PescSuspended"] = job.run.suspended_because
    elif job.last_gpus and job.ended_at is not None:
        fields["AssignedGPUs"] = job.last_gpus
    if (progress := cluster.progress.get(proc)) is not None:
        fields["PescProgress"] = round(progress.percent, 2)
        if progress.message:
            fields["PescProgressMessage"] = progress.message
        if progress.left_seconds is not None:
            fields["PescExpectedEnd"] = int(progress.at + progress.left_seconds)
    if job.last_machine:
        fields["LastRemoteHost"] = job.last_machine
    if job.status == JobStatus.HELD:
        fields |= {"HoldReason": job.hold_reason, "HoldReasonCode": job.hold_code,
                   "HoldReasonSubCode": job.hold_subcode}
    if job.release_reason:
        fields["ReleaseReason"] = job.release_reason
    if job.status == JobStatus.REMOVED:
        fields["RemoveReason"] = job.remove_reason
    if job.first_start_at is not None and job.last_start_at is not None:
        fields["JobStartDate"] = int(job.first_start_at)
        fields["JobCurrentStartDate"] = int(job.last_start_at)
    if job.starts:
        fields |= {
            "RemoteWallClockTime": round(job.wall_seconds, 3),
            "RemoteUserCpu": round(job.user_seconds, 6),
            "RemoteSysCpu": round(job.system_seconds, 6),
            "CpusUsage": _average_cpus(job),
            "PescPeakCpus": job.peak_cpus,
            "MemoryUsage": round(job.memory_mib, 1),
            "DiskUsage": job.disk_kib,
        }
        fields |= {
            "CommittedTime": round(job.committed_seconds, 3),
            "PescLostTime": round(max(0.0, job.wall_seconds - job.committed_seconds), 3),
        }
    if job.start_seconds:
        fields |= {"PescStartTime": round(job.start_seconds, 4), "PescStartCpu": round(job.start_cpu_seconds, 4)}
    if job.checkpoint is not None:
        fields |= {
            "NumCkpts": job.checkpoints,
            "LastCkptTime": int(job.checkpoint.taken_at),
            "CheckpointSize": -(-job.checkpoint.size // 1024),
        }
    if job.checkpoint_trouble:
        fields["PescCheckpointTrouble"] = job.checkpoint_trouble
    if job.last_suspended_at is not None:
        fields |= {
            "TotalSuspensions": job.suspensions,
            "CumulativeSuspensionTime": round(job.suspended_seconds, 3),
            "LastSuspensionTime": int(job.last_suspended_at),
        }
    if job.gpu_memory_mib:
        fields["GPUsMemoryUsage"] = round(job.gpu_memory_mib, 1)
    if job.exit_code is not None:
        fields |= {"ExitBySignal": False, "ExitCode": job.exit_code}
    if job.exit_signal is not None:
        fields |= {"ExitBySignal": True, "ExitSignal": job.exit_signal}
    if job.ended_at is not None:
        fields["CompletionDate" if job.status == JobStatus.COMPLETED else "EndDate"] = int(job.ended_at)
    if job.warnings:
        fields["PescWarnings"] = job.warnings
    return fields


def _average_cpus(job: Job) -> float:
    """Of the time that its runs did not stand still."""
    seconds = job.wall_seconds - job.suspended_seconds
    return round((job.user_seconds + job.system_seconds) / seconds, 3) if seconds > 0 else 0.0


def template_ad(cluster: Cluster) -> Ad:
    """The cluster's own ad, with what the schedd adds for every job of it."""
    if "QDate" not in cluster.ad:
        cluster.ad["Owner"] = literal(cluster.owner)
        cluster.ad["User"] = literal(cluster.owner)
        cluster.ad["QDate"] = literal(int(cluster.record.submitted_at))
        cluster.ad["TotalSubmitProcs"] = literal(cluster.count)
        cluster.ad["MyType"] = literal("Job")
    return cluster.ad


def job_ad(cluster: Cluster, proc: int, job: Job | None) -> Ad:
    """The whole ad of a job, for expressions."""
    ad = Ad(parent=template_ad(cluster))
    for name, text in _varying(cluster, proc).items():
        ad[name] = text
    for name, value in dynamic(cluster, proc, job).items():
        ad[name] = literal(value)
    return ad


def _varying(cluster: Cluster, proc: int) -> dict[str, str]:
    return {name: text for name, text in cluster.varying(proc).items() if name.lower() not in OURS}


def shown_ad(cluster: Cluster, proc: int, job: Job | None) -> Ad:
    """The ad of a job for whoever only looks: what is known of it, though its submit file may be wrong for it."""
    try:
        return job_ad(cluster, proc, job)
    except SubmitErrors:
        ad = Ad(parent=template_ad(cluster))
        for name, value in dynamic(cluster, proc, job).items():
            ad[name] = literal(value)
        return ad


def job_json(cluster: Cluster, proc: int, job: Job | None) -> dict[str, Any]:
    """The ad of a job, as `shown_ad`, in JSON; the template's part is made once."""
    if cluster.json is None:
        cluster.json = template_ad(cluster).to_json()
    try:
        varying = _varying(cluster, proc)
    except SubmitErrors:
        varying = {}
    return {
        **cluster.json,
        **(Ad.from_texts(varying).to_json() if varying else {}),
        **dynamic(cluster, proc, job),
    }


def job_texts(cluster: Cluster, proc: int, job: Job) -> dict[str, str]:
    """The ad as it travels with a grant: what its machine's START and its program may read."""
    template = template_ad(cluster)
    return {
        **cluster.texts,
        "Owner": template.text("Owner"),
        "QDate": template.text("QDate"),
        **_varying(cluster, proc),
        "ClusterId": str(cluster.id),
        "ProcId": str(proc),
        "PescRank": str(proc),
        "NumJobStarts": str(job.starts),
        "PescAttempt": str(job.attempt),
    }


def devices_text(claim: Amounts) -> str:
    """The devices of a claim, as HTCondor lists them."""
    return ", ".join(part.device for part in claim.gpus)
