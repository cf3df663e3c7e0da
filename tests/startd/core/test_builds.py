"""The builds of one machine: one at a time, said until acknowledged."""

import pytest

from contract.messages import (
    AcknowledgeBuild,
    Beat,
    Build,
    BuildEnded,
    BuildProgressed,
    CancelBuild,
    HeldBuild,
    Image,
    Recipe,
    Welcome,
)
from startd.core.events import AbandonBuild, BuildOver, BuildSaid, Connected, Heard, LeaveAsked, StartBuild, Tick
from startd.core.startd import StartdCore
from tests.builders import a_content, amounts

BUILD = Build("key", 1, "study", Recipe("FROM base\n"))
OTHER = Build("other", 1, "other", Recipe("FROM base\n"))
ENDED = BuildEnded("key", 1, Image("f00d", a_content(b"[]", tree=True)))


class Machine:
    def __init__(self):
        self.core = StartdCore("lab-7", "id", amounts(), {})
        self.now = 0.0
        self.connect()

    def connect(self):
        self.happens(Connected())
        hello = self.says()
        self.happens(Heard(Welcome("lab", 20.0, 2400.0)))
        return hello

    def happens(self, event):
        return self.core.handle(event, self.now)

    def hears(self, message):
        return self.happens(Heard(message))

    def says(self):
        return self.core.outgoing(self.now)


@pytest.fixture
def machine():
    return Machine()


def test_a_build_is_started_once_however_often_it_is_asked_for(machine):
    assert machine.hears(BUILD) == [StartBuild(BUILD)]
    assert machine.hears(BUILD) == []


def test_a_second_build_waits_for_the_first(machine):
    machine.hears(BUILD)
    assert machine.hears(OTHER) == []
    assert machine.happens(BuildOver(ENDED)) == [StartBuild(OTHER)]


def test_its_log_and_step_are_said_as_they_come(machine):
    machine.hears(BUILD)
    machine.happens(BuildSaid("key", 1, b"STEP 1/2\n", 1, 2, "FROM base"))
    assert machine.says() == [BuildProgressed("key", 1, 0, b"STEP 1/2\n", 1, 2, "FROM base")]
    machine.happens(BuildSaid("key", 1, b"more\n"))
    assert machine.says() == [BuildProgressed("key", 1, 9, b"more\n", 1, 2, "FROM base")]
    assert machine.says() == []


def test_the_whole_log_is_said_again_on_a_new_connection(machine):
    machine.hears(BUILD)
    machine.happens(BuildSaid("key", 1, b"STEP 1/2\n", 1, 2, "FROM base"))
    machine.says()
    (hello,) = machine.connect()
    assert hello.builds == [HeldBuild("key", 1)]
    assert machine.says() == [BuildProgressed("key", 1, 0, b"STEP 1/2\n", 1, 2, "FROM base")]


def test_an_end_is_said_again_until_it_is_acknowledged(machine):
    machine.hears(BUILD)
    machine.happens(BuildOver(ENDED))
    assert machine.says() == [ENDED]
    machine.now = 30.0
    machine.happens(Tick())
    assert machine.says() == [Beat([], [HeldBuild("key", 1)]), ENDED]
    assert machine.hears(BUILD) == []
    assert machine.says() == [ENDED]
    machine.hears(AcknowledgeBuild("key", 1))
    machine.now = 60.0
    machine.happens(Tick())
    assert machine.says() == [Beat([])]


def test_a_cancelled_build_is_abandoned_and_the_next_begins(machine):
    machine.hears(BUILD)
    machine.hears(OTHER)
    assert machine.hears(CancelBuild("key", 1)) == [AbandonBuild("key", 1), StartBuild(OTHER)]
    assert machine.happens(BuildOver(ENDED)) == []
    assert machine.says() == []


def test_cancelling_what_is_not_there_is_harmless(machine):
    assert machine.hears(CancelBuild("key", 1)) == []


def test_a_machine_that_leaves_gives_its_builds_to_others(machine):
    machine.hears(BUILD)
    machine.hears(OTHER)
    assert AbandonBuild("key", 1) in machine.happens(LeaveAsked("shutdown"))
    assert [(end.key, end.blames_machine) for end in machine.says()] == [("key", True), ("other", True)]


def test_what_an_abandoned_build_prints_is_nothing(machine):
    machine.hears(BUILD)
    machine.hears(CancelBuild("key", 1))
    machine.happens(BuildSaid("key", 1, b"late"))
    assert machine.says() == []
