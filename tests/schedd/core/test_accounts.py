"""Use counts with a half-life of a day and a floor of one half, as with HTCondor."""

import pytest

from schedd.core.accounts import BEST_PRIORITY, HALF_LIFE_SECONDS, Account
from tests.builders import NOON


def an_account(**changes):
    return Account(**{"owner": "dana", "at": NOON} | changes)


def test_a_new_user_has_the_best_priority():
    assert Account("dana").priority == BEST_PRIORITY == 0.5


def test_use_moves_the_priority_half_way_in_a_half_life():
    account = an_account(priority=10.0, in_use=20.0)
    account.settle(NOON + HALF_LIFE_SECONDS)
    assert account.priority == pytest.approx(15.0)


def test_what_was_used_is_half_forgotten_in_a_half_life():
    account = an_account(priority=10.0)
    account.settle(NOON + HALF_LIFE_SECONDS)
    assert account.priority == pytest.approx(5.0)


def test_the_priority_never_falls_below_one_half():
    account = an_account(priority=10.0)
    account.settle(NOON + 100 * HALF_LIFE_SECONDS)
    assert account.priority == 0.5


def test_settling_often_gives_what_settling_once_gives():
    often, once = an_account(priority=3.0, in_use=8.0), an_account(priority=3.0, in_use=8.0)
    for hour in range(1, 25):
        often.settle(NOON + hour * 3600)
    once.settle(NOON + 24 * 3600)
    assert often.priority == pytest.approx(once.priority)
    assert often.cpu_seconds == pytest.approx(once.cpu_seconds) == 8.0 * 24 * 3600


def test_a_clock_that_stands_still_changes_nothing():
    account = an_account(priority=10.0, in_use=20.0)
    account.settle(NOON)
    account.settle(NOON - 60)
    assert account == an_account(priority=10.0, in_use=20.0)


def test_cpus_are_taken_and_given_back():
    account = an_account()
    account.use(4.0, NOON)
    account.use(2.0, NOON)
    account.use(-4.0, NOON + 10)
    assert (account.in_use, account.cpu_seconds) == (2.0, 60.0)


def test_nobody_uses_less_than_nothing():
    account = an_account(in_use=1.0)
    account.use(-2.0, NOON)
    assert account.in_use == 0.0
