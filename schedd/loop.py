"""The loop that ties core, store and edges: apply, commit, then let go.

While one group is being committed the next one gathers, so under load a commit carries
many events and alone it carries one. Only when groups come thick and fast does the next one
wait a moment on purpose (COALESCE_SECONDS), to be larger. Instructions, answers and
published events leave only after their commit (a crash leaves either both or neither).

If the disk does not take a commit it is tried again and nothing new is accepted meanwhile.
If the core breaks an invariant, the pool is made again from the disk, as after a restart.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from contract.messages import FromSchedd
from contract.problems import Problem
from contract.requests import Event
from dsl.domains import Entry
from schedd.core.cluster import Cluster
from schedd.core.leases import move_clocks, tick
from schedd.core.matching import match
from schedd.core.outcome import Outcome
from schedd.core.pool import Pool, Settings
from schedd.core.restored import restore
from schedd.store.rows import Statement, statements
from schedd.store.store import NotSaved, Store

log = logging.getLogger("schedd")

P = ParamSpec("P")
T = TypeVar("T")
Step = Callable[Concatenate[Pool, float, P], T]

MOST_IN_A_GROUP = 5_000
BUSY_GROUP = 4
COALESCE_SECONDS = 0.004
TICK_SECONDS = 1.0
LARGEST_DRIFT_SECONDS = 30.0
LONGEST_RETRY_SECONDS = 5.0


class Clock:
    """Wall time that runs evenly between calls of `follow_wall`.

    When the machine's clock was set, or it slept, leases must not end by that: whoever
    calls `follow_wall` moves them along.
    """

    def __init__(self) -> None:
        self._wall = time.time()
        self._start = time.monotonic()

    def __call__(self) -> float:
        return self._wall + (time.monotonic() - self._start)

    def follow_wall(self) -> float:
        """Go by the wall clock again if it is far off; return by how much it was."""
        jump = time.time() - self()
        if abs(jump) < LARGEST_DRIFT_SECONDS:
            return 0.0
        self._wall += jump
        return jump


class Edges(Protocol):
    """What the loop calls once a group is on disk."""

    def send(self, link: int, messages: list[FromSchedd]) -> None: ...

    def publish(self, events: list[Event], clusters: set[int], over: Collection[int]) -> None: ...

    def deliver(self, jobs: list[tuple[int, int]]) -> None: ...

    def cut_all_links(self) -> None: ...


class Loop:
    """One per schedd. `ask` and `tell` may be called from the event loop's thread only."""

    def __init__(self, pool: Pool, store: Store, edges: Edges, clock: Clock) -> None:
        self.pool = pool
        self.store = store
        self.clock = clock
        self.trouble: Problem | None = None
        """Why nothing new is accepted now, if so."""
        self.lately_closed: dict[int, Cluster] = {}
        """Clusters that left the queue with the group that is being let go."""
        self.commits = 0
        self.applied = 0
        self._edges = edges
        self._steps: list[tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[Any] | None]] = []
        self._extra: list[Statement] = []
        self._wake = asyncio.Event()
        self._stopping = False

    async def ask(self, step: Callable[Concatenate[Pool, float, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply `step`; return its answer once what it changed is on disk."""
        assert not kwargs
        if self.trouble is not None:
            raise self.trouble
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._steps.append((step, args, future))
        self._wake.set()
        return await future

    def tell(self, step: Callable[Concatenate[Pool, float, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Apply `step`; nobody waits for it."""
        assert not kwargs
        self._steps.append((step, args, None))
        self._wake.set()

    def save_too(self, statement: Statement) -> None:
        """Let `statement` go with the next commit; nobody waits for it."""
        self._extra.append(statement)
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`; everything told before is done then."""
        ticker = asyncio.create_task(self._tick())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._steps or self._extra:
                    steps = len(self._steps)
                    await self._one_group()
                    if steps >= BUSY_GROUP:
                        await asyncio.sleep(COALESCE_SECONDS)
                if self._stopping:
                    return
        finally:
            ticker.cancel()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def _one_group(self) -> None:
        group, self._steps = self._steps[:MOST_IN_A_GROUP], self._steps[MOST_IN_A_GROUP:]
        extra, self._extra = self._extra, []
        answers: list[tuple[asyncio.Future[Any], Any, Problem | None]] = []
        try:
            now = self.clock()
            for step, args, future in group:
                answer, problem = None, None
                try:
                    answer = step(self.pool, now, *args)
                except Problem as refusal:
                    problem = refusal
                if future is not None:
                    answers.append((future, answer, problem))
            if self.pool.filing.wanted:
                match(self.pool, now)
            outcome = self.pool.take_outcome()
            saves = [*statements(self.pool, outcome), *extra] if outcome.saves_something else extra
            if saves:
                await self._commit(saves)
        except Exception:
            log.exception("the core broke an invariant; the pool is made again from the disk")
            await self._start_over([future for _, _, future in group if future is not None])
            return
        self.applied += len(group)
        self._let_go(outcome, answers)

    async def _commit(self, saves: list[Statement]) -> None:
        pause = 0.1
        while True:
            try:
                await self.store.commit(saves)
            except NotSaved as error:
                self.trouble = _why_not_saved(error)
                log.error("a commit failed; trying again", extra={"error": str(error), "pause": pause})
                await asyncio.sleep(pause)
                pause = min(LONGEST_RETRY_SECONDS, pause * 2)
            else:
                self.trouble = None
                self.commits += 1
                return

    def _let_go(self, outcome: Outcome, answers: list[tuple[asyncio.Future[Any], Any, Problem | None]]) -> None:
        by_link: dict[int, list[FromSchedd]] = {}
        for link, message in outcome.sends:
            by_link.setdefault(link, []).append(message)
        for link, messages in by_link.items():
            self._edges.send(link, messages)
        for future, answer, problem in answers:
            if future.done():
                continue               # whoever asked has gone away
            if problem is not None:
                future.set_exception(problem)
            else:
                future.set_result(answer)
        self.lately_closed = outcome.closed
        if outcome.events or outcome.clusters or outcome.stirred:
            self._edges.publish(outcome.events, outcome.clusters | outcome.stirred, outcome.closed)
        if outcome.deliveries:
            self._edges.deliver(outcome.deliveries)

    async def _start_over(self, waiting: list[asyncio.Future[Any]]) -> None:
        for future in waiting:
            if not future.done():
                future.set_exception(Problem("internal", "The schedd ran into a fault of its own; this was undone.",
                                             "Its log tells more: pesc_pool logs schedd. Please report it."))
        self._edges.cut_all_links()
        self.pool = await load_pool(self.store, self.pool.name, self.pool.settings, self.clock(), self.pool.store)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            jump = self.clock.follow_wall()
            if jump:
                log.warning("the clock was set by %.0f s", jump)
                self.tell(move_clocks, jump)
            if self.trouble is None:
                self.tell(tick)


def _why_not_saved(error: NotSaved) -> Problem:
    if "full" in str(error):
        return Problem("disk_full", "The schedd's disk is full: nothing can be saved.",
                       "Free some space there; it goes on by itself.")
    return Problem("unavailable", f"The schedd cannot save anything now: {error}.",
                   "Its log tells more: pesc_pool logs schedd.")


async def load_pool(
    store: Store, name: str, settings: Settings, now: float, domains: Mapping[str, Entry] | None = None
) -> Pool:
    """The pool as the disk has it."""
    return restore(name, settings, await store.load(), now, domains)
