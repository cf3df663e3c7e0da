"""When a startd takes checkpoints, and what it says of them."""

from contract.messages import Amounts, Checkpoint, Checkpointed, Ended, Stop, Welcome
from contract.vocabulary import EndReason
from startd.core.events import (
    Begun,
    CheckpointTaken,
    Collect,
    Collected,
    Connected,
    Disconnected,
    Found,
    Heard,
    Kill,
    LeaveAsked,
    Over,
    Signal,
    TakeCheckpoint,
    Tick,
)
from startd.core.startd import StartdCore
from tests.builders import a_content, a_grant, a_program, a_run

RUN = a_run()
ONE = Checkpoint(a_content(b"one", tree=True), 1, 10)
TWO = Checkpoint(a_content(b"two", tree=True), 1, 10)


def a_grant_of(**program):
    return a_grant(program=a_program(**{"contract": True, "checkpoint_exit_code": 85} | program))


def a_core() -> StartdCore:
    core = StartdCore("lab-7", "own", Amounts(8.0, 16_384, 1 << 20), {"START": "true"})
    connected(core)
    return core


def connected(core: StartdCore, now=0.0) -> None:
    core.handle(Connected(), now)
    core.outgoing(now)
    core.handle(Heard(Welcome("lab", 1_000.0, 6_000.0)), now)


def running(**program) -> StartdCore:
    core = a_core()
    core.handle(Heard(a_grant_of(**program)), 0.0)
    core.handle(Begun(RUN, 7), 0.0)
    core.outgoing(0.0)
    return core


def over(code=0, signal=None, wall=100.0) -> Over:
    return Over(RUN, code, signal, wall, 1.0, 0.1, 12.0)


def wants_checkpoint(core: StartdCore, happened: Over, now=100.0) -> tuple[bool, float | None]:
    [collect] = [action for action in core.handle(happened, now) if isinstance(action, Collect)]
    return collect.checkpoint, collect.doubt_seconds


# --- now and then ------------------------------------------------------------------------


def test_a_checkpoint_is_taken_every_so_often_and_no_two_at_a_time():
    core = running(checkpoint_every=60.0)
    assert core.next_due() == 60.0
    assert core.handle(Tick(), 59.0) == []
    assert core.handle(Tick(), 60.0) == [TakeCheckpoint(a_grant_of(checkpoint_every=60.0))]
    assert core.handle(Tick(), 500.0) == []
    core.handle(CheckpointTaken(RUN, ONE, age_seconds=3.0), 510.0)
    assert core.next_due() == 570.0
    assert core.outgoing(511.0) == [Checkpointed(RUN, 1, ONE, 4.0)]
    assert core.outgoing(512.0) == []


def test_nothing_is_said_when_there_is_nothing_new():
    core = running(checkpoint_every=60.0)
    core.handle(Tick(), 60.0)
    core.handle(CheckpointTaken(RUN, None), 61.0)
    assert core.outgoing(61.0) == []
    assert core.next_due() == 121.0


def test_why_none_could_be_taken_is_said_once():
    core = running(checkpoint_every=60.0)
    for now in (61.0, 121.0):
        core.handle(CheckpointTaken(RUN, None, trouble="too large"), now)
    assert [message.trouble for message in core.outgoing(130.0)] == ["too large"]
    core.handle(CheckpointTaken(RUN, None, trouble="too large"), 181.0)
    assert core.outgoing(190.0) == []


def test_the_last_checkpoint_is_said_again_to_whoever_listens_next():
    core = running(checkpoint_every=60.0)
    core.handle(CheckpointTaken(RUN, ONE), 60.0)
    core.outgoing(60.0)
    core.handle(Disconnected(), 61.0)
    connected(core, 70.0)
    assert [message for message in core.outgoing(70.0) if isinstance(message, Checkpointed)] == [
        Checkpointed(RUN, 2, ONE, 10.0)]


def test_a_program_that_asks_for_none_is_left_alone():
    core = running()
    core.handle(Tick(), 900.0)
    assert core.next_due() == 1_000.0       # its next beat


def test_after_a_restart_a_checkpoint_is_taken_at_once():
    core = running(checkpoint_every=600.0)
    again = StartdCore.restore(core.entries(), "lab-7", "own", core.amounts, {})
    again.handle(Found(frozenset({RUN})), 5.0)
    again.handle(Begun(RUN, 7), 5.0)
    assert again.handle(Tick(), 5.0) == [TakeCheckpoint(a_grant_of(checkpoint_every=600.0))]


