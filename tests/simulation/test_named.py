"""Bad days with a name: each was a bug once, or would be the first one asked about."""

import pytest

from contract.requests import Selection, Submission
from contract.vocabulary import JobStatus, RunId
from tests.simulation import keeper
from tests.simulation.faults import Faults
from tests.simulation.keeper import COUNTING_MOOD, MEMORY_MOOD, STUBBORN_MOOD
from tests.simulation.schedd import SETTINGS
from tests.simulation.users import COUNTS, FOR_EVER, a_cluster
from tests.simulation.world import World, minutes

FIRST, SECOND = RunId(1, 0, 1), RunId(1, 0, 2)
LONG = 3 * SETTINGS.lease_seconds


def a_world(machines: int = 1, seed: int = 0, faults: Faults | None = None) -> World:
    world = World(seed, machines=machines, name="named", faults=faults or Faults())
    world.run(1.0)
    return world


def one_job(world: World, **job: str) -> None:
    """A job that is running."""
    world.users.submit(a_cluster(**job))
    world.run(1.0)
    assert list(world.truth.began) == [FIRST]


def the_machine(world: World, run: RunId):
    return next(machine for machine in world.machines if machine.name == world.truth.began[run])


# --- leases ------------------------------------------------------------------------------


def test_a_result_that_comes_after_the_lease_counts_while_nobody_else_was_granted_the_job():
    world = a_world(machines=1)
    one_job(world, seconds="30")
    the_machine(world, FIRST).cut_off(LONG)
    world.run(LONG - 1.0)
    assert world.schedd.pool.job(1, 0).status == JobStatus.IDLE
    world.settle()
    assert list(world.truth.began) == [FIRST]
    assert world.totals() == {"COMPLETED": 1}


def test_a_result_that_comes_after_another_machine_was_granted_the_job_does_not_count():
    world = a_world(machines=2)
    one_job(world, seconds="90")
    first = the_machine(world, FIRST)
    first.cut_off(LONG)
    world.run(LONG + 10.0)
    assert the_machine(world, SECOND) is not first
    assert world.truth.ended[FIRST] == (0, None)
    assert not world.ledger.finished
    world.settle()
    assert world.totals() == {"COMPLETED": 1}


def test_a_run_that_is_still_going_on_when_its_machine_comes_back_is_taken_up_again():
    world = a_world(machines=1)
    one_job(world, seconds="400")
    the_machine(world, FIRST).cut_off(LONG)
    world.settle()
    assert list(world.truth.began) == [FIRST]
    assert world.totals() == {"COMPLETED": 1}


def test_a_run_that_lost_its_job_to_another_machine_is_stopped_when_it_comes_back():
    world = a_world(machines=2)
    one_job(world, seconds="500", mood=STUBBORN_MOOD)
    the_machine(world, FIRST).cut_off(LONG)
    world.run(LONG + 30.0)
    assert world.truth.ended[FIRST] == (None, 9)
    world.settle()
    assert world.totals() == {"COMPLETED": 1}


def test_a_machine_that_was_silent_beyond_its_lease_on_a_connection_that_stood_comes_back():
    world = a_world(machines=1)
    world.machines[0].cut_off(LONG, ends_notice=False)
    world.run(LONG + 1.0)
    world.users.submit(a_cluster(3))
    world.settle()
    assert world.totals() == {"COMPLETED": 3}


def test_a_greeting_that_is_read_after_a_newer_one_leaves_nobody_unheard():
    world = a_world(machines=1)
    machine = world.machines[0]
    machine.connection = None
    machine.dial()
    hellos, carry = [], machine.connection.to_schedd
    machine.connection.to_schedd = hellos.append
    world.run(0.1)
    machine.connection = None
    machine.dial()
    world.run(1.0)
    carry(hellos[0])
    world.run(1.0)
    world.users.submit(a_cluster(3))
    world.settle()
    assert world.totals() == {"COMPLETED": 3}


