"""The one table of submit commands.

Every word a submit file may use is a row: what it is called, what kind of value it
takes, which job attribute it sets, and what becomes of it in this version. All of them
are read, checked and expanded; a submission with a refused one is refused, never
queued without it.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from dsl.submit.rows import ACCEPTED, REFUSED, WRONG


class Kind(StrEnum):
    """What a command's value is."""

    TEXT = "text"
    FILE = "file"
    FILES = "files, separated by commas"
    FOLDER = "folder"
    ARGUMENTS = "arguments"
    ENVIRONMENT = "environment variables"
    EXPRESSION = "ClassAd expression"
    MEMORY = "memory, MiB or with a unit"
    DISK = "disk space, KiB or with a unit"
    IMAGE_SIZE = "memory, KiB or with a unit"
    INTEGER = "whole number"
    NUMBER = "number"
    COUNT = "count, at least 1"
    TRUTH = "true or false"
    WORD = "one of some words"
    NAMES = "names, separated by commas or blanks"
    DURATION = "time, seconds or with a unit"
    SIGNAL = "signal, by name or number"


class Status(StrEnum):
    """What this version does with a command."""

    CARRIED_OUT = "carried out"
    ACCEPTED = "accepted and not carried out, with a warning"
    REFUSED = "refused on submission"


class Command(NamedTuple):
    """One row. Values in `accepts` (lower case) are carried out whatever the status says of others."""

    name: str
    kind: Kind
    attribute: str = ""
    help: str = ""
    aliases: tuple[str, ...] = ()
    default: str = ""
    accepts: tuple[str, ...] = ()
    status: Status = Status.CARRIED_OUT
    pesc: bool = False
    """A word of PESC, which HTCondor does not have."""

    @property
    def words(self) -> tuple[str, ...]:
        """All words for it, in lower case, the job attribute's name among them."""
        attribute = self.attribute.lower()
        if not attribute or self.pesc or attribute in _NO_COMMANDS or self.name not in BY_NAME:
            return (self.name, *self.aliases)
        return tuple(dict.fromkeys((self.name, *self.aliases, attribute)))


_NO_COMMANDS = frozenset({
    "cmd", "out", "in", "err", "transferinput", "transferoutput", "requirements", "jobstatus", "env", "environment",
    "acctgroup", "jobuniverse", "jobmaterializelimit",
})
"""Job attributes that are no commands in HTCondor, or that another command of the name is."""

_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


