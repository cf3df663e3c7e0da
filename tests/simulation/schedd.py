"""The schedd's process: the real core and the real statements, in the order of `schedd.loop`.

Apply a group, match, make the statements, commit, and only then send and answer. Between
any two of these the process may be killed (`world.strikes`); what is on disk remains.
"""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contract.messages import (
    Acknowledge,
    AdChanged,
    Beat,
    BuildEnded,
    BuildProgressed,
    Checkpointed,
    Ended,
    FromSchedd,
    Grant,
    Hello,
    Progressed,
    Reached,
    Refused,
    Used,
    decode_from_startd,
)
from contract.problems import Problem
from contract.vocabulary import RunId
from schedd.core.building import on_build_ended, on_build_progressed
from schedd.core.checkpoints import on_checkpointed
from schedd.core.ends import on_ended
from schedd.core.leases import tick
from schedd.core.matching import match
from schedd.core.outcome import Outcome
from schedd.core.pool import Pool, Settings
from schedd.core.reached import on_reached
from schedd.core.restored import restore
from schedd.core.runs import on_ad, on_beat, on_gone, on_hello, on_progressed, on_used
from schedd.store.rows import Statement, statements
from tests.simulation.network import Connection

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World

SETTINGS = Settings(lease_seconds=40.0, beat_seconds=5.0)
TICK_SECONDS = 1.0
HELLO_SECONDS = 30.0
RETRY_SECONDS = 0.2

BEFORE_APPLYING = "schedd: before a group is applied"
BEFORE_COMMIT = "schedd: before the commit"
INSIDE_COMMIT = "schedd: in the middle of the commit"
BEFORE_SENDS = "schedd: between the commit and the sends"
BETWEEN_SENDS = "schedd: between two sends"
BEFORE_ANSWERS = "schedd: sent, nobody answered"
AFTER_ALL = "schedd: all sent and answered"
MOMENTS = (BEFORE_APPLYING, BEFORE_COMMIT, INSIDE_COMMIT, BEFORE_SENDS, BETWEEN_SENDS, BEFORE_ANSWERS, AFTER_ALL)

Answer = Callable[[Any, Problem | None], None]
HEARD = {Ended: on_ended, Progressed: on_progressed, Used: on_used, Reached: on_reached, Checkpointed: on_checkpointed,
         Beat: on_beat, AdChanged: on_ad, BuildProgressed: on_build_progressed, BuildEnded: on_build_ended}


