"""What startds say, late, twice or never, and what follows for jobs and claims."""

import pytest

from contract.messages import Acknowledge, Grant, Refused, Stop, Used, Welcome
from contract.vocabulary import EndReason, HoldCode, JobStatus, Phase
from schedd.core.ends import FIRST_PAUSE_SECONDS
from schedd.core.judge import MOST_FAULTS
from schedd.core.leases import move_clocks
from schedd.core.runs import on_used
from tests.builders import Lab, a_run, amounts, an_output, claimed

RUN = a_run()
IDLE, RUNNING, REMOVED, COMPLETED, HELD = (
    JobStatus.IDLE, JobStatus.RUNNING, JobStatus.REMOVED, JobStatus.COMPLETED, JobStatus.HELD)


@pytest.fixture
def lab():
    """One job that runs on lab-7."""
    lab = Lab()
    lab.submit()
    lab.link = lab.connect()
    assert lab.granted(lab.link) == [RUN]
    lab.start(lab.link, RUN)
    return lab


def free(lab, name="lab-7"):
    machine = lab.pool.machines[name]
    total, held = machine.record.amounts, claimed(lab.pool, machine)
    assert machine.free == amounts(total.cpus - held.cpus, total.memory_mib - held.memory_mib,
                                   total.disk_kib - held.disk_kib)
    return machine.free.cpus


def in_use(lab, owner="dana"):
    return lab.pool.accounts[owner].in_use


# --- the good way ---


def test_a_run_goes_from_its_grant_to_its_end(lab):
    assert (lab.status(1), free(lab), in_use(lab)) == (RUNNING, 7.0, 1.0)
    lab.now += 60
    lab.end(lab.link, RUN, exit_code=7, wall_seconds=60.0, user_seconds=50.0, system_seconds=1.0,
            peak_memory_mib=12.5, peak_disk_kib=99, stdout=an_output("stdout", b"hi"), warnings=["no result.txt"])
    assert lab.said(lab.link) == [Acknowledge([RUN])]
    [ended] = lab.history
    job = ended.job
    assert (job.status, job.exit_code, job.exit_signal, job.last_machine) == (COMPLETED, 7, None, "lab-7")
    assert (job.wall_seconds, job.user_seconds, job.system_seconds, job.memory_mib, job.disk_kib) == (
        60.0, 50.0, 1.0, 12.5, 99)
    assert (job.starts, job.completions, job.stdout.size, job.warnings) == (1, 1, 2, ["no result.txt"])
    assert (free(lab), in_use(lab), lab.pool.clusters) == (8.0, 0.0, {})
    assert lab.kinds() == ["submitted", "executing", "terminated"]


def test_a_signal_is_how_it_ended(lab):
    lab.end(lab.link, RUN, signal=11)
    assert (lab.history[0].job.exit_code, lab.history[0].job.exit_signal) == (None, 11)


def test_an_end_without_a_start_before_it_is_a_start_too():
    lab = Lab()
    lab.submit()
    link = lab.connect()
    lab.now += 10
    lab.end(link, RUN, wall_seconds=4.0)
    assert lab.kinds() == ["submitted", "executing", "terminated"]
    assert lab.history[0].job.first_start_at == lab.now - 4.0


def test_a_run_that_never_started_is_no_start():
    lab = Lab()
    lab.submit()
    link = lab.connect()
    lab.end(link, RUN, EndReason.REFUSED, started=False, message="no such interpreter")
    assert (lab.status(1), lab.job(1).starts, lab.kinds()) == (HELD, 0, ["submitted", "held"])


def test_phases_only_go_forward(lab):
    lab.progress(lab.link, RUN, Phase.FETCHING)
    assert lab.job(1).run.phase is Phase.RUNNING
    lab.start(lab.link, RUN)
    assert lab.kinds().count("executing") == 1
    lab.progress(lab.link, RUN, Phase.RETURNING)
    assert lab.job(1).run.phase is Phase.RETURNING


# --- late, doubled, foreign ---


def test_a_report_that_comes_twice_is_counted_once(lab):
    lab.end(lab.link, RUN, wall_seconds=60.0)
    lab.end(lab.link, RUN, wall_seconds=60.0)
    assert lab.said(lab.link) == [Acknowledge([RUN]), Acknowledge([RUN])]
    assert (len(lab.history), lab.kinds().count("terminated"), free(lab)) == (1, 1, 8.0)


