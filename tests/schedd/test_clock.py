"""The schedd's clock, while somebody sets that of the machine."""

import time

import pytest

from schedd.loop import Clock


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_is_followed_only_when_asked_and_told_by_how_much(monkeypatch, jump):
    wall = time.time
    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    assert abs(clock() - wall()) < 10
    assert abs(clock.follow_wall() - jump) < 10
    assert abs(clock() - (wall() + jump)) < 10
    assert clock.follow_wall() == 0.0


def test_a_clock_that_is_slowly_put_right_moves_nothing(monkeypatch):
    wall = time.time
    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: wall() + 20)
    assert clock.follow_wall() == 0.0
