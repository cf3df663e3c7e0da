"""The file that says how runs give way to the machine's owner."""

from dataclasses import replace
from pathlib import Path

import pytest

from startd.core.ladder import PRESETS
from startd.monitors.owner import Roots
from startd.ownerpolicy import OwnerSettings, WrongSettings, owner_settings


def read(tmp_path: Path, text: str, preset="desktop") -> OwnerSettings:
    path = tmp_path / "owner.toml"
    path.write_text(text)
    return owner_settings(preset, str(path))


def test_without_a_file_a_preset_is_what_it_is():
    assert owner_settings("server", None) == OwnerSettings(PRESETS["server"], Roots())
    assert not owner_settings("off", None).policy.heeds_anything


def test_a_file_changes_what_it_names(tmp_path: Path):
    settings = read(tmp_path, '[owner]\nsessions = false\nshare = 0\nleave_after_seconds = "never"\n'
                              '[roots]\ndev = "/host/dev"\n')
    assert settings.policy == replace(PRESETS["desktop"], sessions=False, share=0.0, leave_after_seconds=None)
    assert settings.roots == Roots(dev="/host/dev")


@pytest.mark.parametrize(("text", "words"), [
    ("[owner]\nshar = 1", "there is no setting shar. Did you mean share?"),
    ("[onwer]\nshare = 1", "there is no section onwer. Did you mean owner?"),
    ("share = 1", "share stands in no section. Put [owner] above it."),
    ("[owner]\nshare = 10", "share = 10 is no share: those lie between 0 and 1."),
    ("[owner]\nload = 1", "load = 1 is neither true nor false."),
    ("[owner]\nactive_seconds = true", "active_seconds = True is not a number."),
    ("[owner]\nactive_seconds = -1", "active_seconds = -1 is out of range."),
    ('[owner]\nleave_after_seconds = "soon"', "leave_after_seconds = soon is not a number, nor never."),
    ("[owner]\nbusy_load = 0.2", "calm_load = 0.5 is above busy_load = 0.2."),
    ("[roots]\ndev = 3", "dev = 3 is no text in quotes."),
    ("[owner", "owner.toml: "),
])
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, words: str):
    with pytest.raises(WrongSettings) as wrong:
        read(tmp_path, text)
    assert words in str(wrong.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(WrongSettings, match=r"owner\.toml cannot be read: No such file"):
        owner_settings("desktop", str(tmp_path / "owner.toml"))
