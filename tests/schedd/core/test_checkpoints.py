"""Checkpoints in the queue: the last whole one counts, and what a run was good for is reckoned up."""

import pytest

from contract.messages import Checkpoint, Checkpointed, Grant, Stop
from contract.problems import Problem
from contract.requests import DrainOrder
from contract.vocabulary import EndReason, HoldCode, JobStatus, Phase
from schedd.core.checkpoints import SHORT_RUN_SECONDS, on_checkpointed
from schedd.core.draining import drain
from schedd.core.judge import MOST_BARREN
from tests.builders import Lab, a_content, a_run

RUN, SECOND = a_run(), a_run(1, 0, 2)
IDLE, RUNNING, HELD = JobStatus.IDLE, JobStatus.RUNNING, JobStatus.HELD
PROCESS = {"Cmd": '"/home/a.py"', "PescProcess": '"/home/a.py"'}


def a_checkpoint(raw=b"one", size=2048):
    return Checkpoint(a_content(raw, tree=True), 1, size)


def report(lab, link, run, raw=b"one", number=1, age=0.0, **changes):
    said = Checkpointed(run, number, a_checkpoint(raw), age, **changes)
    lab.do(on_checkpointed, link, said)


@pytest.fixture
def lab():
    """A program of the contract that runs on lab-7."""
    lab = Lab()
    lab.submit(template=PROCESS)
    lab.link = lab.connect()
    lab.said(lab.link)
    lab.start(lab.link, RUN)
    return lab


def grants(lab, link=None):
    return [message for message in lab.said(link or lab.link) if type(message) is Grant]


def ad(lab):
    from schedd.core.ads import dynamic
    return dynamic(lab.pool.clusters[1], 0, lab.job(1))


# --- taking down -------------------------------------------------------------------------


def test_the_next_run_begins_with_the_last_checkpoint(lab):
    report(lab, lab.link, RUN, b"one", number=1)
    report(lab, lab.link, RUN, b"two", number=2)
    lab.end(lab.link, RUN, EndReason.EVICTED)
    [grant] = grants(lab)
    assert grant.run == SECOND
    assert grant.program.checkpoint == a_content(b"two", tree=True)
    assert lab.kinds().count("checkpointed") == 2


def test_a_run_that_has_no_checkpoint_is_granted_again_without_one(lab):
    lab.end(lab.link, RUN, EndReason.EVICTED)
    assert [grant.program.checkpoint for grant in grants(lab)] == [None]


def test_a_checkpoint_that_was_overtaken_counts_for_nothing(lab):
    report(lab, lab.link, RUN, b"two", number=2)
    report(lab, lab.link, RUN, b"one", number=1)
    assert lab.job(1).checkpoint.content == a_content(b"two", tree=True)


def test_a_checkpoint_that_is_said_twice_counts_once(lab):
    report(lab, lab.link, RUN, number=1)
    report(lab, lab.link, RUN, number=1)
    report(lab, lab.link, RUN, number=2)
    assert ad(lab)["NumCkpts"] == 1
    assert lab.kinds().count("checkpointed") == 1


def test_a_new_connection_counts_its_checkpoints_from_one_again(lab):
    report(lab, lab.link, RUN, b"one", number=7)
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    report(lab, link, RUN, b"two", number=1)
    assert lab.job(1).checkpoint.content == a_content(b"two", tree=True)


def test_an_attempt_that_is_over_can_no_longer_change_the_checkpoint(lab):
    report(lab, lab.link, RUN, b"one")
    lab.end(lab.link, RUN, EndReason.EVICTED)
    lab.start(lab.link, SECOND)
    report(lab, lab.link, RUN, b"old", number=99)
    assert lab.job(1).checkpoint.content == a_content(b"one", tree=True)


def test_another_machine_cannot_speak_for_a_run(lab):
    other = lab.connect("lab-8")
    report(lab, other, RUN, b"forged")
    assert lab.job(1).checkpoint is None


