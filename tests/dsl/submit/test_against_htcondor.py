"""Random submit files, read by HTCondor's own library and by ours.

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

from dsl.submit import Site, SubmitErrors, plain_text, read
from tests.dsl.submit.conftest import InMemory
from tests.dsl.submit.writer import Writer

SEEDS = [1, pytest.param(int.from_bytes(os.urandom(4)), id="fresh")]
FILES = 300
SHOWN = {"output": "Out", "error": "Err", "input": "In", "description": "JobDescription",
         "project_name": "ProjectName"}
MOST_ITEMS = 3
OWN_COLUMNS = ("Row", "ItemIndex")


def asked_of_htcondor(cases: list[tuple[str, int]]) -> list[Any]:
    """What the library makes of each text; null where it refuses it, or dies of it."""
    answers: list[Any] = []
    while len(answers) < len(cases):
        asked = subprocess.run(
            [sys.executable, str(Path(__file__).parent / "reference.py")],
            input=json.dumps(cases[len(answers) :]),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"CONDOR_CONFIG": "/dev/null", "HOME": "/home/u", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
        )
        assert asked.stdout or asked.returncode < 0, asked.stderr
        answers += map(json.loads, asked.stdout.splitlines())
        if asked.returncode:
            answers.append(None)
    return answers


def ours(text: str) -> dict[str, Any] | str:
    try:
        found = read(text, name="job.sub", files=InMemory({"/bin/true": ""}), site=Site(iwd="/"),
                     environ={"HOME": "/home/u"})
    except SubmitErrors as errors:
        return str(errors)
    names = [name for name in found.item_names if name not in OWN_COLUMNS]
    items = [dict(zip(names, row, strict=False)) for row in found.items]
    expander = found.expander()
    shown = []
    for number in range(min(len(items), MOST_ITEMS) or 1):
        ad = {**found.template, **expander.attributes(1, number * found.steps)}
        shown.append([plain_text(ad[attribute]) for attribute in SHOWN.values()])
    return {"items": items, "shown": shown}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_submit_files_mean_what_htcondor_says(seed: int) -> None:
    writer = Writer(seed)
    cases = [writer.file(tuple(SHOWN)) for _ in range(FILES)]
    disagreements = [
        (seed, text, {"htcondor": theirs, "ours": ours(text)})
        for (text, _), theirs in zip(cases, asked_of_htcondor(cases), strict=True)
        if theirs is not None and theirs != ours(text)
    ]
    assert disagreements == []
