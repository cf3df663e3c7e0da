"""Dumps of processes: what is in the way is found out by an imitation of CRIU."""

import asyncio
from pathlib import Path

import pytest

from startd.runtime.dumps import attributes, why_none


def criu(folder: Path, script: str) -> str:
    path = folder / "criu"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(folder)


def test_without_criu_that_is_what_is_in_the_way(tmp_path: Path):
    assert asyncio.run(why_none(str(tmp_path))) == "criu is not on this machine"


@pytest.mark.parametrize(("script", "words"), [
    ("echo 'Error: CAP_CHECKPOINT_RESTORE is missing' >&2; exit 1", "CAP_CHECKPOINT_RESTORE is missing"),
    ("exit 7", "exit status 7"),
])
def test_what_criu_itself_complains_of_is_told(tmp_path: Path, script: str, words: str):
    assert words in asyncio.run(why_none(criu(tmp_path, script)))


def test_a_criu_that_cannot_be_called_is_told(tmp_path: Path):
    criu(tmp_path, "")
    (tmp_path / "criu").write_bytes(b"\x7fELF and nothing more")
    assert "cannot be called" in asyncio.run(why_none(str(tmp_path)))


def test_nothing_is_promised_even_where_criu_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", criu(tmp_path, '[ "$*" = "check --unprivileged" ]'))
    said = asyncio.run(attributes())
    assert said["HasProcessCheckpoint"] == "false"
    assert "makes no dumps" in said["PescNoProcessCheckpoint"]
