"""What a build of a program leaves behind, and what the engine is told."""

import hashlib
import json
import os

import pytest

from contract.messages import TreeEntry
from startd.images import programs
from startd.images.programs import NotMade, dockerfile, found, step_named


@pytest.fixture
def made(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sim").write_bytes(b"\x7fELF")
    (tmp_path / "bin/sim").chmod(0o755)
    (tmp_path / "notes").write_text("x")
    return tmp_path


def entry(name, content, executable=False):
    return TreeEntry(name, hashlib.sha256(content).hexdigest(), len(content), executable)


def test_every_file_is_part_of_the_program(made):
    assert [one for _, one in found(str(made), "bin/sim")] == [
        entry("bin/sim", b"\x7fELF", True), entry("notes", b"x")]


def test_links_within_the_folder_are_what_they_lead_to_and_others_are_left_out(made):
    (made / "inside").symlink_to("bin/sim")
    (made / "outside").symlink_to("/etc/passwd")
    (made / "above").symlink_to("../" + made.name + "/notes")
    (made / "nowhere").symlink_to("gone")
    (made / "loop").symlink_to("loop")
    os.mkfifo(made / "pipe")
    assert [one.path for _, one in found(str(made), "bin/sim")] == ["above", "bin/sim", "inside", "notes"]


def test_names_that_cannot_travel_are_left_out(made):
    (made / "new\nline").write_text("x")
    os.close(os.open(os.fsencode(made) + b"/\xff", os.O_CREAT))
    assert [one.path for _, one in found(str(made), "bin/sim")] == ["bin/sim", "notes"]


@pytest.mark.parametrize(("main", "words"), [
    ("simulate", "It ended well and made no file simulate; it made bin/sim: write main = bin/sim, or let the command "
                 "make simulate"),
    ("note", "It ended well and made no file note; it made notes: write main = notes, or let the command make note"),
])
def test_a_program_that_was_not_made_is_told_with_what_was(made, main, words):
    with pytest.raises(NotMade) as error:
        found(str(made), main)
    assert str(error.value) == words


def test_too_much_is_not_taken(made, monkeypatch):
    monkeypatch.setattr(programs, "MAX_TREE_FILES", 1)
    with pytest.raises(NotMade, match="It leaves more than 1 files"):
        found(str(made), "bin/sim")


def test_nothing_in_a_command_means_anything_to_the_engine():
    command = 'echo "a"\nUSER 5 \\\n# $HOME && make'
    lines = dockerfile("f00d", command, "x86-64-v3").splitlines()
    assert lines == ["FROM f00d", "USER 0", "ENV PESC_MICROARCH=x86-64-v3", "WORKDIR /pesc/build", "COPY . .",
                     f"RUN {json.dumps(['/bin/sh', '-c', command])}", "FROM scratch", "COPY --from=0 /pesc/build /"]
    assert step_named(lines[5], command) == command
    assert step_named("COPY . .", command) == "COPY . ."