def test_the_last_checkpoint_comes_with_the_end(lab):
    report(lab, lab.link, RUN, b"one")
    lab.end(lab.link, RUN, EndReason.EVICTED, checkpoint=a_checkpoint(b"last"), wall_seconds=60.0, covered_seconds=50.0)
    assert [grant.program.checkpoint for grant in grants(lab)] == [a_content(b"last", tree=True)]


def test_a_machine_that_was_given_up_may_still_bring_its_last_checkpoint(lab):
    lab.gone(lab.link)
    lab.after(3_000)
    assert lab.status(1) == IDLE
    link = lab.connect(cpus=0, runs=[(RUN, Phase.ENDED)])
    lab.end(link, RUN, EndReason.EVICTED, checkpoint=a_checkpoint(b"late"), wall_seconds=9.0, covered_seconds=9.0)
    elsewhere = lab.connect("lab-8")
    assert [grant.program.checkpoint for grant in grants(lab, elsewhere)] == [a_content(b"late", tree=True)]


def test_why_a_checkpoint_was_not_taken_is_told_and_the_one_before_stands(lab):
    report(lab, lab.link, RUN, b"one", number=1)
    lab.do(on_checkpointed, lab.link, Checkpointed(RUN, 2, None, trouble="It has 9 MiB."))
    assert (ad(lab)["PescCheckpointTrouble"], ad(lab)["NumCkpts"]) == ("It has 9 MiB.", 1)
    assert lab.status(1) == RUNNING
    report(lab, lab.link, RUN, b"two", number=3)
    assert "PescCheckpointTrouble" not in ad(lab)


# --- what it cost ------------------------------------------------------------------------


def test_an_eviction_costs_what_no_checkpoint_keeps(lab):
    lab.now += 100
    report(lab, lab.link, RUN, age=40.0)
    lab.now += 20
    lab.end(lab.link, RUN, EndReason.EVICTED, wall_seconds=120.0)
    assert (ad(lab)["RemoteWallClockTime"], ad(lab)["CommittedTime"], ad(lab)["PescLostTime"]) == (120.0, 60.0, 60.0)


def test_a_run_that_completes_lost_nothing(lab):
    lab.end(lab.link, RUN, wall_seconds=30.0)
    job = lab.job(1)
    assert (job.wall_seconds, job.committed_seconds) == (30.0, 30.0)


def test_a_machine_that_dies_costs_the_time_since_the_last_checkpoint(lab):
    lab.now += 60
    report(lab, lab.link, RUN)
    lab.now += 30
    lab.beat(lab.link, (RUN, Phase.RUNNING))
    lab.connect(identity="installed anew")
    lab.gone(lab.link)
    lab.connect(identity="installed anew")
    assert (ad(lab)["RemoteWallClockTime"], ad(lab)["CommittedTime"], ad(lab)["PescLostTime"]) == (90.0, 60.0, 30.0)


def test_a_run_that_is_taken_up_again_is_reckoned_up_once(lab):
    lab.now += 50
    lab.beat(lab.link, (RUN, Phase.RUNNING))
    lab.gone(lab.link)
    lab.after(3_000)
    assert ad(lab)["PescLostTime"] == 50.0
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    assert ad(lab)["PescLostTime"] == 0.0
    lab.end(link, RUN, wall_seconds=3_100.0)
    assert (lab.job(1).wall_seconds, lab.job(1).committed_seconds) == (3_100.0, 3_100.0)


# --- exit code 85 ------------------------------------------------------------------------


def checkpoint_exit(lab, run, raw=b"one", code=85, wall=1.0, **end):
    lab.start(lab.link, run)
    lab.end(lab.link, run, exit_code=code, wall_seconds=wall, covered_seconds=wall, checkpoint=a_checkpoint(raw), **end)


def test_a_checkpoint_exit_is_no_completion_no_eviction_and_runs_again(lab):
    checkpoint_exit(lab, RUN)
    assert [grant.run for grant in grants(lab)] == [SECOND]
    assert (ad(lab)["NumJobCompletions"], ad(lab)["NumRestarts"], ad(lab)["CommittedTime"]) == (0, 0, 1.0)
    assert lab.kinds() == ["submitted", "executing", "checkpointed", "evicted"]


