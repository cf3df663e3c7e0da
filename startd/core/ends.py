"""How runs end: the process is gone, what it left is collected, the end is kept until acknowledged.

    INV-S3 is kept here: `on_acknowledged` alone discards a run, and `saying` repeats until then.
"""

from contract.messages import RunEnd
from contract.vocabulary import Phase, RunId
from startd.core.checkpoints import covered_seconds, doubt_seconds, goes_on, note
from startd.core.events import Action, Collect, Collected, Discard, Forgotten, Over, Record
from startd.core.jobrun import Turn, step
from startd.core.state import State, bury, end
from startd.core.verdict import verdict


def on_over(state: State, over: Over, now: float) -> list[Action]:
    run = state.runs.get(over.run)
    if run is None:
        return [Discard(over.run)]
    if not step(run, Turn.OVER):
        return []
    will_go_on, doubt = goes_on(run, over), doubt_seconds(run, over, now)
    run.over, run.alive, run.kill_at, run.over_at = over, False, None, now
    state.stopping.discard(over.run)
    state.checkpointing.discard(over.run)
    state.changed[over.run] = None
    return [Collect(run.grant, will_go_on, doubt if will_go_on else None)]


def on_collected(state: State, left: Collected, now: float) -> list[Action]:
    run = state.runs.get(left.run)
    if run is None or run.phase is not Phase.RETURNING or run.over is None:
        return []
    over = run.over
    reason, message = verdict(run, over)
    run.blobs = left.blobs
    if left.taken is not None:
        note(state, run, left.taken, now)
    return end(state, run, Turn.COLLECTED, RunEnd(
        reason, over.exit_code, over.signal, message, True,
        round(over.wall_seconds, 4), round(over.user_seconds, 4), round(over.system_seconds, 4),
        round(over.peak_memory_mib, 1), max(over.peak_disk_kib, left.disk_kib),
        left.stdout, left.stderr, left.files, left.warnings, round(run.gpu_peak_mib, 1),
        round(over.start_seconds, 4), round(over.start_cpu_seconds, 4),
        run.checkpoint, round(covered_seconds(run, over), 4), run.trouble, round(run.peak_cpus, 2)))


def on_acknowledged(state: State, runs: list[RunId]) -> list[Action]:
    ended = [run for run in runs if run in state.runs and state.runs[run].phase is Phase.ENDED]
    if not ended:
        return []
    bury(state, ended)
    return [Record(Forgotten(ended)), *map(Discard, ended)]
