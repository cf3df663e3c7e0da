"""Daemons are told apart from whatever took their number since."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest

from cli.processes import (
    Daemon,
    Process,
    daemon_kind,
    daemons_of,
    option,
    pid_file,
    process_of,
    read_pid_file,
    write_pid_file,
)
from contract.places import Places

WAITS = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def where(tmp_path):
    places = Places(tmp_path)
    places.run.mkdir()
    return places


@pytest.fixture
def start():
    """Start a process that lives until the test is over, and is ready when this returns."""
    children = []

    def begin(*command, **how):
        child = subprocess.Popen(command or (sys.executable, "-c", WAITS), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, **how)
        children.append(child)
        assert child.stdout.readline() == b"ready\n"
        return child

    yield begin
    for child in children:
        child.kill()
        child.communicate()


def test_a_living_process_is_alive_and_has_been_up(start):
    process = process_of(start().pid)
    assert process.is_alive
    assert 0 <= process.uptime_seconds < 60


def test_a_process_that_ended_is_not_alive_even_while_nobody_has_reaped_it(start):
    child = start()
    process = process_of(child.pid)
    child.kill()
    assert process.wait(10.0)
    assert not process.is_alive
    assert process_of(child.pid) is None


def test_a_number_that_was_given_to_another_process_is_never_signalled(start):
    child = start()
    process = process_of(child.pid)
    before = msgspec.structs.replace(process, started_ticks=process.started_ticks - 1)
    assert not before.is_alive
    assert not before.send(signal.SIGKILL)
    assert child.poll() is None and process.is_alive


def test_a_process_of_an_earlier_boot_is_never_signalled(start):
    child = start()
    before = msgspec.structs.replace(process_of(child.pid), boot="another")
    assert not before.send(signal.SIGKILL)
    assert child.poll() is None


def test_a_signal_reaches_its_process_and_the_end_is_seen(start):
    process = process_of(start().pid)
    assert not process.wait(0.0)
    assert process.send(signal.SIGTERM)
    assert process.wait(10.0)
    assert not process.send(signal.SIGTERM)


def test_a_pid_file_gives_back_what_was_written(where):
    process = Process(42, 4711, "boot")
    write_pid_file(pid_file(where, "startd", "lab-1"), process)
    assert read_pid_file(where.run / "startd-lab-1.pid") == process
    assert [path.name for path in where.run.iterdir()] == ["startd-lab-1.pid"]


@pytest.mark.parametrize("content", [b"", b"123", b"{", b'{"pid": "x"}'])
def test_a_pid_file_that_is_not_whole_names_nobody(where, content):
    (where.run / "schedd.pid").write_bytes(content)
    assert read_pid_file(where.run / "schedd.pid") is None
    assert daemons_of(where) == []


def test_daemons_with_a_pid_file_are_found_by_kind_and_name(where, start):
    schedd, startd = start(), start()
    write_pid_file(pid_file(where, "schedd", "schedd"), process_of(schedd.pid))
    write_pid_file(pid_file(where, "startd", "lab-1"), process_of(startd.pid))
    assert [(d.kind, d.name, d.process.pid) for d in daemons_of(where)] == [
        ("schedd", "schedd", schedd.pid), ("startd", "lab-1", startd.pid)]


def test_a_daemon_that_was_started_by_hand_is_found_by_its_state_directory(where, start, tmp_path):
    # The interpreter ignores what follows -c: the command line is that of pesc_startd.
    script = tmp_path / "pesc_startd"
    script.write_text(f"#!{sys.executable}\n{WAITS}\n")
    script.chmod(0o755)
    child = start(str(script), "--state", str(where.state), "--name", "mine")
    start(str(script), "--state", str(where.run), "--name", "of-another-pool")
    assert [(d.kind, d.name, d.process.pid) for d in daemons_of(where)] == [("startd", "mine", child.pid)]


def test_a_daemon_that_got_its_state_from_the_environment_is_found(where, start, tmp_path):
    script = tmp_path / "pesc_schedd"
    script.write_text(f"#!{sys.executable}\n{WAITS}\n")
    script.chmod(0o755)
    child = start(str(script), env={**os.environ, "PESC_HOME": str(where.state)})
    assert [d.process.pid for d in daemons_of(where)] == [child.pid]


@pytest.mark.parametrize(("words", "kind"), [
    (["python", "-P", "-m", "schedd", "--state", "x"], "schedd"),
    (["/usr/bin/python3", "/venv/bin/pesc_startd"], "startd"),
    (["python", "-m", "startd.runtime.keeper"], None),
    (["vim", "schedd"], None),
    (["python", "-m"], None),
    ([], None),
])
def test_a_command_line_of_ours_is_told_from_others(words, kind):
    assert daemon_kind(words) == kind


def test_an_option_is_read_from_a_command_line_in_both_spellings():
    assert option(["a", "--state", "x"], "--state") == "x"
    assert option(["a", "--state=y"], "--state") == "y"
    assert option(["a", "--state"], "--state") is None


def test_a_daemon_without_a_process_is_not_alive(where):
    daemon = Daemon("startd", "lab-1", None)
    assert not daemon.is_alive and daemon.label == "startd lab-1"
    assert not replace(daemon, process=Process(1, -1, "x")).is_alive
