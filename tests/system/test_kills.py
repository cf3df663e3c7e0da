"""Any part is killed at any moment: nothing is lost, and nothing counts twice."""

import random
import signal

import pytest

from tests.system.house import Living, started
from tests.system.load import Load


def test_a_schedd_killed_in_mid_load_completes_every_job_exactly_once(house):
    house.start("--cpus", "8")
    load = Load(house, 240)
    load.gate.let(240)
    load.begun(90)
    house.daemon("schedd").kill()
    house.start()
    load.finish()
    load.check()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_schedd_killed_again_and_again_at_random_moments_loses_and_doubles_nothing(house, seed):
    rng = random.Random(seed)
    house.start("--cpus", "8")
    startd = house.daemon("startd")
    load = Load(house, 100)
    load.gate.let(100)
    left = 100
    for _ in range(3):
        number = min(left, rng.randrange(1, 30))
        load.begun(number)
        left -= number
        schedd = house.daemon("schedd")
        stopped = rng.choice([None, startd, schedd])
        # What is committed or sent while one end stands still is lost on its way when the schedd dies.
        if stopped is not None:
            stopped.send(signal.SIGSTOP)
        schedd.kill()
        if stopped is startd:
            startd.send(signal.SIGCONT)
        house.start()
    load.finish()
    load.check()
    assert not startd.is_over


def test_a_grant_that_was_committed_and_never_arrived_is_made_good(house):
    house.start("--cpus", "4")
    startd = house.daemon("startd")
    startd.send(signal.SIGSTOP)
    load = Load(house, 12)
    # Everything the matchmaker grants now is on disk, and at best in a socket that nobody reads.
    house.until(load.cluster, "submitted")
    house.daemon("schedd").kill()
    startd.send(signal.SIGCONT)
    house.start()
    load.finish()
    load.check()


def test_running_jobs_do_not_notice_that_their_startd_was_killed(house):
    house.start("--cpus", "4")
    load = Load(house, 4, script="exit $((PESC_RANK + 3))\n")
    before = {rank: (pid, started(pid)) for rank, pid in load.begun(4)}
    watched = [Living(pid) for pid, _ in before.values()]
    house.daemon("startd").kill()
    assert {rank: (pid, started(pid)) for rank, (pid, _) in before.items()} == before
    house.start()
    assert not any(process.is_over for process in watched)
    assert {ad["JobStatus"] for ad in house.jobs(load.cluster)} == {2}
    load.finish()
    ads = house.history(load.cluster)
    assert {ad["ProcId"]: (ad["ExitCode"], ad["NumJobStarts"]) for ad in ads} == {
        rank: (rank + 3, 1) for rank in range(4)}
    assert load.runs() == dict.fromkeys(range(4), 1)


def test_a_startd_killed_in_mid_load_completes_every_job_exactly_once(house):
    house.start("--cpus", "8")
    load = Load(house, 200)
    load.gate.let(200)
    for number in (40, 60):
        load.begun(number)
        house.daemon("startd").kill()
        house.start()
    load.finish()
    load.check()


def test_jobs_that_end_while_their_startd_is_away_are_reported_when_it_is_back(house):
    house.start("--cpus", "6")
    load = Load(house, 6, script="[ $PESC_RANK = 4 ] && kill -USR1 $$\nexit $PESC_RANK\n")
    processes = [Living(pid) for _, pid in load.begun(6)]
    house.daemon("startd").kill()
    load.gate.let(6)
    for process in processes:
        process.ended()
    assert {ad["JobStatus"] for ad in house.jobs(load.cluster)} == {2}
    house.start()
    house.wait(load.cluster)
    ends = {ad["ProcId"]: ad.get("ExitSignal", ad.get("ExitCode")) for ad in house.history(load.cluster)}
    assert ends == {0: 0, 1: 1, 2: 2, 3: 3, 4: signal.SIGUSR1, 5: 5}
    assert load.runs() == dict.fromkeys(range(6), 1)


def test_results_of_jobs_that_end_while_the_schedd_is_away_are_kept_for_it(house):
    house.start("--cpus", "6")
    load = Load(house, 6)
    processes = [Living(pid) for _, pid in load.begun(6)]
    house.daemon("schedd").kill()
    load.gate.let(6)
    for process in processes:
        process.ended()
    house.start()
    load.finish()
    load.check()


def test_both_daemons_killed_at_once_in_mid_load_complete_every_job_exactly_once(house):
    house.start("--cpus", "8")
    load = Load(house, 100)
    load.gate.let(100)
    for number in (20, 40):
        load.begun(number)
        schedd, startd = house.daemon("schedd"), house.daemon("startd")
        schedd.send(signal.SIGSTOP)
        startd.kill()
        schedd.kill()
        house.start()
    load.finish()
    load.check()


def test_a_keeper_killed_in_mid_load_loses_no_job_and_counts_each_once(house):
    house.start("--cpus", "4")
    load = Load(house, 40)
    load.gate.let(16)
    load.begun(20)
    house.keeper().kill()
    load.finish()
    # Whose end nobody saw is run again: twice at work, once in the books.
    load.check(at_most=2)


def test_keeper_and_startd_killed_at_once_leave_no_job_running_twice_at_a_time(house):
    house.start("--cpus", "4")
    load = Load(house, 12)
    first = [Living(pid) for _, pid in load.begun(4)]
    startd = house.daemon("startd")
    startd.send(signal.SIGSTOP)
    house.keeper().kill()
    startd.kill()
    house.start()
    assert not any(process.is_over for process in first)
    load.finish()
    load.check(at_most=2)


def test_a_pool_stopped_under_load_leaves_no_process_and_completes_its_jobs_when_started_again(house):
    house.start("--cpus", "4")
    load = Load(house, 40)
    load.gate.let(10)
    load.begun(14)
    house.stop()
    house.ended()
    house.start("--cpus", "4")
    load.finish()
    # Runs that were evicted had not come to their effect.
    load.check()


def test_jobs_are_idle_again_once_the_pool_was_stopped_under_them(house):
    house.start("--cpus", "4")
    load = Load(house, 4)
    running = [Living(pid) for _, pid in load.begun(4)]
    house.do("pool", "stop")
    assert all(process.is_over for process in running)
    house.start_schedd()
    assert [ad["JobStatus"] for ad in house.jobs(load.cluster)] == [1] * 4
