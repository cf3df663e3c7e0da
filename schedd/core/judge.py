"""What the end of a run means for its job.

One table of reasons, with HTCondor's `on_exit_hold` and `on_exit_remove` for programs that
ended by themselves. `judge` is given the job's ad as it is after the run was booked, and
changes nothing.
"""

from enum import Enum, auto
from typing import NamedTuple

from contract.messages import RunEnd
from contract.vocabulary import EndReason, HoldCode
from dsl.classad import ERROR, UNDEFINED, Ad, is_true
from schedd.core.job import Job

MOST_FAULTS = 5
"""So many runs in a row failed by machines: hold the job, something is wrong with it after all."""


MOST_BARREN = 5
"""So many runs in a row that said "checkpointed, run me again" and came no further: hold the job."""


class Fate(Enum):
    """Where the job goes."""

    DONE = auto()
    AGAIN = auto()
    HOLD = auto()


class Verdict(NamedTuple):
    """`reason` and `code` say why it is held, or in words why it runs again."""

    fate: Fate
    reason: str = ""
    code: int = 0
    subcode: int = 0


def judge(job: Job, end: RunEnd, ad: Ad, now: float) -> Verdict:
    """What becomes of a job whose run is over and that nobody asked to stop."""
    match end.reason:
        case EndReason.EXITED:
            return _judge_exit(end, ad, now)
        case EndReason.MEMORY:
            return Verdict(Fate.HOLD, end.message or "Killed for using more memory than it asked for.", HoldCode.MEMORY)
        case EndReason.DISK:
            return Verdict(Fate.HOLD, end.message or "Killed for using more disk than it asked for.", HoldCode.DISK)
        case EndReason.GPU_MEMORY:
            message = end.message or "Killed for using more memory of a shared GPU than its share."
            # Who said nothing was given a share by what others used: not the job's fault, the next one is larger.
            said = "GPUsMinMemory" in ad
            return Verdict(Fate.HOLD, message, HoldCode.GPU_MEMORY) if said else Verdict(Fate.AGAIN, message)
        case EndReason.REFUSED:
            return Verdict(Fate.HOLD, end.message or "It could not be started.", HoldCode.FAILED_TO_START)
        case EndReason.MACHINE_FAULT | EndReason.LOST:
            if job.faults >= MOST_FAULTS:
                why = f"{job.faults} runs in a row failed without a result; the last one: {end.message or end.reason}"
                return Verdict(Fate.HOLD, why, HoldCode.TOO_MANY_FAULTS)
            return Verdict(Fate.AGAIN, end.message or str(end.reason))
        case EndReason.EVICTED | EndReason.STOPPED:
            return Verdict(Fate.AGAIN, end.message or str(end.reason))


def judge_checkpoint(job: Job, end: RunEnd) -> Verdict:
    """What becomes of a job whose program checkpointed and wants to run again."""
    if job.barren < MOST_BARREN:
        return Verdict(Fate.AGAIN, f"It checkpointed (exit code {end.exit_code}) and runs again.")
    trouble = f" The last one could not be taken: {job.checkpoint_trouble}" if job.checkpoint_trouble else ""
    return Verdict(Fate.HOLD, f"{job.barren} runs in a row ended with exit code {end.exit_code} (checkpointed, run me "
                   f"again) after a short time, with nothing new in their checkpoint.{trouble}", HoldCode.NO_PROGRESS)


def _judge_exit(end: RunEnd, ad: Ad, now: float) -> Verdict:
    hold = ad.evaluate("OnExitHold", now=now)
    if hold is ERROR:
        return Verdict(Fate.HOLD, "on_exit_hold could not be evaluated: it is an error.", HoldCode.POLICY)
    if is_true(hold):
        reason, subcode = ad.evaluate("OnExitHoldReason", now=now), ad.evaluate("OnExitHoldSubCode", now=now)
        why = reason if isinstance(reason, str) else f"The job ended {_how(end)} and its on_exit_hold is true."
        return Verdict(Fate.HOLD, why, HoldCode.POLICY, subcode if isinstance(subcode, int) else 0)
    remove = ad.evaluate("OnExitRemove", now=now)
    if remove is UNDEFINED or is_true(remove):
        return Verdict(Fate.DONE)
    if remove is ERROR:
        return Verdict(Fate.HOLD, "on_exit_remove could not be evaluated: it is an error.", HoldCode.POLICY)
    return Verdict(Fate.AGAIN, f"It ended {_how(end)}; its retry policy lets it run again.")


def _how(end: RunEnd) -> str:
    return f"by signal {end.signal}" if end.signal is not None else f"with exit code {end.exit_code}"
