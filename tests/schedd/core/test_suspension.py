"""A run that its machine freezes, and what its job is meanwhile."""

import sqlite3

import pytest

from contract.messages import AdChanged
from contract.vocabulary import EndReason, JobStatus, Phase
from schedd.api.jobs import machine_ad
from schedd.core.ads import dynamic
from schedd.core.leases import move_clocks
from schedd.core.restored import restore
from schedd.core.runs import on_ad
from schedd.store.rows import saved as saved_rows
from schedd.store.rows import statements
from schedd.store.schema import LOAD, SCHEMA
from tests.builders import Lab, a_run

RUN = a_run()
IDLE, RUNNING, HELD, COMPLETED, SUSPENDED = (
    JobStatus.IDLE, JobStatus.RUNNING, JobStatus.HELD, JobStatus.COMPLETED, JobStatus.SUSPENDED)


@pytest.fixture
def lab():
    lab = Lab()
    lab.submit()
    lab.link = lab.connect()
    lab.start(lab.link, RUN)
    return lab


def suspend(lab, halts=1, why="somebody is at the keyboard"):
    lab.progress(lab.link, RUN, Phase.SUSPENDED, halts, why)


def resume(lab, halts=2):
    lab.progress(lab.link, RUN, Phase.RUNNING, halts)


def ad(lab):
    return dynamic(lab.pool.clusters[1], 0, lab.job(1))


def test_a_job_whose_run_is_frozen_is_suspended_and_says_why(lab):
    suspend(lab)
    assert lab.status(1) == SUSPENDED
    assert lab.counts(1) == {"suspended": 1}
    assert lab.events[-1].kind == "suspended"
    assert lab.events[-1].detail["reason"] == ad(lab)["PescSuspended"] == "somebody is at the keyboard"


def test_a_suspended_job_runs_again_and_the_time_between_is_counted_apart(lab):
    suspend(lab)
    lab.now += 90
    resume(lab)
    lab.now += 10
    suspend(lab, halts=3)
    lab.now += 30
    resume(lab, halts=4)
    assert lab.status(1) == RUNNING
    assert lab.kinds(proc=0) == ["executing", "suspended", "unsuspended", "suspended", "unsuspended"]
    assert (ad(lab)["TotalSuspensions"], ad(lab)["CumulativeSuspensionTime"]) == (2, 120.0)
    assert ad(lab)["LastSuspensionTime"] == int(lab.now - 30)


def test_a_message_that_comes_again_too_late_changes_nothing(lab):
    suspend(lab)
    resume(lab)
    suspend(lab)
    assert lab.status(1) == RUNNING
    assert lab.job(1).suspensions == 1


def test_a_suspension_that_was_not_heard_of_is_still_counted(lab):
    resume(lab)
    assert lab.status(1) == RUNNING
    assert lab.job(1).suspensions == 1


def test_a_beat_tells_of_a_suspension_whose_message_was_lost(lab):
    lab.beat(lab.link, (RUN, Phase.SUSPENDED, 1))
    assert lab.status(1) == SUSPENDED
    lab.beat(lab.link, (RUN, Phase.RUNNING, 2))
    assert lab.status(1) == RUNNING


def test_a_startd_that_forgot_how_often_it_suspended_is_believed_when_it_greets(lab):
    suspend(lab, halts=5)
    lab.connect(runs=[(RUN, Phase.RUNNING, 0)])
    assert lab.status(1) == RUNNING


def test_a_suspended_job_can_end_be_held_and_be_given_up(lab):
    suspend(lab)
    lab.now += 5
    lab.end(lab.link, RUN)
    assert lab.status(1) == COMPLETED
    assert lab.job(1).suspended_seconds == 5

    lab.submit()
    lab.start(lab.link, a_run(2))
    lab.progress(lab.link, a_run(2), Phase.SUSPENDED, 1)
    lab.act("hold", "2.0")
    assert lab.status(2) == HELD
    lab.progress(lab.link, a_run(2), Phase.STOPPING, 2)
    assert lab.status(2) == HELD
    lab.end(lab.link, a_run(2), EndReason.STOPPED)
    lab.act("release", "2.0")
    lab.start(lab.link, a_run(2, attempt=2))
    lab.progress(lab.link, a_run(2, attempt=2), Phase.SUSPENDED, 1)
    lab.end(lab.link, a_run(2, attempt=2), EndReason.EVICTED)
    assert lab.status(2) == RUNNING
    assert lab.job(2).attempt == 3