def _carried_out() -> tuple[Command, ...]:
    return (
        Command("process", Kind.FILE, "PescProcess", "Your program: a .py, .R, .jl, .m, .sh or .jar file, an "
                "executable, a folder or a zip.", pesc=True),
        Command("main", Kind.TEXT, "PescMain", "The file to start inside a folder or zip given to process; with build, "
                "the file that it makes.", pesc=True),
        Command("build", Kind.TEXT, "PescBuild", "The command that makes the program from its sources, in the domain, "
                "once for each kind of processor: gcc -O2 -o prog prog.c.", pesc=True),
        Command("language", Kind.WORD, "PescLanguage", "What the process is written in, where its name does not say: "
                "python, r, julia, octave, java, shell, c, cpp, fortran, rust or native.", pesc=True),
        Command("header", Kind.WORD, "PescHeader", "Whether a process that uses rank, output_dir … and does not read "
                "them gets the lines that do, in a copy: auto or none.", default="auto", pesc=True),
        Command("executable", Kind.FILE, "Cmd", "The program to run, HTCondor's way: its arguments are yours alone."),
        Command("arguments", Kind.ARGUMENTS, "Args", "What the program is given on its command line."),
        Command("arguments2", Kind.ARGUMENTS, "Arguments", "The same, always in the new syntax."),
        Command("environment", Kind.ENVIRONMENT, "Environment", "Environment variables: \"A=1 B='x y'\".", ("env",)),
        Command("environment2", Kind.ENVIRONMENT, "Environment", "The same, always in the new syntax."),
        Command("getenv", Kind.NAMES, "", "Which variables of your own environment travel with the job: true for all, "
                "or names with * and !.", ("get_env",), "false"),
        Command("join", Kind.FILES, "PescJoin", "Output files that pesc_fetch joins by rank, as it does output.txt: "
                "result.csv.", pesc=True),
        Command("parameters", Kind.ARGUMENTS, "PescParameters", "What process gets as --parameters.", pesc=True),
        Command("repetitions", Kind.COUNT, "PescRepetitions", "How often to run it; with queue, so often for each of "
                "its jobs; with a sweep, so often for each of its rows.", default="1", pesc=True),
        Command("input", Kind.FILE, "In", "The file that becomes standard input.", ("stdin",), "/dev/null"),
        Command("output", Kind.FILE, "Out", "Where standard output goes.", ("stdout",), "/dev/null"),
        Command("error", Kind.FILE, "Err", "Where standard error goes.", ("stderr",), "/dev/null"),
        Command("log", Kind.FILE, "UserLog", "Where the events of the jobs are written."),
        Command("initialdir", Kind.FOLDER, "Iwd", "The folder that other paths are relative to.",
                ("initial_dir", "job_iwd")),
        Command("transfer_input_files", Kind.FILES, "TransferInput", "Files and folders that travel with the job.",
                ("transferinputfiles",)),
        Command("transfer_output_files", Kind.FILES, "TransferOutput", "The files that come back; all new ones if not "
                "given.", ("transferoutputfiles",)),
        Command("shared_files", Kind.FILES, "PescSharedFiles", "Files that all repetitions read; sent once to a "
                "machine.", pesc=True),
        Command("request_cpus", Kind.EXPRESSION, "RequestCpus", "How many cores a job needs.", default="1"),
        Command("request_memory", Kind.MEMORY, "RequestMemory", "How much memory a job needs.", default="128"),
        Command("request_disk", Kind.DISK, "RequestDisk", "How much disk space a job needs.", default="1048576"),
        Command("pids_limit", Kind.COUNT, "PescPidsLimit", "How many processes and threads a job may have at once; "
                "only machines that can enforce it will do. In a container it is 2048 if not given.", pesc=True),
        Command("enforce", Kind.NAMES, "", "Which limits the machine must be able to enforce: memory, disk, pids, "
                "network. Without it a job also runs where request_disk, say, is only wished for.", pesc=True),
        Command("gpus", Kind.COUNT, "RequestGPUs", "How many GPUs a job needs.", default="0", pesc=True),
        Command("gpu_capability", Kind.NUMBER, "GPUsMinCapability", "The lowest capability of a GPU that will do.",
                pesc=True),
        Command("gpu_memory", Kind.MEMORY, "GPUsMinMemory", "How much memory a GPU needs at least; with gpu_sharing, "
                "how much of it is the job's.", pesc=True),
        Command("gpu_sharing", Kind.TRUTH, "PescGpuSharing", "Whether other jobs may have the rest of the GPU's "
                "memory.", default="false", pesc=True),
        Command("request_gpus", Kind.EXPRESSION, "RequestGPUs", "How many GPUs a job needs.", default="0"),
        Command("require_gpus", Kind.EXPRESSION, "RequireGPUs", "Which GPUs will do: an expression over one of them."),
        Command("gpus_minimum_capability", Kind.EXPRESSION, "GPUsMinCapability", "The lowest capability of a GPU that "
                "will do."),
        Command("gpus_maximum_capability", Kind.EXPRESSION, "GPUsMaxCapability", "The highest capability of a GPU "
                "that will do."),
        Command("gpus_minimum_memory", Kind.MEMORY, "GPUsMinMemory", "How much memory a GPU needs at least."),
        Command("gpus_minimum_runtime", Kind.TEXT, "GPUsMinRuntime", "The oldest CUDA that will do."),
        Command("requirements", Kind.EXPRESSION, "Requirements", "Which machines will do."),
        Command("rank", Kind.EXPRESSION, "Rank", "Which machines are better: higher is better.", ("preferences",),
                "0.0"),
        Command("priority", Kind.INTEGER, "JobPrio", "Which of your jobs go first: higher first.", ("prio",), "0"),
        Command("hold", Kind.TRUTH, "JobStatus", "Whether to queue the jobs on hold.", default="false"),
        Command("max_retries", Kind.INTEGER, "JobMaxRetries", "How often a failing job is tried again."),
        Command("retry_until", Kind.EXPRESSION, "", "Which exit code, or what, ends the retries early."),
        Command("success_exit_code", Kind.INTEGER, "JobSuccessExitCode", "The exit code that means success."),
        Command("on_exit_hold", Kind.EXPRESSION, "OnExitHold", "When a job that ended is held.", default="false"),
        Command("on_exit_hold_reason", Kind.EXPRESSION, "OnExitHoldReason", "What is then given as the reason."),
        Command("on_exit_hold_subcode", Kind.EXPRESSION, "OnExitHoldSubCode", "The number of that reason."),
        Command("on_exit_remove", Kind.EXPRESSION, "OnExitRemove", "When a job that ended leaves the queue; otherwise "
                "it runs again.", default="true"),
        Command("kill_sig", Kind.SIGNAL, "KillSig", "The signal that tells the job to leave; SIGTERM if not given."),
        Command("hold_kill_sig", Kind.SIGNAL, "HoldKillSig", "The same when the job is held; kill_sig if not given."),
        Command("remove_kill_sig", Kind.SIGNAL, "RemoveKillSig", "The same when the job is removed; kill_sig if not "
                "given."),
        Command("job_max_vacate_time", Kind.EXPRESSION, "JobMaxVacateTime", "How many seconds it may then take before "
                "it is killed, at most 600; 10 if not given.", ("max_vacate_time",)),
        Command("kill_sig_timeout", Kind.INTEGER, "KillSigTimeout", "The same, if job_max_vacate_time is not given."),
        Command("checkpoint_every", Kind.DURATION, "PescCheckpointEvery", "How often checkpoint_dir is copied off the "
                "machine while the job runs: 10 min.", pesc=True),
        Command("checkpoint_exit_code", Kind.INTEGER, "SuccessCheckpointExitCode", "The exit code that means: "
                "checkpointed, run me again. With process it is 85 if not given."),
        Command("transfer_checkpoint_files", Kind.TEXT, "TransferCheckpoint", "With executable: the files and folders "
                "that are its checkpoint; what it would leave behind if not given."),
        Command("batch_name", Kind.TEXT, "JobBatchName", "What pesc_q calls these jobs."),
        Command("description", Kind.TEXT, "JobDescription", "A text about the jobs."),
        Command("project_name", Kind.TEXT, "ProjectName", "The project that the jobs are for."),
        Command("domain", Kind.TEXT, "PescDomain", "The environment it runs in: a name (see pesc_domain list), an "
                "image, a Dockerfile or a folder with one; after it values for arguments: python version=3.11.",
                pesc=True),
        Command("packages", Kind.NAMES, "PescPackages", "Packages that are added to the domain: numpy>=2, "
                "apt:graphviz.", pesc=True),
        Command("dockerfile", Kind.FILE, "PescDockerfile", "How the domain is made: a Dockerfile, or its lines as "
                "dockerfile @=END … @END.", pesc=True),
        Command("want_job_networking", Kind.TRUTH, "WantJobNetworking", "Whether the job may reach the network: in a "
                "container it has none otherwise.", default="false"),
        Command("allow_arguments_v1", Kind.TRUTH, "", "Whether arguments and arguments2 may stand together.",
                default="false"),
        Command("allow_environment_v1", Kind.TRUTH, "", "Whether environment and environment2 may stand together.",
                default="false"),
        Command("should_transfer_files", Kind.WORD, "ShouldTransferFiles", "Whether files travel with the job: they "
                "do.", (), "IF_NEEDED", ("yes", "if_needed", "true"), Status.REFUSED),
        Command("when_to_transfer_output", Kind.WORD, "WhenToTransferOutput", "When files come back: when the job "
                "ends. With ON_EXIT_OR_EVICT they also go with it to its next machine.", (), "ON_EXIT",
                ("on_exit", "never", "on_exit_or_evict"), Status.REFUSED),
        Command("universe", Kind.WORD, "JobUniverse", "The kind of job.", (), "vanilla", ("vanilla", "5"),
                Status.REFUSED),
        Command("transfer_executable", Kind.WORD, "TransferExecutable", "Whether the executable travels: it does.", (),
                "true", _YES, Status.REFUSED),
    )


