"""A million repetitions are a handful of numbers until somebody looks at one of them apart.

INV-1: every proc is in exactly one place. INV-2: the counts add up.
"""

import msgspec
import pytest

from contract.vocabulary import JobStatus
from schedd.store.rows import pack
from tests.builders import Lab

MILLION = 1_000_000


@pytest.fixture
def lab():
    lab = Lab()
    lab.submit(count=MILLION)
    return lab


def the_cluster(lab):
    return lab.pool.clusters[1]


def places(cluster, history=()):
    """Every proc of the cluster, as often as it is found somewhere."""
    ended = [proc for e in history for proc in range(e.job.proc, e.last_proc + 1)]
    return sorted([*cluster.rest_procs(), *cluster.jobs, *ended])


def test_a_million_repetitions_are_a_handful_of_numbers(lab):
    cluster = the_cluster(lab)
    assert (len(cluster.jobs), cluster.rest, cluster.count) == (0, MILLION, MILLION)
    assert len(pack(cluster.record)) + len(pack(cluster.state_to_save())) < 1_000


@pytest.mark.parametrize(("what", "kind"), [("hold", "held"), ("remove", "removed"), ("priority", "priority")])
def test_the_rest_is_acted_on_as_one_thing(lab, what, kind):
    answer = lab.act(what, "1", priority=7)
    assert (answer.changed, answer.refused) == (MILLION, [])
    assert len(the_cluster(lab).jobs if what != "remove" else ()) == 0
    assert lab.kinds() == ["submitted", kind]
    assert lab.events[-1].proc == -1


def test_a_rest_that_is_held_and_released_waits_again(lab):
    lab.act("hold", "1", reason="lunch")
    assert (lab.counts(1), the_cluster(lab).state.rest_reason) == ({"held": MILLION}, "lunch")
    link = lab.connect(cpus=2)
    assert lab.granted(link) == []
    assert lab.act("release", "1").changed == MILLION
    assert [run.proc for run in lab.granted(link)] == [0, 1]
    assert lab.counts(1) == {"idle": MILLION - 2, "running": 2}


def test_holding_what_is_held_changes_nothing(lab):
    lab.act("hold", "1", reason="first")
    assert lab.act("hold", "1", reason="second").changed == 0
    assert the_cluster(lab).state.rest_reason == "first"
    assert lab.kinds() == ["submitted", "held"]


def test_a_removed_cluster_is_one_row_of_history_and_leaves(lab):
    lab.act("remove", "1")
    [ended] = lab.history
    assert (ended.job.proc, ended.last_proc, ended.job.status) == (0, MILLION - 1, JobStatus.REMOVED)
    assert lab.pool.clusters == {}
    assert lab.events[-1].detail["procs"] == [(0, MILLION - 1)]


def test_a_single_job_of_the_rest_becomes_a_row(lab):
    assert lab.act("hold", "1.500000").changed == 1
    cluster = the_cluster(lab)
    assert (list(cluster.jobs), cluster.rest, cluster.state_to_save().ahead) == ([500_000], MILLION - 1, [500_000])
    assert lab.counts(1) == {"idle": MILLION - 1, "held": 1}
    assert cluster.rest_ranges() == [(0, 499_999), (500_001, MILLION - 1)]


def test_removing_around_single_jobs_names_the_ranges_that_are_gone(lab):
    lab.act("hold", "1.0", "1.10", "1.999999")
    lab.act("remove", "1", constraint="JobStatus == 1")
    assert [(e.job.proc, e.last_proc) for e in lab.history] == [(1, 9), (11, MILLION - 2)]
    assert lab.counts(1) == {"held": 3, "removed": MILLION - 3}
    lab.act("remove", "1")
    assert lab.pool.clusters == {}
    assert sum(e.last_proc - e.job.proc + 1 for e in lab.history) == MILLION


def test_rows_and_rest_are_acted_on_together(lab):
    lab.act("hold", "1.5")
    assert lab.act("release", "1").changed == 1
    assert lab.act("hold", "1").changed == MILLION
    assert lab.counts(1) == {"held": MILLION}


def test_a_constraint_that_cannot_tell_the_rest_apart_takes_it_whole(lab):
    assert lab.act("hold", constraint='Owner == "dana" && JobStatus == 1 && Cmd == "/bin/true"').changed == MILLION
    assert len(the_cluster(lab).jobs) == 0


def test_a_constraint_that_the_rest_does_not_satisfy_leaves_it_alone(lab):
    assert lab.act("hold", constraint='Owner == "lee"').changed == 0
    assert lab.counts(1) == {"idle": MILLION}


def test_the_order_of_what_is_left_is_kept(lab):
    lab.act("remove", "1.0", "1.2")
    link = lab.connect(cpus=3)
    assert [run.proc for run in lab.granted(link)] == [1, 3, 4]


def test_every_proc_is_in_one_place_and_the_counts_add_up():
    lab = Lab()
    lab.submit(count=20)
    link = lab.connect(cpus=3)
    first, second, third = lab.granted(link)
    lab.end(link, first)
    lab.act("hold", "1.15")
    lab.act("remove", "1.17", "1.4")
    lab.act("remove", str(second.job))
    cluster = the_cluster(lab)
    assert places(cluster, lab.history) == list(range(20))
    assert sum(msgspec.structs.astuple(cluster.state.counts)) == 20
    lab.end(link, second)
    lab.end(link, third)
    assert places(cluster, lab.history) == list(range(20))


def test_a_priority_of_the_rest_is_taken_along_when_jobs_become_rows(lab):
    lab.act("priority", "1", priority=9)
    lab.act("hold", "1.3")
    assert lab.job(1, 3).priority == 9


def test_a_hold_of_the_rest_is_taken_along_when_jobs_become_rows(lab):
    lab.act("hold", "1", reason="lunch")
    lab.act("priority", "1.3", priority=1)
    job = lab.job(1, 3)
    assert (job.status, job.hold_reason, job.hold_code) == (JobStatus.HELD, "lunch", 1)
    assert lab.act("release", "1.3").changed == 1
    assert lab.counts(1) == {"idle": 1, "held": MILLION - 1}
