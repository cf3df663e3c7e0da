"""A machine: its disk, its keeper, and the lives of its startd, one after the other."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from contract.messages import Amounts, FromSchedd, GpuPart, Grant, Welcome, decode_from_schedd
from contract.vocabulary import RunId
from startd.core.events import Begun, Connected, Disconnected, GpuUsage, Heard, LeaveAsked, Over, Usage
from startd.core.ladder import PRESETS, Policy
from tests.builders import gpu_ads
from tests.simulation.disk import Disk
from tests.simulation.keeper import GREEDY_MOOD, MEMORY_MOOD, Keeper, Process
from tests.simulation.network import KEEPALIVE_SECONDS, Connection
from tests.simulation.startd import Startd

if TYPE_CHECKING:
    from tests.simulation.world import World

REDIAL_SECONDS = (0.2, 2.0)
LEAVE_SECONDS = 15.0
HASTY = Policy(freeze_after_seconds=2.0, leave_after_seconds=50.0, resume_after_seconds=15.0, start_after_seconds=25.0)
"""How runs give way to owners: as on a desktop, with less patience."""


class Machine:
    def __init__(self, world: "World", name: str, amounts: Amounts, ad: dict[str, str]) -> None:
        self.world = world
        self.name = name
        self.all_gpus = amounts.gpus
        self.amounts = amounts
        self.ad = {"START": "true", "Name": f'"{name}"', **ad, **(gpu_ads(*amounts.gpus) if amounts.gpus else {})}
        self.identity = f"{name}'s first"
        self.disk = Disk()
        self.keeper = Keeper(self)
        self.startd: Startd | None = None
        self.connection: Connection | None = None
        self.is_cut_off = False
        self.policy = HASTY if world.faults.owner_comes_every else PRESETS["off"]
        self.owner_is_there = False
        self.clock_error = 0.0
        """Of the wall clock, in seconds."""
        self.boot_at = world.random.uniform(-1e6, 0.0)
        """When the steady clock of this boot began."""

    @property
    def gpus(self) -> tuple[GpuPart, ...]:
        return self.amounts.gpus

    def see_gpus(self, gpus: tuple[GpuPart, ...]) -> None:
        """From now on these are the ones that answer; the startd finds out when it looks."""
        if gpus == self.gpus:
            return
        self.amounts = replace(self.amounts, gpus=gpus)
        others = {name: text for name, text in self.ad.items() if "GPU" not in name}
        self.ad = {**others, **gpu_ads(*gpus)}

    def steady(self) -> float:
        return self.world.now - self.boot_at

    # --- the startd's lives --------------------------------------------------------------

    def start(self) -> None:
        if self.startd is None:
            self.world.say((), f"the startd of {self.name} starts")
            self.startd = Startd(self)
            self.startd.begin()
            self.dial()

    def leave(self) -> None:
        """The startd is told to go: its runs are ended and reported, as far as there is time."""
        if self.startd is not None:
            self.world.say((), f"the startd of {self.name} is told to leave")
            self.startd.happened(LeaveAsked("the machine is shut down."))
            self.world.after(LEAVE_SECONDS, self._has_left, self.startd)

    def _has_left(self, startd: Startd) -> None:
        if self.startd is startd:
            self.kill_startd("by itself: it leaves")

    def kill_startd(self, why: str) -> None:
        if self.startd is None:
            return
        self.world.say((), f"the startd of {self.name} is killed {why}")
        self.world.kills += 1
        self.startd = None
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.startd_is_there = False
            connection.break_up(schedd_notices_after=self._half_open())
        self.world.after(self.world.random.uniform(0.1, 20.0), self.start)

    def kill_keeper(self) -> None:
        self.world.say((), f"the keeper of {self.name} is killed")
        self.world.kills += 1
        self.keeper.die()
        if self.startd is not None:
            self.world.after(self.world.random.uniform(0.01, 0.5), self.startd.reopen, self.startd)

    def kill(self, power_loss: bool = False) -> None:
        """All of it dies; it boots later."""
        self.world.say((), f"{self.name} dies" + (" and forgets its last lines" if power_loss else ""))
        self.kill_startd("with its machine")
        self.keeper.die_with_machine()
        self.boot_at = self.world.now - self.world.random.uniform(0.0, 100.0)
        if power_loss:
            self.disk.lose_power(self.world.random.randrange(6))

    def wipe(self) -> None:
        """It is installed anew under its old name."""
        self.world.say((), f"{self.name} is wiped")
        self.kill_startd("with its machine")
        self.keeper.wipe()
        self.disk.wipe()
        self.identity = f"{self.name}'s number {self.world.number()}"

    # --- the wire ------------------------------------------------------------------------

    def cut_off(self, seconds: float, ends_notice: bool = True) -> None:
        """Nothing passes for a while; after KEEPALIVE_SECONDS the ends notice, if they look."""
        if self.is_cut_off:
            return
        self.world.say((), f"{self.name} falls silent for {seconds:.0f} s")
        self.is_cut_off = True
        self.world.after(seconds, self.reach_again)
        if ends_notice and self.connection is not None and seconds > KEEPALIVE_SECONDS:
            self.world.after(KEEPALIVE_SECONDS, self._keepalive_fails, self.connection)

    def reach_again(self) -> None:
        if self.is_cut_off:
            self.world.say((), f"{self.name} can be reached again")
            self.is_cut_off = False

    def break_connection(self) -> None:
        if self.connection is not None:
            self.world.say((), f"the connection of {self.name} breaks")
            self.connection.break_up(self._half_open(), self.world.random.uniform(0.0, 0.1))

    def dial(self) -> None:
        startd, schedd = self.startd, self.world.schedd
        if startd is None or self.connection is not None:
            return
        if self.is_cut_off or not schedd.is_alive:
            self.world.after(self.world.random.uniform(*REDIAL_SECONDS), self.dial)
            return
        self.connection = schedd.accept(self)
        startd.happened(Connected())

    def lost_connection(self, connection: Connection) -> None:
        if self.connection is connection:
            self.connection = None
            if self.startd is not None:
                self.startd.happened(Disconnected())
                self.world.after(self.world.random.uniform(*REDIAL_SECONDS), self.dial)

    def hear(self, connection: Connection, frame: bytes) -> None:
        if self.connection is not connection or self.startd is None:
            return
        messages: list[FromSchedd] = decode_from_schedd(frame)
        for message in messages:
            if isinstance(message, Welcome):
                self.world.say((), f"{self.name} is welcome")
            self.startd.happened(Heard(message))

    # --- the keeper's news ---------------------------------------------------------------

    def told_by_keeper(self, happening: Begun | Over) -> None:
        if self.startd is not None:
            self.world.after(self.world.random.uniform(0.0001, 0.003), self.startd.on_keeper, happening)

    def grows(self, process: Process) -> None:
        """The process uses more memory than it asked for; seen as long as it lives."""
        if process.over is None:
            if self.startd is not None:
                self.startd.happened(Usage(process.run, 1e6, 1.0, 10, over_memory=process.mood == MEMORY_MOOD))
            self.world.after(2.0, self.grows, process)

    def uses_gpus(self, process: Process, grant: Grant) -> None:
        """It takes memory of what GPUs it has: little, much, or more than its share."""
        if process.over is None:
            if self.startd is not None:
                self.startd.happened(GpuUsage(process.run, {
                    part.device: part.memory_mib + 1.0 if process.mood == GREEDY_MOOD else process.gpu_mib
                    for part in grant.claim.gpus}))
            self.world.after(1.0, self.uses_gpus, process, grant)

    def holds_anything(self) -> set[RunId]:
        """Runs of which anything is left here."""
        left = self.keeper.living.keys() | self.keeper.remembered.keys() | self.disk.sandboxes.keys()
        return left | (self.startd.core.runs.keys() if self.startd is not None else set())

    def _half_open(self) -> float:
        return self.world.random.choice([0.0, 0.01, self.world.random.uniform(0.0, KEEPALIVE_SECONDS)])

    def _keepalive_fails(self, connection: Connection) -> None:
        if self.is_cut_off:
            connection.break_up(self.world.random.uniform(0.0, 1.0), self.world.random.uniform(0.0, 1.0))
