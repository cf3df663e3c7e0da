"""pesc_drain."""

import json

import pytest

from cli import drain
from cli.drain import seconds
from contract.requests import DrainAnswer


def sent(pool):
    return json.loads(pool.asked[-1].body)


def test_a_machine_is_emptied_with_notice(pool, call):
    pool.says("POST", "/v1/drains", DrainAnswer("lab-7", True, 120.0, 3))
    shown = call(drain.main, "lab-7", "--in", "2m", "--reason", "new memory")
    assert shown.code == 0
    assert sent(pool) == {"machine": "lab-7", "seconds": 120.0, "reason": "new memory"}
    assert shown.out == ("lab-7 takes no new jobs; 3 runs there may go on for 120 s. "
                         "To undo: pesc_drain lab-7 --back\n")


def test_without_notice_its_runs_leave_at_once(pool, call):
    pool.says("POST", "/v1/drains", DrainAnswer("lab-7", True, 0.0, 1))
    assert "1 run there is leaving" in call(drain.main, "lab-7").out
    assert sent(pool) == {"machine": "lab-7", "seconds": 0.0}


def test_an_empty_machine_is_said_to_be_empty(pool, call):
    pool.says("POST", "/v1/drains", DrainAnswer("lab-7", True, 0.0, 0))
    assert call(drain.main, "lab-7").out.startswith("lab-7 is empty and takes no jobs until:")


def test_a_machine_is_taken_back(pool, call):
    pool.says("POST", "/v1/drains", DrainAnswer("lab-7", False, 0.0, 2))
    assert call(drain.main, "lab-7", "--back").out == "lab-7 takes jobs again.\n"
    assert sent(pool) == {"machine": "lab-7", "seconds": 0.0, "back": True}


def test_the_answer_as_json_is_a_list(pool, call):
    pool.says("POST", "/v1/drains", DrainAnswer("lab-7", True, 60.0, 2))
    assert json.loads(call(drain.main, "lab-7", "--in", "60", "--json").out) == [
        {"machine": "lab-7", "draining": True, "seconds": 60.0, "runs": 2}]


def test_a_refusal_is_told(pool, call):
    pool.says("POST", "/v1/drains", (404, b'{"code": "not_found", "message": "There is no machine."}'))
    shown = call(drain.main, "x")
    assert shown.code == 1 and "There is no machine" in shown.err


@pytest.mark.parametrize("wrong", [
    [], ["lab-7", "--in", "soon"], ["lab-7", "--in", "-5m"], ["lab-7", "--in", "2 eons"], ["x", "--back", "--in", "1"]])
def test_a_wrong_call_asks_nothing(pool, call, wrong):
    assert call(drain.main, *wrong).code == 2
    assert pool.asked == []


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("2m", 120), ("1.5h", 5400), ("1 d", 86_400)])
def test_times_are_read_as_people_write_them(text, value):
    assert seconds(text) == value
