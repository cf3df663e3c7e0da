"""A connection that takes a whole group of changes in one go.

Every call on an aiosqlite connection is a hop to its thread and back, which costs more than
the statement; a commit of many statements is therefore one call.
"""

import contextlib
import sqlite3
from pathlib import Path

import aiosqlite

from schedd.store.rows import Statement


class GroupConnection(aiosqlite.Connection):
    """aiosqlite's connection, and `write`."""

    async def write(self, statements: list[Statement]) -> None:
        """Save all of it or nothing."""
        await self._execute(_write, self._conn, statements)  # type: ignore[no-untyped-call]


async def connect(path: Path) -> GroupConnection:
    """A connection to the database at `path`."""
    connection = GroupConnection(lambda: sqlite3.connect(path, isolation_level=None, cached_statements=64), 64)
    await connection
    return connection


def _write(connection: sqlite3.Connection, statements: list[Statement]) -> None:
    connection.execute("begin immediate")
    try:
        for sql, rows in statements:
            connection.executemany(sql, rows)
        connection.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):     # the failed commit may have rolled back by itself
            connection.execute("rollback")
        raise
