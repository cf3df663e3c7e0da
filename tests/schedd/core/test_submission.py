"""A submission is checked again by the schedd, which trusts nobody, and refused whole."""

import json

import pytest

from contract.problems import Problem
from contract.requests import SweepAxis
from contract.vocabulary import MAX_REPETITIONS, HoldCode, JobStatus
from dsl.classad import parse
from schedd.core.ads import job_ad, job_json
from schedd.core.program import program_of
from tests.builders import Lab, a_content, amounts


def refusal(lab, **submission):
    with pytest.raises(Problem) as problem:
        lab.submit(**submission)
    return problem.value


def nothing_happened(lab):
    lab.settle()
    return not (lab.pool.clusters or lab.events or lab.history) and lab.pool.next_cluster == 1


def test_an_image_and_a_network_that_are_asked_for_reach_the_program():
    lab = Lab()
    asked = lab.pool.clusters[lab.submit(template={
        "DockerImage": '"docker://debian:12"', "WantJobNetworking": "true"})]
    assert (program_of(asked, 0, amounts()).image, program_of(asked, 0, amounts()).network) == ("debian:12", True)
    plain = lab.pool.clusters[lab.submit()]
    assert (program_of(plain, 0, amounts()).image, program_of(plain, 0, amounts()).network) == (None, False)


def test_clusters_are_numbered_from_one():
    lab = Lab()
    assert [lab.submit(), lab.submit()] == [1, 2]


def test_a_submission_is_one_event_of_the_whole_cluster():
    lab = Lab()
    lab.submit(count=10)
    [event] = lab.events
    assert (event.id, event.cluster, event.proc, event.kind, event.detail) == (
        1, 1, -1, "submitted", {"host": "desk", "jobs": 10})


@pytest.mark.parametrize("count", [0, -1, MAX_REPETITIONS + 1, 10**30])
def test_a_count_out_of_range_is_refused_with_the_range(count):
    lab = Lab()
    problem = refusal(lab, count=count)
    assert (problem.code, str(count) in problem.message, str(MAX_REPETITIONS) in problem.cure) == (
        "bad_submission", True, True)
    assert nothing_happened(lab)


@pytest.mark.parametrize(("count", "steps", "items"), [
    (3, 2, []), (3, 0, []), (3, -3, []), (4, 1, [["a"], ["b"]]), (4, 4, [["a"], ["b"]]), (1, 1, [["a"], ["b"]]),
])
def test_items_and_steps_that_do_not_make_the_count_are_refused(count, steps, items):
    lab = Lab()
    problem = refusal(lab, count=count, steps=steps, items=items, item_names=["x"])
    assert problem.code == "bad_submission"
    assert f"do not make {count} jobs" in problem.message
    assert nothing_happened(lab)


def test_the_jobs_of_a_sweep_are_computed_from_its_axes():
    lab = Lab()
    sweep = [SweepAxis(["alpha"], ["number"], 1000, 5, 5, 1), SweepAxis(["how"], ["text"], 2, rows=[["a"], ["b"]])]
    number = lab.submit(count=4000, steps=2, sweep=sweep, varying={"arguments": "$(alpha)"})
    ad = job_ad(lab.pool.clusters[number], 3999, None)
    assert (ad.text("Args"), ad.text("PescRow")) == ('"500.0"', str(parse('[ alpha = 500.0; how = "b" ]')))


def test_a_program_is_told_its_row_and_which_repetition_of_it():
    lab = Lab()
    sweep = [SweepAxis(["alpha"], ["number"], 1000, 5, 5, 1), SweepAxis(["how"], ["text"], 2, rows=[["a"], ["b"]])]
    cluster = lab.pool.clusters[lab.submit(count=6000, steps=3, sweep=sweep)]
    told = [program_of(cluster, proc, amounts()) for proc in (0, 4, 5999)]
    assert [(program.rank, json.loads(program.row), program.repetition) for program in told] == [
        (0, {"alpha": 0.5, "how": "a"}, 0), (4, {"alpha": 0.5, "how": "b"}, 1), (5999, {"alpha": 500.0, "how": "b"}, 2)]
    plain = program_of(lab.pool.clusters[lab.submit(count=3)], 2, amounts())
    assert (plain.row, plain.repetition) == ("", 0)


