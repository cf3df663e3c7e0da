"""What travels with a submission, and what is refused."""

import hashlib
import os
import stat
import zipfile

import msgspec
import pytest

from cli.pack import Unfit, pack
from contract.messages import Content, TreeEntry
from contract.vocabulary import INLINE_BYTES


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def packed(path, role="file"):
    """The content of one path, which must be fit to travel."""
    found, unfit = pack({str(path): role})
    assert unfit == []
    return found, found.files[str(path)]


def refused(path, role="file"):
    """Why one path cannot travel."""
    found, unfit = pack({str(path): role})
    assert (found.files, len(unfit)) == ({}, 1)
    return unfit[0].what


def tree(found, content):
    return msgspec.json.decode(b"".join(found.sources[content.sha256].pieces()), type=list[TreeEntry])


def a_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_a_file_is_named_by_its_digest(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"hello")
    found, content = packed(file)
    assert content == Content(sha256(b"hello"), 5)
    assert b"".join(found.sources[content.sha256].pieces()) == b"hello"


def test_equal_files_are_one_content(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"same")
    found, _ = pack({str(tmp_path / name): "file" for name in "ab"})
    assert (len(found.files), len(found.sources)) == (2, 1)


def test_an_executable_need_not_be_marked_as_one(tmp_path):
    file = tmp_path / "run.sh"
    file.write_text("#!/bin/sh\n")
    assert packed(file, "executable")[1].executable
    assert not packed(file)[1].executable
    file.chmod(0o755)
    assert packed(file)[1].executable


def test_a_folder_is_a_tree_sorted_by_path(tmp_path):
    for name in ("b.txt", "sub/c.txt", "a.txt"):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(name)
    (tmp_path / "code" / "a.txt").chmod(0o755)
    found, content = packed(tmp_path / "code")
    assert content.tree
    assert tree(found, content) == [
        TreeEntry("a.txt", sha256(b"a.txt"), 5, True), TreeEntry("b.txt", sha256(b"b.txt"), 5),
        TreeEntry("sub/c.txt", sha256(b"sub/c.txt"), 9)]
    assert all(entry.sha256 in found.sources for entry in tree(found, content))


