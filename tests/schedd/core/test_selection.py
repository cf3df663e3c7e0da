"""Which jobs a command means."""

import pytest

from contract.problems import Problem
from contract.requests import Selection, SweepAxis
from schedd.core.selection import jobs_meant, parse_constraint, parse_ids, wanted, whole_rest
from tests.builders import Lab


def meant(lab, **selection):
    wants, _ = wanted(lab.pool.clusters, Selection(**selection))
    return [(job_id.cluster, job_id.proc) for want in wants for found in jobs_meant(want, lab.now) if found
            for job_id in found[:1]]


def test_an_id_is_a_cluster_or_a_job():
    assert parse_ids(["12", "12.3", "0.0"]) == [(12, None), (12, 3), (0, 0)]


@pytest.mark.parametrize("text", ["", " ", "a", "1,2", "1.", ".2", "-3", "1.2.3", "0x1", "1e3", "١٢", "9" * 13, "1.+2"])
def test_what_is_no_id_is_named(text):
    with pytest.raises(Problem) as problem:
        parse_ids(["1", text])
    assert (problem.value.code, repr(text) in problem.value.message) == ("bad_request", True)


def test_no_constraint_is_none_and_a_bad_one_a_problem():
    assert parse_constraint(None) is None
    with pytest.raises(Problem) as problem:
        parse_constraint("JobStatus ==")
    assert problem.value.code == "bad_constraint"


def test_rows_and_rest_come_in_order_of_proc():
    lab = Lab()
    lab.submit(count=6)
    lab.act("hold", "1.4", "1.1")
    assert meant(lab) == [(1, proc) for proc in range(6)]


def test_looking_makes_no_rows():
    lab = Lab()
    lab.submit(count=1_000)
    assert meant(lab, constraint="ProcId > 997") == [(1, 998), (1, 999)]
    assert meant(lab, ids=["1.5", "1.3"]) == [(1, 3), (1, 5)]
    assert len(lab.pool.clusters[1].jobs) == 0


def test_who_pauses_while_looking_is_told_jobs_as_they_are_when_their_turn_comes():
    lab = Lab()
    lab.submit(count=6)
    lab.act("hold", "1.2")
    [want], _ = wanted(lab.pool.clusters, Selection())
    looking = jobs_meant(want, lab.now)
    assert [next(looking)[0].proc for _ in range(3)] == [0, 1, 2]
    lab.act("remove", "1.3")
    lab.act("hold", "1.5")
    (gone, (fourth, no_row), (fifth, row)) = looking
    assert (gone, fourth.proc, no_row, fifth.proc, row.status) == (None, 4, None, 5, 5)


def test_owners_ids_and_constraints_narrow_each_other():
    lab = Lab()
    lab.submit(owner="dana", count=2)
    lab.submit(owner="lee", count=2)
    assert meant(lab, owners=["lee"]) == [(2, 0), (2, 1)]
    assert meant(lab, ids=["1", "2"], owners=["lee"], constraint="ProcId == 0") == [(2, 0)]


def test_a_whole_cluster_swallows_its_jobs():
    lab = Lab()
    lab.submit(count=3)
    assert meant(lab, ids=["1.2", "1", "1.0"]) == [(1, 0), (1, 1), (1, 2)]


def test_ids_that_name_nothing_are_told():
    lab = Lab()
    lab.submit(count=2)
    _, missing = wanted(lab.pool.clusters, Selection(ids=["1.1", "1.2", "2", "3.1"]))
    assert missing == ["1.2", "2", "3.1"]


@pytest.mark.parametrize(("constraint", "procs"), [
    ("PescRow.seed == 2", [1, 4]), ("MY.PescRow.alpha == 0.2 && PescRow.seed > 1", [4, 5]), ("WantsRow", [2, 5]),
    ('PescRow["alpha"] == 0.1 && ProcId > 0', [1, 2]), ("PescRow.seed < 4", [0, 1, 2, 3, 4, 5]),
    ("PescRow.no == 1", []),
])
def test_a_constraint_picks_rows_of_a_sweep(constraint, procs):
    lab = Lab()
    sweep = [SweepAxis(["alpha"], ["number"], 2, 1, 1, 1), SweepAxis(["seed"], ["number"], 3, 1, 1)]
    lab.submit(count=6, steps=1, sweep=sweep, template={"WantsRow": "PescRow.seed == 3"})
    assert meant(lab, constraint=constraint) == [(1, proc) for proc in procs]


def test_a_constraint_picks_by_an_attribute_that_the_first_job_does_not_have():
    lab = Lab()
    lab.submit(count=2, steps=1, varying={"+My_Tag": "$(my.tag)"}, item_names=["my.tag"], items=[[""], ["5"]])
    assert meant(lab, constraint="My_Tag == 5") == [(1, 1)]


@pytest.mark.parametrize(("constraint", "whole"), [
    (None, True), ("true", True), ("JobStatus == 1", True), ("JobStatus == 5", False), ('Owner == "dana"', True),
    ("ClusterId == 1", True), ("NumJobStarts == 0", True), ("undefined", False), ("1/0", False), ("JobPrio > 0", False),
    ("ProcId >= 0", None), ("PescRank == 1", None), ("LastRemoteHost == \"a\"", None), ("Tag == 1", None),
    ("Half > 1", None), ("MY.ProcId == 1", None), ("procid == 1", None),
])
def test_the_rest_is_one_thing_unless_the_constraint_tells_its_jobs_apart(constraint, whole):
    lab = Lab()
    lab.submit(count=9, template={"Half": "ProcId / 2"}, varying={"+Tag": "$(Process)"})
    [want], _ = wanted(lab.pool.clusters, Selection(constraint=constraint))
    assert whole_rest(want, lab.now) is whole
