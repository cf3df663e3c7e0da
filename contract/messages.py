"""What a startd and the schedd say to each other.

The startd dials out to `/v1/startd`; both ends then send frames, each a JSON
list of messages. Everything here may be lost, doubled, late or out of order:

* a `Grant` or `Stop` that comes twice is harmless, both are keyed by the run;
* an `Ended` is sent again until its `Acknowledge` arrives;
* a `Beat` lists what the startd holds, so each end mends what the other missed;
* the last `Checkpointed` of a run is said again with every new connection, and with its end;
* a `Build` and its `BuildEnded` are keyed by recipe and attempt, and go the same way.

No instant crosses the wire, only durations: clocks differ.
"""

import msgspec

from contract.shells import CloseShell, OpenShell, ShellInput, ShellOutput, ShellOver, ShellResized, ShellTaken
from contract.vocabulary import EndReason, Phase, RunId


class GpuPart(msgspec.Struct, frozen=True, array_like=True):
    """A GPU (or a slice of one that counts as a GPU), or some of its memory."""

    device: str
    """Its UUID."""
    memory_mib: int
    shared: bool = False
    """Of a machine: whether several runs may have parts of it. Of a claim: whether others may
    have the rest. Of what is free: whether somebody has a part of it."""


class Amounts(msgspec.Struct, frozen=True, array_like=True):
    """What a machine has, and what a run takes of it."""

    cpus: float
    memory_mib: int
    disk_kib: int
    gpus: tuple[GpuPart, ...] = ()


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bytes by name. A tree is a blob too: the JSON list of its `TreeEntry`s, sorted by path."""

    sha256: str
    size: int
    tree: bool = False
    executable: bool = False


class TreeEntry(msgspec.Struct, frozen=True, array_like=True):
    """One file of a tree, at a relative path with `/` between its parts."""

    path: str
    sha256: str
    size: int
    executable: bool = False


class NamedContent(msgspec.Struct, frozen=True, array_like=True):
    """A content and the relative path under which the run finds it."""

    path: str
    content: Content


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image is made by: all of it, so that it gives the same tomorrow and elsewhere."""

    dockerfile: str
    arguments: dict[str, str] = {}
    context: Content | None = None
    """The tree of the files that it copies."""


