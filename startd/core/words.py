"""What people read when a run was refused or killed: what happened, why, what to do next."""

import errno
import os

from contract.messages import Amounts, Program


def memory_killed(asked_mib: int | None, used_mib: float) -> str:
    return (f"Killed for memory: asked for {asked_mib} MiB, used {used_mib:.0f} MiB; "
            f"put request_memory = {_roomy(used_mib, 16)} MB in the submit file.")


def starved(asked_mib: int | None, used_mib: float) -> str:
    """The kernel killed it: the machine itself had no memory left."""
    asked = f"asked for {asked_mib} MiB" if asked_mib is not None else "asked for no particular amount"
    return (f"Killed for memory: the machine had none left ({asked}, used at least {used_mib:.0f} MiB); "
            f"put request_memory = {_roomy(max(used_mib, (asked_mib or 0) * 1.25), 16)} MB in the submit file.")


def disk_killed(asked_kib: int | None, used_kib: int) -> str:
    return (f"Killed for disk: asked for {_disk(asked_kib or 0)}, used {_disk(used_kib)}; "
            f"put request_disk = {_roomy(used_kib / 1024, 16)} MB in the submit file.")


def file_too_large(asked_kib: int | None) -> str:
    return (f"Killed for disk: asked for {_disk(asked_kib or 0)}, and one file grew beyond that; "
            f"put request_disk = {_roomy((asked_kib or 0) / 512, 16)} MB in the submit file, or write less.")


def gpu_memory_killed(device: str, share_mib: int, used_mib: float, said: bool) -> str:
    """It took more of a GPU than its share; the others on that GPU go on."""
    advice = f"put gpu_memory = {_roomy(used_mib, 16)} MB in the submit file"
    if said:
        return f"Killed for GPU memory: asked for {share_mib} MiB of {device}, used {used_mib:.0f} MiB; {advice}."
    return (f"Killed for GPU memory: its share of {device} was {share_mib} MiB, by what earlier runs of its cluster "
            f"used, and it used {used_mib:.0f} MiB. It runs again with a larger one; to say it yourself, {advice}.")


def does_not_fit(claim: Amounts, free: Amounts) -> str:
    """Name what is short, and by how much."""
    short = []
    if claim.cpus > free.cpus:
        short.append(f"{claim.cpus:g} cpus asked, {free.cpus:g} free")
    if claim.memory_mib > free.memory_mib:
        short.append(f"{claim.memory_mib} MiB of memory asked, {free.memory_mib} free")
    if claim.disk_kib > free.disk_kib:
        short.append(f"{claim.disk_kib} KiB of disk asked, {free.disk_kib} free")
    there = {part.device: part for part in free.gpus}
    for part in claim.gpus:
        left = there.get(part.device)
        if left is None:
            short.append(f"it has no GPU {part.device} to offer")
        elif not part.shared and left.shared:
            short.append(f"GPU {part.device} is asked for whole, and somebody has a part of it")
        elif part.shared and part.memory_mib > left.memory_mib:
            short.append(f"{part.memory_mib} MiB of GPU {part.device} asked, {left.memory_mib} free")
    return f"The machine has no room for this run: {'; '.join(short)}."


def owner_refuses(expression: str, value: str) -> str:
    return f"The machine's owner refuses this job: START = {expression} is {value} for it."


def owner_is_there(machine: str, why: str) -> str:
    return f"{machine} takes no new work now: {why}."


def owner_wants_it(machine: str, why: str) -> str:
    return f"{machine} is needed by its owner: {why}."


def not_started(code: int, where: str, argv: list[str], program: Program, contained: bool = False) -> str:
    """Why the operating system would not start `argv`; `contained`: in its image."""
    name = program.command or program.main or program.name
    words = os.strerror(code)
    if where == "engine":
        return f"The container engine did not say why it could not start {name}."
    if contained and where == "program" and code == errno.ENOENT:
        return not_in_image(name, argv[0], program)
    if where == "folder":
        return f"The run's folder cannot be entered: {words}."
    if code == errno.ENOEXEC:
        return (f"{name} cannot be run: it is neither a program for this machine nor a script that says its "
                "interpreter. Put a line like #!/bin/sh at its top.")
    if code == errno.EACCES:
        return f"{name} cannot be run: it is not executable. Make it so: chmod +x {name}."
    if code == errno.ENOENT and program.command is not None and os.sep in program.command:
        return (f"{name} cannot be run: there is no such file on this machine, or the interpreter in its first "
                "line is not there. To bring the program along, leave transfer_executable as it is.")
    if code == errno.ENOENT:
        return (f"{name} cannot be run: the interpreter in its first line ({argv[0]} asks for it) is not on this "
                "machine. Lines that end in CR LF have this effect too.")
    if code == errno.E2BIG:
        return f"{name} cannot be run: its arguments and environment are too long together."
    return f"{name} cannot be run: {words}."


def not_in_image(name: str, program_inside: str, program: Program) -> str:
    """What is to be started is not in the image, or what its first line asks for is not."""
    image = program.image or "the default image (base: Python and the usual small tools)"
    if program_inside == program.command:
        return (f"There is no program {name} in {image}. Bring it along, or name an image that has it: "
                "domain = IMAGE.")
    if os.sep not in program_inside:
        return (f"{name} needs {program_inside}, which is not in {image}. "
                "Name an image that has it: domain = IMAGE.")
    return (f"{name} cannot be run: the interpreter in its first line is not in {image}. "
            "Lines that end in CR LF have this effect too.")


def no_interpreter(interpreter: str, main: str) -> str:
    return (f"{main} needs {interpreter}, which is not on this machine. "
            f"Ask for machines that have it: {_ASK.get(interpreter, 'see requirements')}.")


_ASK = {
    "python3": "requirements = TARGET.HasPython",
    "Rscript": "requirements = TARGET.HasR",
    "julia": "requirements = TARGET.HasJulia",
    "java": "requirements = TARGET.HasJava",
    "octave-cli": "requirements = TARGET.HasOctave",
}


def _roomy(mib: float, step: int) -> int:
    """A fifth more, rounded up to a number that is easy to read."""
    return max(step, -(-int(mib * 1.2) // step) * step)


def _disk(kib: int) -> str:
    return f"{kib} KiB" if kib < 10 * 1024 else f"{kib // 1024} MiB"
