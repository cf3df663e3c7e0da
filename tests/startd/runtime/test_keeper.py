"""The keeper by itself: what holds when it is killed, told to leave, or finds odd things on its disk."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contract.vocabulary import RunId
from startd.core.events import Begun, Over
from startd.runtime.interface import SpawnFailed
from startd.runtime.keeperjournal import BEGUN, OVER, Journal
from startd.runtime.keeperjournal import Begun as BegunRecord
from startd.runtime.keeperjournal import Over as OverRecord
from startd.runtime.keeperlink import ROOT
from startd.runtime.process import ProcessRuntime
from tests.startd.runtime.conftest import RUN, RUNTIMES, Stage, is_alive


@pytest.fixture
def stage(tmp_path: Path):
    stage = Stage(tmp_path, RUNTIMES["process"])
    yield stage
    if stage.state.exists():
        stage.close()


def keeper_pid(stage: Stage) -> int:
    return int((stage.state / "keeper.pid").read_text())


def test_a_running_job_outlives_its_keeper_and_its_end_is_lost(stage: Stage):
    stage.sh("echo $$ > pid; trap 'exit 9' USR1; while :; do sleep 0.01; done")
    pid = stage.pid_from("pid")
    old = keeper_pid(stage)
    os.kill(old, signal.SIGKILL)
    stage.until(lambda: keeper_pid(stage) != old)
    stage.sh("exit 3", run=RunId(2, 0, 1))
    assert stage.wait(Over, RunId(2, 0, 1)).exit_code == 3
    assert is_alive(pid)
    os.kill(pid, signal.SIGUSR1)
    over = stage.wait(Over)
    assert (over.exit_code, over.signal) == (None, None)


def test_a_job_found_by_a_new_keeper_can_be_killed_with_all_it_started(stage: Stage):
    stage.sh("(setsid sh -c 'echo $$ > pid; exec sleep 300' &) ; sleep 300")
    stray = stage.pid_from("pid")
    old = keeper_pid(stage)
    os.kill(old, signal.SIGKILL)
    stage.until(lambda: keeper_pid(stage) != old)
    stage.kill()
    stage.wait(Over)
    assert not is_alive(stray)


def test_a_job_that_ended_while_there_was_no_keeper_is_lost(stage: Stage):
    stage.sh("echo $$ > pid; exec sleep 300")
    pid = stage.pid_from("pid")
    stage.wait(Begun)
    keeper = keeper_pid(stage)
    stage.die()
    os.kill(keeper, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    stage.until(lambda: not is_alive(pid))
    assert stage.open() == {RUN}
    over = stage.wait(Over)
    assert (over.exit_code, over.signal) == (None, None)


def test_an_end_that_the_keeper_recorded_outlives_the_keeper(stage: Stage):
    stage.sh("exit 5")
    stage.wait(Over)
    keeper = keeper_pid(stage)
    stage.die()
    os.kill(keeper, signal.SIGKILL)
    assert stage.open() == {RUN}
    assert stage.wait(Over).exit_code == 5


def test_a_process_started_just_before_the_keeper_was_killed_is_found_by_its_marker(stage: Stage):
    stage.sh("echo $$ > pid; exec sleep 300")
    pid = stage.pid_from("pid")
    keeper = keeper_pid(stage)
    stage.die()
    os.kill(keeper, signal.SIGKILL)
    stage.until(lambda: not is_alive(keeper))
    (stage.state / "keeper.journal").write_text("")
    assert stage.open() == {RUN}
    assert stage.wait(Begun).pid == pid


def test_a_start_that_a_killed_keeper_never_told_of_is_not_made_again_in_the_same_folder(stage: Stage):
    old = keeper_pid(stage)
    os.kill(old, signal.SIGSTOP)
    stage.sh("echo once >> trace")
    os.kill(old, signal.SIGKILL)
    failed = stage.wait(SpawnFailed)
    assert (failed.run, failed.where) == (RUN, "keeper")
    stage.until(lambda: keeper_pid(stage) != old)
    assert not (stage.sandbox() / "work" / "trace").exists()


def test_the_keeper_leaves_when_it_is_told_to_and_nothing_runs(tmp_path: Path):
    async def story() -> int:
        runtime = ProcessRuntime(str(tmp_path), str(tmp_path), lambda happening: None)
        await runtime.open()
        pid = int((tmp_path / "keeper.pid").read_text())
        await runtime.close(leave=True)
        return pid

    assert not is_alive(asyncio.run(story()))


def test_two_startds_with_runs_of_the_same_number_do_not_disturb_each_other(stage: Stage, tmp_path: Path):
    (tmp_path / "second").mkdir()
    other = Stage(tmp_path / "second", RUNTIMES["process"])
    other.sh("echo $$ > pid; exec sleep 300")
    pid = other.pid_from("pid")
    stage.sh("exit 0")
    stage.wait(Over)
    keeper = keeper_pid(stage)
    stage.die()
    os.kill(keeper, signal.SIGKILL)
    stage.open()
    assert is_alive(pid)
    other.close()
    assert not is_alive(pid)


def test_a_keeper_whose_folder_is_gone_ends_its_jobs_and_itself(stage: Stage):
    stage.sh("echo $$ > pid; exec sleep 300")
    pid, keeper = stage.pid_from("pid"), keeper_pid(stage)
    stage.die()
    shutil.rmtree(stage.state)
    stage.until(lambda: not is_alive(pid) and not is_alive(keeper))


def test_a_second_keeper_for_one_folder_is_refused(stage: Stage):
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from startd.runtime.keeper import main; main()"
    second = subprocess.run([sys.executable, "-S", "-c", program, str(stage.state), "stage"],
                            capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert "another keeper works in" in second.stderr


def test_the_keeper_imports_little():
    program = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); import startd.runtime.keeper; "
               "print(sorted(m for m in sys.modules if m.split('.')[0] in "
               "{'asyncio', 'msgspec', 'psutil', 'contract', 'websockets', 'logging'}))")
    found = subprocess.run([sys.executable, "-S", "-E", "-s", "-c", program], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


# --- the journal -------------------------------------------------------------------------


def begun(key: str) -> BegunRecord:
    return BegunRecord(BEGUN, key, 7, 1.5, 100.0)


def over(key: str) -> OverRecord:
    return OverRecord(OVER, key, 0, None, 100.0, 101.0, 0.1, 0.2, 300)


def test_a_journal_read_again_says_the_same(tmp_path: Path):
    journal = Journal(str(tmp_path / "journal"))
    journal.append([begun("1.0#1"), begun("1.1#1")])
    journal.append([over("1.0#1")])
    again = Journal(str(tmp_path / "journal"))
    assert (again.begun, again.over) == (journal.begun, journal.over)


def test_a_line_cut_short_costs_only_itself(tmp_path: Path):
    path = tmp_path / "journal"
    Journal(str(path)).append([begun("1.0#1")])
    with path.open("a") as file:
        file.write('[["begun", "1.1#1", 8')
        file.write("\n" + json.dumps([over("1.0#1")]) + "\n")
    again = Journal(str(path))
    assert again.begun == {"1.0#1": begun("1.0#1")}
    assert again.over == {"1.0#1": over("1.0#1")}


def test_a_long_journal_of_forgotten_runs_is_rewritten_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("startd.runtime.keeperjournal.COMPACT_AFTER_RECORDS", 10)
    journal = Journal(str(tmp_path / "journal"))
    for number in range(100):
        journal.append([begun(f"{number}.0#1"), over(f"{number}.0#1")])
        journal.forget(f"{number}.0#1")
    journal.append([begun("last.0#1")])
    assert len((tmp_path / "journal").read_text().splitlines()) < 20
    assert "last.0#1" in Journal(str(tmp_path / "journal")).begun
