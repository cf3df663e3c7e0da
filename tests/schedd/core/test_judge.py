"""What the end of a run means for its job."""

import pytest

from contract.vocabulary import EndReason, HoldCode
from dsl.classad import Ad
from schedd.core.job import Job
from schedd.core.judge import MOST_FAULTS, Fate, Verdict, judge
from tests.builders import NOON, a_run_end


def verdict(reason=EndReason.EXITED, faults=0, ad=None, **end):
    job = Job(1, 0, 2, NOON, faults=faults)
    if reason is EndReason.EXITED and not end:
        end = {"exit_code": 0}
    return judge(job, a_run_end(**{"reason": reason, "exit_code": None} | end), Ad.from_texts(ad or {}), NOON)


@pytest.mark.parametrize("end", [{"exit_code": 0}, {"exit_code": 1}, {"exit_code": 255}, {"signal": 11}])
def test_a_program_that_ended_by_itself_is_done_whatever_its_code(end):
    assert verdict(**end) == Verdict(Fate.DONE)


@pytest.mark.parametrize(("reason", "code"), [
    (EndReason.MEMORY, HoldCode.MEMORY), (EndReason.DISK, HoldCode.DISK),
    (EndReason.REFUSED, HoldCode.FAILED_TO_START)])
def test_what_is_the_jobs_own_fault_holds_it_and_says_why(reason, code):
    assert verdict(reason, message="asked 100, used 120") == Verdict(Fate.HOLD, "asked 100, used 120", code)
    assert verdict(reason).reason


def test_a_kill_for_memory_is_never_success_whatever_the_exit_code():
    assert verdict(EndReason.MEMORY, exit_code=0).fate is Fate.HOLD


@pytest.mark.parametrize("reason", [EndReason.EVICTED, EndReason.STOPPED])
def test_what_the_machine_wanted_gone_runs_again(reason):
    assert verdict(reason, faults=99).fate is Fate.AGAIN


@pytest.mark.parametrize("reason", [EndReason.MACHINE_FAULT, EndReason.LOST])
def test_a_machines_fault_is_another_try_until_there_were_too_many(reason):
    assert verdict(reason, faults=MOST_FAULTS - 1).fate is Fate.AGAIN
    held = verdict(reason, faults=MOST_FAULTS, message="disk full")
    assert (held.fate, held.code, "disk full" in held.reason) == (Fate.HOLD, HoldCode.TOO_MANY_FAULTS, True)


def test_every_reason_is_judged():
    assert all(isinstance(verdict(reason), Verdict) for reason in EndReason)


def test_on_exit_hold_says_its_own_reason_and_subcode():
    ad = {"OnExitHold": "true", "OnExitHoldReason": '"too small"', "OnExitHoldSubCode": "7"}
    assert verdict(ad=ad) == Verdict(Fate.HOLD, "too small", HoldCode.POLICY, 7)


@pytest.mark.parametrize(("end", "how"), [({"exit_code": 3}, "exit code 3"), ({"signal": 9}, "signal 9")])
def test_on_exit_hold_without_a_reason_says_how_it_ended(end, how):
    assert how in verdict(ad={"OnExitHold": "true"}, **end).reason


@pytest.mark.parametrize(("text", "fate"), [
    ("true", Fate.DONE), ("undefined", Fate.DONE), ("1", Fate.DONE), ("false", Fate.AGAIN), ("0", Fate.AGAIN),
    ("1/0", Fate.HOLD), ('"x"', Fate.AGAIN)])
def test_on_exit_remove_decides_whether_it_leaves(text, fate):
    assert verdict(ad={"OnExitRemove": text}).fate is fate


@pytest.mark.parametrize(("text", "fate"), [
    ("false", Fate.DONE), ("undefined", Fate.DONE), ("1/0", Fate.HOLD), ("true", Fate.HOLD)])
def test_on_exit_hold_decides_before_on_exit_remove(text, fate):
    assert verdict(ad={"OnExitHold": text, "OnExitRemove": "true"}).fate is fate
