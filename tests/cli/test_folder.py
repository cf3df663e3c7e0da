"""Files from elsewhere stay in their folder."""

import hashlib
import os

import pytest

from cli.folder import Folder, UnsafePath, safe_parts
from contract.problems import Problem


@pytest.mark.parametrize("path", [
    "", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "a/", "a\0b", "x" * 256, "/".join("a" * 101)])
def test_a_path_that_could_leave_its_folder_is_refused(path):
    with pytest.raises(UnsafePath):
        safe_parts(path)


@pytest.mark.parametrize("path", ["a", "a/b.txt", "..a/b..", "ünï/cödé", "a\\b", "-rf"])
def test_an_ordinary_path_is_taken_apart(path):
    assert "/".join(safe_parts(path)) == path


def write(folder, parts, content, **how):
    with folder.replacing(parts, **how) as file:
        file.write(content)


def test_a_file_appears_whole_and_where_it_belongs(tmp_path):
    with Folder(str(tmp_path / "new" / "place")) as folder:
        write(folder, ("a", "b", "c"), b"hello", executable=True)
        assert folder.sha256_of(("a", "b", "c"), 5) == hashlib.sha256(b"hello").hexdigest()
    assert (tmp_path / "new/place/a/b/c").read_bytes() == b"hello"
    assert os.access(tmp_path / "new/place/a/b/c", os.X_OK)
    assert [path.name for path in (tmp_path / "new/place/a/b").iterdir()] == ["c"]


def test_a_symbolic_link_on_the_way_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "rank-0").symlink_to(outside)
    with Folder(str(inside)) as folder, pytest.raises(OSError):
        write(folder, ("rank-0", "x"), b"hello")
    assert list(outside.iterdir()) == []


def test_a_symbolic_link_in_the_place_of_a_file_is_replaced_and_not_written_through(tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "x").symlink_to(target)
    with Folder(str(inside)) as folder:
        assert folder.sha256_of(("x",), 8) is None
        write(folder, ("x",), b"hello")
    assert target.read_bytes() == b"precious"
    assert (inside / "x").read_bytes() == b"hello" and not (inside / "x").is_symlink()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    with Folder(str(tmp_path)) as folder:
        write(folder, ("x",), b"old")
        with pytest.raises(ValueError), folder.replacing(("x",)) as file:
            file.write(b"half")
            raise ValueError
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"old"}


def test_a_large_file_that_was_interrupted_goes_on_where_it_stopped(tmp_path):
    with Folder(str(tmp_path)) as folder:
        with pytest.raises(ValueError), folder.replacing(("x",), keep_as="abc") as file:
            file.write(b"half")
            raise ValueError
        assert not (tmp_path / "x").exists()
        with folder.replacing(("x",), keep_as="abc") as file:
            assert file.tell() == 4
            file.write(b"way")
    assert (tmp_path / "x").read_bytes() == b"halfway"


def test_two_commands_do_not_write_into_one_folder_at_once(tmp_path):
    with Folder(str(tmp_path)), pytest.raises(Problem, match="Another command is writing"):
        Folder(str(tmp_path))
    Folder(str(tmp_path)).__exit__()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    with Folder(str(tmp_path)) as folder:
        assert folder.sha256_of(("x",), 0) is None
