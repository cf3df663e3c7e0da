"""Who waits, in which order, and as what kind of job."""

import pytest

from contract.vocabulary import EndReason, HoldCode, JobStatus
from schedd.core.matching import WINDOW
from tests.builders import Lab, a_run

DISK = {"RequestDisk": "1"}
LINUX = {"arch": "X86_64", "opsys": "LINUX"}
LINUX_MACHINE = {"Arch": '"X86_64"', "OpSys": '"LINUX"', "Memory": "99999", "Disk": "99999", "HasFileTransfer": "true"}
"""What the requirements that a request brings along ask for."""


def order(lab, link):
    """The jobs in the order in which a machine of one cpu is given them, each run to its end."""
    found = []
    while runs := lab.granted(link):
        [run] = runs
        found.append((run.cluster, run.proc))
        lab.end(link, run, wall_seconds=60.0)
    return found


def test_jobs_go_in_order_of_submission():
    lab = Lab()
    lab.submit(count=2)
    lab.submit(count=2)
    assert order(lab, lab.connect(cpus=1)) == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_priority_goes_before_the_order_of_submission():
    lab = Lab()
    lab.submit(count=2)
    lab.submit(count=2, template={"JobPrio": "5"})
    assert order(lab, lab.connect(cpus=1)) == [(2, 0), (2, 1), (1, 0), (1, 1)]


def test_a_priority_given_later_counts_at_once():
    lab = Lab()
    lab.submit(count=4)
    lab.act("priority", "1.2", priority=1)
    lab.act("priority", "1.0", priority=-1)
    assert order(lab, lab.connect(cpus=1)) == [(1, 2), (1, 1), (1, 3), (1, 0)]


def test_the_priority_of_the_rest_can_change_twice_and_back():
    lab = Lab()
    lab.submit(count=1)
    lab.submit(count=1)
    for priority in (5, -5, 0):
        lab.act("priority", "2", priority=priority)
    assert order(lab, lab.connect(cpus=1)) == [(1, 0), (2, 0)]


def test_a_job_that_comes_back_goes_before_those_submitted_after_it():
    lab = Lab()
    lab.submit(count=3)
    link = lab.connect(cpus=2)
    first, second = lab.granted(link)
    lab.end(link, first, EndReason.EVICTED)
    assert lab.granted(link) == [a_run(1, 0, 2)]
    lab.end(link, second, wall_seconds=60.0)
    assert lab.granted(link) == [a_run(1, 2)]


def test_the_same_order_holds_when_several_come_back_at_once():
    lab = Lab()
    lab.submit(count=6)
    link = lab.connect(cpus=3)
    lab.said(link)
    lab.after(2401)
    assert lab.counts(1) == {"idle": 6}
    link = lab.connect(cpus=4)
    assert [run.proc for run in lab.granted(link)] == [0, 1, 2, 3]


def test_a_held_job_is_never_matched():
    lab = Lab()
    lab.submit(count=2)
    lab.act("hold", "1.0")
    assert order(lab, lab.connect(cpus=1)) == [(1, 1)]
    lab.connect("lab-8")
    assert lab.status(1, 0) == JobStatus.HELD


def test_holding_and_releasing_many_times_leaves_one_place_in_the_line():
    lab = Lab()
    lab.submit(count=3)
    for _ in range(5):
        lab.act("hold", "1")
        lab.act("release", "1")
        lab.act("hold", "1.1")
        lab.act("release", "1.1")
    assert order(lab, lab.connect(cpus=1)) == [(1, 0), (1, 1), (1, 2)]


# --- jobs of several kinds in one cluster ---


def test_jobs_whose_requests_differ_are_matched_by_their_own():
    lab = Lab()
    lab.submit(count=3, varying={"request_memory": "$(mem)"}, macros=LINUX, template=DISK, item_names=["mem"],
               items=[["900"], ["100"], ["500"]])
    link = lab.connect(cpus=9, memory_mib=1100, ad=LINUX_MACHINE)
    grants = {m.run.proc: m.claim.memory_mib for m in lab.said(link) if hasattr(m, "program")}
    assert grants == {0: 900, 1: 100}


def test_a_request_that_only_some_jobs_make_is_theirs_alone():
    lab = Lab()
    lab.submit(count=3, varying={"request_memory": "$(mem)"}, macros=LINUX, template=DISK, item_names=["mem"],
               items=[["undefined"], ["900"], ["undefined"]])
    link = lab.connect(cpus=9, ad=LINUX_MACHINE)
    assert [m.claim.memory_mib for m in lab.said(link) if hasattr(m, "program")] == [128, 900, 128]


def test_a_request_that_is_an_expression_of_the_rank_is_worked_out_for_every_job():
    lab = Lab()
    lab.submit(count=3, template={"RequestMemory": "100 * (ProcId + 1)", "PescMemoryLimit": "true"})
    link = lab.connect(cpus=9)
    grants = [(m.claim.memory_mib, m.program.memory_limit_mib) for m in lab.said(link) if hasattr(m, "program")]
    assert grants == [(100, 100), (200, 200), (300, 300)]


