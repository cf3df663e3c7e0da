"""Jobs as lines: what `pesc_q` and `pesc_history` print of an ad. Pure: the clock's time comes in."""

import time
from typing import Any

from cli.adtext import get, plain, shown
from contract.requests import Ad
from contract.vocabulary import JobStatus

LETTER = {
    JobStatus.IDLE: "I",
    JobStatus.RUNNING: "R",
    JobStatus.REMOVED: "X",
    JobStatus.COMPLETED: "C",
    JobStatus.HELD: "H",
    JobStatus.TRANSFERRING_OUTPUT: ">",
    JobStatus.SUSPENDED: "S",
}
UNDER_WAY = (JobStatus.RUNNING, JobStatus.TRANSFERRING_OUTPUT, JobStatus.SUSPENDED)

JOB_ATTRIBUTES = ("ClusterId ProcId Owner QDate RemoteWallClockTime JobCurrentStartDate JobStatus JobPrio "
                  "Cmd PescProcess Arguments Args HoldReason EnteredCurrentStatus RemoteHost LastRemoteHost "
                  "CompletionDate EndDate RemoveReason ExitCode ExitSignal "
                  "PescProgress PescProgressMessage PescExpectedEnd").split()
"""All that the lines are made of: no more is asked for."""


def job_id(ad: Ad) -> str:
    return f"{get(ad, 'ClusterId', '?')}.{get(ad, 'ProcId', '?')}"


def owner(ad: Ad) -> str:
    return plain(shown(get(ad, "Owner", "?")), 14)


def moment(seconds: Any) -> str:
    """`11/21 09:30` in the reader's own time, `-` when it is not known."""
    if not isinstance(seconds, int | float):
        return "-"
    return time.strftime("%m/%d %H:%M", time.localtime(seconds))


def duration(seconds: float) -> str:
    """`0+00:12:31`, as HTCondor writes it: days, hours, minutes, seconds."""
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}+{hour:02}:{minute:02}:{second:02}"


def run_time(ad: Ad, now: float) -> str:
    """How long the job has run in all, the run under way included."""
    seconds = _number(get(ad, "RemoteWallClockTime"))
    if get(ad, "JobStatus") in UNDER_WAY:
        started = _number(get(ad, "JobCurrentStartDate"))
        seconds += max(0.0, now - started) if started else 0.0
    return duration(seconds)


def letter(ad: Ad) -> str:
    return LETTER.get(get(ad, "JobStatus"), "?")


def priority(ad: Ad) -> str:
    return shown(get(ad, "JobPrio", 0))


def command_line(ad: Ad, width: int = 60) -> str:
    """The program by its own name, and what it is told."""
    program = shown(get(ad, "PescProcess") or get(ad, "Cmd") or "?").rstrip("/").rpartition("/")[2]
    arguments = get(ad, "Arguments") or get(ad, "Args") or ""
    return plain(f"{program} {shown(arguments)}".rstrip(), width)


def host(ad: Ad) -> str:
    return plain(shown(get(ad, "RemoteHost") or get(ad, "LastRemoteHost") or "-"))


def progress(ad: Ad, now: float) -> str:
    """`40%, 0+00:02:00 left: fitting`; "" where the job does not say."""
    percent = get(ad, "PescProgress")
    if not isinstance(percent, int | float):
        return ""
    end, message = get(ad, "PescExpectedEnd"), get(ad, "PescProgressMessage")
    left = f", {duration(end - now)} left" if isinstance(end, int | float) else ""
    return f"{percent:.0f}%{left}" + (f": {plain(message, 40)}" if isinstance(message, str) and message else "")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