@pytest.mark.parametrize(("axis", "count"), [
    (SweepAxis(["x"], ["number"], 3, 1, 1), 4),
    (SweepAxis(["x"], ["number"], 0), 1),
    (SweepAxis(["x"], ["number"], -1), 1),
    (SweepAxis(["x"], [], 3), 3),
    (SweepAxis(["x", "y"], ["text", "text"], 3), 3),
    (SweepAxis(["x"], ["text"], 2, rows=[["a"], ["b", "c"]]), 2),
    (SweepAxis(["no name"], ["text"], 1, rows=[["a"]]), 1),
    (SweepAxis(["x"], ["number"], 3, 1, 1, 99), 3),
])
def test_a_sweep_that_contradicts_itself_is_refused(axis, count):
    lab = Lab()
    assert refusal(lab, count=count, steps=1, sweep=[axis]).code == "bad_submission"
    assert nothing_happened(lab)


def test_an_item_with_more_columns_than_names_is_refused():
    lab = Lab()
    assert "more columns" in refusal(lab, count=1, item_names=["x"], items=[["a", "b"]]).message
    assert nothing_happened(lab)


def test_too_many_attributes_are_refused():
    lab = Lab()
    assert "at most 5000" in refusal(lab, template={f"A{n}": "1" for n in range(5001)}).message
    assert nothing_happened(lab)


@pytest.mark.parametrize("name", ["", "abc", "A" * 64, "g" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "../" * 21 + "a"])
def test_a_content_must_be_named_by_its_sha256(name):
    lab = Lab()
    problem = refusal(lab, files={"/home/dana/x": a_content(sha256=name)})
    assert "'/home/dana/x'" in problem.message
    assert nothing_happened(lab)


@pytest.mark.parametrize("size", [-1, 2**63, 10**30])
def test_a_content_of_an_impossible_size_is_refused(size):
    lab = Lab()
    assert refusal(lab, files={"/home/dana/x": a_content(size=size)}).code == "bad_submission"
    assert nothing_happened(lab)


@pytest.mark.parametrize("text", ["", "1 +", "((", "a b", '"open', "\0", "f(", "[a=", "1" + "+(1" * 20_000])
def test_an_attribute_that_is_no_expression_is_refused_by_name(text):
    lab = Lab()
    problem = refusal(lab, template={"Mood": text})
    assert (problem.code, problem.message.startswith("Mood is not an expression.")) == ("bad_submission", True)
    assert nothing_happened(lab)


@pytest.mark.parametrize("name", ["RequestCpus", "RequestMemory", "RequestDisk"])
@pytest.mark.parametrize("text", ['"two"', "-1", "undefined", "true", "1/0", "1e300", "Missing + 1"])
def test_a_request_that_is_no_amount_is_refused(name, text):
    lab = Lab()
    problem = refusal(lab, template={name: text})
    assert (problem.code, name in problem.message) == ("bad_submission", True)
    assert nothing_happened(lab)


def test_a_broken_macro_in_the_last_job_refuses_the_submission():
    lab = Lab()
    problem = refusal(lab, count=2, varying={"request_memory": "$(mem)"}, item_names=["mem"], items=[["1"], ["(("]])
    assert (problem.code, problem.message.startswith("Job 1 of it cannot be described.")) == ("bad_submission", True)
    assert nothing_happened(lab)


def test_a_command_that_may_not_differ_is_refused():
    lab = Lab()
    assert refusal(lab, count=2, varying={"nonsense": "$(Process)"}).code == "bad_submission"
    assert nothing_happened(lab)


def test_badly_quoted_arguments_are_refused():
    lab = Lab()
    assert refusal(lab, template={"Arguments": '"it\'s"'}).code == "bad_submission"
    assert nothing_happened(lab)


def test_submitted_on_hold_is_held_as_one_with_htcondors_code():
    lab = Lab()
    lab.submit(count=1_000_000, template={"JobStatus": "5"})
    state = lab.pool.clusters[1].state
    assert (lab.counts(1), state.rest_status, state.rest_code) == (
        {"held": 1_000_000}, JobStatus.HELD, HoldCode.SUBMITTED_ON_HOLD)
    assert lab.kinds() == ["submitted", "held"]


