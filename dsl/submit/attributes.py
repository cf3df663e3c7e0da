"""From commands to job attributes.

MAKERS is the whole list: each maker reads some commands and makes the attributes
that follow from them, as ClassAd text. If one of its commands differs from job to
job, a maker is run again for every job; the others are run once for the cluster.
"""

import posixpath
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dsl.submit import quoting
from dsl.submit.expressions import BadExpression, check, quote, string_list, value_of
from dsl.submit.given import IWD, Given, Wrong
from dsl.submit.mistakes import shown
from dsl.submit.requirements import (
    files_always_travel,
    language_of,
    request_cpus,
    request_disk,
    request_memory,
    requirements,
)

Attributes = dict[str, str]


class Maker(NamedTuple):
    """`make` reads the commands `reads`."""

    reads: tuple[str, ...]
    make: Callable[[Given], Attributes]


def program(given: Given) -> Attributes:
    """What is run: HTCondor's executable, or a process of PESC."""
    executable, process = given.text("executable"), given.text("process")
    if executable:
        return {"Cmd": quote(absolute(given, executable))}
    if not process:
        return {}
    path = quote(absolute(given, process))
    made = {"Cmd": path, "PescProcess": path, "PescLanguage": quote(language_of(given) or "native")}
    if main := given.text("main"):
        made["PescMain"] = quote(main)
    return made


def arguments(given: Given) -> Attributes:
    text = given.text("arguments")
    if text is None:
        return {}
    try:
        if not quoting.is_new(text):
            return {"Args": quote(quoting.unescape_old(text))}
        raw = quoting.unwrap(text)
        quoting.split(raw)
    except quoting.BadQuoting as bad:
        raise _misquoted("arguments", text, bad) from None
    return {"Arguments": quote(raw)}


def parameters(given: Given) -> Attributes:
    text = given.text("parameters")
    if text is None:
        return {}
    try:
        words = quoting.split(quoting.unwrap(text) if quoting.is_new(text) else text)
    except quoting.BadQuoting as bad:
        raise _misquoted("parameters", text, bad) from None
    return {"PescParameters": string_list(words)}


def environment(given: Given) -> Attributes:
    text = given.text("environment")
    if text is None:
        return {"Environment": '""'}
    try:
        variables = quoting.environment(text)
    except quoting.BadQuoting as bad:
        raise _misquoted("environment", text, bad) from None
    return {"Environment": quote(quoting.join_environment(variables))}


def initialdir(given: Given) -> Attributes:
    return {"Iwd": quote(working_folder(given))}


def log(given: Given) -> Attributes:
    path = given.text("log")
    return {"UserLog": quote(posixpath.normpath(posixpath.join(working_folder(given), path)))} if path else {}


def standard_input(given: Given) -> Attributes:
    return _stream(given, "input", "In")


def standard_output(given: Given) -> Attributes:
    return _stream(given, "output", "Out")


def standard_error(given: Given) -> Attributes:
    return _stream(given, "error", "Err")


def transfer_input_files(given: Given) -> Attributes:
    files = file_list(given.text("transfer_input_files"))
    for file in files:
        if "://" in file:
            raise Wrong("transfer_input_files", f"{shown(file)} is an address; fetching from addresses is not carried "
                        "out yet by this version", cure="Download it first and name the file.")
    return {"TransferInput": quote(",".join(files))} if files else {}


def transfer_output_files(given: Given) -> Attributes:
    text = given.text("transfer_output_files")
    if text is None:
        return {}
    files = file_list(text)
    for file in files:
        if posixpath.isabs(file) or ".." in file.split("/"):
            raise Wrong("transfer_output_files", f"{shown(file)} is outside the folder in which the job runs",
                        "Only files below it come back.", "Name files relative to the job's working folder.")
    return {"TransferOutput": quote(",".join(files))}


def shared_files(given: Given) -> Attributes:
    files = file_list(given.text("shared_files"))
    folder = working_folder(given)
    paths = [posixpath.normpath(posixpath.join(folder, file)) for file in files]
    return {"PescSharedFiles": string_list(paths)} if paths else {}


def rank(given: Given) -> Attributes:
    text = given.text("rank")
    if text is None:
        return {"Rank": "0.0"}
    expression("rank", text)
    return {"Rank": text}


def priority(given: Given) -> Attributes:
    return {"JobPrio": str(integer(given, "priority", 0))}


def hold(given: Given) -> Attributes:
    text = given.text("hold")
    if text is None:
        return {}
    value = value_of({"yes": "true", "no": "false", "t": "true", "f": "false"}.get(text.lower(), text))
    if not isinstance(value, bool | int):
        raise Wrong("hold", f"{shown(text)!r} is neither true nor false", cure="Write: hold = true")
    if not value:
        return {}
    return {"JobStatus": "5", "HoldReasonCode": "15", "HoldReason": quote("submitted on hold at user's request")}