def test_a_report_of_an_old_attempt_is_acknowledged_and_changes_nothing(lab):
    lab.end(lab.link, RUN, EndReason.EVICTED, wall_seconds=60.0)
    assert lab.granted(lab.link) == [a_run(attempt=2)]
    lab.end(lab.link, RUN, exit_code=0, wall_seconds=60.0)
    assert lab.said(lab.link) == [Acknowledge([RUN])]
    assert (lab.status(1), lab.job(1).attempt, free(lab)) == (RUNNING, 2, 7.0)
    lab.start(lab.link, RUN)
    assert lab.job(1).run.phase is Phase.GRANTED


def test_a_report_of_another_machine_changes_nothing(lab):
    other = lab.connect("lab-8")
    lab.end(other, RUN, exit_code=0, wall_seconds=60.0)
    lab.progress(other, RUN, Phase.RETURNING)
    lab.do(on_used, other, Used(RUN, 999.0, 1.0, 9999))
    assert Acknowledge([RUN]) in lab.said(other)
    assert (lab.status(1), lab.job(1).run.phase, lab.job(1).memory_mib) == (RUNNING, Phase.RUNNING, 0.0)


def test_a_report_of_a_job_that_never_was_is_acknowledged(lab):
    lab.end(lab.link, a_run(99, 0), exit_code=0)
    assert lab.said(lab.link) == [Acknowledge([a_run(99, 0)])]


def test_an_unknown_connection_changes_nothing_and_is_told_to_connect_again(lab):
    lab.end(77, RUN, exit_code=0)
    lab.beat(77)
    lab.gone(77)
    assert (lab.status(1), {type(message) for message in lab.said(77)}) == (RUNNING, {Refused})


def test_what_a_run_uses_is_said_when_it_has_grown(lab):
    for memory in (100.0, 101.0, 150.0):
        lab.do(on_used, lab.link, Used(RUN, memory, 1.0, 0))
    assert [e.detail["memory_mib"] for e in lab.events if e.kind == "usage"] == [100.0, 150.0]
    assert lab.job(1).memory_mib == 150.0


# --- ends that are not the job's own ---


@pytest.mark.parametrize(("reason", "code"), [
    (EndReason.MEMORY, HoldCode.MEMORY), (EndReason.DISK, HoldCode.DISK),
    (EndReason.REFUSED, HoldCode.FAILED_TO_START)])
def test_a_job_that_broke_its_bounds_is_held_with_the_reason(lab, reason, code):
    lab.end(lab.link, RUN, reason, message="It asked for 100 MiB and used 120.", wall_seconds=5.0)
    job = lab.job(1)
    assert (job.status, job.hold_reason, job.hold_code) == (HELD, "It asked for 100 MiB and used 120.", code)
    assert (free(lab), in_use(lab), lab.kinds()) == (8.0, 0.0, ["submitted", "executing", "held"])


def test_a_machine_at_fault_is_avoided_and_the_job_goes_elsewhere(lab):
    lab.end(lab.link, RUN, EndReason.MACHINE_FAULT, message="disk full", started=False)
    assert (lab.status(1), lab.granted(lab.link)) == (IDLE, [])
    other = lab.connect("lab-8")
    assert lab.granted(other) == [a_run(attempt=2)]


def test_an_avoided_machine_is_tried_again_after_its_pause(lab):
    lab.end(lab.link, RUN, EndReason.MACHINE_FAULT, started=False)
    lab.after(FIRST_PAUSE_SECONDS - 1)
    assert lab.granted(lab.link) == []
    lab.after(2)
    assert lab.granted(lab.link) == [a_run(attempt=2)]


def test_every_fault_doubles_the_pause_and_an_exit_forgives_them(lab):
    pauses = []
    for attempt in range(1, 4):
        lab.end(lab.link, a_run(attempt=attempt), EndReason.MACHINE_FAULT, started=False)
        pauses.append(lab.pool.machines["lab-7"].avoid_until - lab.now)
        lab.after(pauses[-1])
    assert pauses == [5.0, 10.0, 20.0]
    lab.end(lab.link, a_run(attempt=4), wall_seconds=1.0)
    assert (lab.pool.machines["lab-7"].faults, lab.pool.machines["lab-7"].avoid_until) == (0, 0.0)


