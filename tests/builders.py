"""The smallest valid thing of each kind; a test states only what it cares about.

    from tests.builders import a_program
    a_program(arguments=["--seed", "1"])
"""

import hashlib

from contract.endpoints import Role
from contract.messages import Amounts, Content, Ended, Grant, Hello, OutputFile, Program, RunEnd
from contract.requests import Event, Submission
from contract.tokens import Claims
from contract.vocabulary import PROTOCOL, VERSION, EndReason, RunId

NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC: some instant that tests agree on."""


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def a_content(raw: bytes = b"", **changes) -> Content:
    return Content(**{"sha256": sha256(raw), "size": len(raw)} | changes)


def an_output(path="output.txt", raw: bytes = b"", **changes) -> OutputFile:
    return OutputFile(**{"path": path, "sha256": sha256(raw), "size": len(raw)} | changes)


def a_run(cluster=1, proc=0, attempt=1) -> RunId:
    return RunId(cluster, proc, attempt)


def amounts(cpus=1.0, memory_mib=128, disk_kib=1024) -> Amounts:
    return Amounts(cpus, memory_mib, disk_kib)


def a_program(**changes) -> Program:
    return Program(**{"command": "/bin/true"} | changes)


def a_grant(**changes) -> Grant:
    return Grant(**{"run": a_run(), "claim": amounts(), "program": a_program(), "ad": {}, "owner": "dana"} | changes)


def a_run_end(**changes) -> RunEnd:
    return RunEnd(**{"reason": EndReason.EXITED, "exit_code": 0} | changes)


def an_ended(**changes) -> Ended:
    return Ended(**{"run": a_run(), "end": a_run_end()} | changes)


def a_hello(**changes) -> Hello:
    return Hello(**{
        "name": "lab-7", "identity": "lab-7's own", "protocol": PROTOCOL, "version": VERSION,
        "amounts": amounts(cpus=8.0, memory_mib=16_384, disk_kib=1 << 20), "ad": {}, "runs": [],
    } | changes)


def a_submission(**changes) -> Submission:
    return Submission(**{"count": 1, "template": {"Cmd": '"/bin/true"'}} | changes)


def an_event(**changes) -> Event:
    return Event(**{"id": 1, "at": NOON, "cluster": 1, "proc": 0, "kind": "submitted"} | changes)


def claims(**changes) -> Claims:
    return Claims(**{"user": "dana", "pool": "lab", "roles": [Role.USER], "expires_at": NOON + 3600} | changes)
