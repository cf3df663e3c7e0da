"""The schedd's disk: real SQLite in memory, the real tables, statements and SELECTs.

What the tables promise is enforced by triggers here: history is written once and never
changed, and no cluster is ever forgotten.
"""

import sqlite3
from collections.abc import Sequence

from schedd.core.job import Job
from schedd.core.restored import Saved
from schedd.store.rows import Statement, saved, unpack_job
from schedd.store.schema import LOAD, SCHEMA

FOR_EVER = "".join(
    f"create trigger {table}_{verb} before {verb} on {table} begin select raise(abort, '{table} may not {verb}'); end;"
    for table in ("history", "clusters", "events") for verb in ("update", "delete")
)


class Database:
    """Survives every kill. `commit` saves all or nothing."""

    def __init__(self) -> None:
        self._sqlite = sqlite3.connect(":memory:", isolation_level=None)
        self._sqlite.executescript(SCHEMA + FOR_EVER)
        self._sqlite.execute("pragma journal_mode = memory")

    def commit(self, statements: Sequence[Statement]) -> None:
        self._sqlite.execute("begin immediate")
        self._execute(statements)
        self._sqlite.execute("commit")

    def tear(self, statements: Sequence[Statement]) -> None:
        """Die in the middle of a transaction."""
        self._sqlite.execute("begin immediate")
        self._execute(statements[: len(statements) // 2 + 1])
        self._sqlite.execute("rollback")

    def load(self) -> Saved:
        return saved(*[self.ask(select) for select in LOAD])

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple]:
        return self._sqlite.execute(sql, values).fetchall()

    def job(self, cluster: int, proc: int) -> Job | None:
        rows = self.ask("select body from jobs where cluster = ? and proc = ?", (cluster, proc))
        return unpack_job(rows[0][0]) if rows else None

    def history_after(self, number: int) -> list[tuple[int, int, int, Job]]:
        """(number, first proc, last proc, job) of the rows after row `number`."""
        rows = self.ask("select id, first, last, body from history where id > ? order by id", (number,))
        return [(row, first, last, unpack_job(body)) for row, first, last, body in rows]

    def close(self) -> None:
        self._sqlite.close()

    def _execute(self, statements: Sequence[Statement]) -> None:
        for sql, rows in statements:
            if rows:
                self._sqlite.executemany(sql, rows)
