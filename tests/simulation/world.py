"""A whole pool under a virtual clock. One seed, one history; nothing sleeps.

    world = World(7, machines=3, faults=Faults(lose=0.1, schedd_dies=0.01))
    world.users.submit(a_cluster(20))
    world.run(minutes(3))
    world.settle()

The real cores (`schedd.core`, `startd.core`), the real SQL and the real codec run here;
around them, simulated, are the network (`network`), the machines with their disks and
processes (`machine`, `disk`, `keeper`), the two programs that hold the cores (`schedd`,
`startd`) and people (`users`). After every step every invariant that the step could have
touched is checked (`invariants`, `ledger`).
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from contract.messages import Amounts, GpuPart, Image
from contract.requests import Selection
from contract.vocabulary import HoldCode, JobStatus
from tests.builders import NOON, a_gpu
from tests.simulation import invariants
from tests.simulation.database import Database
from tests.simulation.faults import LATEST_SECONDS, QUIET, Faults
from tests.simulation.ledger import Ledger, Truth
from tests.simulation.machine import Machine
from tests.simulation.schedd import Schedd
from tests.simulation.startd import Startd
from tests.simulation.story import Key, Story
from tests.simulation.users import Users

LONGEST_SETTLING = 4 * 3600.0
LOOK_SECONDS = 5.0


def minutes(count: float) -> float:
    return 60.0 * count


STAY_HELD = (HoldCode.MEMORY, HoldCode.GPU_MEMORY)
"""Released, these jobs would only be held again."""


def gpus_of(number: int) -> tuple[GpuPart, ...]:
    return a_gpu(f"GPU-{number}a"), a_gpu(f"GPU-{number}b")


class World:
    def __init__(self, seed: int, *, machines: int = 3, faults: Faults = QUIET, name: str = "a world",
                 users: tuple[str, ...] = ("dana",), kinds: tuple[str, ...] = (),
                 domains: bool = False, brief: bool = False, broken: str = "") -> None:
        self.random = Random(f"{name} {seed}")
        self.story = Story(f"{name}, seed {seed}")
        self.now = NOON
        self.faults = faults
        self.kinds = kinds
        self.domains = domains
        self.ready: dict[str, Image | None] = {}
        """The images that were ready once."""
        self.brief = brief
        self.broken = broken
        """Which rule is broken on purpose, to see that an invariant notices."""
        self.steps = self.kills = 0
        self.armed: dict[str, int] = {}
        """Moment → at which of its occurrences from now on to kill."""
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count(1)
        self._pool_touched = False
        self._startds_touched: list[Startd] = []
        self.database = Database()
        self.truth = Truth(self)
        self.ledger = Ledger(self)
        self.schedd = Schedd(self)
        self.users = Users(self, users)
        self.machines = [self._machine(number) for number in range(machines)]
        self.schedd.start()
        for machine in self.machines:
            machine.start()
        self._begin_troubles()

    # --- time ----------------------------------------------------------------------------

    def at(self, when: float, happening: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._heap, (when, next(self._numbers), happening, args))

    def after(self, seconds: float, happening: Callable[..., None], *args: Any) -> None:
        self.at(self.now + seconds, happening, *args)

    def number(self) -> int:
        return next(self._numbers)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, happening, args = heapq.heappop(self._heap)
            self.steps += 1
            happening(*args)
            self._check()
        self.now = end

    def run_until(self, holds: Callable[[], bool], at_most: float = LONGEST_SETTLING) -> None:
        end = self.now + at_most
        while not holds():
            if self.now >= end:
                raise self.story.violated("the pool does not come to rest: " + self.unrest(), self._restless_job())
            self.run(LOOK_SECONDS)

    # --- what is checked -----------------------------------------------------------------

    def touched_pool(self) -> None:
        self._pool_touched = True

    def touched_startd(self, startd: Startd) -> None:
        self._startds_touched.append(startd)

    def _check(self) -> None:
        if self._pool_touched:
            self._pool_touched = False
            if self.schedd.pool is not None:
                for holds in invariants.OF_POOL:
                    holds(self, self.schedd.pool)
        while self._startds_touched:
            startd = self._startds_touched.pop()
            if startd.is_alive:
                for holds in invariants.OF_STARTD:
                    holds(self, startd)

    def say(self, key: Key, text: str) -> None:
        self.story.say(self.now - NOON, tuple(key), text)

    # --- troubles ------------------------------------------------------------------------

    def strikes(self, moment: str, chance: float) -> bool:
        """Whether somebody dies at this moment."""
        if moment in self.armed:
            self.armed[moment] -= 1
            if self.armed[moment] == 0:
                del self.armed[moment]
                return True
        return chance > 0 and self.random.random() < chance

    def kill_at(self, moment: str, occurrence: int = 1) -> None:
        self.armed[moment] = occurrence

    def parts(self, messages: list[Any]) -> list[list[Any]]:
        """As they may leave: in one frame, or each in its own."""
        if len(messages) > 1 and self.random.random() < 0.5:
            return [[message] for message in messages]
        return [messages] if messages else []

    def settle(self) -> None:
        """No more faults; time passes until all is over, and everything must be in order then."""
        self.say((), "the faults stop")
        self.faults = QUIET
        self.armed.clear()
        for machine in self.machines:
            machine.reach_again()
            machine.disk.full = False
            machine.clock_error = 0.0
            machine.see_gpus(machine.all_gpus)
            machine.ad["START"] = "true"
            machine.owner_is_there = False
        self._take_back()
        self._come_to_rest()
        self.users.act("release", Selection(constraint=" && ".join(
            f"HoldReasonCode =!= {int(code)}" for code in STAY_HELD)))
        self.run(1.0)
        self._come_to_rest()
        self._check_over()

    def _take_back(self) -> None:
        """Until no machine is drained any more."""
        pool = self.schedd.pool
        if pool is None or any(machine.record.drain is not None for machine in pool.machines.values()):
            for machine in self.machines:
                self.users.drain(machine.name, 0.0, back=True)
            self.after(LOOK_SECONDS, self._take_back)

    def _come_to_rest(self) -> None:
        """All ends, and what still arrives then, however late, disturbs nothing."""
        self.run_until(self.is_calm)
        over = self.ledger.totals()
        attempts = len(self.truth.began)
        self.run(LATEST_SECONDS)
        self.run_until(self.is_calm, at_most=minutes(1))
        if self.ledger.totals() != over or len(self.truth.began) != attempts:
            raise self.story.violated("what came late disturbed a pool at rest")
        self._check_calm()

    def is_calm(self) -> bool:
        return not self.unrest()

    def unrest(self) -> str:
        """What is still going on, in words; "" when all is done that can be."""
        pool = self.schedd.pool
        if pool is None:
            return "the schedd is dead"
        if self.users.unanswered:
            return f"{self.users.unanswered} are not answered"
        if self.schedd.is_busy:
            return "the schedd is at work"
        totals = pool.totals()
        if totals.idle or totals.running or totals.suspended:
            return f"{totals}"
        for cluster in pool.clusters.values():
            for job in cluster.jobs.values():
                if job.run is not None:
                    return f"{job.run_id} has a run on {job.run.machine}"
        for machine in self.machines:
            if machine.startd is None or not machine.startd.core.is_welcome:
                return f"{machine.name} is not welcome"
            if left := machine.holds_anything():
                return f"{machine.name} still has {sorted(left)}"
            if machine.connection is None or machine.startd.core.has_news:
                return f"{machine.name} has something to say"
        return ""

    def _restless_job(self) -> Key:
        pool = self.schedd.pool
        for cluster in pool.clusters.values() if pool is not None else ():
            for job in cluster.jobs.values():
                if job.run is not None or job.status != JobStatus.HELD:
                    return cluster.id, job.proc
            if cluster.rest and cluster.state.rest_status != JobStatus.HELD:
                return (cluster.id,)
        return next((min(left) for machine in self.machines if (left := machine.holds_anything())), ())

    def _check_calm(self) -> None:
        """Held and removed jobs have nothing on any machine, and all claims are free."""
        assert self.schedd.pool is not None
        for machine in self.schedd.pool.machines.values():
            if machine.claims:
                raise self.story.violated(f"{machine.name} still has claims: {machine.claims}")
        self.ledger.check_disk()
        self.ledger.check_rebuilt()

    def _check_over(self) -> None:
        """Every job that was promised is completed or removed, or held for what it used."""
        pool = self.schedd.pool
        assert pool is not None
        ((queued,),) = self.database.ask("select count(*) from clusters")
        if queued != len(self.ledger.acknowledged):
            raise self.story.violated(f"{queued} clusters were queued, {len(self.ledger.acknowledged)} acknowledged")
        for cluster, count in self.ledger.acknowledged.items():
            for proc in range(count):
                if (cluster, proc) in self.ledger.finished:
                    continue
                job = pool.job(cluster, proc)
                if job is None or job.status != JobStatus.HELD or job.hold_code not in STAY_HELD:
                    raise self.story.violated(f"a job is not over: {job}", (cluster, proc))

    def totals(self) -> Counter[str]:
        return self.ledger.totals()

    # --- making ready --------------------------------------------------------------------

    def _machine(self, number: int) -> Machine:
        kinds = self.kinds or ("plain",)
        kind = kinds[number % len(kinds)]
        memory = 2_000 + 1_000 * (number % 3)
        gpus = gpus_of(number) if kind == "gpu" else ()
        return Machine(self, f"m{number}", Amounts(float(2 + number % 3), memory, 1_000_000, gpus),
                       {"Kind": f'"{kind}"', "Memory": str(memory), "OpSys": '"LINUX"',
                        **({"HasContainerBuild": "true", "Microarch": f'"x86_64-v{2 + number % 3}"'}
                           if self.domains else {})})

    def _begin_troubles(self) -> None:
        f, random = self.faults, self.random
        for machine in self.machines:
            self._now_and_then(f.break_every, machine.break_connection)
            self._now_and_then(f.leave_every, machine.leave)
            self._now_and_then(f.keeper_dies_every, machine.kill_keeper)
            self._now_and_then(f.machine_dies_every, lambda m=machine: m.kill(random.random() < f.power_loss))
            self._now_and_then(f.machine_wiped_every, machine.wipe)
            self._now_and_then(f.silent_every, lambda m=machine: m.cut_off(random.uniform(*f.silent_for)))
            self._now_and_then(f.disk_full_every, lambda m=machine: self._fill_disk(m))
            self._now_and_then(f.clock_jumps_every, lambda m=machine: self._set_clock(m))
            self._now_and_then(f.owner_comes_every, lambda m=machine: self._owner_comes(m))
            self._now_and_then(f.owner_changes_every, lambda m=machine: self._change_owner(m))
            if machine.all_gpus:
                self._now_and_then(f.gpu_fails_every, lambda m=machine: self._change_gpus(m))

    def _now_and_then(self, every: float, trouble: Callable[[], None]) -> None:
        if every > 0:
            self.after(self.random.expovariate(1.0 / every), self._trouble, every, trouble)

    def _trouble(self, every: float, trouble: Callable[[], None]) -> None:
        if self.faults is not QUIET:
            trouble()
            self._now_and_then(every, trouble)

    def _fill_disk(self, machine: Machine) -> None:
        if not machine.disk.full:
            self.say((), f"the disk of {machine.name} is full")
            machine.disk.full = True
            self.after(self.random.uniform(*self.faults.disk_full_for), self._free_disk, machine)

    def _free_disk(self, machine: Machine) -> None:
        if machine.disk.full:
            self.say((), f"the disk of {machine.name} has room again")
            machine.disk.full = False

    def _set_clock(self, machine: Machine) -> None:
        machine.clock_error = self.random.choice([-86_400.0, -300.0, 0.0, 300.0, 86_400.0])

    def _change_gpus(self, machine: Machine) -> None:
        """One fails, or all are there again."""
        gpus = machine.all_gpus if len(machine.gpus) < len(machine.all_gpus) else machine.all_gpus[1:]
        self.say((), f"{machine.name} has {len(gpus)} of its GPUs")
        machine.see_gpus(gpus)

    def _owner_comes(self, machine: Machine) -> None:
        if not machine.owner_is_there:
            self.say((), f"the owner of {machine.name} sits down")
            machine.owner_is_there = True
            self.after(self.random.uniform(*self.faults.owner_stays), self._owner_goes, machine)

    def _owner_goes(self, machine: Machine) -> None:
        if machine.owner_is_there:
            self.say((), f"the owner of {machine.name} goes")
            machine.owner_is_there = False

    def _change_owner(self, machine: Machine) -> None:
        machine.ad["START"] = self.random.choice(["false", "true", "TARGET.RequestMemory < 300", "time() % 60 < 40"])