def _pesc() -> tuple[Command, ...]:
    """The words of PESC that later versions carry out."""
    return tuple(Command(name, kind, attribute, text, (), default, accepts, Status.REFUSED, pesc=True)
                 for name, kind, attribute, default, accepts, text in (
        ("parallel", Kind.TRUTH, "PescParallel", "false", _NO, "Whether all repetitions start together and can reach "
         "each other."),
        ("same_client", Kind.TRUTH, "PescSameClient", "false", _NO, "Whether all repetitions run on one machine."),
        ("rooms", Kind.NAMES, "PescRooms", "", (), "The rooms whose machines will do."),
        ("checkpoint", Kind.WORD, "PescCheckpoint", "folder", ("folder",), "What a checkpoint is: what the program "
         "writes to checkpoint_dir. A dump of its processes (checkpoint = process) needs CRIU and a startd with "
         "privileges; startds have none, so no machine advertises HasProcessCheckpoint."),
    ))


_KINDS = {"text": Kind.TEXT, "expression": Kind.EXPRESSION, "integer": Kind.INTEGER, "truth": Kind.TRUTH,
          "image": Kind.IMAGE_SIZE, "memory": Kind.MEMORY, "word": Kind.WORD, "signal": Kind.SIGNAL}

_HARMLESS = {
    "notification": ("never", "0"), "stream_input": _NO, "stream_output": _NO, "stream_error": _NO, "nice_user": _NO,
    "preserve_relative_paths": _NO, "noop_job": _NO, "encrypt_execute_directory": _NO,
    "periodic_hold": _NO, "periodic_remove": _NO, "periodic_release": _NO, "periodic_vacate": _NO,
    "transfer_input": _YES, "transfer_output": _YES, "transfer_error": _YES, "leave_in_queue": _NO,
    "skip_if_dataflow": _NO, "suspend_job_at_exec": _NO, "log_xml": _NO, "skip_filechecks": _NO,
    "use_x509userproxy": _NO, "transfer_container": _YES, "run_as_owner": _NO,
    "load_profile": _NO, "manifest": _NO, "want_graceful_removal": _YES,
}
"""Values that ask for nothing, or for what happens anyway."""

