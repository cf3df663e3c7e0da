"""What happens to a startd, and what it decides to do: the two vocabularies of the core.

Events go in one at a time, each with the time (`StartdCore.handle(event, now)`);
actions come out, to be done in the order given. A `Record` must be in the
journal before what follows it is done. Messages to the schedd are not actions:
they are taken with `StartdCore.outgoing(now)` whenever the connection can carry some.

    happens                 follows (if nothing forbids it)
    Heard(Grant)            Record, Fetch or Start
    Fetched                 Start                        NotFetched    the run ends
    Begun                   Progressed is said           NotBegun      the run ends
    Usage, GpuUsage         Used is said; over a limit: Record, Kill
    OwnerSeen               Throttle; Record, Suspend or Resume; the runs are stopped (see `ladder`)
    Said                    Reached is said
    Heard(Stop)             Record, Signal; after the grace: Kill
    Over                    Collect
    Tick, a while later     TakeCheckpoint, then CheckpointTaken: Checkpointed is said
    Collected               Record, Ended is said, again at every beat …
    Heard(Acknowledge)      Record, Discard

Every event may come twice or too late: what no longer fits changes nothing.
"""

from dataclasses import dataclass, field

from contract.messages import Build, BuildEnded, Checkpoint, FromSchedd, GpuPart, Grant, OutputFile, RunEnd, Watch
from contract.vocabulary import EndReason, RunId
from startd.core.ladder import Reading

# --- what happens ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """There is a connection to the schedd, and nothing was said on it yet."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone; what was said last may or may not have arrived."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The schedd said something."""

    message: FromSchedd


@dataclass(frozen=True, slots=True)
class MachineSeen:
    """What the machine is like now, and what its wall clock says (seconds since the epoch)."""

    ad: dict[str, str]
    clock: float
    gpus: tuple[GpuPart, ...] | None = None
    """What it offers of its GPUs; None: as before."""


@dataclass(frozen=True, slots=True)
class OwnerSeen:
    """What the machine's owner does now."""

    reading: Reading


@dataclass(frozen=True, slots=True)
class Found:
    """After a restart, once: the runs that the runtime has. Their Begun or Over follows."""

    runs: frozenset[RunId]


@dataclass(frozen=True, slots=True)
class Fetched:
    """All that the run needs is on this machine."""

    run: RunId


@dataclass(frozen=True, slots=True)
class NotFetched:
    run: RunId
    message: str
    reason: EndReason = EndReason.MACHINE_FAULT


@dataclass(frozen=True, slots=True)
class Begun:
    """The run's process exists. Told again after the startd was restarted."""

    run: RunId
    pid: int


@dataclass(frozen=True, slots=True)
class NotBegun:
    """There is no process and never was; REFUSED if the job is to blame, else MACHINE_FAULT."""

    run: RunId
    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running run uses now; `over_memory`, `over_disk`: more than it asked for."""

    run: RunId
    memory_mib: float
    cpu_seconds: float
    disk_kib: int
    over_memory: bool = False
    over_disk: bool = False


@dataclass(frozen=True, slots=True)
class GpuUsage:
    """What a running run uses of its GPUs' memory now, by device."""

    run: RunId
    memory_mib: dict[str, float]


@dataclass(frozen=True, slots=True)
class Said:
    """How far a running run says it is: 0 to 100 percent."""

    run: RunId
    percent: float
    message: str


@dataclass(frozen=True, slots=True)
class Over:
    """The run's processes are all gone. Neither code nor signal: nobody saw how it ended."""

    run: RunId
    exit_code: int | None
    signal: int | None
    wall_seconds: float
    user_seconds: float
    system_seconds: float
    peak_memory_mib: float
    peak_disk_kib: int = 0
    out_of_memory: bool = False
    """The kernel killed it: the machine had no memory left, or the run's own limit was passed."""
    start_seconds: float = 0.0
    """How long it took to make its container, by the clock, and of processor time."""
    start_cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckpointTaken:
    """What became of a checkpoint: it is with the schedd; or there was nothing new, or `trouble`."""

    run: RunId
    checkpoint: Checkpoint | None
    age_seconds: float = 0.0
    """How long ago its folder last changed."""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What the run left behind; contents not in `blobs` are with the schedd already."""

    run: RunId
    stdout: OutputFile | None = None
    stderr: OutputFile | None = None
    files: list[OutputFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    disk_kib: int = 0
    taken: CheckpointTaken | None = None
    """The last checkpoint, if one was asked for."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """The small contents of an ended run, read again from its sandbox."""

    run: RunId
    blobs: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: it is `StartdCore.next_due` or later."""