def test_an_executable_says_85_for_itself_unless_told_otherwise():
    lab = Lab()
    lab.submit()
    lab.end(lab.connect(), RUN, exit_code=85)
    assert lab.status(1) == JobStatus.COMPLETED


def test_the_submit_file_may_name_another_exit_code():
    lab = Lab()
    lab.submit(template={"SuccessCheckpointExitCode": "77"})
    lab.link = lab.connect()
    assert [grant.program.checkpoint_exit_code for grant in grants(lab)] == [77]
    checkpoint_exit(lab, RUN, code=77)
    assert (lab.status(1), [grant.run for grant in grants(lab)]) == (RUNNING, [SECOND])
    lab.end(lab.link, SECOND, exit_code=85)
    assert lab.status(1) == JobStatus.COMPLETED


def test_a_job_that_checkpoints_again_and_again_and_comes_no_further_is_held(lab):
    checkpoint_exit(lab, RUN)
    for attempt in range(2, 2 + MOST_BARREN):
        assert lab.status(1) == RUNNING
        checkpoint_exit(lab, a_run(1, 0, attempt))
    assert (lab.status(1), lab.job(1).hold_code) == (HELD, HoldCode.NO_PROGRESS)
    assert f"{MOST_BARREN} runs in a row ended with exit code 85" in lab.job(1).hold_reason
    lab.act("release", "1")
    lab.said(lab.link)
    checkpoint_exit(lab, a_run(1, 0, 2 + MOST_BARREN))
    assert lab.status(1) == RUNNING


@pytest.mark.parametrize("how", ["new", "long"])
def test_a_job_that_comes_further_may_checkpoint_as_often_as_it_likes(lab, how):
    for attempt in range(1, 3 * MOST_BARREN):
        raw = str(attempt).encode() if how == "new" else b"same"
        checkpoint_exit(lab, a_run(1, 0, attempt), raw, wall=1.0 if how == "new" else SHORT_RUN_SECONDS)
    assert lab.status(1) == RUNNING


def test_a_job_that_checkpoints_for_ever_and_has_no_checkpoint_is_held(lab):
    for attempt in range(1, 1 + MOST_BARREN):
        lab.end(lab.link, a_run(1, 0, attempt), exit_code=85, checkpoint_trouble="It is too large.")
    assert lab.status(1) == HELD
    assert "It is too large." in lab.job(1).hold_reason


# --- draining ----------------------------------------------------------------------------


def order(lab, user="root", **changes):
    return lab.do(drain, user, DrainOrder(**{"machine": "lab-7"} | changes))


def test_a_machine_that_is_being_emptied_is_granted_nothing_new(lab):
    answer = order(lab, seconds=3600.0)
    assert (answer.draining, answer.seconds, answer.runs) == (True, 3600.0, 1)
    lab.submit()
    assert lab.said(lab.link) == []
    order(lab, back=True)
    assert lab.granted(lab.link) == [a_run(2)]


def test_runs_must_leave_when_the_notice_is_over_and_their_jobs_go_elsewhere(lab):
    order(lab, seconds=60.0, reason="new memory")
    lab.after(59)
    assert lab.said(lab.link) == []
    lab.after(1)
    [stop] = lab.said(lab.link)
    assert stop == Stop(RUN, "its machine is being emptied by root: new memory", evict=True)
    elsewhere = lab.connect("lab-8")
    lab.after(1)
    assert lab.said(lab.link) == []
    lab.end(lab.link, RUN, EndReason.EVICTED, message=stop.why, checkpoint=a_checkpoint(b"last"))
    [grant] = grants(lab, elsewhere)
    assert (grant.run, grant.program.checkpoint) == (SECOND, a_content(b"last", tree=True))
    assert (lab.job(1).faults, lab.pool.machines["lab-7"].faults) == (0, 0)


