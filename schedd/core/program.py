"""From a job's ad to what its machine starts."""

import posixpath
import signal
from typing import Any

import msgspec

from contract.messages import Amounts, Content, NamedContent, Program
from dsl.classad import Ad, references
from dsl.submit import Mistake, SubmitErrors
from dsl.submit.limits import MOST_PIDS
from dsl.submit.quoting import BadQuoting, read_environment, split
from schedd.core.ads import job_ad
from schedd.core.checkpoints import exit_code_of
from schedd.core.cluster import DYNAMIC, Cluster

READ = frozenset(
    "cmd args arguments environment iwd in transferinput transferoutput pescprocess pescmain pescparameters "
    "pescsharedfiles pescmemorylimit pescdisklimit successcheckpointexitcode pesccheckpointevery killsig "
    "holdkillsig removekillsig "
    "containerimage dockerimage wantjobnetworking pescpidslimit "
    "jobmaxvacatetime killsigtimeout transfercheckpoint whentotransferoutput".split()
)
"""Attributes, in lower case, that a program is made from."""

EVICT = "ON_EXIT_OR_EVICT"

DEFAULT_GRACE_SECONDS = 10.0
LONGEST_GRACE_SECONDS = 600.0
"""However long a job would like to take to leave, its machine gives it no more: HTCondor's default."""

NO_FILE = frozenset({"", "/dev/null"})


def program_of(cluster: Cluster, proc: int, claim: Amounts) -> Program:
    """What job `proc` starts; made once per cluster where only rank, row and limits differ."""
    program = cluster.program
    if program is None:
        varying = {name.lower() for name in cluster.varying(proc)}
        ad = job_ad(cluster, proc, None)
        program = _make(cluster, ad, proc)
        if _is_for_all(ad, varying):
            cluster.program = program
    row, repetition = cluster.row(proc)
    return msgspec.structs.replace(
        program, rank=proc, row=row, repetition=repetition,
        memory_limit_mib=(program.memory_limit_mib and claim.memory_mib) or None,
        disk_limit_kib=(program.disk_limit_kib and claim.disk_kib) or None,
    )


def _is_for_all(ad: Ad, varying: set[str]) -> bool:
    """Whether what the program is made from is the same for every job."""
    if not varying.isdisjoint(READ):
        return False
    own = varying | DYNAMIC
    return all(own.isdisjoint(name.lower() for name in references(ad[name], ad)[0]) for name in READ if name in ad)


def _make(cluster: Cluster, ad: Ad, rank: int) -> Program:
    """The program of one job; its limits are only whether there are any."""
    try:
        arguments = split(_text(ad, "Arguments")) if "Arguments" in ad else _text(ad, "Args").split()
        environment = read_environment(_text(ad, "Environment"))
    except BadQuoting as bad:
        raise SubmitErrors([Mistake(f"job {cluster.id}.{rank}", 0, 0, bad.what, "", bad.cure)]) from None
    files = cluster.record.submission.files
    iwd = _text(ad, "Iwd") or "/"
    process, command = _text(ad, "PescProcess"), _text(ad, "Cmd")
    path = _absolute(iwd, process or command)
    content = files.get(path)
    return Program(
        arguments=[] if process else arguments,
        environment=environment,
        command=None if content else command,
        content=content,
        name=posixpath.basename(path) or "job",
        main=_text(ad, "PescMain") or None,
        contract=bool(process),
        parameters=_texts(ad, "PescParameters"),
        rank=rank,
        world_size=cluster.count,
        stdin=files.get(_absolute(iwd, _text(ad, "In"))) if _text(ad, "In") not in NO_FILE else None,
        inputs=_named(files, iwd, _listed(_text(ad, "TransferInput"))),
        shared=_named(files, iwd, _texts(ad, "PescSharedFiles")),
        output_files=_listed(_text(ad, "TransferOutput")) if "TransferOutput" in ad else None,
        image=_image(ad),
        network=ad.evaluate("WantJobNetworking") is True,
        memory_limit_mib=1 if ad.evaluate("PescMemoryLimit") is True else None,
        disk_limit_kib=1 if ad.evaluate("PescDiskLimit") is True else None,
        pids_limit=_pids(ad),
        kill_signal=_signal(_text(ad, "KillSig")) or int(signal.SIGTERM),
        hold_signal=_signal(_text(ad, "HoldKillSig")),
        remove_signal=_signal(_text(ad, "RemoveKillSig")),
        grace_seconds=_grace(ad),
        checkpoint_every=_seconds(ad, "PescCheckpointEvery") or 0.0,
        checkpoint_exit_code=exit_code_of(ad),
        checkpoint_files=None if process else _checkpoint_files(ad),
        checkpoint_on_evict=bool(process) or _text(ad, "WhenToTransferOutput").upper() == EVICT,
    )


def _checkpoint_files(ad: Ad) -> list[str] | None:
    """As HTCondor: what it names as its checkpoint, else what it names as its output, else what is new."""
    if exit_code_of(ad) is None and _text(ad, "WhenToTransferOutput").upper() != EVICT:
        return None
    return _listed(_text(ad, "TransferCheckpoint") or _text(ad, "TransferOutput"))


def _image(ad: Ad) -> str | None:
    """The image that is asked for in HTCondor's way; a domain's comes by itself."""
    return (_text(ad, "DockerImage") or _text(ad, "ContainerImage")).removeprefix("docker://") or None


def _named(files: dict[str, Content], iwd: str, paths: list[str]) -> list[NamedContent]:
    return [
        NamedContent(posixpath.basename(path.rstrip("/")), files[whole])
        for path in paths
        if (whole := _absolute(iwd, path)) in files
    ]


def _pids(ad: Ad) -> int | None:
    value = ad.evaluate("PescPidsLimit")
    return min(value, MOST_PIDS) if type(value) is int and value > 0 else None


def _signal(name: str) -> int | None:
    number = getattr(signal, name, None) if name.startswith("SIG") and name[3:].isalnum() else None
    return None if number is None else int(number)


def _grace(ad: Ad) -> float:
    """How long it may take to leave once it was told to."""
    wishes = [_seconds(ad, name) for name in ("JobMaxVacateTime", "KillSigTimeout")]
    wish = next((seconds for seconds in wishes if seconds is not None), DEFAULT_GRACE_SECONDS)
    return min(wish, LONGEST_GRACE_SECONDS)


def _seconds(ad: Ad, name: str) -> float | None:
    value = ad.evaluate(name)
    return max(0.0, float(value)) if type(value) in (int, float) else None  # type: ignore[arg-type]


def _absolute(iwd: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(iwd, path)) if path else ""


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _text(ad: Ad, name: str) -> str:
    value = ad.evaluate(name)
    return value if isinstance(value, str) else ""


def _texts(ad: Ad, name: str) -> list[str]:
    value: Any = ad.evaluate(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
