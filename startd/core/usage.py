"""What was seen of living runs: what they use, the most they used, and how far they say they are.

A run that passes a limit is stopped. What it uses is told now and then, where it changed noticeably.
"""

from contract.messages import Reached, Used
from contract.vocabulary import EndReason, Phase
from startd.core import words
from startd.core.events import Action, GpuUsage, Said, Usage
from startd.core.jobrun import JobRun
from startd.core.state import State, say
from startd.core.stops import stop

USED_SECONDS = 3.0
PEAK_CPU_SECONDS = 1.0
LIVING = (Phase.RUNNING, Phase.SUSPENDED, Phase.STOPPING)


def on_usage(state: State, usage: Usage, now: float) -> list[Action]:
    run = state.runs.get(usage.run)
    if run is None or run.phase not in LIVING:
        return []
    _note_cpus(run, usage.cpu_seconds, now)
    program = run.grant.program
    if run.ending is None and usage.over_memory:
        message = words.memory_killed(program.memory_limit_mib, usage.memory_mib)
        return stop(state, run, EndReason.MEMORY, message, now)
    if run.ending is None and usage.over_disk:
        message = words.disk_killed(program.disk_limit_kib, usage.disk_kib)
        return stop(state, run, EndReason.DISK, message, now)
    if (run.used_at is None or now - run.used_at >= USED_SECONDS) and _is_noticeable(run, usage):
        run.used_at, run.used_mib = now, usage.memory_mib
        run.used_cpu, run.used_kib = usage.cpu_seconds, usage.disk_kib
        run.used_gpu_mib = run.gpu_peak_mib
        say(state, Used(run.run, round(usage.memory_mib, 1), round(usage.cpu_seconds, 2), usage.disk_kib,
                        round(run.gpu_peak_mib, 1)))
    return []


def _note_cpus(run: JobRun, cpu_seconds: float, now: float) -> None:
    """Remember the most processors it used from one look to another, a second later."""
    if run.cpu_seen is None:
        run.cpu_seen = now, cpu_seconds
    elif (passed := now - run.cpu_seen[0]) >= PEAK_CPU_SECONDS:
        run.peak_cpus = max(run.peak_cpus, (cpu_seconds - run.cpu_seen[1]) / passed)
        run.cpu_seen = now, cpu_seconds


def _is_noticeable(run: JobRun, usage: Usage) -> bool:
    """Whether it differs from what was told last by more than anybody would overlook."""
    return (
        abs(usage.memory_mib - run.used_mib) > max(1.0, 0.05 * run.used_mib)
        or usage.cpu_seconds - run.used_cpu > 1.0
        or abs(usage.disk_kib - run.used_kib) > max(1024, run.used_kib // 10)
        or run.gpu_peak_mib > 1.05 * run.used_gpu_mib
    )


def on_gpu_usage(state: State, usage: GpuUsage, now: float) -> list[Action]:
    run = state.runs.get(usage.run)
    if run is None or run.phase not in LIVING:
        return []
    run.gpu_peak_mib = max([run.gpu_peak_mib, *usage.memory_mib.values()])
    for part in run.grant.claim.gpus:
        used = usage.memory_mib.get(part.device, 0.0)
        if part.shared and used > part.memory_mib and run.ending is None:
            message = words.gpu_memory_killed(part.device, part.memory_mib, used, "GPUsMinMemory" in run.grant.ad)
            return stop(state, run, EndReason.GPU_MEMORY, message, now)
    return []


def on_said(state: State, said: Said) -> None:
    """The job says how far it is."""
    run = state.runs.get(said.run)
    if run is not None and run.alive and run.reached != (said.percent, said.message):
        run.reached = said.percent, said.message
        say(state, Reached(said.run, said.percent, said.message))