# --- machines ----------------------------------------------------------------------------


def test_a_run_that_ends_while_its_startd_is_dead_is_reported_when_it_is_back():
    world = a_world()
    one_job(world, seconds="3")
    the_machine(world, FIRST).kill_startd("by hand")
    world.settle()
    assert list(world.truth.began) == [FIRST]
    assert world.totals() == {"COMPLETED": 1}


def test_a_run_whose_keeper_was_killed_goes_on_and_its_unknown_end_makes_it_run_again():
    world = a_world()
    one_job(world, seconds="30")
    the_machine(world, FIRST).kill_keeper()
    world.run(10.0)
    assert FIRST not in world.truth.ended
    world.settle()
    assert world.truth.ended == {FIRST: (None, None), SECOND: (0, None)}
    assert world.totals() == {"COMPLETED": 1}


@pytest.mark.parametrize(("mood", "asked_before"), [(MEMORY_MOOD, ["start"]), (STUBBORN_MOOD, ["start", "signal"])])
def test_a_kill_that_was_lost_with_its_keeper_is_asked_for_again(mood, asked_before):
    world = a_world()
    world.kill_at(keeper.ASKED, len(asked_before) + 1)
    one_job(world, seconds=FOR_EVER, mood=mood, PescMemoryLimit="true")
    if mood == STUBBORN_MOOD:
        world.users.act("remove", Selection(["1"]))
    world.run(minutes(1))
    assert world.kills == 1
    assert FIRST in world.truth.ended


def test_a_machine_that_dies_loses_its_runs_and_they_run_again():
    world = a_world(machines=2)
    one_job(world, seconds="30")
    the_machine(world, FIRST).kill()
    world.settle()
    assert world.truth.ended == {FIRST: (None, None), SECOND: (0, None)}
    assert world.totals() == {"COMPLETED": 1}


def test_a_machine_that_comes_back_without_memory_gives_its_runs_up_at_once():
    world = a_world(machines=1)
    one_job(world, seconds="30")
    the_machine(world, FIRST).wipe()
    world.run(SETTINGS.lease_seconds - 5.0)
    assert SECOND in world.truth.began
    world.settle()
    assert world.totals() == {"COMPLETED": 1}


def test_runs_that_are_over_are_not_started_again_though_a_full_disk_forgot_their_ends():
    world = a_world(machines=1)
    world.users.submit(a_cluster(2, seconds="5"))
    world.run(1.0)
    machine = world.machines[0]
    machine.disk.full = True
    world.run(10.0)
    assert world.totals() == {"COMPLETED": 2}
    machine.disk.full = False
    machine.kill_startd("by hand")
    world.settle()
    assert set(world.truth.began) == {RunId(1, 0, 1), RunId(1, 1, 1)}


def test_a_kill_for_memory_is_no_result_though_a_full_disk_forgot_why():
    world = a_world(machines=1)
    world.users.submit(a_cluster(seconds=FOR_EVER, mood=MEMORY_MOOD, PescMemoryLimit="true"))
    machine = world.machines[0]
    for what in (world.truth.began, world.truth.ended):
        while FIRST not in what:
            world.run(0.00005)
        machine.disk.full = True
    machine.kill_startd("by hand")
    machine.disk.full = False
    world.settle()
    assert world.totals() == {}
    assert world.schedd.pool.job(1, 0).status == JobStatus.HELD


def test_a_machine_that_cannot_carry_out_runs_does_not_eat_the_queue():
    world = a_world(machines=2)
    bad, good = world.machines
    bad.disk.full = True
    world.users.submit(a_cluster(12, seconds="5"))
    world.run(minutes(2))
    assert world.totals() == {"COMPLETED": 12}
    assert set(world.truth.began.values()) == {good.name}


def test_an_owner_who_refuses_is_not_asked_all_the_time():
    world = a_world(machines=1)
    machine = world.machines[0]
    machine.startd.core.owner.see({**machine.ad, "START": "false"})
    machine.ad["START"] = "false"
    world.users.submit(a_cluster(1))
    world.run(30.0)
    assert world.schedd.pool.job(1, 0).attempt < 10


