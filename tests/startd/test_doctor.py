"""pesc_startd --doctor, as far as it needs no containers; with them: tests/rootless."""

import json
import os
import subprocess
import sys
from pathlib import Path

from startd.doctor import Finding, State, as_text, is_fit

ROOT = Path(__file__).parents[2]
GOOD, NOTE, BAD = (Finding("disk", state, "so and so", cure) for state, cure in (
    (State.GOOD, ""), (State.NOTE, "Make room."), (State.BAD, "Make room now.")))


def doctor(state: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "startd", "--doctor", "--state", str(state), *flags], cwd=ROOT,
                          env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)


def test_what_is_only_worth_knowing_is_no_failure():
    assert is_fit([GOOD, NOTE])
    assert not is_fit([GOOD, NOTE, BAD])


def test_every_finding_that_is_not_good_is_shown_with_its_cure():
    said = as_text([GOOD, NOTE, BAD])
    assert "note  disk: so and so\n        cure: Make room.\n" in said
    assert " bad  disk: so and so\n        cure: Make room now.\n" in said
    assert said.splitlines()[-1].startswith("Jobs cannot run in containers here")


def test_a_machine_without_an_engine_is_told_what_to_install(tmp_path: Path):
    shown = doctor(tmp_path, PATH=str(tmp_path))
    assert shown.returncode == 1
    assert "podman" in shown.stdout
    assert "apt-get install" in shown.stdout


def test_the_findings_can_be_had_as_json(tmp_path: Path):
    shown = doctor(tmp_path, "--json", PATH=str(tmp_path))
    said = json.loads(shown.stdout)
    assert (shown.returncode, said["ok"]) == (1, False)
    assert {"check", "state", "words", "cure"} == set(said["findings"][0])
