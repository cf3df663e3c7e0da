"""The folder of a run, and what is laid out in it."""

import os
import stat
from pathlib import Path

import pytest

from contract.messages import NamedContent
from contract.vocabulary import EndReason
from startd.files.cache import Spoilt
from startd.files.paths import BadPath, checked
from startd.files.sandbox import CannotStart
from tests.builders import a_content, a_grant, a_program, a_run, sha256


def test_a_plain_command_is_found_on_the_path(room):
    launch = room.prepare(a_grant(program=a_program(command="true", arguments=["1", "2"])))
    assert launch.argv[0].endswith("/true") and launch.argv[1:] == ["1", "2"]
    assert launch.folder == f"{room.state}/runs/1.0.1/work"
    assert sorted(os.listdir(f"{room.state}/runs/1.0.1")) == ["tmp", "work"]


def test_a_command_that_is_nowhere_is_refused_by_name(room):
    with pytest.raises(CannotStart, match="There is no program 'no-such-thing'") as refusal:
        room.prepare(a_grant(program=a_program(command="no-such-thing")))
    assert refusal.value.reason is EndReason.REFUSED


def test_a_program_that_came_along_is_executable_under_its_name(room):
    program = a_program(command=None, content=room.content(b"#!/bin/sh\n"), name="job.sh", arguments=["x"])
    launch = room.prepare(a_grant(program=program))
    assert launch.argv == [f"{launch.folder}/job.sh", "x"]
    assert os.access(launch.argv[0], os.X_OK)


def test_a_contract_program_runs_from_its_read_only_tree(room):
    tree = room.tree({"main.py": b"print()", "lib/helper.py": b"", "data.csv": b"1,2"})
    launch = room.prepare(a_grant(program=a_program(command=None, content=tree, main="main.py", contract=True)))
    app = Path(room.state, "trees", tree.sha256)
    assert Path(launch.argv[0]).name == "python3"
    assert launch.argv[1:4] == [str(app / "main.py"), "--app_dir", str(app)]
    assert Path(launch.folder, "data.csv").read_bytes() == b"1,2"
    assert Path(launch.folder, "lib").is_symlink()
    assert stat.S_IMODE((app / "data.csv").stat().st_mode) == 0o444
    for name in ("output", "checkpoint", "tmp"):
        assert Path(launch.sandbox, name).is_dir()
    assert b'"rank": 0' in Path(launch.environment["PESC_JOB"]).read_bytes()


def test_a_tree_is_laid_out_once(room):
    tree = room.tree({"main.py": b"print()"})
    program = a_program(command=None, content=tree, main="main.py", contract=True)
    room.prepare(a_grant(program=program))
    before = os.stat(f"{room.state}/trees/{tree.sha256}").st_ino
    room.open()
    room.prepare(a_grant(run=a_run(2), program=program))
    assert os.stat(f"{room.state}/trees/{tree.sha256}").st_ino == before


def test_executable_files_of_a_tree_are_executable(room):
    tree = room.tree({"run": b"#!/bin/sh\n", "other": b"x"}, executable=["run"])
    launch = room.prepare(a_grant(program=a_program(command=None, content=tree, main="run", contract=True)))
    assert os.access(launch.argv[0], os.X_OK)


def test_a_main_file_that_is_not_there_is_refused_by_name(room):
    tree = room.tree({"main.py": b"print()"})
    with pytest.raises(CannotStart, match=r"no main file 'mian.py'"):
        room.prepare(a_grant(program=a_program(command=None, content=tree, main="mian.py", contract=True)))


def test_a_missing_interpreter_is_refused_with_what_to_ask_for(room):
    program = a_program(command=None, content=room.content(b"x"), name="solve.jl", contract=True)
    with pytest.raises(CannotStart, match=r"solve.jl needs julia.*requirements = TARGET.HasJulia") as refusal:
        room.prepare(a_grant(program=program))
    assert refusal.value.reason is EndReason.REFUSED


def test_inputs_are_copies_the_run_may_change(room):
    content = room.content(b"seed")
    launch = room.prepare(a_grant(program=a_program(inputs=[NamedContent("in/seed.txt", content)])))
    Path(launch.folder, "in/seed.txt").write_bytes(b"changed")
    assert Path(room.cache.path(content.sha256)).read_bytes() == b"seed"


