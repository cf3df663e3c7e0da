"""pesc_exec as people use it: at a terminal, in a pipe, and when something of the way breaks."""

import contextlib
import fcntl
import hashlib
import os
import random
import signal
import struct
import subprocess
import termios

import pytest

from tests.system.house import COMMANDS, Living


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, house, *call, rows=30, columns=100):
        self._descriptor, theirs = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._descriptor)
        self._seen = b""
        self.child = house.begin("setsid", "--ctty", COMMANDS / call[0] if call[0].startswith("pesc") else call[0],
                                 *call[1:], stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)

    def resize(self, rows, columns):
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self._descriptor, text.encode())

    def sees(self, text):
        """Wait for `text`; return what stood before it."""
        while text.encode() not in self._seen:
            self._seen += os.read(self._descriptor, 65536)
        before, _, self._seen = self._seen.partition(text.encode())
        return before.decode()

    @property
    def is_as_before(self):
        return termios.tcgetattr(self._descriptor) == self.before

    def end(self):
        """Its exit status, and what it said at last."""
        with contextlib.suppress(OSError):
            while piece := os.read(self._descriptor, 65536):
                self._seen += piece
        code = self.child.wait()
        assert self.is_as_before
        os.close(self._descriptor)
        return code, self._seen.decode()


class Running:
    """A job that runs until it is let go."""

    def __init__(self, house):
        self.house = house
        self.said, self.gate = house.pipe(f"said-{random.random()}"), house.pipe(f"gate-{random.random()}")
        house.write("job.sh", f"#!/bin/sh\necho kept > mine.txt\necho begun > {self.said.path}\n"
                              f"read line < {self.gate.path}\n", executable=True)
        self.cluster = house.submit("executable = job.sh\nenvironment = \"COLOUR=blue\"\nqueue\n")
        self.id = f"{self.cluster}.0"
        assert self.said.line() == "begun"
        house.until(self.cluster, "executing")

    def exec(self, *words, stdin=b""):
        """Run `pesc_exec` on it without a terminal."""
        return subprocess.run([COMMANDS / "pesc_exec", *words], input=stdin, capture_output=True,
                              env=self.house.environment, cwd=self.house.folder, check=False)

    def begin(self, *words, **how):
        return self.house.begin(COMMANDS / "pesc_exec", *words, **how)

    def end(self):
        self.gate.let(1)
        self.house.wait(self.cluster)


@pytest.fixture
def job(pool):
    job = Running(pool)
    yield job
    job.end()


# --- at a terminal ---


def test_a_shell_at_a_terminal_is_a_shell_where_the_job_runs(pool, job):
    terminal = Terminal(pool, "pesc_exec", job.id)
    terminal.sees("# " if os.geteuid() == 0 else "$ ")
    terminal.type("stty size; cat mine.txt; echo $COLOUR $PESC_RANK; echo rea''dy\n")
    said = terminal.sees("ready").split()
    assert said[-5:] == ["30", "100", "kept", "blue", "0"]
    terminal.resize(44, 122)
    terminal.type("while [ \"$(stty size)\" != '44 122' ]; do :; done; echo resi''zed\n")
    terminal.sees("resized")
    terminal.type("sh -c 'trap \"echo cau\"\"ght; exit 5\" INT; echo wait\"\"ing; while :; do cat; done'; "
                  "echo sta''tus $?\n")
    terminal.sees("waiting")
    terminal.type("\x03")
    terminal.sees("caught")
    terminal.sees("status 5")
    assert not terminal.is_as_before
    terminal.type("exit 7\n")
    terminal.sees("exit 7")
    assert terminal.end()[0] == 7


def test_ctrl_d_leaves_and_the_terminal_is_as_before(pool, job):
    there = "sh -c 'echo re\"\"ady; exec cat'"
    terminal = Terminal(pool, "sh", "-c", f"{COMMANDS / 'pesc_exec'} {job.id} {there}; echo code $?; read line")
    terminal.sees("ready")
    terminal.type("hello\n")
    terminal.sees("hello\r\nhello\r\n")
    terminal.type("\x04")
    terminal.sees("code 0")
    assert terminal.is_as_before
    terminal.type("\n")
    assert terminal.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_as_before_when_the_command_is_told_to_end(pool, job, number):
    terminal = Terminal(pool, "pesc_exec", job.id, "sh", "-c", "echo ready; exec cat")
    terminal.sees("ready")
    terminal.child.send_signal(number)
    assert terminal.end()[0] == 128 + number


def test_a_job_that_ends_takes_its_shells_along(pool):
    job = Running(pool)
    terminal = Terminal(pool, "pesc_exec", job.id)
    terminal.type("echo rea''dy\n")
    terminal.sees("ready")
    job.end()
    code, said = terminal.end()
    assert (code, f"pesc_exec: The shell was ended: job {job.id} is over." in said) == (255, True)


# --- in a pipe ---


