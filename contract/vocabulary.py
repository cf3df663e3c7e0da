"""Numbers and names that both ends of the wire use.

States carry HTCondor's numbers, so its habits and constraints
(`JobStatus == 5`) hold here too.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple

PROTOCOL = 1
"""Raised when two programs of different number can no longer talk."""

VERSION = "0.1.0"

INLINE_BYTES = 64 * 1024
"""Contents up to this size travel inside messages and lie in the database;
larger ones are uploaded by themselves and lie in files of their own."""

MAX_BLOB_BYTES = 64 * 1024**3
MAX_TREE_FILES = 200_000
MAX_TREE_BYTES = MAX_BLOB_BYTES
"""Of a folder that travels as one, whichever way it goes."""

MAX_SUBMISSION_BYTES = 64 * 1024**2
MAX_REPETITIONS = 100_000_000
MAX_NAME_CHARACTERS = 255
MAX_KEY_CHARACTERS = 64


CHECKPOINT_EXIT_CODE = 85
"""A program of the contract that ends with it says: checkpointed, run me again. HTCondor's habit."""


class JobStatus(IntEnum):
    """HTCondor's states of a job, with its numbers."""

    IDLE = 1
    RUNNING = 2
    REMOVED = 3
    COMPLETED = 4
    HELD = 5
    TRANSFERRING_OUTPUT = 6
    SUSPENDED = 7


class Phase(StrEnum):
    """How far a run has come on its machine."""

    GRANTED = "granted"
    FETCHING = "fetching"
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    RETURNING = "returning"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a run is over; the schedd judges the job by it."""

    EXITED = "exited"
    """The job's process ended by itself, with an exit code or by a signal."""
    STOPPED = "stopped"
    """The schedd asked for it (hold, removal, or an attempt that no longer counts)."""
    EVICTED = "evicted"
    """The machine needed it gone: shutdown, owner, drain."""
    MEMORY = "memory"
    """Killed because it used more memory than it asked for."""
    DISK = "disk"
    """Killed because it filled more disk than it asked for."""
    GPU_MEMORY = "gpu-memory"
    """Killed because it used more memory of a shared GPU than its share."""
    LOST = "lost"
    """The process is gone and nobody saw how it ended."""
    REFUSED = "refused"
    """The job cannot run as it is written: no such interpreter, not executable …"""
    MACHINE_FAULT = "machine-fault"
    """The machine could not do its part: disk full, content not to be had …"""


class HoldCode(IntEnum):
    """HTCondor's `HoldReasonCode` where it has one."""

    USER_REQUEST = 1
    POLICY = 3
    FAILED_TO_START = 6
    SUBMITTED_ON_HOLD = 15
    MEMORY = 34
    DISK = 104
    BROKEN_DESCRIPTION = 105
    TOO_MANY_FAULTS = 106
    GPU_MEMORY = 107
    NO_PROGRESS = 108
    DOMAIN_FAILED = 109


class JobId(NamedTuple):
    """`12.3`: one repetition of what one submission created."""

    cluster: int
    proc: int

    def __str__(self) -> str:
        return f"{self.cluster}.{self.proc}"


class RunId(NamedTuple):
    """`12.3#2`: the second attempt at job 12.3. Every start and report is keyed by it."""

    cluster: int
    proc: int
    attempt: int

    @property
    def job(self) -> JobId:
        return JobId(self.cluster, self.proc)

    def __str__(self) -> str:
        return f"{self.cluster}.{self.proc}#{self.attempt}"
