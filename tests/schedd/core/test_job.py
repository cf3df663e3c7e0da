"""The life of a job is one table: every pair of status and move is looked at."""

import pytest

from contract.vocabulary import JobStatus
from schedd.core.job import FINAL, TRANSITIONS, IllegalMove, Job, Move, can, moved
from tests.builders import NOON

ALLOWED = {
    (JobStatus.IDLE, Move.GRANT): JobStatus.RUNNING,
    (JobStatus.IDLE, Move.HOLD): JobStatus.HELD,
    (JobStatus.IDLE, Move.REMOVE): JobStatus.REMOVED,
    (JobStatus.IDLE, Move.FINISH): JobStatus.COMPLETED,
    (JobStatus.RUNNING, Move.FINISH): JobStatus.COMPLETED,
    (JobStatus.RUNNING, Move.RETURN): JobStatus.IDLE,
    (JobStatus.RUNNING, Move.HOLD): JobStatus.HELD,
    (JobStatus.RUNNING, Move.REMOVE): JobStatus.REMOVED,
    (JobStatus.RUNNING, Move.SUSPEND): JobStatus.SUSPENDED,
    (JobStatus.SUSPENDED, Move.RESUME): JobStatus.RUNNING,
    (JobStatus.SUSPENDED, Move.FINISH): JobStatus.COMPLETED,
    (JobStatus.SUSPENDED, Move.RETURN): JobStatus.IDLE,
    (JobStatus.SUSPENDED, Move.HOLD): JobStatus.HELD,
    (JobStatus.SUSPENDED, Move.REMOVE): JobStatus.REMOVED,
    (JobStatus.HELD, Move.RELEASE): JobStatus.IDLE,
    (JobStatus.HELD, Move.REMOVE): JobStatus.REMOVED,
    (JobStatus.HELD, Move.FINISH): JobStatus.COMPLETED,
}

PAIRS = [(status, move) for status in JobStatus for move in Move]


def a_job(status=JobStatus.IDLE, **changes):
    return Job(**{"cluster": 1, "proc": 0, "status": status, "entered_at": NOON} | changes)


@pytest.mark.parametrize(("status", "move"), [pair for pair in PAIRS if pair in ALLOWED])
def test_an_allowed_move_leads_where_the_table_says(status, move):
    job = a_job(status)
    assert can(job, move)
    assert moved(job, move, NOON + 5) == status
    assert (job.status, job.entered_at) == (ALLOWED[status, move], NOON + 5)


@pytest.mark.parametrize(("status", "move"), [pair for pair in PAIRS if pair not in ALLOWED])
def test_a_move_that_the_table_does_not_have_is_refused_and_changes_nothing(status, move):
    job = a_job(status)
    assert not can(job, move)
    with pytest.raises(IllegalMove) as refusal:
        moved(job, move, NOON + 5)
    assert str(refusal.value) == f"job 1.0 is {status.name}, it cannot {move.value}"
    assert job == a_job(status)


def test_the_table_has_nothing_beyond_what_is_tested_here():
    assert TRANSITIONS == ALLOWED


def test_finished_is_final():
    assert frozenset({JobStatus.COMPLETED, JobStatus.REMOVED}) == FINAL
    assert not [pair for pair in TRANSITIONS if pair[0] in FINAL]


def test_every_status_that_is_reached_can_be_left_or_is_final():
    reached = set(TRANSITIONS.values())
    assert reached - {status for status, _ in TRANSITIONS} == FINAL
