"""The steps that jobs go down while the machine's owner is there."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from startd.core.ladder import PRESETS, Ladder, Policy, Reading, Step

DESKTOP = PRESETS["desktop"]
AWAY = Reading(keyboard_idle=86_400.0, people=(), load=0.0)
TYPING = AWAY._replace(keyboard_idle=0.0)


def steps(ladder: Ladder, *seen: tuple[float, Reading]) -> list[Step]:
    """The step after each of what was seen, at its time."""
    return [ladder.see(reading, at) for at, reading in seen]


# --- by example --------------------------------------------------------------------------


def test_the_first_key_throttles_and_keeps_new_work_away():
    ladder = Ladder(DESKTOP)
    assert steps(ladder, (0, AWAY), (1, TYPING)) == [Step.FREE, Step.THROTTLE]
    assert ladder.why == "somebody is at the keyboard"


def test_the_defaults_are_those_of_the_thesis():
    assert (DESKTOP.busy_load, DESKTOP.share) == (0.7, 0.1)


def test_an_owner_who_stays_gets_all_of_the_machine_step_by_step():
    assert steps(Ladder(DESKTOP), (0, TYPING), (299, TYPING), (300, TYPING), (899, TYPING), (900, TYPING)) == [
        Step.THROTTLE, Step.THROTTLE, Step.FREEZE, Step.FREEZE, Step.LEAVE]


def test_steps_that_are_never_to_come_do_not():
    assert steps(Ladder(replace(DESKTOP, leave_after_seconds=None)), (0, TYPING), (1e6, TYPING))[-1] is Step.FREEZE
    assert steps(Ladder(replace(DESKTOP, freeze_after_seconds=None)), (0, TYPING), (1e6, TYPING))[-1] is Step.THROTTLE


def test_a_step_that_waits_first_only_keeps_new_work_away():
    patient = replace(DESKTOP, throttle_after_seconds=30.0)
    assert steps(Ladder(patient), (0, TYPING), (29, TYPING), (30, TYPING)) == [
        Step.NO_NEW_WORK, Step.NO_NEW_WORK, Step.THROTTLE]


def test_runs_go_on_after_a_while_and_new_work_comes_after_a_longer_one():
    ladder = Ladder(DESKTOP)
    assert steps(ladder, (0, TYPING), (1, AWAY), (239, AWAY), (240, AWAY), (839, AWAY), (840, AWAY)) == [
        Step.THROTTLE, Step.THROTTLE, Step.THROTTLE, Step.NO_NEW_WORK, Step.NO_NEW_WORK, Step.FREE]
    assert ladder.why == ""


def test_a_pause_within_a_visit_gives_nothing_back_and_climbs_no_step():
    ladder = Ladder(DESKTOP)
    assert steps(ladder, (0, TYPING), (200, TYPING), (210, AWAY), (310, AWAY), (311, TYPING), (400, AWAY))[2:] == [
        Step.THROTTLE, Step.THROTTLE, Step.FREEZE, Step.FREEZE]


def test_somebody_who_is_logged_in_is_there_without_a_key():
    ladder = Ladder(DESKTOP)
    ladder.see(AWAY._replace(people=("dana",)), 0)
    assert (ladder.step, ladder.why) == (Step.THROTTLE, "dana is logged in")
    ladder.see(AWAY._replace(people=("lee", "dana", "dana")), 1)
    assert ladder.why == "dana and 1 more are logged in"


def test_a_busy_machine_takes_no_new_work_and_its_runs_go_on():
    ladder = Ladder(PRESETS["server"])
    assert steps(ladder, (0, AWAY._replace(load=0.69)), (1, AWAY._replace(load=0.7))) == [
        Step.FREE, Step.NO_NEW_WORK]
    assert ladder.why == "others use 70% of the processors"


def test_a_load_that_wavers_does_not_open_the_door():
    ladder = Ladder(DESKTOP)
    seen = [(0, 0.9), (30, 0.6), (60, 0.4), (89, 0.4), (90, 0.4)]
    assert steps(ladder, *((at, AWAY._replace(load=load)) for at, load in seen)) == [Step.NO_NEW_WORK] * 4 + [Step.FREE]


def test_a_server_heeds_no_keys_and_no_sessions_and_off_heeds_nothing():
    busy_owner = Reading(0.0, 0.0, ("dana",), 0.0)
    assert Ladder(PRESETS["server"]).see(busy_owner, 0) is Step.FREE
    assert Ladder(PRESETS["off"]).see(busy_owner._replace(load=1.0), 0) is Step.FREE


def test_what_cannot_be_seen_counts_for_nothing():
    assert Ladder(DESKTOP).see(Reading(), 0) is Step.FREE


def test_frozen_runs_of_an_earlier_life_stay_frozen_until_nobody_was_there_for_a_while():
    ladder = Ladder(DESKTOP)
    ladder.was_frozen()
    assert ladder.step is Step.FREEZE
    assert steps(ladder, (5, TYPING), (6, AWAY), (244, AWAY), (245, AWAY)) == [
        Step.FREEZE, Step.FREEZE, Step.FREEZE, Step.NO_NEW_WORK]


def test_frozen_runs_of_an_earlier_life_are_not_left_so_when_nobody_is_heeded_any_more():
    ladder = Ladder(PRESETS["off"])
    ladder.was_frozen()
    assert ladder.step is Step.FREE


# --- whatever happens --------------------------------------------------------------------

seconds = st.floats(0, 2_000)
readings = st.builds(
    Reading, keyboard_idle=st.none() | seconds, people=st.sampled_from([None, (), ("dana",), ("dana", "lee")]),
    load=st.none() | st.floats(0, 1))
policies = st.builds(
    Policy, input=st.booleans(), sessions=st.booleans(), load=st.booleans(), active_seconds=st.floats(0, 100),
    throttle_after_seconds=st.just(0.0), freeze_after_seconds=st.none() | seconds,
    leave_after_seconds=st.none() | seconds, resume_after_seconds=seconds, start_after_seconds=seconds)
histories = st.lists(st.tuples(st.floats(0, 500), readings), max_size=40)


def passed(history):
    now = 0.0
    for pause, reading in history:
        now += pause
        yield now, reading


@given(policies, histories)
def test_whoever_is_seen_has_the_machine_in_the_same_step(policy, history):
    ladder = Ladder(policy)
    for now, reading in passed(history):
        step = ladder.see(reading, now)
        assert not ladder.present or step >= Step.THROTTLE, "LADDER-1"
        assert (step is Step.FREE) == (ladder.why == "")


@given(policies, histories)
def test_what_was_taken_is_given_back_only_after_the_time_without_anybody(policy, history):
    ladder = Ladder(policy)
    last_seen = None
    for now, reading in passed(history):
        before, step = ladder.step, ladder.see(reading, now)
        if ladder.present:
            last_seen = now
        if step < before and before >= Step.THROTTLE:
            assert last_seen is not None
            assert now - last_seen >= policy.resume_after_seconds, "LADDER-2"
        if step is Step.FREE and last_seen is not None:
            assert now - last_seen >= min(policy.start_after_seconds, policy.resume_after_seconds)
        assert ladder.present or step <= max(before, Step.NO_NEW_WORK), "LADDER-3"


@given(policies, histories)
def test_jobs_are_not_thrown_to_and_fro_faster_than_the_timers(policy, history):
    ladder = Ladder(policy)
    ups = []
    for now, reading in passed(history):
        before, step = ladder.step, ladder.see(reading, now)
        if before < Step.THROTTLE <= step:
            ups.append(now)
    assert all(later - earlier >= policy.resume_after_seconds for earlier, later in pairwise(ups))


@given(policies, histories)
def test_once_nobody_comes_any_more_all_is_free(policy, history):
    ladder = Ladder(policy)
    now = 0.0
    for now, reading in passed(history):
        ladder.see(reading, now)
    quiet = Reading(keyboard_idle=None, people=(), load=0.0)
    for pause in (policy.resume_after_seconds, policy.start_after_seconds, policy.calm_seconds):
        now += pause + 1
        ladder.see(quiet, now)
    assert ladder.step is Step.FREE
