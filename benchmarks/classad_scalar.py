"""Reading and evaluating expressions one by one: our scalar evaluator and HTCondor's engine.

The peer's figures are those of the engine called from Python, except where they say bulk.
"""

import time
from collections.abc import Callable
from statistics import median

from benchmarks import classad_pool
from benchmarks.classad_pool import job, machine
from benchmarks.classad_reference import ExprTree
from benchmarks.table import Row
from dsl.classad import parse, symmetric_match
from dsl.classad.expression import Expression
from dsl.classad.parser import parse_tree

ROUNDS = 5
PAIRS = 2000
SIX_CLAUSES = ('TARGET.Arch == "X86_64" && TARGET.OpSys == "LINUX" && TARGET.Disk >= RequestDisk && '
               "TARGET.Memory >= RequestMemory && TARGET.Cpus >= RequestCpus && TARGET.HasFileTransfer")
SHORT = [f"TARGET.Memory >= {number}" for number in range(500)]
TYPICAL = [f"{SIX_CLAUSES} && TARGET.SlotID != {number}" for number in range(500)]


def measure() -> list[Row]:
    return [*_evaluating(), *_parsing()]


def _evaluating() -> list[Row]:
    asking = {**job(), "Requirements": SIX_CLAUSES}
    our_job, their_job = classad_pool.ours(asking), classad_pool.theirs(asking)
    our_machines = [classad_pool.ours(machine(number)) for number in range(PAIRS)]
    their_machines = [classad_pool.theirs(machine(number)) for number in range(PAIRS)]
    ours, theirs = parse(SIX_CLAUSES), ExprTree(SIX_CLAUSES)
    assert [ours.evaluate(our_job, ad) for ad in our_machines] == [
        theirs.eval(their_job, ad) for ad in their_machines]
    assert [symmetric_match(our_job, ad) for ad in our_machines] == [
        their_job.symmetricMatch(ad) for ad in their_machines]
    one = _rate(lambda: [ours.evaluate(our_job, ad) for ad in our_machines], PAIRS)
    one_peer = _rate(lambda: [theirs.eval(their_job, ad) for ad in their_machines], PAIRS)
    both = _rate(lambda: [symmetric_match(our_job, ad) for ad in our_machines], PAIRS)
    both_peer = _rate(lambda: [their_job.symmetricMatch(ad) for ad in their_machines], PAIRS)
    return [
        Row("six clauses over a pair of ads", one, "/s", one_peer, at_least=0.5),
        Row("symmetric matches, one pair at a time", both, "/s", both_peer),
    ]


def _parsing() -> list[Row]:
    for text in (*SHORT, *TYPICAL):
        parse(text)
    rows = []
    for name, texts, limit in (("short", SHORT, None), ("typical", TYPICAL, 3000)):
        ours = _rate(lambda texts=texts: [Expression(parse_tree(text)) for text in texts], len(texts))
        theirs = _rate(lambda texts=texts: [ExprTree(text) for text in texts], len(texts))
        rows.append(Row(f"{name} expressions read, not met before", ours, "/s", at_least=limit,
                        note=f"the peer {theirs:,.0f} /s"))
    again = _rate(lambda: [parse(text) for text in TYPICAL], len(TYPICAL))
    rows.append(Row("typical expressions read again", again, "/s"))
    return rows


def _rate(work: Callable[[], object], count: int) -> float:
    """How many a second, by the median of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return count / median(times)
