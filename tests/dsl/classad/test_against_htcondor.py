"""Random expressions, evaluated by HTCondor's own library and by ours.

One seed is new with every run and stands in the message when the two disagree; to repeat it, put it into SEEDS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsl.classad import Ad, ClassAdSyntaxError, parse
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