def test_a_hold_that_differs_from_job_to_job_holds_only_those():
    lab = Lab()
    lab.submit(count=4, varying={"hold": "$(h)"}, item_names=["h"], items=[["true"], ["false"], ["true"], ["false"]])
    assert [lab.status(1, proc) for proc in range(4)] == [5, 1, 5, 1]
    assert lab.counts(1) == {"idle": 2, "held": 2}


def test_a_priority_that_differs_from_job_to_job_is_each_jobs_own():
    lab = Lab()
    lab.submit(count=3, varying={"priority": "$(Process) * 10"})
    assert [lab.job(1, proc).priority for proc in range(3)] == [0, 10, 20]


def test_too_many_jobs_with_priorities_of_their_own_are_refused_without_a_trace():
    lab = Lab()
    problem = refusal(lab, count=100_001, varying={"priority": "$(Process)"})
    assert (problem.code, "100000" in problem.message) == ("bad_submission", True)
    assert nothing_happened(lab)


def test_a_job_in_the_middle_that_cannot_be_described_is_held_alone():
    lab = Lab()
    lab.submit(count=3, varying={"priority": "1", "+Tag": "$(t)"}, item_names=["t"], items=[["1"], ["(("], ["3"]])
    assert [lab.status(1, proc) for proc in range(3)] == [1, 5, 1]
    assert lab.job(1, 1).hold_code == HoldCode.BROKEN_DESCRIPTION


def test_who_owns_a_job_is_not_for_its_template_to_say():
    lab = Lab()
    lab.submit(owner="dana", template={"Owner": '"root"', "User": '"root"', "QDate": "1", "MyType": '"Machine"'})
    cluster = lab.pool.clusters[1]
    ad = job_ad(cluster, 0, None)
    assert [ad.evaluate(name) for name in ("Owner", "User", "QDate", "MyType")] == [
        "dana", "dana", int(lab.now), "Job"]
    assert job_json(cluster, 0, None)["Owner"] == "dana"


def test_a_template_with_a_date_of_its_own_starts_all_the_same():
    lab = Lab()
    lab.submit(template={"QDate": "1"})
    link = lab.connect()
    assert len(lab.granted(link)) == 1


def test_state_in_a_template_is_not_believed():
    lab = Lab()
    lab.submit(template={"ClusterId": "99", "ProcId": "99", "JobStatus": "4", "NumJobStarts": "7"})
    ad = job_ad(lab.pool.clusters[1], 0, None)
    assert [ad.evaluate(name) for name in ("ClusterId", "ProcId", "JobStatus", "NumJobStarts")] == [1, 0, 1, 0]


def test_the_same_submission_sent_twice_is_queued_once():
    lab = Lab()
    first = lab.submit(count=3, key="k1")
    again = lab.submit(count=3, key="k1")
    assert first == again
    assert list(lab.pool.clusters) == [first]


def test_another_users_key_is_another_submission():
    lab = Lab()
    first = lab.submit(owner="dana", key="k1")
    assert lab.submit(owner="lee", key="k1") != first


def test_a_job_that_needs_a_limit_goes_where_it_can_be_enforced():
    lab = Lab()
    asked = lab.submit(template={"PescPidsLimit": "64", "Requirements": "(TARGET.HasPidsLimit)"})
    assert lab.granted(lab.connect("bare", ad={"HasPidsLimit": "false"})) == []
    assert lab.granted(lab.connect("old")) == []
    [grant] = lab.said(lab.connect("lab-7", ad={"HasPidsLimit": "true"}))[1:]
    assert (grant.run.cluster, grant.program.pids_limit) == (asked, 64)


@pytest.mark.parametrize(("said", "told"), [("64", 64), ("0", None), ("-1", None), ('"64"', None), ("true", None),
                                            ("1 << 40", 32768)])
def test_a_number_of_processes_that_makes_no_sense_is_bounded(said, told):
    lab = Lab()
    cluster = lab.pool.clusters[lab.submit(template={"PescPidsLimit": said})]
    assert program_of(cluster, 0, amounts()).pids_limit == told