# --- the last one ------------------------------------------------------------------------


def test_the_last_checkpoint_is_taken_of_what_will_run_again():
    core = running()
    core.handle(Heard(Stop(RUN, "held")), 50.0)
    assert wants_checkpoint(core, over(None, 15)) == (True, 0.0)
    core = running()
    core.handle(Heard(Stop(RUN, "held")), 50.0)
    assert wants_checkpoint(core, over(0)) == (True, None)
    assert wants_checkpoint(running(), over(85)) == (True, None)
    assert wants_checkpoint(running(), over(None, None)) == (True, 0.0)


def test_none_is_taken_of_what_is_done_or_unwanted():
    assert wants_checkpoint(running(), over(0)) == (False, None)
    assert wants_checkpoint(running(), over(1)) == (False, None)
    assert wants_checkpoint(running(), over(None, 11)) == (False, None)
    core = running()
    core.handle(Heard(Stop(RUN, "removed", keep=False)), 50.0)
    assert wants_checkpoint(core, over(None, 15)) == (False, None)


def test_an_executable_has_one_only_as_far_as_it_asked_for_it():
    def stopped(**program):
        core = running(**{"contract": False} | program)
        core.handle(LeaveAsked("shutdown."), 50.0)
        return core

    assert wants_checkpoint(stopped(), over(None, 15)) == (False, None)
    assert wants_checkpoint(stopped(checkpoint_files=["a"]), over(None, 15)) == (True, 0.0)
    core = stopped(checkpoint_files=["a"], checkpoint_on_evict=False)
    assert wants_checkpoint(core, over(None, 15)) == (False, None)
    core = running(contract=False, checkpoint_files=["a"], checkpoint_on_evict=False)
    assert wants_checkpoint(core, over(85)) == (True, None)


def test_the_end_carries_the_last_checkpoint_and_how_much_it_keeps():
    core = running(checkpoint_every=60.0)
    core.handle(CheckpointTaken(RUN, ONE), 60.0)
    core.handle(Heard(Stop(RUN, "drained", evict=True)), 99.0)
    core.handle(over(None, 15), 100.0)
    core.handle(Collected(RUN, taken=CheckpointTaken(RUN, TWO, age_seconds=25.0)), 105.0)
    [ended] = [message for message in core.outgoing(105.0) if isinstance(message, Ended)]
    assert (ended.end.reason, ended.end.checkpoint, ended.end.covered_seconds) == (EndReason.EVICTED, TWO, 80.0)


def test_a_last_checkpoint_that_could_not_be_taken_leaves_the_one_before():
    core = running(checkpoint_every=60.0)
    core.handle(CheckpointTaken(RUN, ONE), 60.0)
    core.handle(Heard(Stop(RUN, "held")), 99.0)
    core.handle(over(None, 9), 100.0)
    core.handle(Collected(RUN, taken=CheckpointTaken(RUN, None, trouble="half written")), 105.0)
    [ended] = [message for message in core.outgoing(105.0) if isinstance(message, Ended)]
    assert (ended.end.checkpoint, ended.end.covered_seconds) == (ONE, 60.0)
    assert ended.end.checkpoint_trouble == "half written"


def test_no_checkpoint_is_begun_of_a_run_that_is_leaving():
    core = running(checkpoint_every=60.0)
    core.handle(Heard(Stop(RUN, "held")), 55.0)
    assert TakeCheckpoint(a_grant_of(checkpoint_every=60.0)) not in core.handle(Tick(), 61.0)


# --- a machine that will be gone ---------------------------------------------------------


def test_the_ladder_is_cut_to_the_time_that_the_machine_still_has():
    core = running(grace_seconds=600.0)
    assert core.handle(LeaveAsked("AWS takes it.", 120.0), 0.0)[-1] == Signal(RUN, 15)
    assert core.next_due() == 90.0
    assert core.handle(Tick(), 90.0) == [Kill(RUN)]
    core = running(grace_seconds=600.0)
    core.handle(LeaveAsked("GCP takes it.", 30.0), 0.0)
    assert core.next_due() == 15.0
    core = running(grace_seconds=5.0)
    core.handle(LeaveAsked("GCP takes it.", 30.0), 0.0)
    assert core.next_due() == 5.0
