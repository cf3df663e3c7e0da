"""pesc_wait."""

import json

import pytest

from cli import progress
from cli.wait import main
from contract.requests import Batch, Event, Totals


def a_batch(**counts):
    return Batch(12, "lee", "ID: 12", 0.0, 10, Totals(**counts))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LONGEST_PAUSE_SECONDS", 0.0)


def test_a_cluster_that_is_over_is_not_waited_for(pool, call):
    pool.says("GET", "/v1/clusters/12", a_batch(completed=10))
    shown = call(main, "12")
    assert (shown.code, shown.out) == (0, "12: 10 jobs completed, 0 removed of 10.\n")
    assert pool.asked_for("/v1/events") == []


def test_a_cluster_is_waited_for_until_it_is_over_even_past_holds(pool, call):
    pool.says("GET", "/v1/clusters/12", a_batch(idle=10))
    pool.says("GET", "/v1/jobs", [])
    pool.events("/v1/events", [("counts", 1, a_batch(held=10)), ("counts", 2, a_batch(completed=9, removed=1))])
    assert call(main, "12").code == 0


def test_a_number_of_jobs_is_enough_when_asked_so(pool, call):
    pool.says("GET", "/v1/clusters/12", a_batch(idle=10))
    pool.events("/v1/events", [
        ("counts", 1, a_batch(idle=8, completed=2)), ("counts", 2, a_batch(idle=6, completed=4))])
    assert "4 jobs completed" in call(main, "12", "-num", "3").out


def test_what_is_not_over_in_time_is_named_and_the_exit_code_is_1(pool, call):
    pool.says("GET", "/v1/clusters/12", a_batch(idle=10))
    pool.events("/v1/events", [("counts", 1, a_batch(idle=10))])
    shown = call(main, "12", "--timeout", "0.05", "--json")
    assert (shown.code, json.loads(shown.out)) == (1, {"over": [], "waiting": ["12"]})
    assert "not over yet: 12." in shown.err


def test_one_job_is_waited_for_by_its_own_events(pool, call):
    pool.says("GET", "/v1/clusters/12", a_batch(running=10))
    pool.says("GET", "/v1/jobs", [{"JobStatus": 2}], [])
    pool.says("GET", "/v1/history", [{"JobStatus": 4}])
    pool.events("/v1/events", [("counts", 5, a_batch(running=10))], [
        ("event", 6, Event(6, 0.0, 12, 4, "terminated")), ("event", 7, Event(7, 0.0, 12, 3, "terminated"))])
    shown = call(main, "12.3")
    assert (shown.code, shown.out) == (0, "12.3: completed.\n")
    assert pool.asked_for("/v1/events")[1].query["since"] == ["5"]


def test_one_job_that_is_over_is_not_waited_for(pool, call):
    pool.says("GET", "/v1/clusters/12", a_batch(running=9))
    pool.says("GET", "/v1/jobs", (404, b'{"code": "no_such_job", "message": "It is not in the queue."}'))
    pool.says("GET", "/v1/history", [{"JobStatus": 3}])
    pool.events("/v1/events", [("counts", 5, a_batch(running=9))])
    assert call(main, "12.3").out == "12.3: removed.\n"


def test_a_job_that_does_not_exist_is_refused(pool, call):
    pool.says("GET", "/v1/clusters/12", a_batch(running=9))
    pool.says("GET", "/v1/jobs", [])
    pool.says("GET", "/v1/history", [])
    pool.events("/v1/events", [("counts", 5, a_batch(running=9))])
    shown = call(main, "12.99")
    assert (shown.code, "There is no job 12.99" in shown.err) == (1, True)


@pytest.mark.parametrize("arguments", [
    [], ["lee"], ["12", "--timeout", "soon"], ["12", "--timeout", "-1"], ["12", "13", "-num", "2"],
    ["12.3", "-num", "2"], ["12", "--timeout", "nan"]])
def test_a_wrong_call_is_2(call, arguments):
    assert call(main, *arguments).code == 2
