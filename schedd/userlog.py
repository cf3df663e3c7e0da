"""Write what happens to jobs where their submit file asked for it (`log = …`).

The text is HTCondor's user log, block by block, so its readers work; `/v1/events` says the
same in JSON. docs/reference/events.md lists the kinds of event and their details.
A block is one or more lines and then `...`: nothing that a person wrote may forge either,
so all text is flattened to one line first.

Events of a whole cluster (`proc` -1) become HTCondor's events of a job factory.
"""

import contextlib
import functools
import os
import stat
import time
from collections.abc import Sequence
from typing import Any

from contract.requests import Event

TERMINATOR = "...\n"

MAX_TEXT_CHARACTERS = 2000
"""HTCondor's older readers take lines of at most 8191 bytes; a character may need four."""

LOOK_BACK_BYTES = 1 << 20
"""How far back a block is sought that may have been written before a crash."""

WHOLE_CLUSTER = -1


def render(event: Event, host: str) -> str:
    """Return the block of `event` in the log of a schedd on `host`."""
    number, body = _cluster_body(event, host) if event.proc == WHOLE_CLUSTER else _job_body(event, host)
    return f"{number:03d} ({event.cluster:03d}.{event.proc:03d}.000) {_local_time(int(event.at))} {body}{TERMINATOR}"


def append(path: str, blocks: Sequence[str]) -> None:
    """Add `blocks` to the log at `path`, all of them or, when the disk is full, none."""
    file = _open(path)
    try:
        _write(file, blocks)
    finally:
        os.close(file)


def append_missing(path: str, blocks: Sequence[str]) -> None:
    """Add those of `blocks` that a crash may have kept from the log at `path`.

    A block that a power loss left unfinished is cut off and written anew.
    """
    file = _open(path)
    try:
        size = os.fstat(file).st_size
        tail = os.pread(file, LOOK_BACK_BYTES, max(0, size - LOOK_BACK_BYTES))
        missing = _missing(tail, blocks)
        if torn := _torn(tail, missing):
            os.ftruncate(file, size - torn)
        _write(file, missing)
    finally:
        os.close(file)


def _cluster_body(event: Event, host: str) -> tuple[int, str]:
    detail = event.detail
    match event.kind:
        case "submitted":
            return 35, f"Cluster submitted from host: <{_flat(detail.get('host') or host)}>\n"
        case "removed":
            return 36, f"Cluster removed\n\tMaterialized 0 jobs from 0 items.\n{_line(detail.get('reason'))}"
        case "held":
            code = _whole(detail.get("code"))
            return 37, (f"Job Materialization Paused\n\t{_flat(detail.get('reason')) or 'Reason unspecified'}\n"
                        f"\tPauseCode 1\n\tHoldCode {code}\n")
        case "released":
            return 38, f"Job Materialization Resumed\n{_line(detail.get('reason'))}"
    return _job_body(event, host)


def _job_body(event: Event, host: str) -> tuple[int, str]:
    detail = event.detail
    machine = _flat(event.machine)
    match event.kind:
        case "submitted":
            return 0, f"Job submitted from host: <{_flat(detail.get('host') or host)}>\n"
        case "executing":
            where = _flat(detail.get("host") or event.machine)
            return 1, f"Job executing on host: <{where}>\n\tSlotName: {_flat(detail.get('slot') or event.machine)}\n"
        case "usage":
            # One figure for all three: what is resident is what we measure.
            memory_mib = _whole(detail.get("memory_mib"))
            return 6, (f"Image size of job updated: {memory_mib * 1024}\n"
                       f"\t{memory_mib}  -  MemoryUsage of job (MB)\n"
                       f"\t{memory_mib * 1024}  -  ResidentSetSize of job (KB)\n")
        case "checkpointed":
            return 3, (f"Job was checkpointed.\n{_cpu_times('Run', detail)}"
                       f"\t{_whole(detail.get('bytes'))}  -  Run Bytes Sent By Job For Checkpoint\n")
        case "evicted":
            return 4, (f"Job was evicted.\n\t(0) CPU times\n{_cpu_times('Run', detail)}{_bytes_moved('Run', 0)}"
                       f"{_line(detail.get('reason'))}")
        case "terminated":
            return 5, f"Job terminated.\n{_terminated(detail)}"
        case "removed":
            return 9, f"Job was aborted.\n{_line(detail.get('reason'))}"
        case "held":
            return 12, (f"Job was held.\n\t{_flat(detail.get('reason')) or 'Reason unspecified'}\n"
                        f"\tCode {_whole(detail.get('code'))} Subcode {_whole(detail.get('subcode'))}\n")
        case "released":
            return 13, f"Job was released.\n{_line(detail.get('reason'))}"
        case "suspended":
            # A run is frozen as a whole; how many processes that were is nobody's business.
            return 10, f"Job was suspended.\n\tNumber of processes actually suspended: 1\n{_line(detail.get('reason'))}"
        case "unsuspended":
            return 11, "Job was unsuspended.\n"
        case "disconnected":
            return 22, (f"Job disconnected, attempting to reconnect\n"
                        f"    {_flat(detail.get('reason')) or 'The machine has not been heard of'}\n"
                        f"    Trying to reconnect to {machine} <{machine}>\n")
        case "reconnected":
            return 23, (f"Job reconnected to {machine}\n"
                        f"    startd address: <{machine}>\n    starter address: <{machine}>\n")
        case "exec":
            return 8, f"{_flat(detail.get('user'))} looks inside on {machine}: {_flat(detail.get('command'))}\n"
        case "priority":
            return 33, f"Changing job attribute JobPrio from UNDEFINED to {_whole(detail.get('priority'))}\n"
    raise ValueError(f"no event of kind {event.kind!r} is known to the user log")


