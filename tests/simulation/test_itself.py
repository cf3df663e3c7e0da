"""The simulation itself: one seed is one history, and a broken rule is noticed."""

from collections.abc import Callable

import pytest

from tests.simulation.faults import Faults
from tests.simulation.scenarios import play
from tests.simulation.story import Violation
from tests.simulation.users import FLAKY, a_cluster
from tests.simulation.world import World, minutes

SEEDS = 30


def test_the_same_seed_makes_the_same_history():
    first, second = play("everything at once", 3), play("everything at once", 3)
    assert first.story.lines == second.story.lines
    assert first.steps == second.steps


def test_another_seed_makes_another_history():
    assert play("a quiet network", 0).story.lines != play("a quiet network", 1).story.lines


def of_family(family: str) -> Callable[[int, str], World]:
    return lambda seed, broken: play(family, seed, broken)


def jobs_that_run_three_times(seed: int, broken: str) -> World:
    """Reports of earlier attempts come doubled and late, while the next attempt is under way."""
    world = World(seed, machines=1, name="three attempts", broken=broken, faults=Faults(double=0.3, late=0.3))
    world.run(1.0)
    world.users.submit(a_cluster(10, seconds="3", exit_code="1", OnExitRemove=FLAKY))
    world.run(minutes(5))
    world.settle()
    return world


BROKEN = {
    "sends before it commits": (of_family("a schedd that dies"), "a grant to .* was sent that is not on disk"),
    "acknowledges before it commits": (of_family("a schedd that dies"), "an end was acknowledged that is not on disk"),
    "tells the user before it commits": (of_family("a quiet network"), "is not on disk|are on disk"),
    "forgets a row": (of_family("a schedd that dies"), "not on disk|are the rest|differs"),
    "believes a wrong attempt": (jobs_that_run_three_times, "never began|counted was|is not that of"),
    "starts before it records": (of_family("startds that die"), "."),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_noticed(rule):
    live, words = BROKEN[rule]
    with pytest.raises(Violation, match=words):
        for seed in range(SEEDS):
            live(seed, rule)


def test_nothing_is_noticed_where_nothing_is_broken():
    jobs_that_run_three_times(0, broken="")


def test_a_failure_tells_the_seed_and_the_story_of_its_job():
    with pytest.raises(Violation) as failure:
        for seed in range(SEEDS):
            jobs_that_run_three_times(seed, "believes a wrong attempt")
    assert "three attempts, seed " in str(failure.value)
    assert " is over on m0: exit code 1" in str(failure.value)