# --- the schedd --------------------------------------------------------------------------


def test_no_job_is_lost_when_a_schedd_dies_after_it_had_made_rows_on_starting():
    """Jobs of one cluster that differ are rows some at a time; rows made at a restart must reach the disk too."""
    world = a_world(machines=0)
    template = {**a_cluster().template, "RequestMemory": "100 + MY.Shoe"}
    world.users.submit(Submission(2_000, template, {"+Shoe": "$(Process)"}, steps=2_000))
    world.run(1.0)
    world.users.act("remove", Selection(constraint="ProcId < 600"))
    world.run(1.0)
    for proc in (700, 701):
        world.schedd.kill("by hand")
        world.run(30.0)
        world.users.act("remove", Selection([f"1.{proc}"]))
        world.run(1.0)
    world.schedd.kill("by hand")
    world.run(30.0)
    assert world.schedd.pool.totals().idle == 2_000 - 602


def test_a_schedd_whose_disk_is_full_answers_when_it_is_on_disk():
    world = a_world(faults=Faults(schedd_disk_full=0.8))
    world.users.submit(a_cluster(3))
    world.settle()
    assert world.totals() == {"COMPLETED": 3}




# --- checkpoints -------------------------------------------------------------------------


def a_counting_job(world: World) -> None:
    one_job(world, seconds="100", mood=COUNTING_MOOD, **COUNTS)


def test_a_machine_that_is_killed_between_two_checkpoints_costs_no_more_than_the_last_one():
    world = a_world(machines=2)
    a_counting_job(world)
    world.run(9.0)
    kept = world.ledger.steps[1, 0]
    assert kept > 0
    the_machine(world, FIRST).kill(False)
    world.run_until(lambda: SECOND in world.truth.began, at_most=minutes(5))
    world.settle()
    assert world.totals() == {"COMPLETED": 1}


def test_a_job_that_asks_to_run_again_after_every_slice_gets_to_its_end():
    world = a_world(machines=2)
    a_counting_job(world)
    world.settle()
    assert world.totals() == {"COMPLETED": 1}
    assert len(world.truth.began) >= 8


@pytest.mark.parametrize("seed", range(6))
def test_a_job_gets_to_its_end_though_its_machines_are_drained_and_killed_again_and_again(seed):
    world = a_world(machines=3, seed=seed, faults=Faults(
        machine_dies_every=60, startd_dies=0.01, schedd_dies=0.01, lose=0.05, double=0.05, reorder=0.1, late=0.02))
    world.users.submit(a_cluster(3, seconds="100", mood=COUNTING_MOOD, **COUNTS))
    for number in range(12):
        world.run(15.0)
        world.users.drain(f"m{number % 3}", 5.0 * (number % 2), back=False)
        world.users.drain(f"m{(number + 1) % 3}", 0.0, back=True)
    world.settle()
    assert world.totals() == {"COMPLETED": 3}


@pytest.mark.parametrize("seed", range(4))
def test_checkpoints_that_overtake_each_other_on_their_way_take_nothing_back(seed):
    world = a_world(machines=1, seed=seed, faults=Faults(late=0.4, double=0.3))
    world.users.submit(a_cluster(2, seconds="60", mood=COUNTING_MOOD, **COUNTS))
    world.run(minutes(2))
    world.settle()
    assert world.totals() == {"COMPLETED": 2}


def test_a_drain_outlives_a_schedd_that_dies():
    world = a_world(machines=1)
    world.users.drain("m0", 0.0, back=False)
    world.run(1.0)
    world.schedd.kill("by the test")
    world.users.submit(a_cluster(seconds="1"))
    world.run(minutes(3))
    assert not world.truth.began
    world.settle()
    assert world.totals() == {"COMPLETED": 1}
