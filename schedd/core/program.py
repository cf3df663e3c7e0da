"""From a job's ad to what its machine starts."""

import posixpath
from typing import Any

import msgspec

from contract.messages import Content, NamedContent, Program
from dsl.classad import Ad
from dsl.submit import Mistake, SubmitErrors
from dsl.submit.quoting import BadQuoting, read_environment, split
from schedd.core.ads import job_ad
from schedd.core.cluster import Cluster

READ = frozenset(
    "cmd args arguments environment iwd in transferinput transferoutput pescprocess pescmain pescparameters "
    "pescsharedfiles pescmemorylimit pescdisklimit requestmemory requestdisk".split()
)
"""Attributes, in lower case, that a program is made from."""

NO_FILE = frozenset({"", "/dev/null"})


def program_of(cluster: Cluster, proc: int) -> Program:
    """What job `proc` starts; made once per cluster where only the rank differs."""
    varying = cluster.varying(proc)
    if any(name.lower() in READ for name in varying):
        return _make(cluster, job_ad(cluster, proc, None), proc)
    if cluster.program is None:
        cluster.program = _make(cluster, job_ad(cluster, proc, None), proc)
    return msgspec.structs.replace(cluster.program, rank=proc)


def _make(cluster: Cluster, ad: Ad, rank: int) -> Program:
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
        memory_limit_mib=_limit(ad, "PescMemoryLimit", "RequestMemory"),
        disk_limit_kib=_limit(ad, "PescDiskLimit", "RequestDisk"),
    )


def _named(files: dict[str, Content], iwd: str, paths: list[str]) -> list[NamedContent]:
    return [
        NamedContent(posixpath.basename(path.rstrip("/")), files[whole])
        for path in paths
        if (whole := _absolute(iwd, path)) in files
    ]


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


def _limit(ad: Ad, switch: str, amount: str) -> int | None:
    value = ad.evaluate(amount)
    if ad.evaluate(switch) is True and isinstance(value, int | float) and value > 0:
        return int(value)
    return None
