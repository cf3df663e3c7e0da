"""The life of a run on its machine.

Read TRANSITIONS first: it is the whole machine. Everything that moves a run goes
through `step`; no other module chooses a run's phase.

INV-R1: ENDED is final; how a run ended never changes afterwards.
INV-R2: a run is started at most once: Start is asked for only on the way to STARTING.
"""

from dataclasses import dataclass
from enum import Enum, auto

from contract.messages import Checkpoint, Grant, RunEnd
from contract.vocabulary import EndReason, Phase, RunId
from startd.core.events import Over


class Turn(Enum):
    """What can happen to a run, as far as its phase is concerned."""

    FETCH = auto()
    START = auto()
    FOUND = auto()
    BEGUN = auto()
    FAILED = auto()
    """It could not be fetched or started, or was refused."""
    SUSPEND = auto()
    RESUME = auto()
    STOP = auto()
    OVER = auto()
    COLLECTED = auto()


TRANSITIONS = {
    (Phase.GRANTED, Turn.FETCH): Phase.FETCHING,
    (Phase.GRANTED, Turn.START): Phase.STARTING,
    (Phase.GRANTED, Turn.FOUND): Phase.STARTING,
    (Phase.GRANTED, Turn.STOP): Phase.ENDED,
    (Phase.GRANTED, Turn.FAILED): Phase.ENDED,
    (Phase.FETCHING, Turn.START): Phase.STARTING,
    (Phase.FETCHING, Turn.FAILED): Phase.ENDED,
    (Phase.FETCHING, Turn.STOP): Phase.ENDED,
    (Phase.STARTING, Turn.BEGUN): Phase.RUNNING,
    (Phase.STARTING, Turn.FAILED): Phase.ENDED,
    (Phase.STARTING, Turn.STOP): Phase.STOPPING,
    (Phase.STARTING, Turn.OVER): Phase.RETURNING,
    (Phase.RUNNING, Turn.STOP): Phase.STOPPING,
    (Phase.RUNNING, Turn.OVER): Phase.RETURNING,
    (Phase.RUNNING, Turn.SUSPEND): Phase.SUSPENDED,
    (Phase.SUSPENDED, Turn.RESUME): Phase.RUNNING,
    (Phase.SUSPENDED, Turn.STOP): Phase.STOPPING,
    (Phase.SUSPENDED, Turn.OVER): Phase.RETURNING,
    (Phase.STOPPING, Turn.BEGUN): Phase.STOPPING,
    (Phase.STOPPING, Turn.FAILED): Phase.ENDED,
    (Phase.STOPPING, Turn.STOP): Phase.STOPPING,
    (Phase.STOPPING, Turn.OVER): Phase.RETURNING,
    (Phase.RETURNING, Turn.COLLECTED): Phase.ENDED,
}


@dataclass(slots=True)
class JobRun:
    """One attempt at a job on this machine. `grant` is without its inline contents."""

    grant: Grant
    phase: Phase = Phase.GRANTED
    alive: bool = False
    """Its process exists, as far as is known."""
    found: bool = False
    """It was started by an earlier life of the startd."""
    ending: EndReason | None = None
    """Why we are ending it, if we are; the first reason stands."""
    message: str = ""
    halts: int = 0
    """How often it was suspended and resumed, counted together: odd while it is to stand still."""
    kill_at: float | None = None
    over: Over | None = None
    end: RunEnd | None = None
    blobs: dict[str, bytes] | None = None
    """Small contents of the end, until they were sent once; later they are recalled."""
    told: tuple[Phase, int] | None = None
    """The phase and the `halts` that the schedd was told last."""
    sent_at: float | None = None
    reached: tuple[float, str] | None = None
    """How far it says it is, and in its own words."""
    used_at: float | None = None
    used_mib: float = 0.0
    used_cpu: float = 0.0
    used_kib: int = 0
    used_gpu_mib: float = 0.0
    gpu_peak_mib: float = 0.0
    """The most that it was seen to use of one GPU."""
    cpu_seen: tuple[float, float] | None = None
    """When its processor time was looked at, and what it was: what `peak_cpus` counts from."""
    peak_cpus: float = 0.0
    take_at: float | None = None
    """When its next checkpoint is due; None while one is being taken, or when none is wanted."""
    checkpoint: Checkpoint | None = None
    """The last one that is with the schedd."""
    changed_at: float = 0.0
    """When its folder had last changed then."""
    trouble: str = ""
    """Why a later one was not taken."""
    tells_checkpoint: bool = False
    """Whether the schedd is still to hear of that."""
    unwanted: bool = False
    """Nobody will go on with it: no last checkpoint is wanted."""
    signal: int | None = None
    """What tells it to leave, where that is not the signal that it is evicted with."""
    frozen_at: float | None = None
    """Since when it stands still."""
    over_at: float = 0.0

    @property
    def run(self) -> RunId:
        return self.grant.run


def step(run: JobRun, turn: Turn) -> bool:
    """Move `run` if `turn` can happen to it now; whether it could."""
    phase = TRANSITIONS.get((run.phase, turn))
    if phase is None:
        return False
    run.phase = phase
    return True
