"""What a run leaves behind."""

import os
from pathlib import Path

import pytest

from contract.messages import NamedContent
from contract.vocabulary import INLINE_BYTES
from startd.files import outputs
from startd.files.outputs import EMPTY_SHA256, Glance, gather, glance
from tests.builders import a_grant, a_program, sha256


@pytest.fixture
def sandbox(room):
    """A run of the contract that has just ended."""
    program = a_program(command=None, content=room.tree({"main.py": b"", "lib/x": b""}), main="main.py", contract=True,
                        inputs=[NamedContent("given.txt", room.content(b"given"))])
    launch = room.prepare(a_grant(program=program))
    for name in ("stdout", "stderr"):
        Path(launch.sandbox, name).touch()
    return Path(launch.sandbox)


CONTRACT = a_program(contract=True)
PLAIN = a_program()


def names(leaving):
    return [file.path for file in leaving.files]


def test_a_run_that_wrote_nothing_leaves_nothing(sandbox):
    leaving = gather(str(sandbox), CONTRACT)
    assert (leaving.files, leaving.warnings, leaving.blobs) == ([], [], {})
    assert (leaving.stdout.size, leaving.stdout.sha256) == (0, EMPTY_SHA256)


def test_stdout_and_stderr_come_back_with_their_contents(sandbox):
    (sandbox / "stdout").write_bytes(b"hello")
    leaving = gather(str(sandbox), PLAIN)
    assert leaving.blobs == {sha256(b"hello"): b"hello"}
    assert leaving.stdout.sha256 == sha256(b"hello")


def test_the_output_folder_comes_back_whole(sandbox):
    (sandbox / "output/deep").mkdir()
    (sandbox / "output/deep/a.txt").write_bytes(b"a")
    (sandbox / "output/b.txt").write_bytes(b"b")
    assert names(gather(str(sandbox), CONTRACT)) == ["b.txt", "deep/a.txt"]


def test_new_files_at_the_top_of_the_work_folder_come_back(sandbox):
    (sandbox / "work/new.txt").write_bytes(b"new")
    (sandbox / "work/sub").mkdir()
    (sandbox / "work/sub/not-at-the-top").write_bytes(b"x")
    assert names(gather(str(sandbox), PLAIN)) == ["new.txt"]


def test_an_untouched_input_does_not_come_back_and_a_changed_one_does(sandbox):
    assert names(gather(str(sandbox), PLAIN)) == []
    (sandbox / "work/given.txt").write_bytes(b"GIVEN")
    assert names(gather(str(sandbox), PLAIN)) == ["given.txt"]


def test_what_is_in_both_folders_comes_back_from_output(sandbox):
    (sandbox / "output/a.txt").write_bytes(b"from output")
    (sandbox / "work/a.txt").write_bytes(b"from work")
    leaving = gather(str(sandbox), CONTRACT)
    assert [file.sha256 for file in leaving.files] == [sha256(b"from output")]
    assert len(leaving.warnings) == 1


def test_exactly_what_was_promised_comes_back_and_what_is_missing_is_a_warning(sandbox):
    (sandbox / "work/a.txt").write_bytes(b"a")
    (sandbox / "work/b.txt").write_bytes(b"b")
    (sandbox / "work/sub").mkdir()
    (sandbox / "work/sub/c.txt").write_bytes(b"c")
    leaving = gather(str(sandbox), a_program(output_files=["a.txt", "sub", "nope.txt"]))
    assert names(leaving) == ["a.txt", "sub/c.txt"]
    assert leaving.warnings == ["nope.txt was promised in transfer_output_files and is not there."]


@pytest.mark.parametrize("promised", ["/etc/hostname", "../../../../etc/hostname", "link"])
def test_a_promise_outside_the_sandbox_is_not_kept(sandbox, promised):
    os.symlink("/etc/hostname", sandbox / "work/link")
    leaving = gather(str(sandbox), a_program(output_files=[promised]))
    assert names(leaving) == []
    assert len(leaving.warnings) == 1


