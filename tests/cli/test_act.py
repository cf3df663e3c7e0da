"""pesc_rm, pesc_hold, pesc_release, pesc_prio."""

import json

import pytest

from cli import hold, prio, release, rm
from cli.prio import split_change
from cli.selection import split_names
from contract.problems import Problem
from contract.requests import ActionAnswer


def sent(pool):
    return json.loads(pool.asked[-1].body)


@pytest.mark.parametrize(("command", "what", "past"), [
    (rm, "remove", "removed"), (hold, "hold", "held"), (release, "release", "released")])
def test_jobs_named_by_id_and_owner_are_acted_on(pool, call, command, what, past):
    pool.says("POST", "/v1/actions", ActionAnswer(3))
    shown = call(command.main, "12", "12.3", "lee", "-constraint", "JobPrio < 0", "--reason", "why not")
    assert (shown.code, shown.out, shown.err) == (0, f"3 jobs {past}.\n", "")
    assert sent(pool) == {"what": what, "reason": "why not", "selection": {
        "ids": ["12", "12.3"], "owners": ["lee"], "constraint": "JobPrio < 0"}}


@pytest.mark.parametrize("command", [rm, hold, release])
def test_nothing_named_is_a_wrong_call_and_not_everything(pool, call, command):
    assert call(command.main).code == 2
    assert pool.asked == []


def test_all_must_be_said(pool, call):
    pool.says("POST", "/v1/actions", ActionAnswer(1))
    assert call(rm.main, "-all").out == "1 job removed.\n"
    assert sent(pool)["selection"] == {"everything": True}


def test_each_refusal_is_told_and_the_exit_code_is_1(pool, call):
    pool.says("POST", "/v1/actions", ActionAnswer(1, ["job 42.7 belongs to dana", "there is no job 9.9"]))
    shown = call(rm.main, "12", "42.7", "9.9")
    assert (shown.code, shown.out) == (1, "1 job removed.\n")
    assert shown.err == "pesc_rm: job 42.7 belongs to dana\npesc_rm: there is no job 9.9\n"


def test_nothing_to_do_is_said(pool, call):
    pool.says("POST", "/v1/actions", ActionAnswer(0))
    shown = call(hold.main, "-all")
    assert (shown.code, shown.out) == (0, "0 jobs held: none matches, or they are so already.\n")


def test_the_answer_comes_as_json(pool, call):
    pool.says("POST", "/v1/actions", ActionAnswer(1, ["no"]))
    shown = call(rm.main, "12", "--json")
    assert (shown.code, json.loads(shown.out)) == (1, {"changed": 1, "refused": ["no"]})


@pytest.mark.parametrize(("arguments", "change", "rest"), [
    (["+5", "12"], 5, ["12"]),
    (["12", "-5"], -5, ["12"]),
    (["-p", "-5", "12"], None, ["-p", "-5", "12"]),
    (["12.3"], None, ["12.3"]),
])
def test_a_change_of_priority_is_told_from_ids_and_options(arguments, change, rest):
    assert split_change(arguments) == (change, rest)


def test_a_priority_is_set(pool, call):
    pool.says("POST", "/v1/actions", ActionAnswer(2))
    assert call(prio.main, "-p", "-7", "12").code == 0
    assert sent(pool) == {"what": "priority", "priority": -7, "selection": {"ids": ["12"]}}


def test_a_change_moves_each_priority_once(pool, call):
    pool.says("GET", "/v1/jobs", [{"JobPrio": 0}], [{"JobPrio": 5}], [])
    pool.says("POST", "/v1/actions", ActionAnswer(2))
    shown = call(prio.main, "+5", "12")
    assert shown.out == "4 jobs given another priority.\n"
    bodies = [json.loads(asked.body) for asked in pool.asked_for("/v1/actions")]
    assert [(body["selection"]["constraint"], body["priority"]) for body in bodies] == [
        ("JobPrio == 5", 10), ("JobPrio == 0", 5)]


def test_no_priority_or_two_is_a_wrong_call(pool, call):
    assert call(prio.main, "12").code == 2
    assert call(prio.main, "+5", "-p", "3", "12").code == 2
    assert call(prio.main, "+5").code == 2
    assert pool.asked == []


@pytest.mark.parametrize("name", ["12.x", "12.", "1.2.3", "12,3", "12-15", "-1", "a b", ""])
def test_what_looks_like_a_mistyped_id_is_no_users_name(name):
    with pytest.raises(Problem, match="neither a job"):
        split_names([name])
