"""What a job asks of a machine: amounts, language, and the Requirements that follow.

As in HTCondor, a user's expression gets clauses added so that it need not repeat
what the other commands already say. Those on Arch, OpSys, Cpus and file transfer are
left out if the user's own expression speaks of the attribute.
"""

import posixpath

from dsl.submit.amounts import LOOKS_LIKE_AN_AMOUNT, amount
from dsl.submit.expressions import BadExpression, check, machine_names, quote
from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import shown

LANGUAGES = {".py": "python", ".r": "r", ".jl": "julia", ".sh": "shell", ".jar": "java"}
INTERPRETERS = {"python": "HasPython", "r": "HasR", "julia": "HasJulia", "java": "HasJava"}
"""What a machine says when it can run a language. Every machine has a shell."""

DEFAULT_MEMORY_MIB = "128"
DEFAULT_DISK_KIB = "1048576"


def language_of(given: Given) -> str | None:
    """What a process is written in, by the ending of its main file; None without a process."""
    process = given.text("process")
    if not process:
        return None
    ending = posixpath.splitext(given.text("main") or process)[1].lower()
    return LANGUAGES.get(ending, "native")


def request_cpus(given: Given) -> dict[str, str]:
    text = given.text("request_cpus")
    if text is None:
        return {"RequestCpus": "1"}
    if text.lower() == "undefined":
        return {}
    _check("request_cpus", text, "a number of cores", "request_cpus = 4")
    return {"RequestCpus": text}


def request_memory(given: Given) -> dict[str, str]:
    made = _amount(given, "request_memory", "RequestMemory", "M", DEFAULT_MEMORY_MIB)
    if made and given.text("request_memory"):
        made["PescMemoryLimit"] = "true"
    return made


def request_disk(given: Given) -> dict[str, str]:
    made = _amount(given, "request_disk", "RequestDisk", "K", DEFAULT_DISK_KIB)
    if made and given.text("request_disk"):
        made["PescDiskLimit"] = "true"
    return made


def requirements(given: Given) -> dict[str, str]:
    """The user's expression and the clauses that follow from the other commands."""
    own = given.text("requirements")
    clauses = []
    named: frozenset[str] = frozenset()
    if own is not None:
        try:
            check(own)
        except BadExpression as bad:
            raise Wrong("requirements", bad.message, bad.reason, offset=bad.offset, length=1) from None
        named = machine_names(own)
        clauses.append(f"({own})")
    language = language_of(given)
    if language in (None, "native") and "arch" not in named:
        clauses.append(f"(TARGET.Arch == {quote(given.macro('arch'))})")
    if named.isdisjoint({"opsys", "opsysandver", "opsysname"}):
        clauses.append(f"(TARGET.OpSys == {quote(given.macro('opsys'))})")
    if (interpreter := INTERPRETERS.get(language or "")) and interpreter.lower() not in named:
        clauses.append(f"(TARGET.{interpreter})")
    clauses += _amount_clauses(given, named)
    if named.isdisjoint({"hasfiletransfer", "filesystemdomain"}):
        clauses.append(_file_clause(given))
    return {"Requirements": " && ".join(clauses)}


def _amount_clauses(given: Given, named: frozenset[str]) -> list[str]:
    """One clause for each amount that not every machine has anyway."""
    clauses = []
    for make, attribute, free, redundant in (
        (request_disk, "Disk", 0, False),
        (request_memory, "Memory", 1, False),
        (request_cpus, "Cpus", 1, "cpus" in named),
    ):
        try:
            asked = make(given).get(f"Request{attribute}")
        except Wrong:
            continue  # said by the request's own maker
        if asked is None or redundant or (_is_number(asked) and float(asked) <= free):
            continue
        clauses.append(f"(TARGET.{attribute} >= Request{attribute})")
    return clauses


def files_always_travel(given: Given) -> bool:
    return (given.text("should_transfer_files") or "").strip('"').lower() in ("yes", "true")


def _file_clause(given: Given) -> str:
    if files_always_travel(given):
        return "(TARGET.HasFileTransfer)"
    return "((TARGET.FileSystemDomain == MY.FileSystemDomain) || (TARGET.HasFileTransfer))"


def _amount(given: Given, command: str, attribute: str, unit: str, default: str) -> dict[str, str]:
    text = given.text(command)
    if text is None:
        return {attribute: default}
    if text.lower() == "undefined":
        return {}
    number = amount(text, unit)
    if number is not None:
        return {attribute: str(number)}
    thing = "memory" if unit == "M" else "disk space"
    _check(command, text, f"an amount of {thing}", f"{command} = 2G", unit)
    return {attribute: text}


def _check(command: str, text: str, thing: str, example: str, unit: str = "") -> None:
    try:
        check(text)
    except BadExpression as bad:
        if text[0].isdigit() or LOOKS_LIKE_AN_AMOUNT.match(text):
            why = f"Units are K, M, G and T; without one it is {'MiB' if unit == 'M' else 'KiB'}." if unit else ""
            raise Wrong(command, f"{shown(text)!r} is not {thing}", why, f"Write, say: {example}") from None
        raise Wrong(command, bad.message, bad.reason, offset=bad.offset, length=1) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return len(text) < 30