def test_a_stop_that_was_lost_is_said_again(lab):
    order(lab)
    lab.said(lab.link)
    lab.beat(lab.link, (RUN, Phase.RUNNING))
    assert [(stop.run, stop.evict, stop.keep) for stop in lab.said(lab.link)] == [(RUN, True, True)]


def test_a_machine_that_is_being_emptied_is_remembered_however_long_it_is_away(lab):
    order(lab)
    lab.gone(lab.link)
    lab.after(100_000)
    lab.after(100_000)
    assert lab.status(1) == IDLE
    link = lab.connect()
    assert lab.granted(link) == []
    order(lab, back=True)
    assert lab.granted(link) == [SECOND]


def test_a_second_order_gives_another_deadline(lab):
    order(lab, seconds=3600.0)
    order(lab, seconds=0.0)
    assert lab.stopped(lab.link) == [RUN]


def test_a_removed_job_is_not_checkpointed_once_more(lab):
    lab.act("remove", "1")
    assert lab.said(lab.link) == [Stop(RUN, "removed", keep=False)]


@pytest.mark.parametrize("wrong", [{"machine": "lab-9"}, {"seconds": -1.0}, {"seconds": float("nan")},
                                   {"seconds": 1e12}])
def test_an_order_that_cannot_be_carried_out_changes_nothing(lab, wrong):
    with pytest.raises(Problem):
        order(lab, **wrong)
    assert lab.pool.machines["lab-7"].record.drain is None


# --- what a program is told --------------------------------------------------------------


def program(**template):
    lab = Lab()
    lab.submit(template=template)
    [grant] = grants(lab, lab.connect())
    return grant.program


def test_signal_and_grace_are_those_of_the_submit_file():
    made = program(KillSig='"SIGUSR1"', JobMaxVacateTime="2 * 60")
    assert (made.kill_signal, made.grace_seconds) == (10, 120.0)
    made = program(KillSig='"__class__"', KillSigTimeout="7", JobMaxVacateTime="undefined")
    assert (made.kill_signal, made.grace_seconds) == (15, 7.0)
    assert program(JobMaxVacateTime="86400").grace_seconds == 600.0
    assert program().grace_seconds == 10.0


def test_holding_and_removing_have_signals_of_their_own_where_the_submit_file_says_so():
    made = program(HoldKillSig='"SIGUSR2"', RemoveKillSig='"SIGINT"')
    assert (made.kill_signal, made.hold_signal, made.remove_signal) == (15, 12, 2)
    made = program(HoldKillSig='"SIGNAL"', RemoveKillSig='"SIG_IGN"')
    assert (made.kill_signal, made.hold_signal, made.remove_signal) == (15, None, None)


def test_what_is_the_checkpoint_of_an_executable_is_as_in_htcondor():
    assert program().checkpoint_files is None
    made = program(SuccessCheckpointExitCode="85", TransferCheckpoint='"a, b/"', TransferOutput='"c"')
    assert (made.checkpoint_files, made.checkpoint_on_evict) == (["a", "b/"], False)
    made = program(WhenToTransferOutput='"ON_EXIT_OR_EVICT"', TransferOutput='"c"')
    assert (made.checkpoint_files, made.checkpoint_on_evict, made.checkpoint_exit_code) == (["c"], True, None)
    made = program(PescCheckpointEvery="600", **PROCESS)
    assert (made.checkpoint_files, made.checkpoint_every, made.checkpoint_exit_code) == (None, 600.0, 85)


def test_a_dump_of_processes_is_refused_with_the_reason():
    lab = Lab()
    for name in ("lab-7", "lab-8"):
        lab.connect(name, ad={"HasProcessCheckpoint": "false", "PescNoProcessCheckpoint": '"criu is not here"'})
    with pytest.raises(Problem, match=r"HasProcessCheckpoint\. lab-7: criu is not here\.\n") as told:
        lab.submit(template={"PescCheckpoint": '"process"'})
    assert "checkpoint_dir" in told.value.cure
    with pytest.raises(Problem, match="a startd with privileges"):
        Lab().submit(template={"PescCheckpoint": '"process"'})