class Image(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a build made."""

    id: str
    """SHA-256 of its configuration, which names its layers: the same wherever it is loaded."""
    layout: Content
    """The tree of its OCI layout: layers and lists, each a content of the pool."""
    size: int = 0
    architecture: str = ""


class Making(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a program is made from its sources."""

    command: str
    """Given to a shell, in the folder of the sources."""
    sources: Content
    name: str
    """Of the one file that the sources are; of a tree, how it is called for people."""
    main: str
    """The file that the command is to make: what is started."""


class Program(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to start.

    With `contract` the program is called the way of the thesis (`--rank …`, `PESC_*`);
    without, `arguments` are all it gets. `command` names a program that is already on the
    machine; else `content` is the program, and of a tree `main` is the file to start.
    """

    arguments: list[str] = []
    environment: dict[str, str] = {}
    command: str | None = None
    content: Content | None = None
    name: str = "job"
    main: str | None = None
    contract: bool = False
    parameters: list[str] = []
    rank: int = 0
    world_size: int = 1
    row: str = ""
    """Its row of a sweep or table, as JSON; "" where there is none. Numbers stay as they were written."""
    repetition: int = 0
    """Which of the repetitions of that row it is, from 0."""
    stdin: Content | None = None
    inputs: list[NamedContent] = []
    shared: list[NamedContent] = []
    output_files: list[str] | None = None
    """The files promised in `transfer_output_files`; None: whatever is new in the sandbox."""
    memory_limit_mib: int | None = None
    disk_limit_kib: int | None = None
    kill_signal: int = 15
    hold_signal: int | None = None
    """In its place when the job is held; None: the same."""
    remove_signal: int | None = None
    """In its place when the job is removed, or this attempt at it is no longer wanted."""
    grace_seconds: float = 10.0
    image: str | None = None
    """What it runs in, as a container engine names it; None: the pool's `base`, where there are containers."""
    network: bool = False
    """Whether it may reach the network; without a container nothing keeps it from that."""
    pids_limit: int | None = None
    checkpoint: Content | None = None
    """The tree that its checkpoint folder begins with: what an earlier run left there."""
    checkpoint_files: list[str] | None = None
    """Without the contract: the files of its folder that are its checkpoint (none named: what is new there)."""
    checkpoint_on_evict: bool = True
    """Whether what it left behind is a checkpoint too when it had to leave."""
    checkpoint_every: float = 0.0
    """So many seconds apart are checkpoints taken while it runs; 0: never."""
    checkpoint_exit_code: int | None = None
    """The exit code that says: checkpointed, run me again."""
    built: Image | None = None
    """The image of its domain."""


class OutputFile(msgspec.Struct, frozen=True, array_like=True):
    """One file that a run left behind. `stdout` and `stderr` are named apart, in `RunEnd`."""

    path: str
    sha256: str
    size: int
    executable: bool = False


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A checkpoint folder as it was, whole. Its contents are with the schedd already."""

    content: Content
    files: int
    size: int
    """Of its files together, in bytes."""


class RunEnd(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is known of a run that is over."""

    reason: EndReason
    exit_code: int | None = None
    signal: int | None = None
    message: str = ""
    """For people: what was asked, what was used, what went wrong."""
    started: bool = True
    """Whether the job's process ever existed."""
    wall_seconds: float = 0.0
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    peak_memory_mib: float = 0.0
    peak_disk_kib: int = 0
    stdout: OutputFile | None = None
    stderr: OutputFile | None = None
    files: list[OutputFile] = []
    warnings: list[str] = []
    peak_gpu_memory_mib: float = 0.0
    """The most that it used of one GPU."""
    start_seconds: float = 0.0
    """What it took to make its container, by the clock, and of processor time; not part of the times above."""
    start_cpu_seconds: float = 0.0
    checkpoint: Checkpoint | None = None
    """The last one that was taken of it."""
    covered_seconds: float = 0.0
    """How much of `wall_seconds` that checkpoint keeps: until its folder last changed."""
    checkpoint_trouble: str = ""
    """Why a later one was not taken, in words."""
    peak_cpus: float = 0.0
    """The most processors that it used over a second, where it was looked at."""


class HeldRun(msgspec.Struct, frozen=True, array_like=True):
    """A run that the startd has, as it tells in `Hello` and `Beat`."""

    run: RunId
    phase: Phase
    halts: int = 0
    """As in `Progressed`."""


class HeldBuild(msgspec.Struct, frozen=True, array_like=True):
    """A build that the startd works at, or whose end was not acknowledged."""

    key: str
    attempt: int


# --- from the startd -------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, omit_defaults=True, tag="hello"):
    """First message of every connection: who I am, what I have, what I run."""

    name: str
    identity: str
    """Random, kept in the startd's state: tells a restart from a second machine of that name."""
    protocol: int
    version: str
    amounts: Amounts
    ad: dict[str, str]
    runs: list[HeldRun]
    builds: list[HeldBuild] = []


class Beat(msgspec.Struct, frozen=True, omit_defaults=True, tag="beat"):
    """I am alive, and this is all I have (ended but unacknowledged runs included)."""

    runs: list[HeldRun]
    builds: list[HeldBuild] = []


class AdChanged(msgspec.Struct, frozen=True, tag="ad"):
    """Attributes of the machine that changed; None takes one away."""

    changes: dict[str, str | None]
    gpus: tuple[GpuPart, ...] | None = None
    """All its GPUs, if one came or went."""


class Progressed(msgspec.Struct, frozen=True, omit_defaults=True, tag="progressed"):
    """A run came to another phase."""

    run: RunId
    phase: Phase
    halts: int = 0
    """How often it was suspended and resumed, counted together: the one phase that comes and
    goes would else tell nobody which of two messages is the later one."""
    why: str = ""
    """Why it was suspended, for people."""


class Used(msgspec.Struct, frozen=True, tag="used"):
    """What a run has used so far."""

    run: RunId
    memory_mib: float
    cpu_seconds: float
    disk_kib: int
    gpu_memory_mib: float = 0.0


class Checkpointed(msgspec.Struct, frozen=True, tag="checkpointed"):
    """A checkpoint was taken of a run that goes on, or could not be."""

    run: RunId
    number: int
    """Rises with every one that is said on a connection: what was overtaken counts for nothing."""
    checkpoint: Checkpoint | None
    age_seconds: float = 0.0
    """How long before this was said its folder last changed."""
    trouble: str = ""
    """Why none was taken, in words."""


class Reached(msgspec.Struct, frozen=True, tag="reached"):
    """How far a run says it is, 0 to 100 percent. The latest counts; said again after a connection broke."""

    run: RunId
    percent: float
    message: str = ""


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A run is over. Kept by the startd, and sent again, until acknowledged.

    `blobs` carries contents of at most INLINE_BYTES; larger ones were uploaded before.
    """

    run: RunId
    end: RunEnd
    blobs: dict[str, bytes] = {}


class BuildProgressed(msgspec.Struct, frozen=True, tag="build-progressed"):
    """How far a build has come, and what it printed from `offset` on. Said again from the start on
    every new connection."""

    key: str
    attempt: int
    offset: int
    log: bytes
    step: int = 0
    steps: int = 0
    instruction: str = ""


class BuildEnded(msgspec.Struct, frozen=True, tag="build-ended"):
    """A build is over: with what was made, or with the step that failed. Said again until acknowledged."""

    key: str
    attempt: int
    image: Image | None = None
    step: str = ""
    message: str = ""
    lines: list[str] = []
    """The last ones it printed."""
    blames_machine: bool = False
    """Another machine may do better: its disk was full, its engine does not work …"""
    log: Content | None = None
    blobs: dict[str, bytes] = {}
    product: Content | None = None
    """In place of an image: the tree in which the command made the program."""


class OutputChunk(msgspec.Struct, frozen=True, tag="chunk"):
    """What somebody watches was written: bytes of stdout or stderr from `offset` on."""

    watch: int
    offset: int
    data: bytes
    last: bool = False


# --- from the schedd -------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Answer to `Hello`: how often to beat, and how long silence is forgiven."""

    pool: str
    beat_seconds: float
    lease_seconds: float


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Answer to a `Hello` that cannot be accepted, or to whatever is said on a connection that
    belongs to no machine any more; the connection closes after it."""

    code: str
    message: str


class Grant(msgspec.Struct, frozen=True, tag="grant"):
    """Run this. Small contents that the machine may lack come along in `blobs`."""

    run: RunId
    claim: Amounts
    program: Program
    ad: dict[str, str]
    owner: str
    blobs: dict[str, bytes] = {}
    queued: bool = False
    """Start it as soon as runs that are there now leave room for it, in the order granted."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End a run: signal, grace, kill; then report it as stopped, with its outputs."""

    run: RunId
    why: str
    evict: bool = False
    """Its machine is to be emptied: it is reported as evicted."""
    keep: bool = True
    """The job will run again: a last checkpoint is wanted."""


class Build(msgspec.Struct, frozen=True, tag="build"):
    """Make an image, or a program in one. Machines have one at a time."""

    key: str
    attempt: int
    name: str
    recipe: Recipe
    network: bool = True
    processor: str = ""
    """The kind of processor that it is made for; "" for any."""
    making: Making | None = None
    """The program; its `recipe` has been built, and is `image`."""
    image: Image | None = None


class CancelBuild(msgspec.Struct, frozen=True, tag="cancel-build"):
    """Give up a build: nobody waits for it, or another machine has it."""

    key: str
    attempt: int


class AcknowledgeBuild(msgspec.Struct, frozen=True, tag="ack-build"):
    """The end of this build is on disk here (or never counted): forget it."""

    key: str
    attempt: int


class Acknowledge(msgspec.Struct, frozen=True, tag="ack"):
    """The end of these runs is on disk here (or never counted): forget them."""

    runs: list[RunId]


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Send what `stream` ("stdout" or "stderr") holds from `offset` on, and what comes."""

    watch: int
    run: RunId
    stream: str
    offset: int


class Unwatch(msgspec.Struct, frozen=True, tag="unwatch"):
    """Nobody looks any more."""

    watch: int


FromStartd = (
    Hello | Beat | AdChanged | Progressed | Used | Reached | Checkpointed | Ended | OutputChunk | BuildProgressed
    | BuildEnded | ShellOutput | ShellTaken | ShellOver)
FromSchedd = (
    Welcome | Refused | Grant | Stop | Acknowledge | Watch | Unwatch | Build | CancelBuild | AcknowledgeBuild
    | OpenShell | ShellInput | ShellResized | ShellTaken | CloseShell)

encode = msgspec.json.Encoder().encode
decode_from_startd = msgspec.json.Decoder(list[FromStartd]).decode
decode_from_schedd = msgspec.json.Decoder(list[FromSchedd]).decode
