"""What a startd does with its runs when the machine's owner comes and goes."""

from signal import SIGTERM

from contract.messages import AdChanged, Amounts, Beat, Ended, HeldRun, Progressed, Stop, Welcome
from contract.vocabulary import EndReason, Phase
from startd.core.events import (
    Begun,
    Connected,
    Ending,
    Found,
    Granted,
    Halted,
    Heard,
    Kill,
    MachineSeen,
    Over,
    OwnerSeen,
    Readopt,
    Record,
    Resume,
    Signal,
    Start,
    Suspend,
    Throttle,
    Tick,
)
from startd.core.ladder import PRESETS, Reading
from startd.core.startd import StartdCore
from tests.builders import a_grant, a_program, a_run

RUN, OTHER = a_run(), a_run(2)
AMOUNTS = Amounts(8.0, 16_384, 1 << 20)
DESKTOP = PRESETS["desktop"]
TYPING = OwnerSeen(Reading(keyboard_idle=0.0))
AWAY = OwnerSeen(Reading(keyboard_idle=86_400.0))
WHY = "somebody is at the keyboard"


def a_core(*runs, policy=DESKTOP) -> StartdCore:
    """A core that is welcome, with these runs running."""
    core = StartdCore("lab-7", "own", AMOUNTS, {"START": "true"}, policy)
    core.handle(Connected(), 0.0)
    core.outgoing(0.0)
    core.handle(Heard(Welcome("lab", 10.0, 60.0)), 0.0)
    for run in runs:
        core.handle(Heard(a_grant(run=run)), 0.0)
        core.handle(Begun(run, 7), 0.0)
    core.outgoing(0.0)
    return core


def frozen(*runs) -> StartdCore:
    core = a_core(*runs)
    core.handle(TYPING, 10.0)
    core.handle(TYPING, 310.0)
    core.outgoing(310.0)
    return core


def phases(core: StartdCore) -> list[Phase]:
    return [run.phase for run in core.runs.values()]


def test_the_first_key_throttles_all_runs_together_and_the_schedd_is_told():
    core = a_core(RUN, OTHER)
    assert core.handle(TYPING, 10.0) == [Throttle(0.1)]
    assert core.outgoing(10.0) == [AdChanged({
        "OwnerPresent": "true", "PescOwnerStep": '"throttle"', "PescOwnerWhy": f'"{WHY}"'})]
    assert core.handle(TYPING, 10.2) == []
    assert core.outgoing(10.2) == []


def test_what_the_machine_says_of_itself_keeps_what_the_ladder_says():
    core = a_core()
    core.handle(TYPING, 10.0)
    core.outgoing(10.0)
    core.handle(MachineSeen({"START": "true", "LoadAvg": "1.00"}, 0.0), 11.0)
    assert core.outgoing(11.0) == [AdChanged({"LoadAvg": "1.00"})]


def test_no_grant_is_taken_on_while_the_owner_is_there():
    core = a_core()
    core.handle(TYPING, 10.0)
    core.outgoing(10.0)
    assert Start not in map(type, core.handle(Heard(a_grant()), 11.0))
    [ended] = core.outgoing(11.0)
    assert isinstance(ended, Ended)
    assert (ended.end.reason, ended.end.started) == (EndReason.EVICTED, False)
    assert ended.end.message == f"lab-7 takes no new work now: {WHY}."


def test_an_owner_who_stays_has_the_runs_frozen_and_they_go_on_when_nobody_was_there():
    core = a_core(RUN)
    core.handle(TYPING, 10.0)
    core.outgoing(10.0)
    assert core.handle(TYPING, 310.0) == [Record(Halted(RUN, 1)), Suspend(RUN)]
    assert Progressed(RUN, Phase.SUSPENDED, 1, WHY) in core.outgoing(310.0)
    assert core.handle(AWAY, 549.0) == []
    assert core.handle(AWAY, 550.0) == [Throttle(None), Record(Halted(RUN, 2)), Resume(RUN)]
    assert Progressed(RUN, Phase.RUNNING, 2) in core.outgoing(550.0)