def test_a_zip_given_to_process_becomes_the_same_tree_as_its_folder(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("print(1)")
    large = os.urandom(INLINE_BYTES + 1)
    (tmp_path / "code" / "data.bin").write_bytes(large)
    archive = a_zip(tmp_path / "code.zip", [("main.py", "print(1)"), ("data.bin", large)])
    found, content = packed(archive, "process")
    assert content == packed(tmp_path / "code")[1]
    assert b"".join(found.sources[sha256(large)].pieces()) == large
    assert b"".join(found.sources[sha256(large)].pieces(10)) == large[10:]


def test_a_zip_that_is_input_travels_as_it_is(tmp_path):
    archive = a_zip(tmp_path / "data.zip", [("../x", "1")])
    assert packed(archive)[1] == Content(sha256(archive.read_bytes()), archive.stat().st_size)


@pytest.mark.parametrize(("name", "why"), [
    ("../x.py", "would leave its folder"), ("a/../../x.py", "would leave its folder"),
    ("/etc/x.py", "would leave its folder"), ("C:/x.py", "would leave its folder"),
    ("n" * 300, "too long or too deep"), ("d/" * 200 + "x", "too long or too deep"),
])
def test_a_zip_that_reaches_out_of_its_folder_is_refused(tmp_path, name, why):
    assert why in refused(a_zip(tmp_path / "x.zip", [("main.py", ""), (name, "")]), "process")


def test_a_zip_that_swells_beyond_reason_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.pack.LARGE_BYTES", 1 << 20)  # a gibibyte of zeros takes long to make
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.py", "")
        archive.writestr("zeros", bytes(4 << 20))
    assert "more than 200 times its size" in refused(tmp_path / "x.zip", "process")


def test_a_zip_with_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("passwords")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "holds the link 'passwords'" in refused(a_zip(tmp_path / "x.zip", [(link, "/etc/passwd")]), "process")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_names_a_file_twice_is_refused(tmp_path):
    assert "twice" in refused(a_zip(tmp_path / "x.zip", [("a", "1"), ("./a", "2")]), "process")
    assert "as a file and as a folder" in refused(a_zip(tmp_path / "y.zip", [("a", "1"), ("a/b", "2")]), "process")


@pytest.mark.parametrize("damage", [b"", b"PK", b"no zip at all" * 100])
def test_a_broken_zip_is_refused(tmp_path, damage):
    (tmp_path / "x.zip").write_bytes(damage)
    assert "cannot be unpacked" in refused(tmp_path / "x.zip", "process")


def test_a_zip_with_damaged_bytes_is_refused(tmp_path):
    archive = a_zip(tmp_path / "x.zip", [("main.py", "print(1)" * 50)])
    raw = bytearray(archive.read_bytes())
    raw[60] ^= 0xFF
    archive.write_bytes(raw)
    assert "cannot be unpacked" in refused(archive, "process")


def test_a_link_that_stays_inside_is_followed(tmp_path):
    (tmp_path / "code/sub").mkdir(parents=True)
    (tmp_path / "code/sub/a.txt").write_text("a")
    (tmp_path / "code/link.txt").symlink_to("sub/a.txt")
    (tmp_path / "code/other").symlink_to("sub")
    found, content = packed(tmp_path / "code")
    assert [entry.path for entry in tree(found, content)] == ["link.txt", "other/a.txt", "sub/a.txt"]


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside.txt", "../outside", ".."])
def test_a_link_that_leaves_its_folder_is_refused(tmp_path, target):
    (tmp_path / "code").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside.txt").write_text("x")
    (tmp_path / "code/link").symlink_to(target)
    assert "is a link that leaves the folder" in refused(tmp_path / "code")


def test_a_folder_that_leads_back_into_itself_is_refused(tmp_path):
    (tmp_path / "code/sub").mkdir(parents=True)
    (tmp_path / "code/sub/back").symlink_to("..")
    assert "leads back into itself" in refused(tmp_path / "code")


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refused(tmp_path / "pipe")
    (tmp_path / "code").mkdir()
    os.mkfifo(tmp_path / "code/pipe")
    assert "is not a regular file" in refused(tmp_path / "code")
    assert "is not a regular file" in refused("/dev/zero")


def test_a_missing_file_and_a_broken_link_are_named(tmp_path):
    assert refused(tmp_path / "nope") == f"there is no file {tmp_path}/nope"
    (tmp_path / "code").mkdir()
    (tmp_path / "code/link").symlink_to("nowhere")
    assert refused(tmp_path / "code") == f"there is no file {tmp_path}/code/link"


def test_everything_that_cannot_travel_is_said_at_once(tmp_path):
    _, unfit = pack({str(tmp_path / name): "file" for name in "abc"})
    assert len(unfit) == 3


def test_a_script_with_lines_of_windows_is_refused(tmp_path):
    (tmp_path / "run.sh").write_bytes(b"#!/bin/sh\r\necho\r\n")
    assert "end as on Windows" in refused(tmp_path / "run.sh", "executable")


def test_a_process_of_unknown_language_must_be_executable(tmp_path):
    (tmp_path / "solver").write_bytes(b"\x7fELF")
    assert "is not executable" in refused(tmp_path / "solver", "process")
    (tmp_path / "solver").chmod(0o755)
    assert packed(tmp_path / "solver", "process")[1].executable


def test_a_file_that_changes_after_its_digest_is_noticed(tmp_path):
    file = tmp_path / "big.bin"
    file.write_bytes(os.urandom(INLINE_BYTES * 2))
    found, content = packed(file)
    file.write_bytes(b"other")
    with pytest.raises(Unfit, match="was changed while it was being submitted"):
        list(found.sources[content.sha256].pieces())


def test_a_file_that_changes_while_it_is_sent_is_noticed(tmp_path):
    file = tmp_path / "big.bin"
    file.write_bytes(bytes(4 << 20))
    found, content = packed(file)
    pieces = found.sources[content.sha256].pieces()
    next(pieces)
    with file.open("ab") as end:
        end.write(b"more")
    with pytest.raises(Unfit, match="was changed"):
        list(pieces)
