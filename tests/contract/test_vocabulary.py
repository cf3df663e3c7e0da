"""Numbers that others rely on."""

import tomllib
from pathlib import Path

from contract.vocabulary import VERSION, JobStatus

ROOT = Path(__file__).parent.parent.parent


def test_the_version_is_that_of_the_distribution():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_states_have_htcondors_numbers():
    assert {status.name: int(status) for status in JobStatus} == {
        "IDLE": 1, "RUNNING": 2, "REMOVED": 3, "COMPLETED": 4, "HELD": 5, "TRANSFERRING_OUTPUT": 6, "SUSPENDED": 7}