def test_an_input_folder_is_copied_whole(room):
    tree = room.tree({"a/b.txt": b"b", "c.txt": b"c"})
    launch = room.prepare(a_grant(program=a_program(inputs=[NamedContent("data", tree)])))
    assert Path(launch.folder, "data/a/b.txt").read_bytes() == b"b"
    assert os.access(Path(launch.folder, "data/c.txt"), os.W_OK)


def test_shared_files_and_folders_are_links(room):
    tree = room.tree({"x.txt": b"x"})
    shared = [NamedContent("big.bin", room.content(b"big")), NamedContent("set", tree)]
    launch = room.prepare(a_grant(program=a_program(shared=shared)))
    assert Path(launch.folder, "big.bin").is_symlink() and Path(launch.folder, "big.bin").read_bytes() == b"big"
    assert Path(launch.folder, "set").is_symlink() and Path(launch.folder, "set/x.txt").read_bytes() == b"x"


def test_an_input_hides_a_file_of_the_tree_with_its_name(room):
    tree = room.tree({"main.py": b"print()", "seed.txt": b"old"})
    program = a_program(command=None, content=tree, main="main.py", contract=True,
                        inputs=[NamedContent("seed.txt", room.content(b"new"))])
    launch = room.prepare(a_grant(program=program))
    assert Path(launch.folder, "seed.txt").read_bytes() == b"new"
    assert Path(room.state, "trees", tree.sha256, "seed.txt").read_bytes() == b"old"


def test_an_input_below_a_linked_folder_does_not_reach_the_tree(room):
    tree = room.tree({"main.py": b"print()", "lib/a.py": b"old"})
    program = a_program(command=None, content=tree, main="main.py", contract=True,
                        inputs=[NamedContent("lib/b.py", room.content(b"new"))])
    room.prepare(a_grant(program=program))
    assert os.listdir(f"{room.state}/trees/{tree.sha256}/lib") == ["a.py"]


def test_small_contents_that_came_along_need_no_file(room):
    raw = b"small"
    grant = a_grant(program=a_program(stdin=a_content(raw)), blobs={sha256(raw): raw})
    launch = room.prepare(grant)
    assert Path(launch.stdin).read_bytes() == raw
    assert os.listdir(f"{room.state}/cache") == []


def test_a_content_that_came_along_serves_the_next_run_too(room):
    raw = b"small"
    room.prepare(a_grant(program=a_program(stdin=a_content(raw)), blobs={sha256(raw): raw}))
    room.prepare(a_grant(run=a_run(2), program=a_program(stdin=a_content(raw))))


def test_a_content_that_is_not_what_it_says_is_not_taken(room):
    grant = a_grant(program=a_program(stdin=a_content(b"true")), blobs={sha256(b"true"): b"false"})
    room.cache.hold(grant)
    assert [content.sha256 for content in room.cache.lacking(grant)] == [sha256(b"true")]
    with pytest.raises(Spoilt):
        room.cache.keep(sha256(b"true"), b"false")


@pytest.mark.parametrize("path", [
    "../evil", "/etc/passwd", "a/../../evil", "a//b", ".", "", "a\0b", "x" * 300, "a/" * 80,
])
def test_a_path_that_leaves_its_folder_is_refused(room, path):
    with pytest.raises(BadPath):
        checked(path)
    with pytest.raises(CannotStart) as refusal:
        room.prepare(a_grant(program=a_program(inputs=[NamedContent(path, room.content(b"x"))])))
    assert refusal.value.reason is EndReason.REFUSED


def test_a_tree_with_a_path_that_leaves_it_is_refused(room):
    tree = room.tree({"../evil": b"x"})
    with pytest.raises(Spoilt, match="leaves its folder"):
        room.cache.lacking(a_grant(program=a_program(command=None, content=tree, main="x", contract=True)))
    assert not Path(room.state, "evil").exists()


def test_a_tree_in_which_a_file_is_also_a_folder_is_refused(room):
    tree = room.tree({"a": b"x", "a/b": b"y"})
    with pytest.raises(CannotStart) as refusal:
        room.prepare(a_grant(program=a_program(command=None, content=tree, main="a", contract=True)))
    assert refusal.value.reason is EndReason.REFUSED