def test_a_suspended_job_is_asked_to_stop_as_a_running_one(lab):
    suspend(lab)
    lab.progress(lab.link, RUN, Phase.STOPPING, 2)
    assert lab.status(1) == RUNNING
    assert lab.kinds(proc=0)[-1] == "unsuspended"


def test_a_suspended_run_whose_machine_was_silent_is_taken_up_again_as_it_is(lab):
    suspend(lab)
    lab.after(lab.pool.settings.lease_seconds + 1)
    assert lab.status(1) == IDLE
    lab.link = lab.connect(runs=[(RUN, Phase.SUSPENDED, 1)])
    assert lab.status(1) == SUSPENDED
    lab.now += 7
    resume(lab)
    assert lab.status(1) == RUNNING


def test_a_clock_that_jumps_makes_no_suspension_longer(lab):
    suspend(lab)
    move_clocks(lab.pool, lab.now, 3600.0)
    lab.now += 3600
    resume(lab)
    assert lab.job(1).suspended_seconds == 0


# --- its machine -------------------------------------------------------------------------

THROTTLED = {"PescOwnerStep": '"throttle"', "PescOwnerWhy": '"somebody is at the keyboard"'}


def shown(lab):
    machine = lab.pool.machines["lab-7"]
    ad = machine_ad(lab.pool, machine, lab.now)
    return ad.evaluate("State"), ad.evaluate("Activity")


def test_a_machine_whose_owner_is_there_is_offered_no_job_until_it_is_free_again():
    lab = Lab()
    link = lab.connect(ad=THROTTLED)
    lab.submit()
    assert lab.granted(link) == []
    lab.do(on_ad, link, AdChanged({"PescOwnerStep": '"free"'}))
    assert lab.granted(link) == [RUN]


def test_a_machine_shows_its_state_by_htcondors_names_and_since_when():
    lab = Lab()
    link = lab.connect()
    assert shown(lab) == ("Unclaimed", "Idle")
    lab.now += 10
    lab.do(on_ad, link, AdChanged(dict(THROTTLED)))
    assert shown(lab) == ("Owner", "Idle")
    lab.do(on_ad, link, AdChanged({"PescOwnerStep": '"free"'}))
    lab.submit()
    assert shown(lab) == ("Claimed", "Busy")
    lab.now += 10
    for step, activity in (("throttle", "Busy"), ("freeze", "Suspended"), ("leave", "Vacating")):
        lab.do(on_ad, link, AdChanged({"PescOwnerStep": f'"{step}"'}))
        assert shown(lab) == ("Claimed", activity)
    lab.now += 5
    assert machine_ad(lab.pool, lab.pool.machines["lab-7"], lab.now).evaluate("PescOwnerSince") == int(lab.now - 5)


def test_a_refusal_because_the_owner_came_meanwhile_costs_the_job_nothing():
    lab = Lab()
    lab.submit()
    link = lab.connect()
    lab.end(link, RUN, EndReason.EVICTED, started=False, message="lab-7 takes no new work now")
    assert lab.status(1) == IDLE
    assert (lab.job(1).evictions, lab.job(1).faults, lab.job(1).starts) == (0, 0, 0)


# --- and after a restart -----------------------------------------------------------------


def test_a_suspended_job_is_suspended_after_a_restart_of_the_schedd():
    saved = []

    class Saving(Lab):
        def saw(self, outcome):
            saved.extend(statements(self.pool, outcome))

    lab = Saving()
    lab.submit()
    lab.link = lab.connect()
    lab.start(lab.link, RUN)
    suspend(lab)
    pool = restore_from(lab, saved)
    assert pool.job(1, 0) == lab.job(1)
    assert pool.totals().suspended == 1


def restore_from(lab, made):
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.executescript(SCHEMA)
    for sql, rows in made:
        database.executemany(sql, rows)
    return restore("lab", lab.pool.settings, saved_rows(*[database.execute(s).fetchall() for s in LOAD]), lab.now)
