"""Whatever something refers to stays, whatever else is there; the rest is found."""

import asyncio
import json
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.messages import Content, Image, Making, OutputFile, Recipe
from contract.requests import DomainAsked, Submission, Totals
from contract.vocabulary import JobStatus
from schedd.core.cluster import ClusterRecord, ClusterState
from schedd.core.domains import ImageBuild, NamedDomain
from schedd.core.job import Job, SavedCheckpoint
from schedd.store.rows import pack
from schedd.store.store import Store
from schedd.store.unreferred import CannotTell, unreferred
from tests.builders import sha256

NAMES = [sha256(b"%d" % number) for number in range(40)]
NAME = st.sampled_from(NAMES)
TREES = {sha256(listed): (listed, entries) for entries in (NAMES[0:3], NAMES[3:5], NAMES[30:38], [])
         for listed in [json.dumps([[f"f{entry}", entry, 1] for entry in entries]).encode()]}
TREE = st.sampled_from(sorted(TREES))
CONTENT = st.one_of(NAME.map(lambda name: Content(name, 1)), TREE.map(lambda name: Content(name, 1, tree=True)))
OUTPUT = st.one_of(st.none(), NAME.map(lambda name: OutputFile("x", name, 1)))
RECIPE = st.one_of(st.none(), CONTENT).map(lambda context: Recipe("FROM base", {}, context))

JOB = st.builds(
    lambda out, err, file, checkpoint: Job(
        1, 0, JobStatus.COMPLETED, 0.0, stdout=out, stderr=err, files=[file] if file else [],
        checkpoint=SavedCheckpoint(checkpoint, 1, 1, 0.0) if checkpoint else None),
    OUTPUT, OUTPUT, OUTPUT, st.one_of(st.none(), TREE.map(lambda name: Content(name, 1, tree=True))))
BUILD = st.builds(
    lambda recipe, layout, product, log, sources: ImageBuild(
        "k", recipe, "n", "dana", 0.0, image=Image("i", layout) if layout else None, product=product, log=log,
        making=Making("make", sources, "n", "m") if sources else None),
    RECIPE, *[st.one_of(st.none(), kind) for kind in (
        TREE.map(lambda name: Content(name, 1, tree=True)), TREE.map(lambda name: Content(name, 1, tree=True)),
        CONTENT, CONTENT)])
SUBMISSION = st.builds(
    lambda files, recipe: Submission(1, {}, files={f"/{n}": file for n, file in enumerate(files)},
                                     domain=DomainAsked("", recipe)), st.lists(CONTENT, max_size=3), RECIPE)


def names_in(value: object) -> set[str]:
    """Everything in a value that looks like a content's name, and what trees of that name list."""
    found = {name for name in (*NAMES, *TREES) if name in json.dumps(value)}
    return found.union(*(TREES[name][1] for name in found if name in TREES))


def ask(rows, names, trees=TREES):
    """What nothing refers to, of `names`, in a database of these rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pesc.db"
        small = {name: TREES[name][0] for name in sorted(trees)[::2]}

        async def save() -> None:
            store = await Store.open(path)
            await store.commit([*rows, ("insert into contents values (?, ?)", list(small.items()))])
            await store.close()

        asyncio.run(save())
        read = {name: TREES[name][0] for name in trees if name not in small}
        found = {name for page in unreferred(path, names, read.get, lambda: None) for name in page}
        kept = {name for _, values in rows for row in values for value in row if isinstance(value, bytes)
                for name in names_in(msgspec.to_builtins(msgspec.msgpack.decode(value)))}
    return found, kept


@settings(max_examples=60, deadline=None)
@given(st.lists(SUBMISSION, max_size=3), st.lists(JOB, max_size=3), st.lists(JOB, max_size=3),
       st.lists(BUILD, max_size=3), st.lists(RECIPE, max_size=2))
def test_whatever_is_reachable_stays_and_the_rest_is_found(submissions, jobs, ended, builds, recipes):
    states = [(number, 0, pack(ClusterState(number, Totals()))) for number, _ in enumerate(submissions)]
    rows = [
        ("insert into clusters values (?, ?, ?)", [
            (number, "dana", pack(ClusterRecord(number, "dana", 0.0, "desk", False, submission)))
            for number, submission in enumerate(submissions)]),
        ("insert into cluster_states values (?, ?, ?)", states),
        ("insert into jobs values (?, ?, ?)", [(1, proc, pack(job)) for proc, job in enumerate(jobs)]),
        ("insert into history (cluster, first, last, owner, ended_at, body) values (?, ?, ?, ?, ?, ?)",
         [(9, proc, proc, "dana", 0.0, pack(job)) for proc, job in enumerate(ended)]),
        ("insert into builds values (?, ?)", [(str(number), pack(build)) for number, build in enumerate(builds)]),
        ("insert into domains values (?, ?, ?)", [
            ("dana", str(number), pack(NamedDomain("dana", str(number), recipe, 0.0, "dana")))
            for number, recipe in enumerate(recipes)]),
    ]
    found, kept = ask(rows, [*NAMES, *TREES])
    assert found == {*NAMES, *TREES} - kept


def test_what_only_a_cluster_that_is_over_was_given_is_found():
    record = ClusterRecord(1, "dana", 0.0, "desk", False, Submission(1, {}, files={"/a": Content(NAMES[0], 1)}))
    found, _ = ask([("insert into clusters values (?, ?, ?)", [(1, "dana", pack(record))]),
                    ("insert into cluster_states values (?, ?, ?)", [(1, 1, pack(ClusterState(1, Totals())))])],
                   NAMES[:2])
    assert found == set(NAMES[:2])


def test_a_row_that_cannot_be_read_keeps_everything():
    with pytest.raises(CannotTell):
        ask([("insert into jobs values (1, 0, ?)", [(b"\x93",)])], NAMES)