# --- removal -----------------------------------------------------------------------------


def finish(room, grant, write=()):
    launch = room.prepare(grant)
    for name in ("stdout", "stderr"):
        Path(launch.sandbox, name).write_bytes(b"")
        os.chmod(Path(launch.sandbox, name), 0o644)
    for name in write:
        path = Path(launch.sandbox, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left behind")
    return launch


@pytest.mark.parametrize("left", [
    [], ["work/result.txt"], ["stdout"], ["tmp/scratch"], ["work/deep/er/file"], ["output/x"], ["extra/x"],
])
def test_the_next_run_finds_nothing_of_the_last(room, left):
    finish(room, a_grant(), left)
    if not room.sandboxes.discard(a_run()):
        room.sandboxes.sweep()
    assert not Path(room.sandboxes.path(a_run())).exists()
    launch = room.prepare(a_grant(run=a_run(2)))
    found = {str(path.relative_to(launch.sandbox)): path.is_dir() or path.stat().st_size
             for path in Path(launch.sandbox).rglob("*")}
    assert {name for name, size in found.items() if size} == {"work", "tmp"}
    assert found.keys() <= {"work", "tmp", "stdout", "stderr"}


def test_the_folder_of_a_silent_run_is_used_again(room):
    finish(room, a_grant())
    before = os.stat(room.sandboxes.path(a_run())).st_ino
    assert room.sandboxes.discard(a_run())
    room.prepare(a_grant(run=a_run(2)))
    assert os.stat(room.sandboxes.path(a_run(2))).st_ino == before


def test_the_next_run_of_a_program_finds_its_link_made(room):
    program = a_program(command=None, content=room.content(b"#!/bin/sh\n"), name="job.sh")
    first = finish(room, a_grant(run=a_run(1), program=program), ["work/result.txt"])
    link = os.lstat(first.argv[0]).st_ino
    assert room.sandboxes.discard(a_run(1))
    second = room.prepare(a_grant(run=a_run(2), program=program))
    assert os.lstat(second.argv[0]).st_ino == link
    assert os.listdir(second.folder) == ["job.sh"]


def test_another_program_finds_no_link_of_the_last(room):
    for number, text in enumerate((b"#!/bin/sh\n", b"#!/bin/bash\n")):
        program = a_program(command=None, content=room.content(text), name=f"job{number}.sh")
        launch = finish(room, a_grant(run=a_run(number), program=program))
        assert os.listdir(launch.folder) == [f"job{number}.sh"]
        assert room.sandboxes.discard(a_run(number))
    assert os.listdir(room.prepare(a_grant(run=a_run(2))).folder) == []


def test_a_folder_whose_program_link_was_changed_is_not_used_again(room):
    program = a_program(command=None, content=room.content(b"#!/bin/sh\n"), name="job.sh")
    launch = finish(room, a_grant(run=a_run(1), program=program))
    os.unlink(launch.argv[0])
    os.symlink("/bin/sh", launch.argv[0])
    assert not room.sandboxes.discard(a_run(1))


def test_a_folder_whose_mode_was_changed_is_not_used_again(room):
    launch = finish(room, a_grant())
    os.chmod(launch.folder, 0o500)
    assert not room.sandboxes.discard(a_run())
    room.sandboxes.sweep()
    assert os.listdir(room.sandboxes.runs) == []


def test_a_work_folder_that_became_a_link_is_not_used_again(room, tmp_path):
    launch = finish(room, a_grant())
    os.rmdir(launch.folder)
    os.symlink(tmp_path, launch.folder)
    room.sandboxes.discard(a_run())
    room.sandboxes.sweep()
    assert os.listdir(room.sandboxes.runs) == []
    assert tmp_path.exists()


def test_after_a_restart_only_the_folders_of_known_runs_are_kept(room):
    finish(room, a_grant())
    finish(room, a_grant(run=a_run(2)))
    room.open()
    room.sandboxes.keep_only({a_run(2)})
    assert os.listdir(room.sandboxes.runs) == ["2.0.1"]