def test_a_link_out_of_the_sandbox_is_not_followed(sandbox):
    os.symlink("/etc/hostname", sandbox / "work/secret")
    os.symlink("/etc", sandbox / "output/etc")
    leaving = gather(str(sandbox), CONTRACT)
    assert names(leaving) == []
    assert len(leaving.warnings) == 2


def test_a_link_inside_the_sandbox_counts_as_the_file(sandbox):
    (sandbox / "output/real.txt").write_bytes(b"real")
    os.symlink("real.txt", sandbox / "output/latest.txt")
    leaving = gather(str(sandbox), CONTRACT)
    assert {file.path: file.sha256 for file in leaving.files} == {
        "real.txt": sha256(b"real"), "latest.txt": sha256(b"real")}


def test_special_files_are_skipped_with_a_warning(sandbox):
    os.mkfifo(sandbox / "work/pipe")
    leaving = gather(str(sandbox), PLAIN)
    assert names(leaving) == []
    assert leaving.warnings == ["pipe is neither a file nor a folder; it was not kept."]


def test_a_stdout_that_became_a_link_is_not_followed(sandbox):
    (sandbox / "stdout").unlink()
    os.symlink("/etc/hostname", sandbox / "stdout")
    leaving = gather(str(sandbox), PLAIN)
    assert leaving.stdout is None
    assert len(leaving.warnings) == 1


def test_large_files_are_uploaded_and_not_said(sandbox):
    raw = b"x" * (INLINE_BYTES + 1)
    (sandbox / "output/large").write_bytes(raw)
    leaving = gather(str(sandbox), CONTRACT)
    assert leaving.blobs == {}
    assert leaving.uploads == {sha256(raw): (str(sandbox / "output/large"), len(raw))}


def test_many_small_files_are_said_only_up_to_a_bound(sandbox, monkeypatch):
    monkeypatch.setattr(outputs, "MAX_INLINE_BYTES", 25)
    for number in range(4):
        (sandbox / f"output/{number}").write_bytes(b"%010d" % number)
    leaving = gather(str(sandbox), CONTRACT)
    assert (len(leaving.blobs), len(leaving.uploads), len(leaving.files)) == (2, 2, 4)


def test_too_many_files_are_a_warning(sandbox, monkeypatch):
    monkeypatch.setattr(outputs, "MAX_FILES", 3)
    for number in range(5):
        (sandbox / f"output/{number}").touch()
    leaving = gather(str(sandbox), CONTRACT)
    assert len(leaving.files) == 3
    assert leaving.warnings == ["More than 3 files were left behind; the rest was not kept. Pack them into an archive."]


def test_a_name_that_is_not_text_is_a_warning(sandbox):
    with open(os.fsencode(sandbox) + b"/output/\xff.txt", "wb"):
        pass
    leaving = gather(str(sandbox), CONTRACT)
    assert names(leaving) == []
    assert "not UTF-8" in leaving.warnings[0]


def test_executable_outputs_stay_executable(sandbox):
    (sandbox / "output/tool").write_bytes(b"#!/bin/sh\n")
    (sandbox / "output/tool").chmod(0o755)
    assert gather(str(sandbox), CONTRACT).files[0].executable


def test_a_glance_tells_nothing_from_little_from_much(room):
    sandbox = Path(room.prepare(a_grant()).sandbox)
    for name in ("stdout", "stderr"):
        (sandbox / name).touch()
    assert glance(str(sandbox), contract=False) is Glance.NOTHING
    (sandbox / "stdout").write_bytes(b"x")
    assert glance(str(sandbox), contract=False) is Glance.LITTLE
    (sandbox / "work/folder").mkdir()
    assert glance(str(sandbox), contract=False) is Glance.MUCH


def test_a_sandbox_that_is_gone_leaves_nothing_and_raises_nothing(tmp_path):
    leaving = gather(str(tmp_path / "gone"), CONTRACT)
    assert (leaving.stdout, leaving.files) == (None, [])
