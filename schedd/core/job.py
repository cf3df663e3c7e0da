"""The life of a job in the queue.

Read TRANSITIONS first: it is the whole machine. Everything that moves a job goes
through `moved`; no other module chooses a job's status.

A job that has never been looked at apart is no `Job`: its cluster counts it (see
`cluster`). A job whose run is still ending on its machine keeps the run, and with it the
claim, whatever its status: HELD or REMOVED with a run means "being stopped".

Instants are seconds since the epoch, as in ClassAds.
"""

from enum import StrEnum

import msgspec

from contract.messages import Amounts, Content, OutputFile
from contract.vocabulary import JobStatus, Phase, RunId

IDLE, RUNNING, REMOVED, COMPLETED, HELD, SUSPENDED = (
    JobStatus.IDLE,
    JobStatus.RUNNING,
    JobStatus.REMOVED,
    JobStatus.COMPLETED,
    JobStatus.HELD,
    JobStatus.SUSPENDED,
)


class Move(StrEnum):
    """What can happen to a job."""

    GRANT = "grant"
    """A machine is given to it."""
    FINISH = "finish"
    """Its program ended, and the end counts."""
    RETURN = "return"
    """Its run is over without a result that counts: back to the queue."""
    SUSPEND = "suspend"
    """Its machine froze its run."""
    RESUME = "resume"
    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"


TRANSITIONS: dict[tuple[JobStatus, Move], JobStatus] = {
    # Its own machine had room at once, or has it now for a run that was queued there.
    (IDLE, Move.GRANT): RUNNING,
    (IDLE, Move.HOLD): HELD,
    (IDLE, Move.REMOVE): REMOVED,
    # Its lease ended, it waits for another machine, and then the result comes after all.
    (IDLE, Move.FINISH): COMPLETED,
    (RUNNING, Move.FINISH): COMPLETED,
    (RUNNING, Move.RETURN): IDLE,
    (RUNNING, Move.HOLD): HELD,
    (RUNNING, Move.REMOVE): REMOVED,
    (RUNNING, Move.SUSPEND): SUSPENDED,
    (SUSPENDED, Move.RESUME): RUNNING,
    (SUSPENDED, Move.FINISH): COMPLETED,
    (SUSPENDED, Move.RETURN): IDLE,
    (SUSPENDED, Move.HOLD): HELD,
    (SUSPENDED, Move.REMOVE): REMOVED,
    (HELD, Move.RELEASE): IDLE,
    (HELD, Move.REMOVE): REMOVED,
    # It ended by itself before the hold reached it: finished is final.
    (HELD, Move.FINISH): COMPLETED,
}

FINAL = frozenset({REMOVED, COMPLETED})
UNDER_WAY = frozenset({RUNNING, SUSPENDED})


class IllegalMove(Exception):
    """A move that the table does not have was asked for: the caller should have looked first."""

    def __init__(self, job: "Job", move: Move) -> None:
        super().__init__(f"job {job.cluster}.{job.proc} is {JobStatus(job.status).name}, it cannot {move.value}")


class Run(msgspec.Struct, omit_defaults=True):
    """The attempt under way, and what it holds on its machine."""

    machine: str
    claim: Amounts
    granted_at: float
    phase: Phase = Phase.GRANTED
    started_at: float | None = None
    queued: bool = False
    """Whether it lies ready on its machine, to start when another run there ends. It holds
    no claim yet, and its job is still Idle."""
    order: int = 0
    """Grants are numbered, so that what lies ready keeps its order over a restart."""
    stopping: str = ""
    """Why it was told to stop; "" while it may go on."""
    halts: int = 0
    """How often its machine has suspended and resumed it, counted together."""
    suspended_at: float | None = None
    suspended_because: str = ""
    evict: bool = False
    """Whether it must leave because its machine is being emptied."""
    keep: bool = True
    """Whether its job will run again, so that a last checkpoint is wanted."""
    checkpoints: int = 0
    """How many new ones were taken of it."""
    covered_seconds: float = 0.0
    """How much of its time the last one keeps."""
    booked_seconds: float = 0.0
    """How much of its time its job was given, and how much of that counted, when it was over or given up."""
    committed_seconds: float = 0.0


class SavedCheckpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the next run of a job begins with."""

    content: Content
    files: int
    size: int
    taken_at: float


class Job(msgspec.Struct, omit_defaults=True):
    """One repetition that has become a row."""

    cluster: int
    proc: int
    status: JobStatus
    entered_at: float
    priority: int = 0
    attempt: int = 0
    """Number of the last grant. Reports of an earlier attempt count for nothing."""
    run: Run | None = None
    lapsed: Run | None = None
    """The last run, if its machine fell silent: its result still counts until the next grant."""
    starts: int = 0
    completions: int = 0
    evictions: int = 0
    faults: int = 0
    """Runs in a row that machines failed to carry out."""
    barren: int = 0
    """Runs in a row that checkpointed and ended without having come any further."""
    hold_reason: str = ""
    hold_code: int = 0
    hold_subcode: int = 0
    release_reason: str = ""
    remove_reason: str = ""
    first_start_at: float | None = None
    last_start_at: float | None = None
    suspensions: int = 0
    suspended_seconds: float = 0.0
    last_suspended_at: float | None = None
    wall_seconds: float = 0.0
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    peak_cpus: float = 0.0
    start_seconds: float = 0.0
    """What it took to make the container of its last run, by the clock, and of processor time."""
    start_cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    disk_kib: int = 0
    gpu_memory_mib: float = 0.0
    last_machine: str = ""
    last_gpus: str = ""
    """The UUIDs of the GPUs that its last run had."""
    exit_code: int | None = None
    exit_signal: int | None = None
    ended_at: float | None = None
    stdout: OutputFile | None = None
    stderr: OutputFile | None = None
    files: list[OutputFile] = []
    warnings: list[str] = []
    checkpoint: SavedCheckpoint | None = None
    checkpoints: int = 0
    checkpoint_trouble: str = ""
    """Why a later one could not be taken, in words."""
    committed_seconds: float = 0.0
    """How much of `wall_seconds` was not lost by evictions."""

    @property
    def run_id(self) -> RunId:
        """The current (or last) attempt."""
        return RunId(self.cluster, self.proc, self.attempt)

    @property
    def waits(self) -> bool:
        """Whether it could be granted a machine now."""
        return self.status == IDLE and self.run is None


def can(job: Job, move: Move) -> bool:
    return (job.status, move) in TRANSITIONS


def moved(job: Job, move: Move, now: float) -> JobStatus:
    """Move `job`; return the status it had."""
    try:
        status = TRANSITIONS[job.status, move]
    except KeyError:
        raise IllegalMove(job, move) from None
    before, job.status, job.entered_at = job.status, status, now
    return before
