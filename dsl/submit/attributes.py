"""From commands to job attributes.

MAKERS is the whole list: each maker reads some commands and makes the attributes
that follow from them, as ClassAd text. If one of its commands differs from job to
job, a maker is run again for every job; the others are run once for the cluster.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from dsl.submit import environment, gpus, limits, pesc, policy, transfer
from dsl.submit.expressions import quote
from dsl.submit.given import Given
from dsl.submit.requirements import (
    CRON,
    DOMAIN,
    language_of,
    request_cpus,
    request_disk,
    request_memory,
    requirements,
    resources,
)
from dsl.submit.simple import make_simple
from dsl.submit.table import COMMANDS, is_resource
from dsl.submit.values import (
    Attributes,
    absolute,
    expression,
    file_list,
    integer,
    without_quotes,
    working_folder,
)

__all__ = ["ALWAYS", "MAKERS", "READ_BY_MAKERS", "Maker", "file_list", "makers_for"]


class Maker(NamedTuple):
    """`make` reads the commands `reads`. An optional one makes nothing where none of them is given."""

    reads: tuple[str, ...]
    make: Callable[[Given], Attributes]
    optional: bool = False


def program(given: Given) -> Attributes:
    """What is run: HTCondor's executable, or a process of PESC."""
    executable, process = given.text("executable"), given.text("process")
    if executable:
        travels = transfer.executable_travels(given)
        return {"Cmd": quote(absolute(given, executable))} | ({} if travels else {"TransferExecutable": "false"})
    if not process:
        return {}
    path = quote(absolute(given, process))
    pesc.language_said(given)
    made = {"Cmd": path, "PescProcess": path, "PescLanguage": quote(language_of(given) or "native")}
    if main := given.text("main"):
        made["PescMain"] = quote(main)
    if build := given.text("build"):
        made["PescBuild"] = quote(build)
    return made


def initialdir(given: Given) -> Attributes:
    return {"Iwd": quote(working_folder(given))}


def rank(given: Given) -> Attributes:
    text = given.text("rank")
    return {"Rank": "0.0" if text is None else expression("rank", text)}


def priority(given: Given) -> Attributes:
    return {"JobPrio": str(integer(given, "priority", 0))}


def batch_name(given: Given) -> Attributes:
    text = given.text("batch_name")
    return {"JobBatchName": quote(without_quotes(text))} if text else {}


_CONTAINER = ("container_image", "docker_image", "transfer_container", "universe")
_GPUS = ("request_gpus", "require_gpus", "gpus", "gpus_minimum_capability", "gpus_maximum_capability",
         "gpu_capability", "gpus_minimum_memory", "gpu_memory", "gpus_minimum_runtime")
_CRON = tuple(f"cron_{part}" for part in CRON)
_DEFERRAL = ("deferral_time", "deferral_window", "deferral_prep_time", "cron_window", "cron_prep_time", *_CRON)
_LIMITS = ("pids_limit", "enforce", "request_memory", "request_disk", "want_job_networking")
_ADDRESSES = ("transfer_input_files", "output_destination")
_WHETHER = ("should_transfer_files", "when_to_transfer_output")

