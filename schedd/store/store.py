"""The database file.

One connection writes, in one transaction per group of events; another reads, and never
waits for the writer (WAL). What is acknowledged is on disk.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite

from contract.problems import Problem
from contract.requests import Event
from schedd.core.cluster import Cluster
from schedd.core.job import Job
from schedd.core.peaks import Measured, Peak, PeakKey
from schedd.core.restored import Saved
from schedd.store.group import GroupConnection, connect
from schedd.store.rows import (
    Statement,
    saved,
    unpack_event,
    unpack_job,
    unpack_peak,
    unpack_record,
    unpack_state,
)
from schedd.store.schema import FORGET_PROGRAMS, LOAD, PRAGMAS, SCHEMA, SELECT_PEAKS, SELECT_PROGRAMS, VERSION

KEPT_EVENTS = 2_000_000
"""So many of the latest events can be resumed from; older ones are dropped now and then."""


class HistoryRow(NamedTuple):
    """One row of history; `last` > `job.proc` for a range that ended as one."""

    id: int
    job: Job
    last: int
    owner: str
    ended_at: float


class NotSaved(Exception):
    """The disk is full or does not answer; trying again may help."""


class Store:
    """Use `open`; every method but `close` may be called from one event loop at a time."""

    def __init__(self, writer: GroupConnection, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(cls, path: Path) -> "Store":
        """Open or make the database; refuse one that is damaged or that a newer schedd wrote."""
        writer = await connect(path)
        try:
            for pragma in PRAGMAS:
                await writer.execute(pragma)
            await writer.executescript(SCHEMA)
            await writer.execute("insert or ignore into meta values ('schema', ?)", (str(VERSION),))
            async with writer.execute("select value from meta where key = 'schema'") as cursor:
                row = await cursor.fetchone()
            if row is not None and int(row[0]) > VERSION:
                raise Problem("other_version", f"A newer schedd wrote {path} (schema {row[0]}; ours is {VERSION}).",
                              "Start the newer version, or another state directory.")
            reader = await aiosqlite.connect(path, isolation_level=None, cached_statements=64)
        except sqlite3.DatabaseError as error:
            await writer.close()
            raise Problem("unavailable", f"{path} cannot be used: {error}.",
                          "Put a good copy in its place, or start another state directory.") from None
        except BaseException:
            await writer.close()
            raise
        await reader.execute("pragma query_only = on")
        return cls(writer, reader)

    async def commit(self, statements: list[Statement]) -> None:
        """Save all of it or nothing; NotSaved if the disk does not take it now."""
        try:
            await self._writer.write(statements)
        except sqlite3.OperationalError as error:
            raise NotSaved(str(error)) from error

    async def meta(self, key: str, default: str) -> str:
        """A value kept for ever; `default` is kept when there was none."""
        await self._writer.execute("insert or ignore into meta values (?, ?)", (key, default))
        async with self._writer.execute("select value from meta where key = ?", (key,)) as cursor:
            row = await cursor.fetchone()
        return str(row[0]) if row else default

    async def load(self) -> Saved:
        """Everything a pool is made of."""
        return saved(*[await self._all(select) for select in LOAD])

    # --- reading -----------------------------------------------------------------------

    async def cluster(self, number: int) -> Cluster | None:
        """A cluster that is over, as it was at its end."""
        rows = await self._all(
            "select c.body, s.body from clusters c join cluster_states s on s.id = c.id where c.id = ?", (number,)
        )
        if not rows:
            return None
        record, state = rows[0]
        return Cluster(unpack_record(record), unpack_state(state))

    async def events(self, since: int, cluster: int | None, most: int) -> list[Event]:
        """Up to `most` events after number `since`, oldest first."""
        if cluster is None:
            rows = await self._all("select body from events where id > ? order by id limit ?", (since, most))
        else:
            rows = await self._all(
                "select body from events where id > ? and cluster = ? order by id limit ?", (since, cluster, most)
            )
        return [unpack_event(body) for (body,) in rows]

    async def history(
        self, before: int | None, most: int, cluster: int | None = None, proc: int | None = None,
        owner: str | None = None,
    ) -> list[HistoryRow]:
        """Up to `most` rows below row `before`, latest first."""
        where, values = ["1"], list[Any]()
        for text, value in (("id < ?", before), ("cluster = ?", cluster), ("owner = ?", owner)):
            if value is not None:
                where.append(text)
                values.append(value)
        if proc is not None:
            where.append("first <= ? and last >= ?")
            values += [proc, proc]
        rows = await self._all(
            f"select id, body, last, owner, ended_at from history where {' and '.join(where)} order by id desc limit ?",
            (*values, most),
        )
        return [HistoryRow(number, unpack_job(body), last, owner, at) for number, body, last, owner, at in rows]

    async def count_history(self, cluster: int | None, owner: str | None) -> int:
        """How many jobs have left the queue."""
        where, values = ["1"], list[Any]()
        for text, value in (("cluster = ?", cluster), ("owner = ?", owner)):
            if value is not None:
                where.append(text)
                values.append(value)
        rows = await self._all(
            f"select coalesce(sum(last - first + 1), 0) from history where {' and '.join(where)}", values)
        return int(rows[0][0])

    async def history_of(self, cluster: int, procs: list[int]) -> list[HistoryRow]:
        """The rows of these jobs of a cluster (of those that ended by themselves)."""
        marks = ", ".join("?" * len(procs))
        rows = await self._all(
            f"select id, body, last, owner, ended_at from history where cluster = ? and first in ({marks})",
            (cluster, *procs),
        )
        return [HistoryRow(number, unpack_job(body), last, owner, at) for number, body, last, owner, at in rows]

    async def outputs(self, cluster: int) -> AsyncIterator[HistoryRow]:
        """The history of one cluster in order of proc."""
        first = -1
        while rows := await self._all(
            "select id, body, last, owner, ended_at from history"
            " where cluster = ? and first > ? order by first limit 500",
            (cluster, first),
        ):
            for number, body, last, owner, at in rows:
                yield HistoryRow(number, unpack_job(body), last, owner, at)
            first = unpack_job(rows[-1][1]).proc

    async def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those of the small contents that are here."""
        wanted, found = list(names), dict[str, bytes]()
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            marks = ", ".join("?" * len(part))
            found.update(await self._all(f"select sha256, data from contents where sha256 in ({marks})", part))
        return found

    async def has_contents(self, names: Iterable[str]) -> set[str]:
        """Which of the small contents are here."""
        wanted, found = list(names), set[str]()
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            marks = ", ".join("?" * len(part))
            found |= {name for (name,) in await self._all(
                f"select sha256 from contents where sha256 in ({marks})", part)}
        return found

    async def deliveries(self) -> list[tuple[int, int]]:
        """Jobs whose outputs have still to be put where the submit file wants them."""
        return [(cluster, proc) for cluster, proc in await self._all("select cluster, proc from deliveries")]

    async def peaks(self, key: PeakKey) -> list[Peak]:
        """What the latest runs of a program used, latest first."""
        return [unpack_peak(body) for (body,) in await self._all(SELECT_PEAKS, key)]

    async def measured(self, owner: str | None = None, domain: str | None = None, program: str | None = None,
                       most: int = 50) -> list[Measured]:
        """Up to `most` programs, the one whose run ended last first."""
        rows = await self._all(SELECT_PROGRAMS, (owner, domain, program, most))
        keys = [(PeakKey(*key), runs) for *key, runs in rows]
        return [Measured(key, runs, await self.peaks(key)) for key, runs in keys]

    async def drop_old_events(self) -> None:
        await self._writer.execute(
            "delete from events where id <= (select coalesce(max(id), 0) from events) - ?", (KEPT_EVENTS,))
        await self._writer.execute(FORGET_PROGRAMS)

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()

    async def _all(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        return list(await self._reader.execute_fetchall(sql, values))
