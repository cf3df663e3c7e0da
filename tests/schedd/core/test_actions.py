"""What people may do to jobs, and what they are told when they may not."""

import pytest

from contract.problems import Problem
from contract.vocabulary import HoldCode, JobStatus
from tests.builders import Lab, a_run, an_output


def refusal(lab, *args, **action):
    with pytest.raises(Problem) as problem:
        lab.act(*args, **action)
    return problem.value


def test_somebody_elses_job_is_refused_by_its_owners_name():
    lab = Lab()
    lab.submit(owner="dana", count=2)
    answer = lab.act("remove", "1.0", "1.1", user="lee")
    assert (answer.changed, answer.refused) == (0, [
        f"Job 1.{proc} belongs to dana; you are signed in as lee. Only its owner or an administrator can change it."
        for proc in (0, 1)])
    assert lab.counts(1) == {"idle": 2}


def test_an_operator_may_touch_everybodys_jobs():
    lab = Lab()
    lab.submit(owner="dana", count=2)
    assert lab.act("hold", "1", user="root", all_users=True).changed == 2


def test_all_means_ones_own():
    lab = Lab()
    lab.submit(owner="dana", count=3)
    lab.submit(owner="lee", count=2)
    answer = lab.act("remove", user="lee", everything=True)
    assert (answer.changed, answer.refused) == (2, [])
    assert list(lab.pool.clusters) == [1]


def test_a_constraint_reaches_only_ones_own():
    lab = Lab()
    lab.submit(owner="dana", count=3)
    lab.submit(owner="lee", count=2)
    assert lab.act("hold", user="lee", constraint="true").changed == 2
    assert lab.counts(1) == {"idle": 3}


def test_another_users_name_is_refused():
    lab = Lab()
    lab.submit(owner="dana")
    answer = lab.act("hold", user="lee", owners=["dana"])
    assert (answer.changed, len(answer.refused), "dana" in answer.refused[0]) == (0, 1, True)


@pytest.mark.parametrize("missing", ["7", "7.0", "1.3", "1.999999999999"])
def test_an_id_that_does_not_exist_is_said_and_the_others_are_changed(missing):
    lab = Lab()
    lab.submit(count=3)
    answer = lab.act("hold", missing, "1.1")
    assert (answer.changed, answer.refused) == (1, [
        f"There is no job {missing} in the queue. If it has left, pesc_history {missing} shows it."])


def test_a_job_that_has_left_is_not_there_any_more():
    lab = Lab()
    lab.submit(count=2)
    lab.act("remove", "1.0")
    assert "no job 1.0" in lab.act("remove", "1.0").refused[0]


@pytest.mark.parametrize("text", ["", "x", "1.x", "1.", ".1", "-1", "1.-2", "1.2.3", "½", "١", "1 ", "1" * 13])
def test_what_is_no_id_is_refused_whole(text):
    lab = Lab()
    lab.submit()
    assert refusal(lab, "hold", "1", text).code == "bad_request"
    assert lab.counts(1) == {"idle": 1}


@pytest.mark.parametrize("what", ["", "kill", "HOLD", "grant", "finish"])
def test_an_unknown_action_is_refused(what):
    assert refusal(Lab(), what, "1").code == "bad_request"


@pytest.mark.parametrize("priority", [2**31 + 1, -(2**31) - 1, 10**40])
def test_a_priority_out_of_range_is_refused(priority):
    assert refusal(Lab(), "priority", "1", priority=priority).code == "bad_request"


def test_naming_no_jobs_is_refused():
    assert refusal(Lab(), "remove").code == "bad_request"


@pytest.mark.parametrize("constraint", ["", "1 +", "JobStatus = 5", "((("])
def test_a_constraint_that_is_no_expression_is_refused(constraint):
    lab = Lab()
    lab.submit()
    assert refusal(lab, "remove", "1", constraint=constraint).code in ("bad_constraint", "bad_request")
    assert lab.counts(1) == {"idle": 1}


@pytest.mark.parametrize(("what", "before", "why"), [
    ("hold", "hold", "is held; only idle and running jobs can be held."),
    ("release", None, "is idle, not held; there is nothing to release."),
])
def test_a_named_job_in_the_wrong_state_is_said(what, before, why):
    lab = Lab()
    lab.submit(count=2)
    if before:
        lab.act(before, "1.0")
    answer = lab.act(what, "1.0")
    assert (answer.changed, answer.refused) == (0, [f"Job 1.0 {why}"])


def test_jobs_swept_up_that_are_so_already_are_left_alone_without_a_word():
    lab = Lab()
    lab.submit(count=3)
    lab.act("hold", "1.1")
    answer = lab.act("hold", everything=True)
    assert (answer.changed, answer.refused) == (2, [])


def test_who_holds_may_say_why():
    lab = Lab()
    lab.submit(count=2)
    lab.act("hold", "1.0", reason="lunch")
    lab.act("hold", "1.1")
    assert [lab.job(1, p).hold_reason for p in (0, 1)] == ["lunch", "via pesc_hold (by user dana)"]
    assert lab.job(1, 0).hold_code == HoldCode.USER_REQUEST


def test_the_same_id_twice_is_one_job():
    lab = Lab()
    lab.submit(count=2)
    assert lab.act("hold", "1.0", "1.0").changed == 1
    assert lab.act("hold", "1.1", "1", "1").changed == 1


