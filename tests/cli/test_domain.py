"""What pesc_domain says, and what it does not believe."""

import io
import tarfile

import pytest

from cli.domain import listed, state_of
from cli.domainfiles import pack_domain
from cli.ociarchive import _image, _unpacked
from cli.pack import Packed
from contract.messages import Content, Image
from contract.problems import Problem
from contract.requests import DomainShown
from dsl.submit.domain import Asked


def a_domain(**changes):
    return DomainShown(**{"name": "study", "key": "0" * 64, "state": "known", "source": "user"} | changes)


@pytest.mark.parametrize(("changes", "words"), [
    ({}, "not built"), ({"state": "wanted"}, "waits to be built"), ({"state": "failed"}, "failed"),
    ({"state": "building", "machine": "m1", "step": 3, "steps": 7}, "building on m1 (3/7)"),
])
def test_a_state_in_a_few_words(changes, words):
    assert state_of(a_domain(**changes)) == words


def test_a_domain_without_a_name_is_called_by_its_key():
    ready = a_domain(name="", state="ready", image=Image("f00d", Content("0" * 64, 2, tree=True), 5_000_000),
                     dockerfile="FROM base\nRUN x\n")
    line = listed([ready]).splitlines()[1]
    assert line.split() == ["000000000000", "user", "ready", "5", "MB", "FROM", "base"]


def test_only_what_is_copied_travels_with_its_paths(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "x").write_text("1")
    (tmp_path / "a.txt").write_text("2")
    (tmp_path / "large").write_text("not copied")
    packed = Packed()
    assert pack_domain(packed, Asked(dockerfile="FROM base\n", folder=str(tmp_path), sources=["data", "*.txt"])) == []
    listing = packed.sources[packed.domain.recipe.context.sha256].kept
    assert b'"a.txt"' in listing and b'"data/deep/x"' in listing and b"large" not in listing


def test_a_copied_link_that_leaves_the_folder_does_not_travel(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "study" / "link").symlink_to("../secret")
    asked = Asked(dockerfile="FROM base\n", folder=str(tmp_path / "study"), sources=["link"])
    (unfit,) = pack_domain(Packed(), asked)
    assert "leads out of the folder" in unfit.what


def an_archive(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, raw in members:
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return str(path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "blobs/sha256/../../x", "blobs/sha256/short",
                                  "layer.tar"])
def test_an_archive_with_other_names_than_a_layouts_is_refused(tmp_path, name):
    (tmp_path / "scratch").mkdir()
    with pytest.raises(Problem, match="is no OCI archive"):
        _unpacked(an_archive(tmp_path / "a.tar", (name, b"x")), str(tmp_path / "scratch"))


def test_what_is_no_archive_at_all_is_said(tmp_path):
    (tmp_path / "a.tar").write_text("hello")
    with pytest.raises(Problem, match="cannot be read"):
        _unpacked(str(tmp_path / "a.tar"), str(tmp_path))


@pytest.mark.parametrize("index", [b"{}", b"[]", b"no json", b'{"manifests": []}',
                                   b'{"manifests": [{"digest": "sha256:0"}]}'])
def test_a_layout_that_does_not_hang_together_is_refused(tmp_path, index):
    (tmp_path / "scratch").mkdir()
    packed, entries = _unpacked(an_archive(tmp_path / "a.tar", ("index.json", index)), str(tmp_path / "scratch"))
    with pytest.raises(Problem):
        _image(entries, str(tmp_path), packed)
