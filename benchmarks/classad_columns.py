"""One job against all machines of a pool: columns, and HTCondor's engine pair by pair.

The peer is asked in bulk (`countMatches` over a list of the machine ads), which
costs it what the matching itself does, and nothing of Python. All times are those of
the processor: others who use the machine would otherwise slow down whoever is measured last.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from benchmarks import classad_pool
from benchmarks.classad_pool import DYNAMIC, JOB_REQUIREMENTS, job, job_values, machine
from benchmarks.classad_reference import ExprTree
from benchmarks.table import Row
from dsl.classad import Ad, symmetric_match
from dsl.classad.columns import Columns

ROUNDS = 7
COUNTS = (1_000, 10_000, 100_000)
MOST_PEERS = 20_000


def measure() -> list[Row]:
    return [row for count in COUNTS for row in _pool(count)]


def _pool(count: int) -> list[Row]:
    gc.collect()
    gc.disable()
    try:
        peer = _Peer(min(count, MOST_PEERS))
        before, matches = peer.ask()
        measured = _columns(count, matches)
        # Others on the machine slow down the peer more than us: it counts at its better time.
        rate = max(before, peer.ask()[0])
        return [row if row.unit == "ads/s" else replace(row, peer=rate) for row in measured]
    finally:
        gc.enable()


class _Peer:
    """The reference engine with its machines.

    Its rate is the same for more than MOST_PEERS of them, and their ads would fill the memory.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.asking = classad_pool.theirs(job())
        self.asking["Machines"] = [classad_pool.theirs(machine(number)) for number in range(count)]
        self.asking["Matches"] = ExprTree(f"countMatches(({JOB_REQUIREMENTS}) && Requirements, Machines)")

    def ask(self) -> tuple[float, int]:
        """Pairs a second, and how many match."""
        seconds, matches = _median(lambda: self.asking.eval("Matches"), ROUNDS)
        assert isinstance(matches, int)
        return self.count / seconds, matches


def _columns(count: int, matches: int) -> list[Row]:
    ads = [classad_pool.ours(machine(number)) for number in range(count)]
    asking = classad_pool.ours(job())
    for ad in ads:
        # The peer's ads are read when they are made.
        ad.check()
    columns: Columns[int] = Columns()
    start = time.process_time()
    for number, ad in enumerate(ads):
        columns.update(number, ad)
    loading = time.process_time() - start
    start = time.process_time()
    found = columns.matching(asking)
    making = time.process_time() - start
    assert sum(key < MOST_PEERS for key in found) == matches
    assert all((number in found) is symmetric_match(asking, ads[number]) for number in range(1000))
    cold = _seconds(columns, asking, columns.forget)
    moments = iter(range(1, 100))
    updating: list[float] = []

    def change() -> None:
        moment = next(moments)
        changed = []
        for number, ad in enumerate(ads):
            now = machine(number, moment)
            new = ad.copy()
            for name in DYNAMIC:
                new[name] = now[name]
            changed.append(new)
        begun = time.process_time()
        for number, ad in enumerate(changed):
            columns.update(number, ad)
        updating.append(time.process_time() - begun)

    after = _seconds(columns, asking, change, 5)
    heartbeats = iter(range(1, 1000))

    def change_one() -> None:
        columns.update(0, classad_pool.ours(machine(0, 1000 + next(heartbeats))))

    after_one = _seconds(columns, asking, change_one, 50)
    values = list(job_values())
    for memory, cpus, disk in values[::17]:
        columns.matching(classad_pool.ours(job(memory, cpus, disk)))
    known = set(range(0, len(values), 17))
    jobs = iter([classad_pool.ours(job(*value)) for place, value in enumerate(values) if place not in known][::3])
    warm = median(_fresh(columns, next(jobs)) for _ in range(200))
    new_values = median(_fresh(columns, classad_pool.ours(job(memory=5000 + step))) for step in range(50))
    same = _seconds(columns, asking, lambda: None, 200)
    columns.ranked_rows(asking)
    ranked = _seconds(columns, asking, lambda: None, 50, columns.ranked_rows)

    def row(what: str, seconds: float, at_least: float | None = None) -> Row:
        return Row(f"  {what}", count / seconds, "pairs/s", at_least=at_least, note=f"{seconds * 1e6:,.0f} µs")

    big = count >= 10_000
    return [
        Row(f"one job against {count:,} machines, ads taken in", count / loading, "ads/s"),
        row("the first match, columns made for it", making),
        row("nothing cached", cold, 50 if big else 3),
        Row("  all dynamic attributes changed: updates", count / median(updating), "ads/s"),
        row("the match after it, the processor's caches cold", after),
        row("all dynamic attributes changed, of one machine", after_one, {1_000: 10, 10_000: 100}.get(count, 500)),
        row("another job, values met before", warm, 1000 if big else 10),
        row("another job, a value never met", new_values),
        row("the same autocluster again", same),
        row("ranked, the order known", ranked),
    ]


def _seconds(
    columns: Columns[int], asking: Ad, before: Callable[[], None], rounds: int = ROUNDS,
    ask: Callable[[Ad], object] | None = None,
) -> float:
    """The median time of a match, with something done before each."""
    times = []
    for _ in range(rounds):
        before()
        start = time.process_time()
        if ask is None:
            len(columns.matching(asking))
        else:
            ask(asking)
        times.append(time.process_time() - start)
    return median(times)


def _fresh(columns: Columns[int], asking: Ad) -> float:
    for name in asking:
        asking.find(name.lower())
    start = time.process_time()
    len(columns.matching(asking))
    return time.process_time() - start


def _median(work: Callable[[], object], rounds: int) -> tuple[float, object]:
    times = []
    for _ in range(rounds):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return median(times), result