class Schedd:
    """`pool` is None while it is dead."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.pool: Pool | None = None
        self.links: dict[int, Connection] = {}
        self.committing = False
        self._steps: list[tuple[Callable[..., Any], tuple[Any, ...], Answer | None]] = []
        self._backlog: dict[int, list[Any]] = {}
        """Messages of a connection whose Hello is not yet on disk."""
        self._life = object()

    @property
    def is_alive(self) -> bool:
        return self.pool is not None

    @property
    def is_busy(self) -> bool:
        return self.committing or bool(self._steps)

    def start(self) -> None:
        if self.pool is None:
            self.world.say((), "the schedd starts")
            self.pool = restore("lab", SETTINGS, self.world.database.load(), self.world.now)
            self.world.ledger.schedd_restarted()
            self.world.after(TICK_SECONDS, self._tick, self._life)
            self.world.touched_pool()

    def kill(self, why: str) -> None:
        if self.pool is None:
            return
        self.world.say((), f"the schedd is killed {why}")
        self.world.kills += 1
        self.pool, self._life = None, object()
        self._steps.clear()
        self._backlog.clear()
        self.committing = False
        links, self.links = self.links, {}
        for connection in links.values():
            connection.schedd_is_there = False
            connection.break_up(startd_notices_after=self.world.random.uniform(0.0, 0.1))
        self.world.after(self.world.random.uniform(0.1, 10.0), self.start)

    # --- asked and told ------------------------------------------------------------------

    def ask(self, step: Callable[..., Any], *args: Any, answer: Answer | None = None) -> None:
        if self.pool is None:
            return
        self._steps.append((step, args, answer))
        if not self.committing and len(self._steps) == 1:
            self.world.after(0.0, self._one_group, self._life)

    def accept(self, machine: "Machine") -> Connection:
        connection = Connection(self.world, machine, self.world.number())
        self.links[connection.number] = connection
        self.world.after(HELLO_SECONDS, self._hello_overdue, connection)
        return connection

    def on_gone(self, connection: Connection) -> None:
        self.links.pop(connection.number, None)
        self._backlog.pop(connection.number, None)
        self.ask(on_gone, connection.number)

    def hear(self, connection: Connection, frame: bytes) -> None:
        """As `schedd.api.startds`: the first message is the Hello, and the only one."""
        if self.pool is None or not connection.schedd_is_there:
            return
        messages = decode_from_startd(frame)
        number = connection.number
        if connection.greeted is None:
            first = messages[0]
            if not isinstance(first, Hello):
                self._hang_up(connection)
                return
            connection.greeted = False
            self._backlog[number] = messages[1:]
            self.ask(on_hello, number, first, answer=lambda taken, _: self._greeted(connection, taken))
        elif not connection.greeted:
            self._backlog.get(number, []).extend(messages)
        else:
            self._take(connection, messages)

    def _greeted(self, connection: Connection, taken: bool) -> None:
        if not taken:
            self._hang_up(connection)
            return
        connection.greeted = True
        self._take(connection, self._backlog.pop(connection.number, []))

    def _take(self, connection: Connection, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, Hello):
                self._hang_up(connection)
                return
            if isinstance(message, Ended):
                self.world.say(message.run, f"{connection.machine.name} reports the end: {message.end.reason} "
                                            f"{message.end.exit_code} {message.end.signal}")
                if self.world.broken == "believes a wrong attempt":
                    message = self.world.ledger.forged(message)
            self.ask(HEARD[type(message)], connection.number, message)

    def _hang_up(self, connection: Connection) -> None:
        connection.break_up(0.0, self.world.random.uniform(0.0, 0.1))

    def _hello_overdue(self, connection: Connection) -> None:
        if connection.greeted is None and connection.schedd_is_there:
            self._hang_up(connection)

    def _tick(self, life: object) -> None:
        if life is self._life:
            self.ask(tick)
            self.world.after(TICK_SECONDS, self._tick, life)

    # --- apply, commit, let go -----------------------------------------------------------

    def _one_group(self, life: object) -> None:
        if life is not self._life or self._dies(BEFORE_APPLYING):
            return
        pool, now = self.pool, self.world.now
        assert pool is not None
        group, self._steps = self._steps, []
        if not group:
            return
        answers: list[tuple[Answer, Any, Problem | None, tuple[int, int]]] = []
        for step, args, answer in group:
            first_event = pool.next_event
            result, problem = None, None
            try:
                result = step(pool, now, *args)
            except Problem as refusal:
                problem = refusal
            if answer is not None:
                answers.append((answer, result, problem, (first_event, pool.next_event)))
        if pool.filing.wanted:
            match(pool, now)
        outcome = pool.take_outcome()
        self.world.ledger.applied(outcome)
        if outcome.saves_something or outcome.sends:
            self.world.touched_pool()
        saves = statements(pool, outcome) if outcome.saves_something else []
        saves, answers = self._break_a_rule(outcome, saves, answers)
        if self._dies(BEFORE_COMMIT):
            return
        if not saves:
            self._let_go(outcome, answers)
        else:
            self.committing = True
            self.world.after(self.world.random.uniform(0.0005, 0.01), self._commit, life, saves, outcome, answers)

    def _commit(self, life: object, saves: list[Statement], outcome: Outcome, answers: list[Any]) -> None:
        if life is not self._life:
            return
        database = self.world.database
        if self._dies(INSIDE_COMMIT):
            database.tear(saves)
            return
        if self.world.random.random() < self.world.faults.schedd_disk_full:
            database.tear(saves)
            self.world.after(RETRY_SECONDS, self._commit, life, saves, outcome, answers)
            return
        try:
            database.commit(saves)
        except sqlite3.IntegrityError as error:
            raise self.world.story.violated(f"the database refuses: {error}") from error
        self.committing = False
        self.world.ledger.committed(outcome)
        if not self._dies(BEFORE_SENDS):
            self._let_go(outcome, answers)

    def _let_go(self, outcome: Outcome, answers: list[Any]) -> None:
        self._send(outcome)
        if self._dies(BEFORE_ANSWERS):
            return
        self._answer(answers)
        if not self._dies(AFTER_ALL) and self._steps:
            self.world.after(0.0, self._one_group, self._life)

    def _send(self, outcome: Outcome) -> None:
        """What goes to one machine leaves in one frame, or in several."""
        by_link: dict[int, list[FromSchedd]] = {}
        for link, message in outcome.sends:
            by_link.setdefault(link, []).append(message)
        frames = [(link, part) for link, messages in by_link.items() for part in self.world.parts(messages)]
        for place, (link, messages) in enumerate(frames):
            if place and self._dies(BETWEEN_SENDS):
                return
            connection = self.links.get(link)
            if connection is None:
                continue
            self._note(connection, messages)
            connection.to_startd(messages)
            if any(isinstance(message, Refused) for message in messages):
                self._hang_up(connection)

    def _answer(self, answers: list[Any]) -> None:
        for answer, result, problem, events in answers:
            self.world.ledger.answered(events)
            answer(result, problem)

    def _break_a_rule(
        self, outcome: Outcome, saves: list[Statement], answers: list[Any]
    ) -> tuple[list[Statement], list[Any]]:
        """Be a worse schedd, where the world asks for one (`test_itself`)."""
        match self.world.broken:
            case "sends before it commits":
                self._send(outcome)
                outcome.sends.clear()
            case "acknowledges before it commits":
                early = Outcome(sends=[send for send in outcome.sends if isinstance(send[1], Acknowledge)])
                self._send(early)
            case "tells the user before it commits":
                self._answer(answers)
                answers = []
            case "forgets a row" if self.world.random.random() < 0.3:
                saves = [statement for statement in saves if "into jobs" not in statement[0]]
        return saves, answers

    def _note(self, connection: Connection, messages: list[FromSchedd]) -> None:
        ledger, name = self.world.ledger, connection.machine.name
        for message in messages:
            match message:
                case Grant(run):
                    self.world.say(run, f"granted to {name}")
                    ledger.sends_grant(run, name)
                    ledger.gives_along(run, message.program.checkpoint)
                case Acknowledge(runs):
                    for run in runs:
                        ledger.sends_acknowledgement(RunId(*run), name)
                case _:
                    run = getattr(message, "run", None)
                    if run is not None:
                        self.world.say(run, f"{name} is told: {message}")

    def _dies(self, moment: str) -> bool:
        life = self._life
        if self.pool is not None and self.world.strikes(moment, self.world.faults.schedd_dies):
            self.kill(moment.removeprefix("schedd: "))
        return self.pool is None or life is not self._life
