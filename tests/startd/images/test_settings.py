"""What a machine says of its own package sources, to builds alone."""

from startd.images.builder import _failure, _Progress, entries_of
from startd.images.debian import own_sources
from startd.images.pip import settings_of


def test_variables_go_before_files_and_what_says_nothing_of_sources_is_left_out():
    assert settings_of("\n".join([
        ":env:.find-links='/opt/wheels'", "global.find-links='/old'", "global.index-url='https://me:pw@host/simple'",
        "global.require-virtualenv='true'", "user.editor='vi'", ":env:.default-timeout='9'",
    ])) == {"find-links": "/opt/wheels", "index-url": "https://me:pw@host/simple", "timeout": "9"}


def test_sources_of_the_release_are_taken_and_those_with_passwords_left_out(tmp_path):
    (tmp_path / "sources.list").write_text(
        "# a comment\ndeb [arch=amd64] http://one/debian bookworm main contrib\n"
        "deb http://me:pw@two/debian bookworm main\ndeb http://three/tools stable main\n"
        "deb-src http://one/debian x y\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "debian.sources").write_text(
        "Types: deb\nURIs: http://four/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
        "Types: deb\nURIs: http://five/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n")
    assert own_sources("bookworm", str(tmp_path)) == [
        "deb http://one/debian bookworm main contrib", "deb http://four/debian bookworm main",
        "deb http://four/debian bookworm-updates main"]


def failure(text):
    return _failure(_Progress(text.encode(), 1, 2, "FROM x"), 125)


def test_a_step_that_failed_is_named():
    found = failure('STEP 1/2: FROM x\nError: building at STEP "RUN make": while running runtime: exit status 2')
    assert (found.step, str(found), found.blames_machine) == ("RUN make", "exit status 2", False)


def test_a_registry_that_does_not_answer_is_named_and_blames_no_machine():
    found = failure('Error: creating build container: initializing source docker://debian:12: pinging container '
                    'registry registry.example: Get "https://registry.example/v2/": dial tcp: no such host')
    assert "The registry registry.example does not answer from here" in str(found)
    assert not found.blames_machine


def test_a_full_disk_is_the_machines_fault():
    assert failure("Error: writing blob: no space left on device").blames_machine


def test_the_files_of_a_layout_are_named_by_their_digest(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    assert [(entry.path, entry.size) for entry in entries_of(str(tmp_path))] == [("a", 3), ("blobs/b", 3)]
