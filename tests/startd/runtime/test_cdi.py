"""The CDI specifications of a machine: where they are looked for, what of YAML is read, what is wrong told by place."""

import os
from pathlib import Path

import pytest

from startd.runtime.cdi import LARGEST_BYTES, Specifications, read_yaml

A_FILE = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: GPU-1
  containerEdits:
    deviceNodes: [{path: /dev/nvidia1}]
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
    return tmp_path / "etc", tmp_path / "run"


def read(folders: tuple[Path, Path]) -> tuple[list[str], list[str]]:
    found, wrong = Specifications([str(folder) for folder in folders]).read()
    return [Path(one.file).name for one in found], wrong


def test_a_machine_without_specifications_has_none_and_no_problem(tmp_path: Path):
    assert Specifications([str(tmp_path / "no-such-folder")]).read() == ([], [])


def test_what_was_made_since_the_machine_started_counts_more(folders: tuple[Path, Path]):
    etc, run = folders
    (etc / "a.yaml").write_text(A_FILE)
    (run / "b.yml").write_text(A_FILE)
    (run / "notes.txt").write_text("{")
    (run / "other.json").write_text('{"kind": "intel.com/gpu"}')
    assert read(folders) == (["b.yml", "a.yaml"], [])


def test_a_file_that_is_written_again_is_read_again(folders: tuple[Path, Path]):
    path = folders[0] / "nvidia.yaml"
    path.write_text("kind: [")
    specifications = Specifications([str(folders[0])])
    found, wrong = specifications.read()
    assert (found, len(wrong)) == ([], 1)
    path.write_text(A_FILE)
    found, wrong = specifications.read()
    assert ([device.name for device in found[0].devices], wrong) == (["GPU-1"], [])
    assert specifications.read()[0] is found


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.yaml", b"kind: [nvidia.com/gpu", "a.yaml is broken: line"),
    ("a.yaml", b"a: &x [1]\nb: *x\n", "line 2 refers to another place of the file"),
    ("a.yaml", b"[" * 40, "line 1 is nested too deeply"),
    ("a.yaml", b"[1]: 2", "a key is not a text"),
    ("a.yaml", b"", "it does not say its \"kind\""),
    ("a.yaml", b"kind: \xff", "is broken: 'utf-8' codec can't decode"),
    ("a.json", b"{", "a.json is broken: Input data was truncated"),
    ("a.json", b"[" * 100_000, "nested too deeply"),
    ("a.json", b" " * (LARGEST_BYTES + 1), "is larger than 4 MiB"),
])
def test_what_is_wrong_with_a_file_is_told_with_its_place(folders: tuple[Path, Path], name, content, words):
    (folders[0] / name).write_bytes(content)
    found, wrong = read(folders)
    assert (found, len(wrong)) == ([], 1)
    assert words in wrong[0]


def test_a_file_that_is_not_there_behind_its_link_is_told(folders: tuple[Path, Path]):
    os.symlink("/no/such/file", folders[0] / "nvidia.yaml")
    assert "cannot be read: No such file or directory" in read(folders)[1][0]


def test_scalars_of_yaml_are_texts_and_nothing_is_nothing():
    assert read_yaml("a: 0\nb: 'null'\nc: null\nd:\n- 'yes'\n- x\ne: ''\n") == {
        "a": "0", "b": "null", "c": None, "d": ["yes", "x"], "e": ""}