def test_a_run_that_begins_too_late_is_frozen_at_once():
    core = a_core()
    core.handle(Heard(a_grant()), 0.0)
    for now in (10.0, 310.0):
        core.handle(TYPING, now)
    assert core.handle(Begun(RUN, 7), 311.0) == [Record(Halted(RUN, 1)), Suspend(RUN)]
    assert phases(core) == [Phase.SUSPENDED]


def test_an_owner_who_stays_longer_has_the_runs_leave_awake_so_that_they_can_save_their_work():
    core = frozen(RUN)
    why = f"lab-7 is needed by its owner: {WHY}."
    assert core.handle(TYPING, 910.0) == [
        Record(Ending(RUN, EndReason.EVICTED, why)), Record(Halted(RUN, 2)), Resume(RUN), Signal(RUN, SIGTERM)]
    assert Progressed(RUN, Phase.STOPPING, 2) in core.outgoing(910.0)
    assert core.handle(Tick(), 920.0)[0] == Kill(RUN)


def test_a_throttled_run_that_is_stopped_is_woken_for_its_signal():
    core = a_core(RUN)
    core.handle(TYPING, 10.0)
    assert core.handle(Heard(Stop(RUN, "held")), 11.0)[1:] == [Resume(RUN), Signal(RUN, SIGTERM)]
    assert not core.is_running(RUN)


def test_a_frozen_run_that_is_killed_need_not_wake():
    core = a_core()
    core.handle(Heard(a_grant(program=a_program(grace_seconds=0.0))), 0.0)
    core.handle(Begun(RUN, 7), 0.0)
    for now in (10.0, 310.0):
        core.handle(TYPING, now)
    assert core.handle(Heard(Stop(RUN, "removed")), 311.0)[-1] == Kill(RUN)


def test_a_frozen_run_that_ends_all_the_same_has_ended():
    core = frozen(RUN)
    core.handle(Over(RUN, None, 9, 1.0, 0.5, 0.1, 12.0), 320.0)
    assert phases(core) == [Phase.RETURNING]


def test_a_beat_tells_who_stands_still():
    core = frozen(RUN)
    core.handle(Tick(), 320.0)
    assert core.outgoing(320.0) == [Beat([HeldRun(RUN, Phase.SUSPENDED, 1)])]


# --- after a restart ---------------------------------------------------------------------


def restored(*entries, policy=DESKTOP) -> StartdCore:
    core = StartdCore.restore([Granted(a_grant()), *entries], "lab-7", "own", AMOUNTS, {"START": "true"}, policy)
    assert core.handle(Found(frozenset({RUN})), 0.0) == [Readopt(a_grant())]
    return core


def test_frozen_runs_are_found_frozen_and_wait_for_the_owner_to_be_gone():
    core = restored(Halted(RUN, 1))
    assert core.handle(Begun(RUN, 7), 0.0) == [Suspend(RUN)]
    assert core.handle(TYPING, 1.0) == []
    assert phases(core) == [Phase.SUSPENDED]
    assert core.handle(AWAY, 241.0) == [Record(Halted(RUN, 2)), Resume(RUN)]


def test_frozen_runs_go_on_when_the_new_startd_heeds_nobody():
    core = restored(Halted(RUN, 1), policy=PRESETS["off"])
    assert core.handle(Begun(RUN, 7), 0.0) == [Record(Halted(RUN, 2)), Resume(RUN)]


def test_a_run_that_a_throttle_left_frozen_is_woken():
    core = restored(policy=PRESETS["off"])
    assert core.handle(Begun(RUN, 7), 0.0) == [Resume(RUN)]


def test_the_journal_keeps_who_was_frozen():
    core = frozen(RUN, OTHER)
    again = StartdCore.restore(core.entries(), "lab-7", "own", AMOUNTS, {}, DESKTOP)
    assert {run.run: run.halts for run in again.runs.values()} == {RUN: 1, OTHER: 1}