def retries(given: Given) -> Attributes:
    """As HTCondor: any of the three commands means retries, two if not said otherwise."""
    until = given.text("retry_until")
    if until is None and not given.text("max_retries") and not given.text("success_exit_code"):
        return {"OnExitRemove": "true", "OnExitHold": "false"}
    made = {"JobMaxRetries": str(integer(given, "max_retries", 2)), "OnExitHold": "false"}
    success = "0"
    if given.text("success_exit_code"):
        made["JobSuccessExitCode"] = str(integer(given, "success_exit_code", 0))
        success = "JobSuccessExitCode"
    remove = f"NumJobCompletions > JobMaxRetries || ExitCode =?= {success}"
    if until is not None:
        expression("retry_until", until)
        code = value_of(until) if until.lstrip("-").isdigit() else None
        remove += f" || ExitCode =?= {code}" if code is not None else f" || ({until})"
    made["OnExitRemove"] = remove
    return made


def batch_name(given: Given) -> Attributes:
    text = given.text("batch_name")
    return {"JobBatchName": quote(without_quotes(text))} if text else {}


def should_transfer_files(given: Given) -> Attributes:
    return {"ShouldTransferFiles": '"YES"' if files_always_travel(given) else '"IF_NEEDED"'}


def repetitions(given: Given) -> Attributes:
    text = given.text("repetitions")
    return {} if text is None else {"PescRepetitions": str(count("repetitions", text))}


MAKERS = (
    Maker(("executable", "process", "main"), program),
    Maker(("arguments",), arguments),
    Maker(("parameters",), parameters),
    Maker(("environment",), environment),
    Maker(("repetitions",), repetitions),
    Maker(("initialdir",), initialdir),
    Maker(("input",), standard_input),
    Maker(("output",), standard_output),
    Maker(("error",), standard_error),
    Maker(("log", "initialdir"), log),
    Maker(("transfer_input_files",), transfer_input_files),
    Maker(("transfer_output_files",), transfer_output_files),
    Maker(("shared_files", "initialdir"), shared_files),
    Maker(("should_transfer_files",), should_transfer_files),
    Maker(("request_cpus",), request_cpus),
    Maker(("request_memory",), request_memory),
    Maker(("request_disk",), request_disk),
    Maker(("requirements", "process", "main", "request_cpus", "request_memory", "request_disk",
           "should_transfer_files"), requirements),
    Maker(("rank",), rank),
    Maker(("priority",), priority),
    Maker(("hold",), hold),
    Maker(("max_retries", "retry_until", "success_exit_code"), retries),
    Maker(("batch_name",), batch_name),
)

ALWAYS: Mapping[str, str] = {
    "JobUniverse": "5",
    "JobLeaseDuration": "2400",
    "JobNotification": "0",
    "LeaveJobInQueue": "false",
    "WhenToTransferOutput": '"ON_EXIT"',
}
"""What every job says."""


def working_folder(given: Given) -> str:
    folder = given.text("initialdir")
    return absolute(given, folder) if folder else given.macro(IWD)


def absolute(given: Given, path: str) -> str:
    """`path` from the folder where the file was submitted."""
    return posixpath.normpath(posixpath.join(given.macro(IWD), path))


def file_list(text: str | None) -> list[str]:
    """The names in a comma list; blanks around commas and quotes around all of it do not count."""
    return [name for part in without_quotes(text or "").split(",") if (name := part.strip())]


def without_quotes(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def expression(command: str, text: str) -> None:
    """Raise Wrong if `text` is no expression, pointing at the place."""
    try:
        check(text)
    except BadExpression as bad:
        raise Wrong(command, bad.message, bad.reason, offset=bad.offset, length=1) from None


def integer(given: Given, command: str, default: int) -> int:
    """A whole number, or an expression that is worth one."""
    text = given.text(command)
    if text is None:
        return default
    value = value_of(text)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**31:
        raise Wrong(command, f"{shown(text)!r} is not a whole number", cure=f"Write, say: {command} = 3")
    return value


def count(command: str, text: str) -> int:
    """A number of at least one."""
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12 or int(digits) < 1:
        negative = text.removeprefix("-").isdigit()
        raise Wrong(command, f"{shown(text)!r} is not a number of {command}",
                    "It must be at least 1." if negative else "It must be a whole number, at least 1.",
                    f"Write, say: {command} = 10")
    return int(digits)


def _stream(given: Given, command: str, attribute: str) -> Attributes:
    path = given.text(command)
    if path is None:
        return {attribute: '"/dev/null"', f"Transfer{attribute}": "false"}
    return {attribute: quote(path), f"Stream{attribute}": "false"}


def _misquoted(command: str, text: str, bad: quoting.BadQuoting) -> Wrong:
    if bad.entry and (at := text.find(bad.entry)) >= 0:
        return Wrong(command, bad.what, "", bad.cure, at, len(bad.entry))
    offset = bad.offset if len(text) > bad.offset else 0
    return Wrong(command, bad.what, "", bad.cure, offset, 1)
