"""Which of many contents nothing refers to: asked now and then, and answered from one moment's database.

Runs in a thread, with connections of its own. What is asked about lies in a database of SQLite's
own that is on disk and gone afterwards, so that memory is bounded however much there is. All
references are read in one transaction: what is handed from one thing to another meanwhile is
found with either of them.

    CONTENTS-1: a content that something in the database refers to is never answered. Trees refer to
           their entries, whether or not their list is asked about itself.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from contract.messages import Content, Recipe, TreeEntry
from schedd.core.cluster import ClusterRecord
from schedd.core.domains import ImageBuild
from schedd.core.job import Job
from schedd.store.rows import unpack_build, unpack_domain, unpack_job, unpack_record

PAGE = 500
ReadBytes = Callable[[str], bytes | None]
Named = tuple[str, bool]
"""A content, and whether it may be a tree."""

_entries = msgspec.json.Decoder(list[TreeEntry])


class CannotTell(Exception):
    """The database does not answer: whatever was asked about is to stay."""


def unreferred(database: Path, names: Iterable[str], read_large: ReadBytes,
               pause: Callable[[], None]) -> Iterator[list[str]]:
    """Those of `names` that nothing refers to, in pages.

    `read_large` reads contents that are no row; `pause` is called after each page that was read.
    """
    try:
        yield from _unreferred(database, names, read_large, pause)
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise CannotTell(str(error)) from error


def _unreferred(database: Path, names: Iterable[str], read_large: ReadBytes,
                pause: Callable[[], None]) -> Iterator[list[str]]:
    asked = sqlite3.connect("", isolation_level=None)
    reader = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    try:
        asked.execute("create table asked (name text primary key) without rowid")
        asked.execute("create table trees (name text primary key) without rowid")
        asked.execute("begin")
        asked.executemany("insert or ignore into asked values (?)", ((name,) for name in names))
        asked.execute("commit")
        if asked.execute("select 1 from asked limit 1").fetchone() is None:
            return
        reader.execute("begin")
        for page in _references(reader):
            asked.execute("begin")
            for name, is_tree in page:
                asked.execute("delete from asked where name = ?", (name,))
                if is_tree and asked.execute("insert or ignore into trees values (?)", (name,)).rowcount:
                    asked.executemany("delete from asked where name = ?",
                                      ((entry,) for entry in _entries_of(reader, name, read_large)))
            asked.execute("commit")
            pause()
        reader.execute("rollback")
        cursor = asked.execute("select name from asked order by name")
        while rows := cursor.fetchmany(PAGE):
            yield [name for (name,) in rows]
    finally:
        reader.close()
        asked.close()


def _references(reader: sqlite3.Connection) -> Iterator[list[Named]]:
    sources: tuple[tuple[str, Callable[[bytes], Any], Callable[[Any], Iterable[Named]]], ...] = (
        ("select c.body from clusters c join cluster_states s on s.id = c.id where not s.over", unpack_record,
         _of_cluster),
        ("select body from jobs", unpack_job, _of_job),
        ("select body from builds", unpack_build, _of_build),
        ("select body from domains", unpack_domain, lambda domain: _of_recipe(domain.recipe)),
        ("select body from history", unpack_job, _of_job),
    )
    for select, decode, named in sources:
        cursor = reader.execute(select)
        while rows := cursor.fetchmany(PAGE):
            yield [name for (body,) in rows for name in named(decode(body))]


def _of_cluster(record: ClusterRecord) -> Iterable[Named]:
    submission = record.submission
    yield from map(_of_content, submission.files.values())
    if submission.domain is not None:
        yield from _of_recipe(submission.domain.recipe)


def _of_job(job: Job) -> Iterable[Named]:
    """A job in the queue, or a result."""
    for file in (job.stdout, job.stderr, *job.files):
        if file is not None:
            yield file.sha256, False
    if job.checkpoint is not None:
        yield job.checkpoint.content.sha256, True


def _of_build(build: ImageBuild) -> Iterable[Named]:
    yield from _of_recipe(build.recipe)
    if build.image is not None:
        yield build.image.layout.sha256, True
    if build.product is not None:
        yield build.product.sha256, True
    if build.log is not None:
        yield _of_content(build.log)
    if build.making is not None:
        yield _of_content(build.making.sources)


def _of_recipe(recipe: Recipe | None) -> Iterable[Named]:
    if recipe is not None and recipe.context is not None:
        yield _of_content(recipe.context)


def _of_content(content: Content) -> Named:
    return content.sha256, content.tree


def _entries_of(reader: sqlite3.Connection, name: str, read_large: ReadBytes) -> list[str]:
    """What a tree names; nothing, if its list is not here or is none."""
    row = reader.execute("select data from contents where sha256 = ?", (name,)).fetchone()
    listed = row[0] if row is not None else read_large(name)
    try:
        return [entry.sha256 for entry in _entries.decode(listed)] if listed is not None else []
    except msgspec.MsgspecError:
        return []