@dataclass(frozen=True, slots=True)
class LeaveAsked:
    """The startd is to end: no new runs, and those there are leave, with their outputs."""

    why: str
    seconds: float | None = None
    """How long the machine will be there still, if that is known."""


@dataclass(frozen=True, slots=True)
class BuildSaid:
    """The build under way printed `log`, and perhaps came to another step."""

    key: str
    attempt: int
    log: bytes
    step: int = 0
    steps: int = 0
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class BuildOver:
    """It is over, with an image or without."""

    end: BuildEnded


Event = (
    Connected | Disconnected | Heard | MachineSeen | OwnerSeen | Found | Fetched | NotFetched | Begun | NotBegun
    | Usage | GpuUsage | Said | CheckpointTaken | Over | Collected | Recalled | Tick | LeaveAsked
    | BuildSaid | BuildOver
)

# --- what is decided -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Granted:
    """Journal: a run was taken on (its inline contents are not recorded: they can be fetched)."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Ending:
    """Journal: a run is to end, and why."""

    run: RunId
    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class Halted:
    """Journal: a run was suspended (`halts` is odd) or resumed."""

    run: RunId
    halts: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Journal: how a run ended. Final."""

    run: RunId
    end: RunEnd


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Journal: these ends are known to the schedd; a grant of one of them is an old one."""

    runs: list[RunId]


Entry = Granted | Ending | Halted | Finished | Forgotten


@dataclass(frozen=True, slots=True)
class Record:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get all contents that the run needs; answer Fetched or NotFetched."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Start:
    """Make the sandbox and start the process; answer Begun or NotBegun, later Over."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Readopt:
    """Keep this run, found after a restart, to its limits."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class TakeCheckpoint:
    """Copy the checkpoint of a living run off this machine; answer CheckpointTaken."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Signal:
    run: RunId
    number: int


@dataclass(frozen=True, slots=True)
class Kill:
    run: RunId


@dataclass(frozen=True, slots=True)
class Suspend:
    """Freeze all of the run's processes."""

    run: RunId


@dataclass(frozen=True, slots=True)
class Resume:
    """Let them go on, whatever froze them."""

    run: RunId


@dataclass(frozen=True, slots=True)
class Throttle:
    """From now on RUNNING runs get this share of their time; None: all of it."""

    share: float | None


@dataclass(frozen=True, slots=True)
class Collect:
    """Gather outputs, upload the large ones, however long it takes; answer Collected."""

    grant: Grant
    checkpoint: bool = False
    """Whether the run will go on elsewhere, so that its checkpoint is wanted too."""
    doubt_seconds: float | None = None
    """It did not end by itself: what it wrote to so shortly before may be half written. None: it did."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Read the small contents of `end` again; answer Recalled."""

    grant: Grant
    end: RunEnd


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget the run: its sandbox, its place in the runtime, all of it."""

    run: RunId


@dataclass(frozen=True, slots=True)
class Follow:
    """Somebody watches the run's output."""

    watch: Watch


@dataclass(frozen=True, slots=True)
class Unfollow:
    watch: int


@dataclass(frozen=True, slots=True)
class StartBuild:
    """Make an image, however long it takes; tell BuildSaid, and BuildOver in the end."""

    build: Build


@dataclass(frozen=True, slots=True)
class AbandonBuild:
    """Nobody waits for it any more; nothing of it is told."""

    key: str
    attempt: int


Action = (
    Record | Fetch | Start | Readopt | TakeCheckpoint | Signal | Kill | Suspend | Resume | Throttle | Collect | Recall
    | Discard | Follow | Unfollow
    | StartBuild | AbandonBuild
)
