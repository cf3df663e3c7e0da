"""The keeper's truth: the processes themselves, and what is remembered of them.

Jobs go on while the startd is dead, and their ends are remembered; when the keeper was
killed the processes it had started go on too, but nobody can tell how they end. It obeys
in order, through a pipe that outlives the startd, as `startd.runtime.keeper` does.
"""

import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contract.messages import Grant
from contract.vocabulary import CHECKPOINT_EXIT_CODE, RunId
from startd.core.events import Begun, Over

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

MEMORY_MOOD, STUBBORN_MOOD, GREEDY_MOOD = "memory", "stubborn", "greedy"
COUNTING_MOOD = "counting"
"""It checkpoints how far it is, and asks to run again after every slice of its work."""

SLICE_SECONDS = 12.0
ASKED = "keeper: asked, nothing done yet"


@dataclass(slots=True)
class Process:
    """A job's process, as nature has it."""

    run: RunId
    pid: int
    began_at: float
    mood: str
    adopted: bool = False
    """Its keeper was killed: nobody will know how it ended."""
    over: Over | None = None
    gpu_mib: float = 0.0
    """What it uses of each GPU that it was granted."""
    steps: float = 0.0
    """How far it was when it began: what an earlier run had checkpointed."""
    frozen: bool = False
    pending: list[Callable[[], None]] = field(default_factory=list)
    """What it would do, if it did not stand still."""

    def steps_at(self, now: float) -> float:
        """How far it is; it does not go on when it is over."""
        lasted = self.over.wall_seconds if self.over is not None else now - self.began_at
        return round(self.steps + lasted, 6)


class Keeper:
    """One per machine; `living` and `remembered` survive the startd."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.world = machine.world
        self.living: dict[RunId, Process] = {}
        self.remembered: dict[RunId, Process] = {}
        """Begun and not yet forgotten."""
        self._pipe: deque[Callable[[], None]] = deque()
        self._life = object()

    def connect(self) -> tuple[frozenset[RunId], list[Begun | Over]]:
        """What is known; what a dead startd had asked is done before."""
        while self._pipe:
            self._pipe.popleft()()
        told: list[Begun | Over] = [Begun(process.run, process.pid) for process in self.living.values()]
        told += [process.over for process in self.remembered.values() if process.over is not None]
        return frozenset(self.remembered), told

    def start(self, grant: Grant) -> None:
        self._ask(lambda: self._spawn(grant))

    def signal(self, run: RunId, number: int) -> None:
        self._ask(lambda: self._signal(run, number))

    def kill(self, run: RunId) -> None:
        self._ask(lambda: self._signal(run, signal.SIGKILL))

    def forget(self, run: RunId) -> None:
        self._ask(lambda: self._forget(run))

    def die(self) -> None:
        """Killed by itself: requests in the pipe are lost, processes go on unwatched."""
        self._life = object()
        self._pipe.clear()
        for process in self.living.values():
            process.adopted = True

    def die_with_machine(self) -> None:
        """All processes die; how they ended nobody will know."""
        self._pipe.clear()
        self._life = object()
        for process in list(self.living.values()):
            process.adopted = True
            self._end(process, None, None)

    def wipe(self) -> None:
        self.die_with_machine()
        self.remembered.clear()

    # --- obeying -------------------------------------------------------------------------

    def _ask(self, request: Callable[[], None]) -> None:
        self._pipe.append(request)
        self.world.after(self.world.random.uniform(0.0001, 0.003), self._obey, self._life)
        if self.world.strikes(ASKED, self.world.faults.keeper_dies):
            self.machine.kill_keeper()

    def _obey(self, life: object) -> None:
        if life is self._life and self._pipe:
            self._pipe.popleft()()

    def _spawn(self, grant: Grant) -> None:
        known = self.remembered.get(grant.run)
        if known is not None:
            self._tell(known.over or Begun(known.run, known.pid))
            return
        world = self.world
        seconds, exit_code, mood = grant.program.arguments
        process = Process(grant.run, world.number(), world.now, mood)
        if grant.program.checkpoint is not None:
            process.steps = world.truth.steps[grant.program.checkpoint.sha256]
        self.living[grant.run] = self.remembered[grant.run] = process
        world.truth.begins(self.machine, grant, process.steps)
        self._tell(Begun(grant.run, process.pid))
        if mood == COUNTING_MOOD:
            left = float(seconds) - process.steps
            if left > SLICE_SECONDS:
                world.after(SLICE_SECONDS, self._ends_by_itself, process, CHECKPOINT_EXIT_CODE)
            else:
                world.after(max(0.0, left), self._ends_by_itself, process, int(exit_code))
        elif float(seconds) >= 0:
            lasts = float(seconds) * world.random.uniform(0.8, 1.2)
            world.after(lasts, self._ends_by_itself, process, int(exit_code))
        if grant.claim.gpus:
            process.gpu_mib = world.random.choice([200.0, 900.0])
            world.after(world.random.uniform(0.0, 2.0), self.machine.uses_gpus, process, grant)
        if mood == MEMORY_MOOD:
            world.after(world.random.uniform(0.1, 5.0), self.machine.grows, process)

    def _signal(self, run: RunId, number: int) -> None:
        process = self.living.get(run)
        if process is not None and number in (signal.SIGSTOP, signal.SIGCONT):
            self._freeze(process, number == signal.SIGSTOP)
            return
        if process is None or (number != signal.SIGKILL and process.mood == STUBBORN_MOOD):
            return
        self.world.after(self.world.random.uniform(0.0, 0.05), self._ends_by_signal, process, int(number))

    def _forget(self, run: RunId) -> None:
        if run in self.living:
            raise self.world.story.violated("a living run was forgotten", run)
        self.remembered.pop(run, None)

    # --- ends ----------------------------------------------------------------------------

    def _freeze(self, process: Process, frozen: bool) -> None:
        process.frozen = frozen
        while process.pending and not process.frozen:
            process.pending.pop(0)()

    def _ends_by_itself(self, process: Process, exit_code: int) -> None:
        if process.frozen:
            process.pending.append(lambda: self._ends_by_itself(process, exit_code))
        elif process.over is None:
            self._end(process, exit_code, None)

    def _ends_by_signal(self, process: Process, number: int) -> None:
        if process.frozen and number != signal.SIGKILL:
            process.pending.append(lambda: self._ends_by_signal(process, number))
        elif process.over is None:
            self._end(process, None, number)

    def _end(self, process: Process, exit_code: int | None, number: int | None) -> None:
        seconds = self.world.now - process.began_at
        if process.adopted:
            exit_code = number = None
        process.over = Over(process.run, exit_code, number, seconds, seconds, 0.0, 10.0)
        del self.living[process.run]
        self.world.truth.ends(self.machine, process.run, exit_code, number)
        self._tell(process.over)

    def _tell(self, happening: Begun | Over) -> None:
        self.machine.told_by_keeper(happening)