@pytest.mark.parametrize("reason", [EndReason.MACHINE_FAULT, EndReason.LOST])
def test_five_faults_in_a_row_hold_the_job(reason):
    lab = Lab()
    lab.submit()
    link = lab.connect()
    for attempt in range(1, MOST_FAULTS + 1):
        assert lab.granted(link) == [a_run(attempt=attempt)]
        lab.end(link, a_run(attempt=attempt), reason, started=False, wall_seconds=60.0)
        lab.after(100)
    assert (lab.status(1), lab.job(1).hold_code) == (HELD, HoldCode.TOO_MANY_FAULTS)
    lab.act("release", "1.0")
    assert lab.job(1).faults == 0


def test_an_eviction_is_no_fault_and_the_job_runs_again_at_once(lab):
    lab.end(lab.link, RUN, EndReason.EVICTED, message="the owner is back", wall_seconds=30.0)
    assert lab.granted(lab.link) == [a_run(attempt=2)]
    job = lab.job(1)
    assert (job.evictions, job.faults, job.last_machine, job.wall_seconds) == (1, 0, "lab-7", 30.0)
    assert lab.kinds() == ["submitted", "executing", "evicted"]


# --- the submit file's say ---


def ends_with(template, *codes):
    """The statuses a job has after each of its runs ended with the next code."""
    lab = Lab()
    lab.submit(template=template)
    link = lab.connect()
    found = []
    for attempt, code in enumerate(codes, 1):
        lab.end(link, a_run(attempt=attempt), exit_code=code, wall_seconds=60.0)
        found.append(lab.status(1))
    return lab, found


RETRIES = {"OnExitRemove": "NumJobCompletions > 2 || ExitCode == 0"}


def test_a_failed_job_is_retried_as_often_as_asked():
    lab, found = ends_with(RETRIES, 1, 1, 1)
    assert found == [RUNNING, RUNNING, COMPLETED]
    job = lab.history[0].job
    assert (job.completions, job.starts, job.exit_code, job.wall_seconds) == (3, 3, 1, 180.0)


def test_a_retry_that_succeeds_is_the_last():
    assert ends_with(RETRIES, 1, 0)[1] == [RUNNING, COMPLETED]


def test_on_exit_hold_holds_and_a_release_runs_it_again():
    lab, found = ends_with({"OnExitHold": "ExitCode == 3", "OnExitHoldReason": 'strcat("code ", ExitCode)',
                            "OnExitHoldSubCode": "ExitCode"}, 3)
    assert (found, lab.job(1).hold_reason, lab.job(1).hold_subcode) == ([HELD], "code 3", 3)
    assert lab.act("release", "1.0").changed == 1
    assert lab.status(1) == RUNNING


# --- silence ---


def test_a_broken_connection_leaves_the_run_alone_and_says_so(lab):
    lab.gone(lab.link)
    lab.now += 60
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    assert [type(m) for m in lab.said(link)] == [Welcome]
    assert (lab.status(1), lab.kinds()) == (RUNNING, ["submitted", "executing", "disconnected", "reconnected"])


def test_when_the_lease_ends_the_job_waits_again_under_a_new_attempt(lab):
    lab.gone(lab.link)
    lab.after(2400)
    assert lab.status(1) == RUNNING
    lab.after(1)
    assert (lab.status(1), lab.pool.machines, in_use(lab)) == (IDLE, {}, 0.0)
    assert lab.granted(lab.connect("lab-8")) == [a_run(attempt=2)]


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_ends_no_lease_and_makes_none_longer(lab, jump):
    lab.after(1000)
    move_clocks(lab.pool, lab.now, jump)
    lab.now += jump
    lab.after(1400)
    assert lab.status(1) == RUNNING
    lab.after(1001)
    assert lab.status(1) == IDLE


def test_whatever_a_machine_says_renews_its_lease(lab):
    for _ in range(3):
        lab.after(2000)
        lab.beat(lab.link, (RUN, Phase.RUNNING))
    assert lab.status(1) == RUNNING


