"""What lies between a startd and the schedd: one `Connection` per dialling.

A frame may be lost, doubled, late or overtaken; a connection may break, and its two ends
notice apart. The greeting alone is not lost by itself (WebSockets lose nothing without
breaking, and nobody would ask again): it may be doubled, late, or go down with its connection.
Frames that were on their way to the schedd when the connection broke may still arrive.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from contract.messages import FromSchedd, Hello, Welcome, encode
from tests.simulation.faults import LATEST_SECONDS

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World

KEEPALIVE_SECONDS = 20.0
"""After so long a silence of the wire itself, an end takes the connection for broken."""


class Connection:
    """`to_schedd` and `to_startd` carry; the ends are called back through `world`."""

    def __init__(self, world: "World", machine: "Machine", number: int) -> None:
        self.world = world
        self.machine = machine
        self.number = number
        self.in_flight = 0
        self.schedd_is_there = self.startd_is_there = True
        self.greeted: bool | None = None
        """None before its Hello, False until that is on disk."""
        self._latest = [0.0, 0.0]

    def to_schedd(self, messages: list) -> None:
        self._carry(0, encode(messages), isinstance(messages[0], Hello), self._reach_schedd)

    def to_startd(self, messages: list[FromSchedd]) -> None:
        greeting = any(isinstance(message, Welcome) for message in messages)
        self._carry(1, encode(messages), greeting, self._reach_startd)

    def break_up(self, schedd_notices_after: float = 0.0, startd_notices_after: float = 0.0) -> None:
        """Each end is told that the connection is gone, each in its time."""
        if self.startd_is_there:
            self.startd_is_there = False
            self.world.after(startd_notices_after, self.machine.lost_connection, self)
        if self.schedd_is_there:
            self.world.after(schedd_notices_after, self._schedd_notices)

    def _schedd_notices(self) -> None:
        if self.schedd_is_there:
            self.schedd_is_there = False
            self.world.schedd.on_gone(self)

    def _carry(self, way: int, frame: bytes, greeting: bool, deliver: Callable[[bytes], None]) -> None:
        faults, random = self.world.faults, self.world.random
        if self.machine.is_cut_off and greeting:
            self.break_up(KEEPALIVE_SECONDS, KEEPALIVE_SECONDS)
        if self.machine.is_cut_off or (not greeting and random.random() < faults.lose):
            return
        for _ in range(1 + (random.random() < faults.double)):
            at = self.world.now + random.uniform(0.0005, 0.02)
            if random.random() < faults.late:
                at += random.uniform(0.5, LATEST_SECONDS)
            elif random.random() >= faults.reorder:
                at = self._latest[way] = max(at, self._latest[way] + 1e-6)
            else:
                at += random.uniform(0.0, 1.0)
            self.in_flight += 1
            self.world.at(at, self._arrive, deliver, frame)

    def _arrive(self, deliver: Callable[[bytes], None], frame: bytes) -> None:
        self.in_flight -= 1
        deliver(frame)

    def _reach_schedd(self, frame: bytes) -> None:
        self.world.schedd.hear(self, frame)

    def _reach_startd(self, frame: bytes) -> None:
        if self.startd_is_there:
            self.machine.hear(self, frame)
