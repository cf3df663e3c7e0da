"""The contract with user code: what a job's process gets as arguments and environment.

With the contract (`process = …`) the main file is called the way of the thesis:
by the interpreter its ending asks for, with `--rank …`, with the same as `PESC_*`
variables, and with a JSON file named by PESC_JOB. Without it (`executable = …`)
arguments are the user's alone, as in HTCondor. Either way the environment is a
clean one: nothing of the startd's own comes through.
"""

import os.path
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from contract.messages import Amounts, Grant, Program

MASTER_ADDRESS = "127.0.0.1"
MASTER_PORT = 0
"""Only parallel jobs, which come with their own issue, get a port."""

MOST_ROW_BYTES = 100_000
"""Of the variable PESC_ROW: the kernel starts no program with one of 128 KiB. A longer row is in PESC_JOB alone."""

INTERPRETERS = {
    ".py": ("python3",),
    ".r": ("Rscript",),
    ".jl": ("julia",),
    ".m": ("octave-cli", "--quiet", "--no-history"),
    ".jar": ("java", "-jar"),
}

ENDINGS = {"python": ".py", "r": ".r", "julia": ".jl", "octave": ".m", "java": ".jar", "shell": ".sh", "native": "."}
"""What the main file of a language is called; a submit file may say the language where the name does not."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the run finds what is its own, as it names it: inside its container, if it has one."""

    sandbox: str
    app: str
    tmp: str | None = None

    @property
    def work(self) -> str:
        return f"{self.sandbox}/work"

    @property
    def output(self) -> str:
        return f"{self.sandbox}/output"

    @property
    def checkpoint(self) -> str:
        return f"{self.sandbox}/checkpoint"

    @property
    def scratch(self) -> str:
        return self.tmp or f"{self.sandbox}/tmp"

    @property
    def progress_file(self) -> str:
        return f"{self.scratch}/pesc_progress"

    @property
    def job_file(self) -> str:
        return f"{self.sandbox}/job.json"


@dataclass(frozen=True, slots=True)
class Person:
    """In whose name jobs run, and where their programs are looked for; None: where their image says."""

    user: str
    path: str | None
    lang: str = "C.UTF-8"


def interpreter_for(main: str, begins_with: bytes, language: str = "") -> tuple[str, ...]:
    """The words before the main file: by language, else by ending; a shell script's own first line is obeyed."""
    ending = ENDINGS.get(language) or os.path.splitext(main)[1].lower()
    if ending == ".sh":
        shebang = begins_with.split(b"\n", 1)[0]
        if shebang.startswith(b"#!"):
            return tuple(shebang[2:].decode("utf-8", "replace").strip().split(None, 1)) or ("sh",)
        return ("sh",)
    return INTERPRETERS.get(ending, ())


def contract_arguments(program: Program, folders: Folders) -> list[str]:
    """The arguments of the thesis; the parameters come last, each its own."""
    arguments = [
        "--app_dir", folders.app,
        "--checkpoint_dir", folders.checkpoint,
        "--output_dir", folders.output,
        "--rank", str(program.rank),
        "--world_size", str(program.world_size),
        "--repetitions", str(program.world_size),
        "--master_addr", MASTER_ADDRESS,
        "--master_port", str(MASTER_PORT),
    ]
    if program.parameters:
        arguments += ["--parameters", *program.parameters]
    return arguments


def environment(grant: Grant, folders: Folders, person: Person) -> dict[str, str]:
    """All variables of the process; the job's own win, but over what GPUs it has."""
    program = grant.program
    base = {} if person.path is None else {"PATH": person.path}
    base |= {
        "HOME": folders.work,
        "USER": person.user,
        "LOGNAME": person.user,
        "LANG": person.lang,
        "TMPDIR": folders.scratch,
        "_CONDOR_SCRATCH_DIR": folders.work,
        "_CONDOR_SLOT": "slot1",
        "PESC_RANK": str(program.rank),
        "PESC_WORLD_SIZE": str(program.world_size),
        "PESC_PROGRESS_FILE": folders.progress_file,
    }
    if program.row:
        base["PESC_REPETITION"] = str(program.repetition)
        if len(program.row.encode()) <= MOST_ROW_BYTES:
            base["PESC_ROW"] = program.row
    if program.contract:
        base |= {
            "PESC_APP_DIR": folders.app,
            "PESC_CHECKPOINT_DIR": folders.checkpoint,
            "PESC_OUTPUT_DIR": folders.output,
            "PESC_REPETITIONS": str(program.world_size),
            "PESC_MASTER_ADDR": MASTER_ADDRESS,
            "PESC_MASTER_PORT": str(MASTER_PORT),
            "PESC_PARAMETERS": parameters_text(program.parameters),
            "PESC_JOB": folders.job_file,
        }
    return base | program.environment | gpu_environment(grant.claim)


def gpu_environment(claim: Amounts) -> dict[str, str]:
    """The granted devices and no others; the job's own environment has no say in it."""
    devices = ",".join(part.device for part in claim.gpus)
    if not devices:
        return {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
    return {
        "CUDA_VISIBLE_DEVICES": devices,
        "NVIDIA_VISIBLE_DEVICES": devices,
        "_CONDOR_AssignedGPUs": devices,
        "PESC_GPUS": devices,
    }


def job_file(grant: Grant, folders: Folders) -> bytes:
    """What PESC_JOB names: all of the contract, and the job's ad."""
    program = grant.program
    content: dict[str, Any] = {
        "job": str(grant.run.job),
        "attempt": grant.run.attempt,
        "owner": grant.owner,
        "app_dir": folders.app,
        "checkpoint_dir": folders.checkpoint,
        "output_dir": folders.output,
        "rank": program.rank,
        "world_size": program.world_size,
        "repetitions": program.world_size,
        "master_addr": MASTER_ADDRESS,
        "master_port": MASTER_PORT,
        "parameters": program.parameters,
        "cpus": grant.claim.cpus,
        "memory_mib": grant.claim.memory_mib,
        "disk_kib": grant.claim.disk_kib,
        "gpus": [part.device for part in grant.claim.gpus],
    }
    if program.row:
        content |= {"row": msgspec.Raw(program.row.encode()), "repetition": program.repetition}
    content["ad"] = _sorted(grant.ad)
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def parameters_text(parameters: list[str]) -> str:
    """All parameters in one variable, parted by spaces; PESC_JOB has them apart."""
    return " ".join(parameters)


def _sorted(ad: Mapping[str, str]) -> dict[str, str]:
    return {name: ad[name] for name in sorted(ad, key=str.lower)}