def test_a_request_that_grows_with_what_the_last_run_used_is_granted_so():
    lab = Lab()
    lab.submit(template={"RequestMemory": "ifThenElse(MemoryUsage =?= undefined, 100, MemoryUsage * 2)",
                         "PescMemoryLimit": "true"})
    link = lab.connect(cpus=1)
    [run] = lab.granted(link)
    lab.end(link, run, EndReason.MEMORY, peak_memory_mib=150.0, wall_seconds=60.0)
    lab.act("release", "1.0")
    [grant] = [m for m in lab.said(link) if hasattr(m, "program")]
    assert (grant.claim.memory_mib, grant.program.memory_limit_mib) == (300, 300)


def test_a_job_can_stay_away_from_where_it_ran_last():
    lab = Lab()
    lab.submit(count=2, template={"Requirements": "TARGET.Name =!= LastRemoteHost"})
    link = lab.connect("a", cpus=1, ad={"Name": '"a"'})
    lab.end(link, a_run(1, 0), EndReason.EVICTED, wall_seconds=60.0)
    lab.said(link)
    assert (lab.status(1, 0), lab.status(1, 1)) == (JobStatus.IDLE, JobStatus.RUNNING)
    other = lab.connect("b", cpus=1, ad={"Name": '"b"'})
    assert lab.granted(other) == [a_run(1, 0, 2)]


def test_a_machine_can_refuse_jobs_by_what_has_become_of_them():
    lab = Lab()
    lab.submit()
    link = lab.connect(cpus=1, ad={"START": "TARGET.NumJobStarts < 1"})
    [run] = lab.granted(link)
    lab.start(link, run)
    lab.end(link, run, EndReason.EVICTED, wall_seconds=60.0)
    assert (lab.granted(link), lab.status(1)) == ([], JobStatus.IDLE)
    assert lab.granted(lab.connect("b")) == [a_run(1, 0, 2)]


def test_machines_that_look_at_the_owner_tell_users_apart():
    lab = Lab()
    lab.submit(owner="dana")
    lab.submit(owner="lee")
    link = lab.connect(ad={"START": 'TARGET.Owner == "lee"'})
    assert lab.granted(link) == [a_run(2, 0)]


def test_of_a_large_cluster_of_several_kinds_only_a_window_is_kept_as_rows():
    lab = Lab()
    lab.submit(count=99_999, varying={"request_memory": "$(mem)"}, macros=LINUX, template=DISK, item_names=["mem"],
               items=[["1"], ["2"], ["3"]] * 33_333)
    assert len(lab.pool.clusters[1].jobs) == WINDOW
    link = lab.connect(cpus=WINDOW, memory_mib=1 << 20, ad=LINUX_MACHINE)
    assert [run.proc for run in lab.granted(link)] == list(range(WINDOW))
    assert lab.counts(1) == {"idle": 99_999 - WINDOW, "running": WINDOW}


def test_all_jobs_of_a_large_cluster_of_several_kinds_come_to_their_turn():
    lab = Lab()
    lab.submit(count=2_499, varying={"request_memory": "$(mem)"}, macros=LINUX, template=DISK, item_names=["mem"],
               items=[["1"], ["2"], ["3"]] * 833)
    link = lab.connect(cpus=500, ad=LINUX_MACHINE)
    while runs := lab.granted(link):
        for run in runs:
            lab.end(link, run, wall_seconds=60.0)
    assert lab.pool.clusters == {}
    assert len(lab.history) == 2_499


def test_a_job_whose_request_cannot_be_worked_out_is_held_and_the_others_run():
    lab = Lab()
    lab.submit(count=4, varying={"request_memory": "$(mem)"}, macros=LINUX, template=DISK, item_names=["mem"],
               items=[["100"], ["1 / 0"], ["(("], ["100"]])
    link = lab.connect(ad=LINUX_MACHINE)
    assert [run.proc for run in lab.granted(link)] == [0, 3]
    assert [(lab.job(1, p).status, lab.job(1, p).hold_code) for p in (1, 2)] == [
        (JobStatus.HELD, HoldCode.BROKEN_DESCRIPTION)] * 2


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_job_that_cannot_be_started_as_written_is_held_and_the_machine_goes_to_the_next(cpus):
    lab = Lab()
    lab.submit(count=3, varying={"arguments": "$(a)"}, item_names=["a"], items=[["x"], ['"it\'s"'], ["z"]])
    link = lab.connect(cpus=cpus)
    lab.end(link, a_run(1, 0), wall_seconds=60.0)
    lab.after(1)
    assert a_run(1, 2) in lab.granted(link)
    assert (lab.status(1, 1), lab.job(1, 1).hold_code) == (JobStatus.HELD, HoldCode.BROKEN_DESCRIPTION)


def test_a_job_in_the_rest_that_cannot_be_described_harms_nobody_else():
    lab = Lab()
    lab.submit(count=4, varying={"+Tag": "$(t)"}, item_names=["t"], items=[["1"], ["(("], ["(("], ["4"]])
    lab.act("hold", "1.0")
    lab.act("priority", "1", priority=3)
    assert lab.act("hold", constraint="Tag == 4").changed == 1
    lab.act("release", "1")
    assert order(lab, lab.connect(cpus=1)) == [(1, 0), (1, 3)]
    assert [lab.status(1, proc) for proc in (1, 2)] == [JobStatus.HELD] * 2
