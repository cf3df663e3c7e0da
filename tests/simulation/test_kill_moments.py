"""Somebody is killed at every moment at which it could hurt, early and late in a history."""

import pytest

from contract.requests import Selection
from tests.simulation import keeper, schedd, startd
from tests.simulation.users import a_cluster
from tests.simulation.world import World, minutes

OCCURRENCES = (1, 2, 5, 10)


def a_busy_world(moment: str, occurrence: int) -> World:
    world = World(occurrence, name=moment)
    world.run(1.0)
    for _ in range(3):
        world.users.submit(a_cluster(20, seconds="5", TransferInput='"in"'))
    return world


@pytest.mark.parametrize("occurrence", OCCURRENCES)
@pytest.mark.parametrize("moment", [*schedd.MOMENTS, *startd.MOMENTS, keeper.ASKED])
def test_all_jobs_complete_once_though_somebody_is_killed(moment, occurrence):
    world = a_busy_world(moment, occurrence)
    world.run(0.5)
    assert world.ledger.acknowledged == {1: 20, 2: 20, 3: 20}
    world.kill_at(moment, occurrence)
    world.run(minutes(2))
    assert world.kills == 1, "the moment never came"
    world.settle()
    assert world.totals() == {"COMPLETED": 60}


@pytest.mark.parametrize("moment", schedd.MOMENTS)
def test_a_submission_is_queued_once_though_its_answer_was_lost(moment):
    world = World(1, name=moment)
    world.run(1.0)
    world.kill_at(moment)
    world.users.submit(a_cluster(6))
    world.run(minutes(1))
    assert world.kills == 1
    world.settle()
    assert world.totals() == {"COMPLETED": 6}


@pytest.mark.parametrize("what", ["hold", "remove"])
@pytest.mark.parametrize("moment", [*schedd.MOMENTS, *startd.MOMENTS])
def test_a_job_that_was_stopped_leaves_no_process_though_somebody_is_killed(moment, what):
    world = a_busy_world(moment, 1)
    world.run(2.0)
    world.kill_at(moment)
    world.users.act(what, Selection(["1", "2", "3"]))
    world.run(minutes(2))
    assert world.kills == 1
    world.settle()
    assert world.totals().total() == 60