def test_the_result_of_a_lapsed_run_still_counts_until_the_next_grant(lab):
    lab.gone(lab.link)
    lab.after(2401)
    link = lab.connect(runs=[(RUN, Phase.ENDED)], ad={"START": "false"})
    assert lab.stopped(link) == []
    lab.end(link, RUN, exit_code=0, wall_seconds=2000.0)
    assert (lab.history[0].job.status, lab.history[0].job.exit_code, lab.pool.clusters) == (COMPLETED, 0, {})


def test_the_result_of_a_lapsed_run_counts_for_nothing_after_the_next_grant(lab):
    lab.gone(lab.link)
    lab.after(2401)
    other = lab.connect("lab-8")
    assert lab.granted(other) == [a_run(attempt=2)]
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    assert lab.stopped(link) == [RUN]
    lab.end(link, RUN, exit_code=0, wall_seconds=2000.0)
    assert Acknowledge([RUN]) in lab.said(link)
    assert (lab.status(1), lab.job(1).run.machine) == (RUNNING, "lab-8")


def test_a_machine_that_comes_back_goes_on_with_its_lapsed_run(lab):
    lab.gone(lab.link)
    lab.after(2401)
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    assert [type(m) for m in lab.said(link)] == [Welcome]
    assert (lab.status(1), lab.job(1).attempt, free(lab), in_use(lab)) == (RUNNING, 1, 7.0, 1.0)
    lab.end(link, RUN, exit_code=0, wall_seconds=3000.0)
    assert lab.history[0].job.status == COMPLETED


def test_a_lapsed_run_whose_room_is_gone_is_stopped(lab):
    lab.gone(lab.link)
    lab.after(2401)
    link = lab.connect(cpus=0.5, runs=[(RUN, Phase.RUNNING)])
    assert (lab.stopped(link), lab.status(1)) == ([RUN], IDLE)


def test_a_lapsed_run_of_a_job_that_was_removed_is_stopped(lab):
    lab.gone(lab.link)
    lab.after(2401)
    lab.act("remove", "1.0")
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    assert lab.stopped(link) == [RUN]
    assert len(lab.history) == 1


def test_a_job_removed_while_its_machine_is_silent_leaves_when_the_lease_ends(lab):
    lab.gone(lab.link)
    lab.act("remove", "1.0")
    assert lab.history == []
    lab.after(2401)
    assert (lab.history[0].job.status, lab.pool.clusters) == (REMOVED, {})


def test_a_machine_that_is_connected_and_silent_past_its_lease_is_told_and_can_greet_again(lab):
    lab.said(lab.link)
    lab.after(2401)
    assert lab.status(1) == IDLE
    lab.beat(lab.link, (RUN, Phase.RUNNING))
    assert [type(m) for m in lab.said(lab.link)] == [Refused]
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    assert (lab.status(1), [type(m) for m in lab.said(link)]) == (RUNNING, [Welcome])


# --- reconciliation ---


def test_a_lost_grant_is_sent_again():
    lab = Lab()
    lab.submit()
    link = lab.connect()
    assert lab.granted(link) == [RUN]
    lab.beat(link)
    assert lab.granted(link) == []                      # it may still be on its way
    lab.now += 2 * lab.pool.settings.beat_seconds
    lab.beat(link)
    assert lab.granted(link) == [RUN]
    assert (lab.job(1).attempt, free(lab)) == (1, 7.0)


def test_a_grant_lost_with_its_connection_is_sent_again_at_once():
    lab = Lab()
    lab.submit()
    link = lab.connect()
    lab.gone(link)
    link = lab.connect()
    assert [type(m) for m in lab.said(link)] == [Welcome, Grant]


def test_a_lost_stop_is_sent_again(lab):
    lab.act("hold", "1.0")
    lab.said(lab.link)
    lab.beat(lab.link, (RUN, Phase.RUNNING))
    assert [m for m in lab.said(lab.link) if type(m) is Stop] == [Stop(RUN, "held")]


@pytest.mark.parametrize("phase", [Phase.RETURNING, Phase.ENDED])
def test_a_run_that_is_over_on_its_machine_is_not_told_to_stop(lab, phase):
    lab.act("hold", "1.0")
    lab.said(lab.link)
    lab.beat(lab.link, (RUN, phase), (a_run(9, 9), phase))
    assert lab.said(lab.link) == []