_SPECIAL = (
    Maker(("executable", "process", "main", "build", "language", "transfer_executable"), program),
    Maker(("arguments", "arguments2", "allow_arguments_v1"), environment.arguments),
    Maker(("shell", "executable"), environment.shell),
    Maker(("parameters",), environment.parameters),
    Maker(("environment", "environment2", "allow_environment_v1"), environment.environment),
    Maker(("repetitions",), pesc.repetitions),
    Maker(("initialdir",), initialdir),
    Maker(("input", "stream_input", "transfer_input"), transfer.standard_input),
    Maker(("output", "stream_output", "transfer_output"), transfer.standard_output),
    Maker(("error", "stream_error", "transfer_error"), transfer.standard_error),
    Maker(("log", "initialdir"), transfer.log),
    Maker(("transfer_input_files", *_CONTAINER), transfer.transfer_input_files),
    Maker(("transfer_input_files", "output_destination"), transfer.plugins, True),
    Maker(("transfer_output_files",), transfer.transfer_output_files),
    Maker(("shared_files", "initialdir"), transfer.shared_files),
    Maker(_WHETHER, transfer.whether_and_when),
    Maker(_CONTAINER, transfer.container, True),
    Maker(("request_cpus",), request_cpus),
    Maker(("request_memory",), request_memory),
    Maker(("request_disk",), request_disk),
    Maker(_GPUS, gpus.gpus, True),
    Maker(_LIMITS, limits.limits, True),
    Maker(("requirements", "process", "main", "language", "request_cpus", "request_memory", "request_disk",
           "checkpoint_exit_code", "encrypt_execute_directory", "deferral_time", *_CRON, *_CONTAINER, *_GPUS,
           *_WHETHER, *DOMAIN, *_LIMITS), requirements),
    Maker(("rank",), rank),
    Maker(("priority",), priority),
    Maker(("hold",), policy.hold),
    Maker(("max_retries", "retry_until", "success_exit_code", "on_exit_hold", "on_exit_hold_reason",
           "on_exit_hold_subcode", "on_exit_remove"), policy.exits),
    Maker(("batch_name",), batch_name),
    Maker(("universe", "machine_count", "grid_resource"), policy.universe),
    Maker(("job_lease_duration", "universe"), policy.lease),
    Maker(("notification",), policy.notification),
    Maker(("accounting_group", "accounting_group_user", "nice_user"), policy.accounting, True),
    Maker(("concurrency_limits", "concurrency_limits_expr"), policy.concurrency, True),
    Maker(("kill_sig", "hold_kill_sig", "remove_kill_sig"), policy.signals, True),
    Maker(_DEFERRAL, policy.deferral, True),
    Maker(("checkpoint_exit_code",), policy.checkpoint, True),
    Maker(("max_materialize",), policy.materialize, True),
    Maker(("retry_request_memory",), policy.retry_memory, True),
    Maker(DOMAIN, pesc.domain, True),
    Maker(("parallel", "same_client", "gpu_sharing"), pesc.group, True),
    Maker(("rooms",), pesc.rooms, True),
    Maker(("header",), pesc.header, True),
    Maker(("checkpoint_every", "executable"), pesc.checkpoint_every, True),
    Maker(("checkpoint",), pesc.checkpoint, True),
    Maker(("join",), pesc.join, True),
)

_SPECIALLY_MADE = frozenset(command for maker in _SPECIAL for command in maker.reads) - {"output_destination",
                                                                                       "grid_resource",
                                                                                       "encrypt_execute_directory",
                                                                                       "want_job_networking"}
_NOT_ATTRIBUTES = frozenset({"getenv"})

MAKERS = (*_SPECIAL, *(Maker((command.name,), make_simple(command), True) for command in COMMANDS
                       if command.attribute and command.name not in _SPECIALLY_MADE | _NOT_ATTRIBUTES))

READ_BY_MAKERS = frozenset(command for maker in MAKERS for command in maker.reads)

ALWAYS: Mapping[str, str] = {
    "LeaveJobInQueue": "false",
}
"""What every job says, where no command says otherwise."""


def makers_for(given: Mapping[str, str]) -> Iterator[Maker]:
    """The makers that have something to make of the commands `given`, texts by name."""
    own = tuple(sorted(word for word in given if is_resource(word)))
    also = (*own, *(command for command in _ADDRESSES if "://" in given.get(command, "")))
    if own:
        yield Maker(own, resources, True)
    for maker in MAKERS:
        if maker.make is requirements and also:
            yield Maker((*maker.reads, *also), requirements)
        elif not maker.optional or any(command in given for command in maker.reads):
            yield maker
