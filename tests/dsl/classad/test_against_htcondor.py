"""Random expressions, evaluated by HTCondor's own library and by ours.

One seed is new with every run and stands in the message when the two disagree; to repeat it, put it into SEEDS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dsl.classad import Ad, ClassAdSyntaxError, parse
from dsl.classad.functions import FUNCTIONS, LAZY_FUNCTIONS
from tests.dsl.classad.encoding import encoded, same
from tests.dsl.classad.generators import Writer

SEEDS = [1, 2, 3, pytest.param(int.from_bytes(os.urandom(4)), id="fresh")]
EXPRESSIONS = 600


def asked_of_htcondor(cases: list[tuple[str, str, str]]) -> list[Any]:
    """Ask in a process of its own: the library reads its environment once, and a bug of it must not end the tests."""
    answered = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "reference.py")],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"CONDOR_CONFIG": "/dev/null", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    )
    answers: list[Any] = json.loads(answered.stdout)
    return answers


def ours(expression: str, my: str, target: str) -> dict[str, Any]:
    try:
        return encoded(parse(expression).evaluate(Ad.parse(my), Ad.parse(target)))
    except ClassAdSyntaxError:
        return {"t": "parse-error"}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_expressions_are_worth_what_htcondor_says(seed: int) -> None:
    writer = Writer(seed)
    cases = [(writer.expression(4), writer.ad(), writer.ad()) for _ in range(EXPRESSIONS)]
    disagreements = [
        (seed, case, {"htcondor": theirs, "ours": ours(*case)})
        for case, theirs in zip(cases, asked_of_htcondor(cases), strict=True)
        if theirs is not None and not same(theirs, ours(*case))
    ]
    assert disagreements == []


VALUES = ["undefined", "error", '"a"', '"a,B 1.5"', '"<"', "1", "-2.5", "true", "{}", '{ "a", 1, undefined }',
          "[ a = 1 ]", '""']
FEWER = ["undefined", "error", '"a"', '"2"', "1", '{ "a" }']
OTHERWISE = {
    "of the clock, or of a machine": {"time", "currenttime", "daytime", "timezoneoffset", "random", "formattime",
                                      "userhome"},
    "in docs/reference/classads.md": {"abstime", "reltime", "version_in_range"},
    "any number of the same sign": {"versioncmp"},
    "HTCondor counts one empty item where only separators are": {"split", "stringlistsubsetmatch",
                                                                 "stringlistisubsetmatch"},
    "writes a log": {"debug"},
}
ACCIDENTS = {'envv1tov2("<")': "an entry without \"=\" is an error, whatever it is"}


SELECTED = ["[].B", "[ q = 1 ].B", "N.B", "N.M.B", "N.M.q", "N.M.N.M.q", "(true ? N : 1).B", "{ [], [ B = 7 ] }.B",
            "N[\"B\"]", "L[0].B", "N.MY.B", "N.parent.B", "N.TARGET.B", "N.r", "N.M.r", "isUndefined(N.N)", "(N).Q",
            "TARGET.N.B", "TARGET.N.Q", "TARGET.L[0].B", "splitTime(0).B", "eval(\"N.B\")", "N.C", "[ a = 1 ].C"]


def test_a_name_selected_from_a_record_is_also_sought_around_it_as_in_htcondor() -> None:
    my = "[ B = 1; N = [ q = 2; r = parent.N.B; M = [ r = parent.B ] ]; L = { [ A = 1 ] }; C = N.C ]"
    target = "[ B = 3; Q = 4; N = []; L = { [] } ]"
    cases = [(expression, my, target) for expression in SELECTED]
    disagreements = [(case[0], theirs) for case, theirs in zip(cases, asked_of_htcondor(cases), strict=True)
                     if not same(theirs, ours(*case))]
    assert disagreements == []


LISTS = ["{}", '{ "a" }', "L", "{}.A", "{ [ A = 1 ] }.A", '{ [ A = split("a") ] }.A[0]', 'split("a")',
         'argsToList("a")', 'ifThenElse(true, split("a"), 1)']


def test_lists_that_were_written_and_computed_are_told_apart_as_in_htcondor() -> None:
    cases = [(f"{left} {operator} {right}", '[ L = { "a" } ]', "[]")
             for left in LISTS for operator in ("is", "isnt", "==", "<") for right in [*LISTS, "1", "[]", "undefined"]]
    disagreements = [(case[0], theirs) for case, theirs in zip(cases, asked_of_htcondor(cases), strict=True)
                     if not same(theirs, ours(*case))]
    assert disagreements == []


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_functions_of_values_of_every_kind_are_worth_what_htcondor_says(length: int) -> None:
    names = {*FUNCTIONS, *LAZY_FUNCTIONS} - set().union(*OTHERWISE.values())
    calls = [f"{name}({', '.join(values)})" for name in sorted(names)
             for values in product(VALUES if length < 3 else FEWER, repeat=length)]
    answers = zip(calls, asked_of_htcondor([(call, "[]", "[]") for call in calls]), strict=True)
    disagreements = [
        (call, {"htcondor": theirs, "ours": ours(call, "[]", "[]")})
        for call, theirs in answers
        if theirs is not None and call not in ACCIDENTS and not same(theirs, ours(call, "[]", "[]"))
    ]
    assert disagreements == []
