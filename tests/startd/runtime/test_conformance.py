"""What every runtime owes, tried with real processes. See `conftest` for how another one joins."""

import errno
import os
import resource
import signal

from contract.vocabulary import RunId
from startd.core.events import Begun, Over, Usage
from startd.runtime.interface import Command, SpawnFailed
from tests.startd.runtime.conftest import PYTHON, RUN, Stage, is_alive, state_of

EATER = "import time\nheap = [b'x' * 1048576 for _ in range({mib})]\nopen('full', 'w').close()\ntime.sleep(60)\n"

WAITER = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os._exit(6))
with open("pid", "w") as file:
    file.write(f"{os.getpid()}\\n")
while True:
    signal.pause()
"""


# --- beginnings and ends -----------------------------------------------------------------


def test_the_exit_code_is_told(stage: Stage):
    stage.sh("exit 3")
    assert stage.wait(Begun).pid > 0
    over = stage.wait(Over)
    assert (over.exit_code, over.signal) == (3, None)


def test_the_signal_that_ended_it_is_told(stage: Stage):
    stage.sh("kill -SEGV $$")
    over = stage.wait(Over)
    assert (over.exit_code, over.signal) == (None, signal.SIGSEGV)


def test_time_and_memory_are_told(stage: Stage):
    stage.start(PYTHON, "-S", "-c", "heap = b'x' * 50_000_000\nfor _ in range(10**6): pass")
    over = stage.wait(Over)
    assert over.peak_memory_mib > 47
    assert over.user_seconds > 0
    assert over.wall_seconds >= over.user_seconds / 4


def test_output_goes_where_it_should(stage: Stage):
    stage.sh("echo out; echo err >&2; pwd")
    stage.wait(Over)
    assert stage.written("stdout") == f"out\n{stage.work()}\n"
    assert stage.written("stderr") == "err\n"


def test_stdin_is_read_from_its_file(stage: Stage):
    given = stage.sandbox() / "given"
    given.write_text("hello")
    stage.start("/bin/cat", stdin=str(given))
    stage.wait(Over)
    assert stage.written("stdout") == "hello"


def test_a_job_sees_only_the_environment_it_was_given(stage: Stage):
    stage.start("/usr/bin/env", environment={"COLOUR": "blue"})
    stage.wait(Over)
    names = {line.partition("=")[0] for line in stage.written("stdout").splitlines()}
    assert names - {"HOME", "PATH"} == {"COLOUR", "PESC_RUN"}


def test_signals_that_python_ignores_are_as_usual_in_a_job(stage: Stage):
    stage.start("/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status")
    stage.wait(Over)
    of_the_c_library = 1 << 31 | 1 << 32  # two numbers that nobody else can set
    blocked, ignored = (int(line.split()[1], 16) for line in stage.written("stdout").splitlines())
    if stage.kind.contains:  # the init keeps these three, which only a terminal sends, from its children
        blocked &= ~sum(1 << number - 1 for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))
    assert (blocked, ignored & ~of_the_c_library) == (0, 0)


def test_no_descriptor_of_ours_reaches_a_job(stage: Stage):
    stage.start(PYTHON, "-S", "-c", "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")
    stage.wait(Over)
    assert stage.written("stdout") == "[0, 1, 2]\n"


def test_a_job_has_a_session_of_its_own(stage: Stage):
    stage.sh("cut -d' ' -f6 /proc/$$/stat; echo $$")
    stage.wait(Over)
    session, pid = stage.written("stdout").split()
    assert session == ("1" if stage.kind.contains else pid)  # that of the container's init


def test_no_core_file_is_written(stage: Stage):
    stage.sh("ulimit -c; ulimit -Hc")
    stage.wait(Over)
    assert stage.written("stdout").split() == ["0", "0"]


def test_a_run_asked_for_twice_is_started_once(stage: Stage):
    stage.sh("echo once >> twice")
    stage.sh("echo once >> twice")
    stage.wait(Over)
    stage.sh("echo once >> twice")
    stage.wait(Over)
    assert stage.written("work/twice") == "once\n"


def test_many_runs_at_once_all_end(stage: Stage):
    runs = [RunId(7, proc, 1) for proc in range(40)]
    for run in runs:
        stage.sh(f"exit {run.proc}", run=run)
    assert [stage.wait(Over, run).exit_code for run in runs] == list(range(40))


# --- what cannot be started --------------------------------------------------------------


def test_a_program_that_is_not_there_is_told_as_such(stage: Stage):
    stage.start("/no/such/program")
    failed = stage.wait(SpawnFailed)
    assert (failed.errno, failed.where) == (errno.ENOENT, "program")


def test_a_file_that_is_no_program_is_told_as_such(stage: Stage):
    script = stage.sandbox() / "work" / "script"
    script.write_text("echo no first line\n")
    script.chmod(0o755)
    stage.start(f"{stage.work()}/script")
    assert stage.wait(SpawnFailed).errno == errno.ENOEXEC


def test_a_file_that_is_not_executable_is_told_as_such(stage: Stage):
    script = stage.sandbox() / "work" / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o644)
    stage.start(f"{stage.work()}/script")
    assert stage.wait(SpawnFailed).errno == errno.EACCES


def test_a_folder_that_is_not_there_is_told_as_such(stage: Stage):
    stage.start("/bin/true", folder="/no/such/folder")
    failed = stage.wait(SpawnFailed)
    assert (failed.errno, failed.where) == (errno.ENOENT, "folder")


def test_output_that_cannot_be_written_is_told_as_such(stage: Stage):
    stage.start("/bin/true", stdout=f"{stage.sandbox()}/no/such/folder/stdout")
    assert stage.wait(SpawnFailed).errno == errno.ENOENT


def test_a_full_disk_spoils_what_starts_then_and_nothing_else(stage: Stage):
    earlier, later = RunId(2, 0, 1), RunId(3, 0, 1)
    stage.sh("mkfifo gate; echo $$ > pid; read line < gate; exit 5", run=earlier)
    stage.pid_from("pid", earlier)
    keeper = int((stage.state / "keeper.pid").read_text())
    resource.prlimit(keeper, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    stage.sh("exit 3")
    stage.until(lambda: any(isinstance(h, Over | SpawnFailed) and h.run == RUN for h in stage.happened))
    resource.prlimit(keeper, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    with open(stage.sandbox(earlier) / "work" / "gate", "w") as gate:
        gate.write("go\n")
    assert stage.wait(Over, earlier).exit_code == 5
    stage.sh("exit 4", run=later)
    assert stage.wait(Over, later).exit_code == 4


# --- ending and pausing ------------------------------------------------------------------


def test_a_signal_reaches_every_process_of_the_job(stage: Stage):
    stage.sh("sh -c 'trap \"echo child; exit\" TERM; echo $$ > pid; while :; do sleep 0.01; done' & "
             "trap 'wait; echo parent; exit 5' TERM; wait")
    stage.pid_from("pid")
    stage.signal(signal.SIGTERM)
    assert stage.wait(Over).exit_code == 5
    assert stage.written("stdout") == "child\nparent\n"


def test_a_job_that_ignores_signals_is_killed(stage: Stage):
    stage.sh("trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done")
    stage.pid_from("pid")
    stage.signal(signal.SIGTERM)
    stage.kill()
    over = stage.wait(Over)
    assert (over.signal, over.out_of_memory) == (signal.SIGKILL, False)


def test_a_suspended_job_stands_still_until_it_is_resumed(stage: Stage):
    stage.start(PYTHON, "-S", "-c", WAITER)
    pid = stage.pid_from("pid")
    stage.suspend()
    stage.until(lambda: state_of(pid) == "T")
    stage.signal(signal.SIGUSR1)
    assert state_of(pid) == "T"
    stage.resume()
    assert stage.wait(Over).exit_code == 6


def test_what_has_left_a_suspended_jobs_group_stands_still_too(stage: Stage):
    stage.sh("(setsid sh -c 'echo $$ > pid; while :; do :; done' &) ; while [ ! -s pid ]; do sleep 0.01; done; "
             "echo $$ > main; exec sleep 300")
    pid, main = stage.pid_from("pid"), stage.pid_from("main")
    stage.suspend()
    stage.until(lambda: (state_of(pid), state_of(main)) == ("T", "T"))
    stage.resume()
    stage.until(lambda: "T" not in (state_of(pid), state_of(main)))
    stage.kill()
    stage.wait(Over)


def test_what_a_job_leaves_in_its_group_is_gone_when_it_is_over(stage: Stage):
    stage.sh("sleep 300 & echo $! > pid; exit 0")
    assert stage.wait(Over).exit_code == 0
    assert not is_alive(stage.pid_from("pid"))


def test_what_escapes_into_a_session_of_its_own_is_gone_when_the_job_is_over(stage: Stage):
    stage.sh("(setsid sh -c 'echo $$ > pid; exec sleep 300' &) ; while [ ! -s pid ]; do sleep 0.01; done; exit 4")
    assert stage.wait(Over).exit_code == 4
    assert not is_alive(stage.pid_from("pid"))


def test_what_escapes_with_a_cleared_environment_is_gone_when_the_job_is_over(stage: Stage):
    stage.sh("(setsid env -i /bin/sh -c 'echo $$ > pid; /bin/sleep 300 & wait' &) ; "
             "while [ ! -s pid ]; do sleep 0.01; done; exit 4")
    assert stage.wait(Over).exit_code == 4
    assert not is_alive(stage.pid_from("pid"))


def test_a_killed_job_takes_what_escaped_along(stage: Stage):
    stage.sh("(setsid sh -c 'echo $$ > pid; exec sleep 300' &) ; sleep 300")
    pid = stage.pid_from("pid")
    stage.kill()
    assert stage.wait(Over).signal == signal.SIGKILL
    assert not is_alive(pid)


def test_a_daemon_of_one_job_survives_the_end_of_another(stage: Stage):
    other = RunId(2, 0, 1)
    stage.sh("(setsid sh -c 'echo $$ > pid; exec sleep 300' &) ; sleep 300")
    pid = stage.pid_from("pid")
    stage.sh("exit 0", run=other)
    stage.wait(Over, other)
    assert is_alive(pid)
    stage.kill()
    stage.wait(Over)
    assert not is_alive(pid)


# --- limits ------------------------------------------------------------------------------


def test_a_job_above_its_memory_is_told_with_what_it_uses(stage: Stage):
    stage.start(PYTHON, "-S", "-c", EATER.format(mib=120), memory_limit_mib=64)
    while not (usage := stage.wait(Usage)).over_memory:
        pass
    assert usage.memory_mib > 64
    stage.kill()
    assert stage.wait(Over).peak_memory_mib > 64


def test_memory_is_that_of_all_processes_of_the_job(stage: Stage):
    eater = EATER.format(mib=50).replace("'full'", "'full' + str(__import__('os').getpid())")
    (stage.sandbox() / "work" / "eater.py").write_text(eater)
    stage.sh(f"for i in 1 2 3; do {PYTHON} -S eater.py & done; wait", memory_limit_mib=130)
    while not (usage := stage.wait(Usage)).over_memory:
        pass
    assert usage.memory_mib > 130
    stage.kill()
    stage.wait(Over)


def test_memory_that_processes_share_is_counted_once(stage: Stage):
    sharer = ("import os, time\nheap = b'x' * 60_000_000\n"
              "for _ in range(3):\n    if os.fork() == 0: break\n"
              "time.sleep(60)")
    stage.start(PYTHON, "-S", "-c", sharer, memory_limit_mib=100)
    while (usage := stage.wait(Usage)).memory_mib < 57:
        assert not usage.over_memory
    usages = [stage.wait(Usage) for _ in range(3)]
    assert not any(usage.over_memory for usage in usages)
    stage.kill()
    stage.wait(Over)


def test_a_job_above_its_disk_is_told_with_what_it_uses(stage: Stage):
    stage.sh("for i in 1 2 3 4; do head -c 400000 /dev/zero > part$i; done; sleep 300", disk_limit_kib=1024)
    while not (usage := stage.wait(Usage)).over_disk:
        pass
    assert usage.disk_kib > 1024
    stage.kill()
    assert stage.wait(Over).peak_disk_kib > 1024


def test_files_without_a_name_count_as_long_as_they_are_open(stage: Stage):
    stage.sh("for i in 3 4 5 6; do eval \"exec $i>part\"; head -c 400000 /dev/zero >&$i; rm part; done; sleep 300",
             disk_limit_kib=1024)
    while not (usage := stage.wait(Usage)).over_disk:
        pass
    assert usage.disk_kib > 1024
    stage.kill()
    stage.wait(Over)


def test_one_file_cannot_grow_beyond_the_disk_limit(stage: Stage):
    stage.start("/usr/bin/head", "-c", "3000000", "/dev/zero", disk_limit_kib=1024)
    assert stage.wait(Over).signal == signal.SIGXFSZ
    assert (stage.sandbox() / "stdout").stat().st_size == 1024 * 1024


def test_a_limit_of_one_job_is_not_that_of_the_next(stage: Stage):
    other = RunId(2, 0, 1)
    stage.sh("ulimit -f", disk_limit_kib=1024)
    stage.sh("ulimit -f", run=other)
    stage.wait(Over)
    stage.wait(Over, other)
    assert stage.written("stdout") == "2048\n"
    assert stage.written("stdout", other) == "unlimited\n"


# --- a startd that dies and comes back ---------------------------------------------------


def test_a_run_goes_on_while_the_startd_is_away(stage: Stage):
    stage.sh("echo $$ > pid; trap 'exit 9' USR1; while :; do sleep 0.01; done")
    pid = stage.pid_from("pid")
    main = stage.wait(Begun).pid
    stage.die()
    assert stage.open() == {RUN}
    assert stage.wait(Begun).pid == main
    os.kill(pid, signal.SIGUSR1)
    assert stage.wait(Over).exit_code == 9


def test_an_exit_code_that_nobody_was_there_to_hear_is_told_later(stage: Stage):
    stage.sh("mkfifo gate; echo $$ > pid; read line < gate; exit 11")
    pid = stage.pid_from("pid")
    stage.die()
    with open(stage.sandbox() / "work" / "gate", "w") as gate:
        gate.write("go\n")
    stage.until(lambda: not is_alive(pid))
    stage.open()
    assert stage.wait(Over).exit_code == 11


def test_a_start_asked_again_after_a_restart_starts_nothing_new(stage: Stage):
    stage.sh("echo once >> twice; exit 2")
    assert stage.wait(Over).exit_code == 2
    stage.die()
    stage.open()
    stage.sh("echo once >> twice; exit 2")
    assert stage.wait(Over).exit_code == 2
    assert stage.written("work/twice") == "once\n"


def test_a_removed_run_is_not_found_again(stage: Stage):
    stage.sh("exit 0")
    stage.wait(Over)
    stage.remove()
    stage.sh("exit 0", run=RunId(2, 0, 1))
    stage.wait(Over, RunId(2, 0, 1))
    stage.die()
    assert stage.open() == {RunId(2, 0, 1)}


def test_limits_hold_again_after_a_restart(stage: Stage):
    stage.start(PYTHON, "-S", "-c", EATER.format(mib=120), memory_limit_mib=4096)
    stage.wait(Begun)
    stage.die()
    stage.open()
    stage.wait(Begun)
    stage.watch(memory_limit_mib=64)
    while not stage.wait(Usage).over_memory:
        pass
    stage.kill()
    assert stage.wait(Over).signal == signal.SIGKILL


# --- looking inside ----------------------------------------------------------------------


def test_a_command_is_started_in_the_place_of_a_run(stage: Stage):
    os.mkfifo(stage.sandbox() / "work" / "gate")
    stage.start("/bin/sh", "-c", "echo its own > mine; echo begun > begun; read line < gate",
                environment={"PATH": "/usr/bin:/bin", "COLOUR": "blue"})
    stage.wait(Begun)
    stage.until(lambda: (stage.sandbox() / "work" / "begun").exists())
    seen = stage.look("/bin/sh", "-c", "pwd; cat mine; echo $COLOUR $MOOD; exit 3", MOOD="fine")
    assert (seen.returncode, seen.stdout, seen.stderr) == (3, f"{stage.work()}\nits own\nblue fine\n", "")
    stage.kill()
    stage.wait(Over)
    assert stage.runtime.inside(RUN, Command(["true"], {})) is None


def test_one_cannot_look_inside_what_does_not_run(stage: Stage):
    assert stage.runtime.inside(RUN, Command(["true"], {})) is None
