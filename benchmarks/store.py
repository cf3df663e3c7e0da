"""Durable transitions: groups in one commit, beside a row at a time, beside an append that is forced to the disk."""

import asyncio
import os
import sqlite3
import time
from pathlib import Path
from statistics import median

from benchmarks.pools import scratch
from benchmarks.table import Row
from contract.messages import Amounts
from contract.vocabulary import JobStatus
from schedd.core.job import Job, Run
from schedd.store.rows import Statement, pack
from schedd.store.schema import PRAGMAS, SCHEMA
from schedd.store.store import Store

JOBS = 5_000
GROUP = 100
ROUNDS = 5
ONE_BY_ONE = 300

REPLACE = "insert or replace into jobs values (?, ?, ?)"


def measure() -> list[Row]:
    bodies = [_body(number, started=False) for number in range(JOBS)]
    after = [_body(number, started=True) for number in range(JOBS)]
    rates: dict[str, list[float]] = {"ours": [], "single": [], "append": []}
    with scratch() as folder:
        for number in range(ROUNDS):
            rates["append"].append(_append(folder / f"append-{number}", after))
            rates["ours"].append(asyncio.run(_grouped(folder / f"ours-{number}.db", bodies, after)))
            rates["single"].append(_single(folder / f"single-{number}.db", bodies, after))
    ours, single, append = (median(rates[kind]) for kind in ("ours", "single", "append"))
    return [
        Row(f"transitions saved, {GROUP} a commit, beside an UPDATE each", ours, "/s", single, at_least=10),
        Row("  beside append and fdatasync of as many", ours, "/s", append, at_least=0.7),
    ]


def _body(number: int, started: bool) -> bytes:
    """A job before and after a transition: SQLite writes nothing where nothing differs."""
    run = Run("lab-7", Amounts(1.0, 128, 1 << 20), 1.7e9, started_at=1.7e9 + number if started else None)
    return pack(Job(1, number, JobStatus.RUNNING, 1.7e9, attempt=1, run=run, starts=int(started), last_machine="lab-7"))


async def _grouped(path: Path, before: list[bytes], after: list[bytes]) -> float:
    store = await Store.open(path)
    await store.commit([(REPLACE, [(1, number, body) for number, body in enumerate(before)])])
    start = time.perf_counter()
    for first in range(0, JOBS, GROUP):
        rows = [(1, number, after[number]) for number in range(first, first + GROUP)]
        statements: list[Statement] = [(REPLACE, rows)]
        await store.commit(statements)
    rate = JOBS / (time.perf_counter() - start)
    await store.close()
    _check(path, after)
    return rate


def _single(path: Path, before: list[bytes], after: list[bytes]) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    connection.executescript(SCHEMA)
    connection.execute("begin")
    connection.executemany(REPLACE, [(1, number, body) for number, body in enumerate(before)])
    connection.execute("commit")
    start = time.perf_counter()
    for number in range(ONE_BY_ONE):
        connection.execute("update jobs set body = ? where cluster = 1 and proc = ?", (after[number], number))
    rate = ONE_BY_ONE / (time.perf_counter() - start)
    connection.close()
    _check(path, [*after[:ONE_BY_ONE], *before[ONE_BY_ONE:]])
    return rate


def _check(path: Path, bodies: list[bytes]) -> None:
    with sqlite3.connect(path) as connection:
        found = [body for (body,) in connection.execute("select body from jobs order by proc")]
    assert found == bodies, "not every transition is on disk"


def _append(path: Path, bodies: list[bytes]) -> float:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    start = time.perf_counter()
    for first in range(0, JOBS, GROUP):
        os.write(file, b"".join(bodies[first : first + GROUP]))
        os.fdatasync(file)
    rate = JOBS / (time.perf_counter() - start)
    os.close(file)
    return rate