def _terminated(detail: dict[str, Any]) -> str:
    if detail.get("signal") is None:
        end = f"\t(1) Normal termination (return value {_whole(detail.get('exit_code'))})\n"
    else:
        end = f"\t(0) Abnormal termination (signal {_whole(detail['signal'])})\n\t(0) No core file\n"
    sent = _whole(detail.get("sent_bytes"))
    return (f"{end}{_cpu_times('Run', detail)}{_cpu_times('Total', detail)}"
            f"{_bytes_moved('Run', sent)}{_bytes_moved('Total', sent)}{_resources(detail)}")


def _cpu_times(span: str, detail: dict[str, Any]) -> str:
    user, system = _duration(detail.get("user_seconds")), _duration(detail.get("system_seconds"))
    return (f"\t\tUsr {user}, Sys {system}  -  {span} Remote Usage\n"
            f"\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  {span} Local Usage\n")


def _bytes_moved(span: str, sent: int) -> str:
    return f"\t{sent}  -  {span} Bytes Sent By Job\n\t0  -  {span} Bytes Received By Job\n"


def _resources(detail: dict[str, Any]) -> str:
    # Readers find a figure by the column of its heading.
    wall = float(detail.get("wall_seconds") or 0)
    cpu = float(detail.get("user_seconds") or 0) + float(detail.get("system_seconds") or 0)
    cpus = cpu / wall if wall > 0 else 0.0
    return (f"\tPartitionable Resources :    Usage\n"
            f"\t   Cpus                 : {cpus:8.2f}\n"
            f"\t   Memory (MB)          : {_whole(detail.get('memory_mib')):8d}\n")


def _line(reason: Any) -> str:
    text = _flat(reason)
    return f"\t{text}\n" if text else ""


def _flat(text: Any) -> str:
    """One line of printable characters, whatever came in."""
    if text is None:
        return ""
    line = " ".join(str(text).split())
    if not line.isprintable():
        line = "".join(character if character.isprintable() else "\ufffd" for character in line)
    return line[:MAX_TEXT_CHARACTERS]


def _whole(number: Any) -> int:
    return round(number or 0)


def _duration(seconds: Any) -> str:
    minutes, second = divmod(_whole(seconds), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{day} {hour:02d}:{minute:02d}:{second:02d}"


@functools.lru_cache(maxsize=64)
def _local_time(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _open(path: str) -> int:
    """Open the log at `path`, made if need be; never through a link, never waiting for a reader of a pipe."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, 0o644)
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode) and not os.path.samestat(os.fstat(file), os.stat(os.devnull)):
        os.close(file)
        raise OSError(f"{path} is not a file that a log can be written to")
    return file


def _write(file: int, blocks: Sequence[str]) -> None:
    if not blocks:
        return
    wanted = "".join(blocks).encode()
    before = os.fstat(file).st_size
    written = os.write(file, wanted)
    try:
        while written < len(wanted):
            written += os.write(file, wanted[written:])
    except OSError:
        # Half a block would stop every reader at this place for good.
        with contextlib.suppress(OSError):
            os.ftruncate(file, before)
        raise


def _missing(tail: bytes, blocks: Sequence[str]) -> list[str]:
    """Those of `blocks` that `tail` lacks; equal blocks count one by one."""
    there: dict[str, int] = {}
    missing = []
    for block in blocks:
        left = there.get(block)
        if left is None:
            left = tail.count(block.encode())
        if left == 0:
            missing.append(block)
        there[block] = max(0, left - 1)
    return missing


def _torn(tail: bytes, missing: Sequence[str]) -> int:
    """How many bytes at the end of `tail` begin one of the `missing` blocks and go no further."""
    complete = tail.rfind(f"\n{TERMINATOR}".encode())
    unfinished = tail if complete < 0 else tail[complete + 1 + len(TERMINATOR):]
    torn = unfinished and any(block.encode().startswith(unfinished) for block in missing)
    return len(unfinished) if torn else 0