@pytest.mark.parametrize("run", [a_run(attempt=2), a_run(proc=1), a_run(9, 0)])
def test_a_run_that_nobody_granted_is_stopped(lab, run):
    lab.beat(lab.link, (RUN, Phase.RUNNING), (run, Phase.RUNNING))
    assert lab.stopped(lab.link) == [run]


def test_a_run_of_another_machine_is_stopped(lab):
    other = lab.connect("lab-8", runs=[(RUN, Phase.RUNNING)])
    assert lab.stopped(other) == [RUN]
    assert lab.job(1).run.machine == "lab-7"


def test_a_run_that_its_machine_no_longer_knows_of_goes_back_to_the_queue(lab):
    lab.now += 2 * lab.pool.settings.beat_seconds
    lab.beat(lab.link)
    assert lab.granted(lab.link) == [a_run(attempt=2)]
    assert lab.job(1).evictions == 1


def test_a_stopped_run_that_its_machine_no_longer_knows_of_frees_its_claim(lab):
    lab.act("remove", "1.0")
    lab.gone(lab.link)
    lab.connect()
    assert (lab.history[0].job.status, free(lab)) == (REMOVED, 8.0)


def test_a_beat_makes_up_for_lost_progress():
    lab = Lab()
    lab.submit()
    link = lab.connect()
    lab.beat(link, (RUN, Phase.RUNNING))
    assert (lab.job(1).run.phase, lab.kinds()) == (Phase.RUNNING, ["submitted", "executing"])


# --- who is who ---


def test_a_name_that_is_taken_is_refused(lab):
    link = lab.connect(identity="another's")
    [refused] = lab.said(link)
    assert (type(refused), refused.code) == (Refused, "name_taken")
    assert (lab.pool.machines["lab-7"].link, lab.status(1)) == (lab.link, RUNNING)


def test_the_same_startd_through_a_new_connection_replaces_the_old_one(lab):
    link = lab.connect(runs=[(RUN, Phase.RUNNING)])
    lab.gone(lab.link)
    assert (lab.pool.machines["lab-7"].link, lab.status(1)) == (link, RUNNING)
    lab.end(link, RUN, wall_seconds=1.0)
    assert len(lab.history) == 1


def test_a_startd_that_lost_its_memory_has_lost_its_runs(lab):
    lab.gone(lab.link)
    link = lab.connect(identity="a new one")
    assert lab.granted(link) == [a_run(attempt=2)]
    assert lab.pool.machines["lab-7"].record.identity == "a new one"


@pytest.mark.parametrize(("changes", "code"), [
    ({"protocol": 99}, "other_version"), ({"name": ""}, "bad_request"), ({"name": "a b"}, "bad_request"),
    ({"name": "../x"}, "bad_request"), ({"name": "x" * 256}, "bad_request"), ({"name": "a\n"}, "bad_request"),
    ({"cpus": -1.0}, "bad_request"), ({"memory_mib": -1}, "bad_request"), ({"memory_mib": 2**62}, "bad_request"),
    ({"disk_kib": 2**60}, "bad_request"), ({"ad": {f"A{n}": "1" for n in range(5001)}}, "too_large"),
])
def test_a_hello_that_cannot_be_is_refused_with_its_reason(changes, code):
    lab = Lab()
    link = lab.connect(**changes)
    [refused] = lab.said(link)
    assert (type(refused), refused.code, lab.pool.machines) == (Refused, code, {})


def test_a_machine_that_shrank_below_what_it_runs_is_given_nothing_more(lab):
    lab.gone(lab.link)
    lab.submit(count=5)
    link = lab.connect(cpus=0.5, runs=[(RUN, Phase.RUNNING)])
    assert (lab.granted(link), lab.status(1)) == ([], RUNNING)


def test_a_machine_whose_ad_makes_no_sense_is_given_nothing(lab):
    link = lab.connect("lab-9", ad={"START": "((", "Requirements": "1 +"})
    lab.submit(count=50)
    assert [type(m) for m in lab.said(link)] == [Welcome]
