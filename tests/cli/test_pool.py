"""pesc_pool, as far as it needs no daemon; with daemons: tests/system."""

import json
import os

from cli.daemons import Setup, connected, expected_daemons, how_jobs_run, last_lines, read_setup
from cli.pool import main, uptime
from contract.places import Places


def test_one_startd_is_called_like_its_host_and_several_are_numbered(monkeypatch):
    host = os.uname().nodename
    assert Setup().startd_names == [host]
    assert Setup(startds=2).startd_names == [f"{host}-1", f"{host}-2"]


def test_what_should_run_and_does_not_is_listed_as_missing(tmp_path):
    missing = expected_daemons(Places(tmp_path), Setup(startds=2))
    assert [daemon.kind for daemon in missing] == ["schedd", "startd", "startd"]
    assert not any(daemon.is_alive for daemon in missing)


def test_a_pool_that_was_never_started_has_no_setup(tmp_path):
    assert read_setup(Places(tmp_path)) is None


def test_a_machine_that_the_schedd_has_lost_is_not_connected():
    assert connected([{"Name": "a"}, {"Name": "b", "State": "Offline"}]) == {"a"}


def test_only_the_end_of_a_log_is_shown(tmp_path):
    (tmp_path / "log").write_text("".join(f"{number}\n" for number in range(100_000)))
    assert last_lines(tmp_path / "log", 2) == ["99998", "99999"]
    assert last_lines(tmp_path / "nothing", 2) == []


def test_how_long_it_has_been_up_is_written_as_htcondor_does():
    assert uptime(90061.9) == "1+01:01:01"


def test_a_pool_that_does_not_run_has_status_1_and_a_cure(call):
    shown = call(main, "status")
    assert shown.code == 1
    assert "No pool runs in" in shown.err and "pesc_pool start" in shown.err


def test_the_status_of_a_pool_that_does_not_run_is_an_empty_list(call):
    shown = call(main, "status", "--json")
    assert (shown.code, json.loads(shown.out)["daemons"]) == (1, [])


def test_a_pool_that_was_stopped_lists_what_is_missing(call, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/pool-setup.json").write_text('{"startds": 1, "cpus": 4, "runtime": "process"}')
    shown = call(main, "status", "--json")
    assert shown.code == 1
    assert [(d["kind"], d["pid"], d["alive"]) for d in json.loads(shown.out)["daemons"]] == [
        ("schedd", None, False), ("startd", None, False)]


def test_stopping_what_does_not_run_says_so_and_is_no_failure(call, tmp_path):
    shown = call(main, "stop")
    assert (shown.code, "No pool runs in" in shown.out) == (0, True)
    assert not (tmp_path / "state").exists()


def test_whether_jobs_are_in_containers_is_said_with_the_reason_if_not():
    contained = {"Name": "a", "PescRuntime": "podman"}
    bare = {"Name": "b", "PescRuntime": "process", "PescNoContainers": "podman is not on this machine"}
    assert how_jobs_run([contained]) == "Jobs run in containers of their own (rootless Podman)."
    assert how_jobs_run([contained, bare | {"State": "Offline"}]) == how_jobs_run([contained])
    said = how_jobs_run([contained, bare])
    assert "without a container" in said and said.endswith("Why: podman is not on this machine.")


def test_an_unknown_runtime_or_a_pool_of_nothing_is_a_wrong_call(call):
    assert call(main, "start", "--runtime", "docker").code == 2
    assert call(main, "start", "--startds", "0").code == 2
    assert call(main, "start", "--cpus", "-3").code == 2
    assert call(main, "dance").code == 2


def test_logs_that_are_not_there_are_refused(call):
    shown = call(main, "logs", "schedd")
    assert (shown.code, "There is no log of schedd" in shown.err) == (1, True)


def test_a_state_directory_that_cannot_be_made_is_refused_with_the_cure(call, tmp_path):
    (tmp_path / "file").write_text("")
    shown = call(main, "start", "--state", str(tmp_path / "file" / "x"))
    assert shown.code == 1 and "cannot be made" in shown.err and "--state" in shown.err
