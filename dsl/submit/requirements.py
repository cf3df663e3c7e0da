"""What a job asks of a machine: amounts, language, and the Requirements that follow.

As in HTCondor, a user's expression gets clauses added so that it need not repeat
what the other commands already say. Those on Arch, OpSys, Cpus and file transfer are
left out if the user's own expression speaks of the attribute.
"""

import posixpath

from dsl.submit import gpus, limits, transfer
from dsl.submit.amounts import LOOKS_LIKE_AN_AMOUNT, amount
from dsl.submit.expressions import BadExpression, check, inside, machine_names, quote
from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import nearest, shown
from dsl.submit.table import find, is_resource
from dsl.submit.values import expression, truth

LANGUAGES = {".py": "python", ".r": "r", ".jl": "julia", ".m": "octave", ".sh": "shell", ".jar": "java"}
INTERPRETERS = {"python": "HasPython", "r": "HasR", "julia": "HasJulia", "octave": "HasOctave", "java": "HasJava"}
"""What a machine says when it can run a language. Every machine has a shell."""

SOURCES = {".c": "c", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".f": "fortran", ".f90": "fortran", ".f95": "fortran",
           ".f03": "fortran", ".f08": "fortran", ".for": "fortran", ".rs": "rust"}
"""What must be made into a program before it can be started."""

DOMAIN = ("domain", "dockerfile", "packages", "build")
CRON = ("minute", "hour", "day_of_month", "month", "day_of_week")

DEFAULT_MEMORY_MIB = "128"
DEFAULT_DISK_KIB = "1048576"


def language_of(given: Given) -> str | None:
    """What a process is written in: as it is said, or by the ending of its main file; None without a process."""
    process = given.text("process")
    if not process:
        return None
    if said := given.text("language"):
        return said.lower()
    ending = posixpath.splitext(given.text("main") or process)[1].lower()
    return LANGUAGES.get(ending, "native")


def source_language(given: Given) -> str | None:
    """Of a process that is built: what its sources are written in, as it is said or by its ending."""
    said = (given.text("language") or "").lower()
    ending = posixpath.splitext(given.text("process") or "")[1].lower()
    return said if said in SOURCES.values() else SOURCES.get(ending)


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


def resources(given: Given) -> dict[str, str]:
    """`request_NAME` for resources that only some pools know."""
    made = {}
    for word in sorted(given.programs):
        if not is_resource(word) or (text := given.text(word)) is None:
            continue
        try:
            made[_resource_attribute(word)] = expression(word, text)
        except Wrong as wrong:
            guess = nearest(word, _OWN_REQUESTS)
            wrong.cure = f'Did you mean "{guess}"?' if guess else wrong.cure
            raise
    return made


_OWN_REQUESTS = ("request_cpus", "request_memory", "request_disk", "request_gpus")


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
        clauses.append(f"({inside(own)})")
    language = language_of(given)
    if language not in LANGUAGES.values() and "arch" not in named:
        clauses.append(f"(TARGET.Arch == {quote(given.macro('arch'))})")
    if transfer.wants_container(given):
        clauses.append(_container_clause(given))
    elif named.isdisjoint({"opsys", "opsysandver", "opsysname"}):
        clauses.append(f"(TARGET.OpSys == {quote(given.macro('opsys'))})")
    if any(given.text(command) for command in DOMAIN):
        clauses.append("(TARGET.HasContainer)")  # and what the program needs is in its image
    elif (interpreter := INTERPRETERS.get(language or "")) and interpreter.lower() not in named:
        clauses.append(f"(TARGET.{interpreter})")
    clauses += _amount_clauses(given, named)
    if named.isdisjoint({"hasfiletransfer", "filesystemdomain"}):
        clauses.append(_file_clause(given))
    clauses += _feature_clauses(given, named)
    clauses += limits.clauses(given, named)
    return {"Requirements": " && ".join(clauses)}


def _resource_attribute(word: str) -> str:
    command = find(word)
    return command.attribute if command else ""


def _container_clause(given: Given) -> str:
    if image := given.text("container_image"):
        has = {"WantDockerImage": "HasDockerURL", "WantSIF": "HasSIF"}.get(transfer.image_kind(image),
                                                                         "HasSandboxImage")
        return f"(TARGET.HasContainer && TARGET.{has})"
    universe = (given.text("universe") or "").strip('"').lower()
    return "(TARGET.HasDocker)" if universe == "docker" else "(TARGET.HasContainer && TARGET.HasDockerURL)"


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
    return clauses + _gpu_clauses(given, named) + [
        f"(TARGET.{name} >= Request{name})" for attribute, asked in _given_resources(given)
        if (name := attribute.removeprefix("Request")).lower() not in named
        and not (_is_number(asked) and float(asked) <= 0)]


def _given_resources(given: Given) -> list[tuple[str, str]]:
    try:
        return list(resources(given).items())
    except Wrong:
        return []


def _gpu_clauses(given: Given, named: frozenset[str]) -> list[str]:
    try:
        made = gpus.gpus(given)
    except Wrong:
        return []
    number = made.get("RequestGPUs")
    if number is None or "gpus" in named or (_is_number(number) and float(number) <= 0):
        return []
    if "RequireGPUs" in made:
        return ["(countMatches(MY.RequireGPUs, TARGET.AvailableGPUs) >= RequestGPUs)"]
    return ["(TARGET.GPUs >= RequestGPUs)"]


def _file_clause(given: Given) -> str:
    same = "(TARGET.FileSystemDomain == MY.FileSystemDomain)"
    try:
        whether = (transfer.whether_and_when(given).get("ShouldTransferFiles") or "").strip('"')
    except Wrong:
        whether = ""
    if whether == "NO":
        return same
    travels = "".join(f' && stringListIMember("{kind}", TARGET.HasFileTransferPluginMethods)'
                      for kind in transfer.address_kinds(given))
    travels = f"(TARGET.HasFileTransfer{travels})"
    return travels if whether == "YES" else f"({same} || {travels})"


def _feature_clauses(given: Given, named: frozenset[str]) -> list[str]:
    """What only some machines can do."""
    clauses = []
    if given.text("deferral_time") or any(given.text(f"cron_{part}") for part in CRON):
        clauses.append("(TARGET.HasJobDeferral)")
        clauses.append("((time() + 120) < (DeferralTime + DeferralWindow)) && "
                       "((time() + 300 + DeferralPrepTime) > DeferralTime)")
    if given.text("checkpoint_exit_code"):
        clauses.append("(TARGET.HasSelfCheckpointTransfers)")
    try:
        if truth(given, "encrypt_execute_directory"):
            clauses.append("(TARGET.HasEncryptExecuteDirectory)")
    except Wrong:
        pass  # said by its own maker
    return clauses


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