def test_bytes_go_in_and_come_out_as_they_are(pool, job):
    content = random.Random(7).randbytes(3_000_000)
    done = job.exec(job.id, "--", "sh", "-c", "tee copy; echo done >&2", stdin=content)
    assert (done.returncode, done.stderr) == (0, b"done\n")
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(content).digest()
    assert job.exec(job.id, "cat", "copy").stdout == content


def test_the_end_of_a_command_becomes_the_end_of_ours(pool, job):
    assert job.exec(job.id, "sh", "-c", "exit 3").returncode == 3
    assert job.exec(job.id, "sh", "-c", "kill -USR1 $$").returncode == 128 + signal.SIGUSR1
    missing = job.exec(job.id, "no-such-command")
    assert (missing.returncode, missing.stderr) == (127, b"pesc_exec: no-such-command: No such file or directory.\n")
    assert job.exec(job.id, stdin=b"exit 5").returncode == 5


def test_a_terminal_can_be_asked_for_and_refused(pool, job):
    assert job.exec("--tty", job.id, "sh", "-c", "test -t 0 && stty size").stdout == b"24 80\r\n"
    terminal = Terminal(pool, "pesc_exec", "--no-tty", job.id, "sh", "-c", "test -t 0 || echo none; cat")
    terminal.sees("none")
    terminal.type("line\n\x04")
    assert terminal.end()[0] == 0


def test_whoever_reads_no_more_ends_the_command(pool, job):
    child = job.begin(job.id, "yes", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.read(4) == b"y\ny\n"
    child.stdout.close()
    assert (child.wait(), child.stderr.read()) == (141, b"")
    pool.until(job.cluster, "exec_ended")


def test_a_slow_reader_fills_nobodys_memory_and_holds_nobody_up(pool, job):
    daemons = [pool.daemon("schedd"), pool.daemon("startd")]
    before = [resident_mib(daemon.pid) for daemon in daemons]
    slow = job.begin(job.id, "cat", "/dev/zero", stdout=subprocess.PIPE)
    assert len(slow.stdout.read(1_000_000)) == 1_000_000
    for _ in range(3):
        assert job.exec(job.id, "head", "-c", "1000000", "/dev/zero").stdout == bytes(1_000_000)
    pool.wait(pool.submit("executable = /bin/true\nqueue 20\n"))
    assert slow.poll() is None
    for daemon, then in zip(daemons, before, strict=True):
        assert resident_mib(daemon.pid) < then + 30
        daemon.close()
    slow.terminate()
    slow.wait()


def resident_mib(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


def test_a_job_that_does_not_run_is_refused_with_its_state(pool):
    cluster = pool.submit("executable = /bin/true\nrequirements = TARGET.Cpus > 100000\nqueue\n")
    refused = pool("exec", f"{cluster}.0", "true")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"pesc_exec: Job {cluster}.0 is idle: there is nothing to look into.\n")
    pool.do("rm", cluster)
    assert "is removed" in pool("exec", f"{cluster}.0", "true").err


# --- when something of the way breaks ---


def test_the_command_on_the_machine_ends_with_ours(pool, job):
    child = job.begin(job.id, "sh", "-c", f"setsid sh -c 'echo $$ > {job.said.path}; exec cat /dev/zero' & wait",
                      stdout=subprocess.PIPE)
    there = Living(int(job.said.line()))
    child.kill()
    there.ended()
    there.close()
    [event] = pool.until(job.cluster, "exec_ended")
    assert event.detail["reason"] == "The shell was ended: its user hung up."


@pytest.mark.parametrize(("daemon", "words"), [
    ("schedd", "The connection to the schedd broke"), ("startd", "the connection to its machine broke")])
def test_a_daemon_that_is_killed_ends_the_shell_and_not_the_job(house, daemon, words):
    house.start("--cpus", "1")
    job = Running(house)
    child = job.begin(job.id, "sh", "-c", f"echo $$ > {job.said.path}; read line < {house.pipe('never').path}",
                      stderr=subprocess.PIPE)
    there = Living(int(job.said.line()))
    house.daemon(daemon).kill()
    assert child.wait() == 255
    assert words in child.stderr.read().decode()
    there.ended()
    there.close()
    house.start("--cpus", "1")
    while (again := job.exec(job.id, "sh", "-c", "echo $COLOUR; cat mine.txt")).returncode:
        assert b"out of touch" in again.stderr
    assert again.stdout == b"blue\nkept\n"   # also of a run that was found again, all is as at its start
    job.end()
    assert [ad["ExitCode"] for ad in house.history(job.cluster)] == [0]


def test_a_pool_that_is_stopped_ends_the_shell_with_words(house):
    house.start("--cpus", "1")
    job = Running(house)
    terminal = Terminal(house, "pesc_exec", job.id)
    terminal.type("echo rea''dy\n")
    terminal.sees("ready")
    house.stop()
    code, said = terminal.end()
    assert code == 255
    assert "The shell was ended: " in said
