"""What is committed is there again, whole; what is not leaves no trace."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from msgspec.json import encode

from contract.messages import Recipe
from contract.problems import Problem
from contract.requests import DomainAdd, DomainAsked
from contract.vocabulary import EndReason, JobStatus
from schedd.core import named
from schedd.core.peaks import KEPT, PeakKey
from schedd.core.pool import Settings
from schedd.core.restored import restore
from schedd.store.schema import VERSION
from schedd.store.store import Store
from tests.builders import a_run, an_output, sha256


def a_busy(lab):
    """Two clusters: one job ended, one running, one held, the rest waiting; one cluster over."""
    lab.submit(count=5)
    lab.link = lab.connect(cpus=3)
    lab.submit(owner="lee", count=1)
    lab.act("remove", "2", user="lee")
    lab.start(lab.link, a_run(1, 0))
    lab.end(lab.link, a_run(1, 0), wall_seconds=60.0, stdout=an_output("stdout", b"hello"),
            blobs={sha256(b"hello"): b"hello"})
    lab.act("hold", "1.4")
    return lab


def test_of_what_the_runs_of_a_program_used_the_latest_is_kept(lab, with_store):
    runs = KEPT + 2
    lab.submit(count=runs)
    lab.submit(owner="lee", count=1)
    link = lab.connect(cpus=runs + 1, memory_mib=1 << 20)
    for proc in range(runs):
        lab.end(link, a_run(1, proc), wall_seconds=2.0, peak_memory_mib=float(proc))
    lab.end(link, a_run(2), wall_seconds=2.0, peak_memory_mib=7.0)
    with_store(lab.save)
    kept = with_store(Store.peaks, PeakKey("/bin/true", "", "dana"))
    assert [peak.memory_mib for peak in kept] == [float(proc) for proc in reversed(range(2, runs))]
    assert [peak.memory_mib for peak in with_store(Store.peaks, PeakKey("/bin/true", "", "lee"))] == [7.0]
    assert with_store(Store.peaks, PeakKey("/bin/false", "", "dana")) == []
    everything = with_store(Store.measured)
    assert sorted((one.key.owner, one.runs, len(one.peaks)) for one in everything) == [
        ("dana", runs, KEPT), ("lee", 1, 1)]
    assert [one.key.owner for one in with_store(Store.measured, "lee")] == ["lee"]
    for program, found in (("true", 2), ("/bin/true", 2), ("/bin", 2), ("rue", 0), ("%", 0)):
        assert len(with_store(Store.measured, None, None, program)) == found
    assert with_store(Store.measured, None, "torch") == []
    assert len(with_store(Store.measured, None, None, None, 1)) == 1


def test_programs_of_which_no_run_is_kept_any_more_are_forgotten(lab, with_store, monkeypatch):
    monkeypatch.setattr("schedd.store.rows.KEPT_PEAKS", 2)
    lab.submit(owner="lee", count=1)
    lab.submit(count=2)
    link = lab.connect(cpus=3, memory_mib=1 << 20)
    for run in (a_run(1), a_run(2, 0), a_run(2, 1)):
        lab.end(link, run, wall_seconds=2.0)
    with_store(lab.save)
    with_store(Store.drop_old_events)
    assert [(one.key.owner, one.runs) for one in with_store(Store.measured)] == [("dana", 2)]


def test_what_was_committed_is_a_pool_again(lab, with_store):
    a_busy(lab)
    with_store(lab.save)
    pool = restore("lab", Settings(), with_store(Store.load), lab.now)
    assert list(pool.clusters) == list(lab.pool.clusters)
    for number, cluster in lab.pool.clusters.items():
        assert (pool.clusters[number].jobs, pool.clusters[number].state) == (cluster.jobs, cluster.state_to_save())
        assert pool.clusters[number].record == cluster.record
    assert pool.machines["lab-7"].claims == lab.pool.machines["lab-7"].claims
    assert (pool.next_cluster, pool.next_event) == (lab.pool.next_cluster, lab.pool.next_event)


def test_domains_and_their_builds_are_there_again(lab, with_store):
    recipe = Recipe("FROM base\n")
    lab.do(named.add, "dana", False, DomainAdd("study", recipe))
    lab.submit(count=3, domain=DomainAsked("study"))
    lab.connect(ad={"HasContainerBuild": "true"})
    with_store(lab.save)
    pool = restore("lab", Settings(), with_store(Store.load), lab.now)
    assert (pool.builds, pool.domains) == (lab.pool.builds, lab.pool.domains)
    assert pool.builds[pool.clusters[1].needs.parts("")[0].key].state == "building"
    assert pool.filing.waiting.lines() == []


def test_an_empty_database_is_an_empty_pool(with_store):
    saved = with_store(Store.load)
    assert (saved.clusters, list(saved.jobs), saved.next_cluster, saved.next_event) == ([], [], 1, 1)


def test_the_number_of_a_cluster_is_never_given_twice(lab, with_store):
    lab.submit()
    lab.act("remove", "1")
    with_store(lab.save)
    assert with_store(Store.load).next_cluster == 2


@pytest.mark.parametrize("bad", [
    ("insert into nowhere values (?)", [(1,)]),
    ("insert into events values (?, ?, ?, ?, ?)", [(1, 0, 0, 0, b"")]),
    ("insert into contents values (?, ?)", [("a", None)]),
    ("insert into contents values (?, ?)", [("a",)]),
])
def test_a_statement_that_fails_takes_the_whole_commit_with_it(lab, path, with_store, bad):
    a_busy(lab)
    with_store(lab.save)
    before = dump(path)
    lab.submit(count=3)

    async def save_badly(store):
        saves, lab.unsaved = lab.unsaved, []
        with pytest.raises(Exception, match=r"nowhere|UNIQUE|NOT NULL|bindings"):
            await store.commit([*saves, bad])
        assert dump(path) == before
        await store.commit(saves)

    with_store(save_badly)
    assert len(with_store(Store.load).clusters) == 2


def dump(path):
    database = sqlite3.connect(path)
    try:
        return list(database.iterdump())
    finally:
        database.close()


def test_a_database_of_a_newer_schedd_is_refused_and_left_alone(path, with_store):
    with_store(Store.load)
    database = sqlite3.connect(path)
    database.execute("update meta set value = ? where key = 'schema'", (str(VERSION + 1),))
    database.commit()
    database.close()
    before = dump(path)
    with pytest.raises(Problem) as problem:
        with_store(Store.load)
    assert (problem.value.code, str(VERSION + 1) in problem.value.message) == ("other_version", True)
    assert dump(path) == before


def test_what_is_no_database_is_refused(path, with_store):
    path.write_bytes(b"nothing like it " * 1000)
    with pytest.raises(Problem) as problem:
        with_store(Store.load)
    assert str(path) in problem.value.message


def test_a_meta_value_is_kept_for_ever(with_store):
    assert with_store(Store.meta, "pool", "first") == "first"
    assert with_store(Store.meta, "pool", "second") == "first"


def test_events_come_in_order_since_a_number_and_of_one_cluster(lab, with_store):
    a_busy(lab)
    with_store(lab.save)
    assert encode(with_store(Store.events, 0, None, 1000)) == encode(lab.events)
    assert encode(with_store(Store.events, 2, None, 3)) == encode(lab.events[2:5])
    assert [e.id for e in with_store(Store.events, 0, 2, 1000)] == [e.id for e in lab.events if e.cluster == 2]
    assert with_store(Store.events, lab.events[-1].id, None, 1000) == []


def test_history_is_paged_latest_first(lab, with_store):
    lab.submit(count=7)
    link = lab.connect(cpus=1)
    for proc in range(7):
        lab.end(link, a_run(1, proc), wall_seconds=60.0)
    with_store(lab.save)
    first = with_store(Store.history, None, 3)
    second = with_store(Store.history, first[-1].id, 3)
    third = with_store(Store.history, second[-1].id, 3)
    assert [row.job.proc for row in [*first, *second, *third]] == [6, 5, 4, 3, 2, 1, 0]
    assert with_store(Store.history, third[-1].id, 3) == []


def test_history_is_found_by_cluster_job_and_owner(lab, with_store):
    lab.submit(count=10)
    lab.submit(owner="lee", count=2)
    lab.act("hold", "1.5")
    lab.act("remove", "1", constraint="JobStatus == 1")
    lab.act("remove", "2", user="lee")
    with_store(lab.save)
    rows = with_store(Store.history, None, 10, 1)
    assert [(row.job.proc, row.last) for row in rows] == [(6, 9), (0, 4)]
    assert [(row.job.proc, row.last) for row in with_store(Store.history, None, 10, 1, 7)] == [(6, 9)]
    assert with_store(Store.history, None, 10, 1, 5) == []
    assert [row.job.cluster for row in with_store(Store.history, None, 10, None, None, "lee")] == [2]


def test_outputs_come_in_order_of_proc_however_the_jobs_ended(lab, with_store):
    lab.submit(count=1_200)
    link = lab.connect(cpus=1_200, memory_mib=1 << 20)
    for run in reversed(lab.granted(link)):
        lab.end(link, run, wall_seconds=60.0)
    with_store(lab.save)
    assert [row.job.proc for row in with_store(Store.outputs, 1)] == list(range(1_200))
    assert with_store(Store.outputs, 2) == []


def test_a_cluster_that_is_over_can_still_be_looked_up(lab, with_store):
    lab.submit(count=3)
    lab.act("remove", "1")
    with_store(lab.save)
    cluster = with_store(Store.cluster, 1)
    assert (cluster.owner, cluster.count, cluster.state.counts.removed) == ("dana", 3, 3)
    assert with_store(Store.cluster, 2) is None


def test_small_contents_are_kept_once_and_found_by_name(lab, with_store):
    a_busy(lab)
    with_store(lab.save)
    name, missing = sha256(b"hello"), sha256(b"?")
    assert with_store(Store.contents, [name, missing]) == {name: b"hello"}
    assert with_store(Store.has_contents, [missing, name]) == {name}
    assert with_store(Store.has_contents, [sha256(bytes([n])) for n in range(250)] * 5 + [name]) == {name}


def test_deliveries_wait_until_they_are_done(lab, with_store):
    lab.submit(count=2, delivers=True, template={"Out": '"out.txt"', "Iwd": '"/home/dana"'})
    link = lab.connect()
    for proc in (0, 1):
        lab.end(link, a_run(1, proc), stdout=an_output("stdout", b"x"), wall_seconds=60.0)
    with_store(lab.save)
    assert with_store(Store.deliveries) == [(1, 0), (1, 1)]
    with_store(Store.commit, [("delete from deliveries where cluster = ? and proc = ?", [(1, 0)])])
    assert with_store(Store.deliveries) == [(1, 1)]


def test_a_removed_and_an_ended_job_leave_the_table_of_jobs(lab, path, with_store):
    a_busy(lab)
    lab.end(lab.link, a_run(1, 1), EndReason.EVICTED, wall_seconds=60.0)
    with_store(lab.save)
    procs = [proc for (proc,) in sqlite3.connect(path).execute("select proc from jobs where cluster = 1 order by proc")]
    assert procs == sorted(lab.pool.clusters[1].jobs)
    assert lab.job(1, 4).status == JobStatus.HELD


WRITER = """
import asyncio, sys
from pathlib import Path
from schedd.store.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]))
    for number in range(10**9):
        await store.commit([
            ("insert into contents values (?, ?)", [(str(number), b"x" * 100)]),
            ("insert or replace into meta values ('count', ?)", [(str(number),)]),
        ])
        print(number, flush=True)

asyncio.run(main())
"""


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(path, with_store):
    for _ in range(3):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        for line in writer.stdout:
            if int(line) >= 50:
                break
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = max([int(line), *(int(rest) for rest in writer.stdout)])
        writer.wait()
        writer.stdout.close()
        count = int(with_store(Store.meta, "count", "-1"))
        assert count >= acknowledged
        assert len(with_store(Store.has_contents, [str(n) for n in range(count + 2)])) == count + 1