def test_constraints_tell_the_jobs_of_a_rest_apart():
    lab = Lab()
    lab.submit(count=10)
    assert lab.act("hold", constraint="ProcId % 2 == 0").changed == 5
    assert [lab.status(1, p) for p in range(10)] == [5, 1] * 5
    lab.submit(count=4, varying={"+Size": "$(Process) * 10"})
    assert lab.act("remove", "2", constraint="Size > 15").changed == 2
    assert lab.counts(2) == {"idle": 2, "removed": 2}


def test_a_constraint_may_reach_what_differs_through_the_template():
    lab = Lab()
    lab.submit(count=4, template={"Late": "ProcId > 1"})
    assert lab.act("hold", constraint="Late").changed == 2


def test_a_constraint_that_tells_too_many_apart_is_refused_before_anything_is_changed():
    lab = Lab()
    lab.submit(count=3)
    lab.submit(count=1_000_000)
    problem = refusal(lab, "hold", constraint="ProcId < 2")
    assert (problem.code, "cluster 2" in problem.message) == ("too_large", True)
    lab.settle()
    assert (lab.counts(1), lab.kinds(1)) == ({"idle": 3}, ["submitted"])


def test_single_jobs_of_a_large_cluster_can_be_named_with_a_constraint():
    lab = Lab()
    lab.submit(count=1_000_000)
    assert lab.act("hold", "1.5", "1.900000", constraint="ProcId > 100").changed == 1
    assert lab.status(1, 900_000) == JobStatus.HELD


# --- jobs that run ---


@pytest.fixture
def running():
    lab = Lab()
    lab.submit()
    lab.link = lab.connect()
    assert lab.granted(lab.link) == [a_run()]
    lab.start(lab.link, a_run())
    return lab


def free_cpus(lab, name="lab-7"):
    return lab.pool.machines[name].free.cpus


def test_a_running_job_is_held_at_once_and_its_claim_is_freed_when_the_run_has_ended(running):
    running.act("hold", "1.0")
    assert (running.status(1), running.stopped(running.link), free_cpus(running)) == (JobStatus.HELD, [a_run()], 7.0)
    running.end(running.link, a_run(), "stopped", wall_seconds=9.0)
    assert (running.status(1), free_cpus(running)) == (JobStatus.HELD, 8.0)
    assert running.kinds() == ["submitted", "executing", "held"]


def test_a_running_job_that_is_removed_keeps_its_outputs_in_the_history(running):
    running.act("remove", "1.0")
    assert running.history == []
    running.end(running.link, a_run(), "stopped", wall_seconds=9.0, stdout=an_output("stdout", b"so far"),
                files=[an_output("part.txt", b"half")])
    [ended] = running.history
    assert (ended.job.status, ended.job.stdout.size, [f.path for f in ended.job.files]) == (
        JobStatus.REMOVED, 6, ["part.txt"])
    assert running.pool.clusters == {}


def test_a_job_removed_while_running_is_not_run_to_its_end_by_an_exit(running):
    running.act("remove", "1.0")
    running.end(running.link, a_run(), exit_code=0, wall_seconds=9.0)
    assert (running.history[0].job.status, running.history[0].job.exit_code) == (JobStatus.REMOVED, 0)


def test_a_job_that_ended_before_the_hold_arrived_is_completed(running):
    running.act("hold", "1.0")
    running.end(running.link, a_run(), exit_code=0, wall_seconds=9.0)
    assert running.history[0].job.status == JobStatus.COMPLETED


def test_a_job_released_while_its_run_is_still_stopping_waits_for_the_end_of_it(running):
    running.act("hold", "1.0")
    running.act("release", "1.0")
    assert running.granted(running.link) == []
    assert (running.status(1), free_cpus(running)) == (JobStatus.IDLE, 7.0)
    running.end(running.link, a_run(), "stopped", wall_seconds=9.0)
    assert running.granted(running.link) == [a_run(attempt=2)]


def test_a_job_held_released_and_held_again_while_stopping_stays_held(running):
    for what in ("hold", "release", "hold"):
        running.act(what, "1.0")
    running.end(running.link, a_run(), "stopped", wall_seconds=9.0)
    assert (running.status(1), running.counts(1)) == (JobStatus.HELD, {"held": 1})


def test_a_job_released_while_stopping_that_ended_by_itself_is_completed(running):
    running.act("hold", "1.0")
    running.act("release", "1.0")
    running.end(running.link, a_run(), exit_code=3, wall_seconds=9.0)
    assert running.history[0].job.status == JobStatus.COMPLETED


def test_removing_twice_stops_once_and_says_so(running):
    running.act("remove", "1.0")
    answer = running.act("remove", "1.0")
    assert (answer.changed, answer.refused) == (0, ["Job 1.0 is removed already."])
    assert running.stopped(running.link) == [a_run()]


def test_a_stop_for_a_machine_that_is_away_waits_for_its_return(running):
    running.gone(running.link)
    running.act("hold", "1.0")
    link = running.connect(runs=[(a_run(), "running")])
    assert running.stopped(link) == [a_run()]


def test_the_priority_of_a_running_job_can_be_changed(running):
    assert running.act("priority", "1.0", priority=4).changed == 1
    assert (running.job(1).priority, running.status(1)) == (4, JobStatus.RUNNING)
