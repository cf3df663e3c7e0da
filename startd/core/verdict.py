"""Why a run is over, from what we wanted of it and what was seen of its process."""

from signal import SIGKILL, SIGXFSZ

from contract.vocabulary import EndReason
from startd.core import words
from startd.core.events import Over
from startd.core.jobrun import JobRun

MOST_OF_LIMIT = 0.9
"""The kernel keeps a group of processes to its limit: what was seen of one that it killed lies a little below."""


def verdict(run: JobRun, over: Over) -> tuple[EndReason, str]:
    """Why the run is over, in the order of what counts most.

    1. what we ended it for
    2. the kernel killed it for memory
    3. it wrote a file larger than its disk
    4. nobody saw, or it was killed and a restart may have forgotten that it was us, and why
    5. it ended by itself
    """
    program = run.grant.program
    limit = program.memory_limit_mib
    if run.ending is EndReason.MEMORY and limit is not None and over.peak_memory_mib > limit:
        # It grew on between the look and the kill: what it had then is the better advice.
        return EndReason.MEMORY, words.memory_killed(limit, over.peak_memory_mib)
    if run.ending is not None:
        return run.ending, run.message
    if over.out_of_memory and limit is not None and over.peak_memory_mib > MOST_OF_LIMIT * limit:
        return EndReason.MEMORY, words.memory_killed(limit, over.peak_memory_mib)
    if over.out_of_memory:
        return EndReason.MEMORY, words.starved(program.memory_limit_mib, over.peak_memory_mib)
    if over.signal == SIGXFSZ and program.disk_limit_kib is not None:
        return EndReason.DISK, words.file_too_large(program.disk_limit_kib)
    if over.exit_code is None and over.signal is None:
        return EndReason.LOST, "The process is gone and nobody saw how it ended."
    ours = (SIGKILL, program.kill_signal, program.hold_signal, program.remove_signal)
    if run.found and over.signal is not None and over.signal in ours:
        return EndReason.LOST, f"It was killed by signal {over.signal} around a restart of the startd."
    return EndReason.EXITED, ""
