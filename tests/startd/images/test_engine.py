"""Podman of other versions, in imitation: what is asked of it, and what is made of its answers."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from startd.images.engine import PACKAGES, CannotContain, Engine, version_of
from startd.images.stock import Stock
from startd.images.store import Images, _environment
from startd.images.trial import builders_engine
from startd.runtime.choose import choose
from startd.runtime.interface import NoImage
from tests.startd.test_doctor import doctor


def imitation(folder: Path, podman: str) -> Engine:
    """An engine whose Podman is this script; the other programs do nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{podman if name == 'podman' else 'exit 1'}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Engine(*(str(folder / name) for name in ("podman", "crun", "catatonit", "nsenter")))


def says(words: str) -> str:
    return f"cat <<'END'\n{words}\nEND"


def images(folder: Path, words: str) -> Images:
    """The images of a startd whose Podman says this whatever it is asked."""
    engine = imitation(folder, says(words))
    return Images(engine, str(folder), Stock(engine, str(folder), "own"))


@pytest.mark.parametrize(("words", "version"), [
    ("podman version 4.3.1", (4, 3, 1)), ("podman version 5.0.0-rc7", (5, 0, 0)), ("podman version 3.4", (3, 4, 0)),
])
def test_its_version_is_asked_for(tmp_path, words, version):
    assert asyncio.run(version_of(imitation(tmp_path, says(words)))) == version


@pytest.mark.parametrize("script", [says("Docker version"), "exit 3", ""])
def test_what_does_not_say_which_podman_it_is_is_none(tmp_path, script):
    with pytest.raises(CannotContain, match="does not say which Podman it is"):
        asyncio.run(version_of(imitation(tmp_path, script)))


def test_what_cannot_be_called_is_none(tmp_path):
    engine = imitation(tmp_path, "")
    Path(engine.podman).write_bytes(b"\x7fELF and nothing more")
    with pytest.raises(CannotContain, match="cannot be called"):
        asyncio.run(version_of(engine))


@pytest.mark.parametrize(("version", "state", "words"), [
    ("4.3.1", "ok", "4.3.1"),
    ("5.4.2", "note", "is not what PESC is tried with"),
    ("3.4.4", "note", "builds no domains"),
])
def test_the_doctor_says_what_another_version_means(tmp_path, version, state, words):
    imitation(tmp_path / "bin", says(f"podman version {version}"))
    shown = doctor(tmp_path, "--json", PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    [found] = [finding for finding in json.loads(shown.stdout)["findings"] if finding["check"] == "Podman"]
    assert (found["state"], words in found["words"]) == (state, True)


def test_an_engine_that_is_not_podman_is_bad(tmp_path):
    imitation(tmp_path / "bin", says("emulation"))
    shown = doctor(tmp_path, "--json", PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    [found] = [finding for finding in json.loads(shown.stdout)["findings"] if finding["check"] == "Podman"]
    assert (found["state"], shown.returncode) == ("bad", 1)


@pytest.fixture
def ordinary(monkeypatch):
    """What only an ordinary user may try is tried, in imitation, by whoever runs this."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_a_machine_whose_podman_is_too_old_builds_no_images(tmp_path, monkeypatch, ordinary):
    engine = imitation(tmp_path, 'case $1 in --version) echo podman version 3.4.4;; build) echo image;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert asyncio.run(builders_engine()) is None
    imitation(tmp_path, 'case $1 in --version) echo podman version 4.1.0;; build) echo image;; esac')
    assert asyncio.run(builders_engine()) == engine


def test_a_podman_that_does_something_else_leaves_plain_processes_and_the_ad_says_why(tmp_path, monkeypatch, ordinary):
    imitation(tmp_path / "bin", "case $1 in --version) echo podman version 9.0.0;; *) echo no such command >&2; "
              "exit 125;; esac")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    chosen = asyncio.run(choose("auto", str(tmp_path / "state"), "identity"))
    assert (chosen.contains, "no such command" in chosen.attributes["PescNoContainers"]) == (False, True)
    with pytest.raises(CannotContain):
        asyncio.run(choose("podman", str(tmp_path / "state"), "identity"))


@pytest.mark.parametrize(("said", "environment"), [
    ([{"Id": "a" * 64, "Config": {"Env": ["A=1", "B=x=y"]}, "NamesHistory": [], "ManifestType": "x"}],
     {"A": "1", "B": "x=y"}),
    ([{"Id": "a" * 64, "Config": {}}], {}),
    ([{"Id": "a" * 64, "Config": None}], {}),
    ([{"Id": "a" * 64, "Config": {"Env": None, "Cmd": ["sh"]}}], {}),
    ([{"Id": "a" * 64}], {}),
])
def test_an_image_is_understood_however_much_is_said_of_it(tmp_path, said, environment):
    found = asyncio.run(images(tmp_path, json.dumps(said))._inspect("some/image"))
    assert (found.Id, _environment(found)) == ("a" * 64, environment)


@pytest.mark.parametrize("said", ["[]", "{}", '{"Id": "a"}', '[{"ID": "a"}]', "no JSON", ""])
def test_an_answer_of_another_shape_is_the_machines_fault_and_no_crash(tmp_path, said):
    with pytest.raises(NoImage, match="Podman cannot say what the image some/image is") as told:
        asyncio.run(images(tmp_path, said)._inspect("some/image"))
    assert not told.value.is_wrong
