"""What the startd asks of whatever runs its jobs, and what it hears back.

`process` runs plain processes, `podman` containers; both are behind the same Protocol.
Requests return at once; what comes of them is told through the `tell` that the
runtime was made with, in the order in which it happened.
The conformance tests in `tests/startd/runtime` say what every runtime owes.
"""

from dataclasses import dataclass
from typing import Protocol

from contract.vocabulary import RunId
from startd.core.events import Begun, Over, Usage
from startd.core.launch import Launch


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """There is no process and never was; `errno` and `where` say why.

    `where` is "folder", "program", "image" (there is none of that name), "engine"
    (what starts containers failed) or "keeper" (it was killed, and whether the run
    had come and gone nobody knows); `words` are for people, where a number says too little.
    """

    run: RunId
    errno: int
    where: str
    words: str = ""


class NoImage(Exception):
    """The image that a run asks for cannot be had; `is_wrong` if its name is, not the machine or the registry."""

    def __init__(self, words: str, is_wrong: bool = False) -> None:
        super().__init__(words)
        self.is_wrong = is_wrong


@dataclass(frozen=True, slots=True)
class Command:
    """Something to be started beside a run, in its place."""

    argv: list[str]
    environment: dict[str, str]
    tty: bool = False
    folder: str = "/"


Happening = Begun | SpawnFailed | Over | Usage


class Runtime(Protocol):
    """Starts, watches and ends runs. Everything asked twice is harmless."""

    async def open(self) -> set[RunId]:
        """Make ready; return the runs found from before, whose Begun or Over will be told."""

    async def provide(self, image: str | None) -> None:
        """Have this image ready; raise NoImage. A run whose image is not ready waits for it as well."""

    def start(self, run: RunId, launch: Launch) -> None:
        """Start it; SpawnFailed, or Begun and later Over, will be told."""

    def watch(self, run: RunId, launch: Launch) -> None:
        """Keep to the limits of a run that was found from before."""

    def signal(self, run: RunId, number: int) -> None:
        """Send a signal to all of the run's processes."""

    def kill(self, run: RunId) -> None:
        """End all of the run's processes, those that escaped included."""

    def suspend(self, run: RunId) -> None: ...

    def resume(self, run: RunId) -> None: ...

    def inside(self, run: RunId, command: Command) -> Command | None:
        """`command` as it is started on this machine to be in the run's place: with the run's folder and
        environment, to which its own is added. None when the run does not run."""

    def remove(self, run: RunId) -> None:
        """Forget a run that is over."""

    async def close(self, leave: bool) -> None:
        """Stop watching. With `leave`, nothing stays behind when the last run is over."""