_DEFAULTS = {"notification": "never", "job_lease_duration": "2400", "leave_in_queue": "false"}


def _read_rows(rows: str, status: Status) -> list[Command]:
    commands = []
    for row in rows.strip().splitlines():
        names, kind, attribute, text = (cell.strip() for cell in row.split("|"))
        name, *aliases = names.split(", ")
        commands.append(Command(name, _KINDS[kind], attribute, text, tuple(aliases), _DEFAULTS.get(name, ""),
                                _HARMLESS.get(name, ()), status))
    return commands


COMMANDS: tuple[Command, ...] = (*_carried_out(), *_pesc(), *_read_rows(ACCEPTED, Status.ACCEPTED),
                                 *_read_rows(REFUSED, Status.REFUSED))

BY_NAME: dict[str, Command] = {command.name: command for command in COMMANDS}
BY_WORD: dict[str, Command] = {}
"""Every word in lower case, aliases included; a command's own name goes before another's alias."""
for _command in COMMANDS:
    BY_WORD[_command.name] = _command
for _command in COMMANDS:
    for _word in _command.words:
        BY_WORD.setdefault(_word, _command)


def find(word: str) -> Command | None:
    """The command that `word` (in lower case) names. Any `request_NAME` is one."""
    command = BY_WORD.get(word)
    if command is None and is_resource(word):
        return Command(word, Kind.EXPRESSION, f"Request{word.removeprefix('request_')}",
                       "A resource that only some pools know.", accepts=("0",), status=Status.REFUSED)
    return command


def is_resource(word: str) -> bool:
    """Whether `word` asks for a resource that only some pools know: `request_widgets`."""
    return bool(_RESOURCE.match(word)) and word not in BY_WORD and word not in WRONG


_RESOURCE = re.compile(r"request_(?!(?:true|false|undefined|error|is|isnt)\Z)[a-z_][a-z0-9_]*\Z", re.IGNORECASE)
"""What follows `request_` names an attribute of machines, so it cannot be any word."""


def carried_out() -> list[str]:
    """The names of the commands that this version carries out."""
    return [command.name for command in COMMANDS if command.status is Status.CARRIED_OUT or command.accepts]


def known() -> list[str]:
    """The names of all commands, for guesses at what was meant."""
    return [command.name for command in COMMANDS]
