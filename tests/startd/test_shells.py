"""Shells with real porters, terminals and pipes; the test is schedd and user in one."""

import asyncio
import os
import select
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from contract.shells import (
    CHUNK_BYTES,
    MOST_ON_THEIR_WAY,
    WINDOW_BYTES,
    CloseShell,
    OpenShell,
    ShellInput,
    ShellOutput,
    ShellOver,
    ShellResized,
    ShellTaken,
    cost,
)
from startd.runtime.interface import Command
from startd.shells import MOST_IN_RUN, MOST_ON_MACHINE, TURN_BYTES, Shells
from tests.builders import a_run

WAIT_SECONDS = 60.0
RUN = a_run()


class Desk:
    """Where somebody sits who opens shells; reads what comes, and says so unless told not to."""

    def __init__(self, folder: Path, **how) -> None:
        self.folder = folder
        self.reads = True
        self.out: dict[int, bytes] = {}
        self.err: dict[int, bytes] = {}
        self.over: dict[int, ShellOver] = {}
        self.taken: dict[int, int] = {}
        self.received = 0
        self._news = asyncio.Event()
        self.shells = Shells(self._news.set, **how)

    def open(self, *argv: str, tty: bool = False, shell: int = 1, run=RUN, rows: int = 24, term: str = "vt100") -> None:
        self.out[shell] = self.err[shell] = b""
        self.shells.open(OpenShell(shell, run, list(argv), tty, rows, 80, term), self._inside)

    def sh(self, script: str, **how) -> None:
        self.open("/bin/sh", "-c", script, **how)

    def type(self, text: bytes, last: bool = False, shell: int = 1) -> None:
        self.shells.heard(ShellInput(shell, text, last))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                self.listen()
                if holds():
                    return
                await self._news.wait()
                self._news.clear()

    async def sees(self, text: bytes, shell: int = 1) -> None:
        await self.until(lambda: text in self.out[shell])

    async def end(self, shell: int = 1) -> ShellOver:
        await self.until(lambda: shell in self.over)
        return self.over[shell]

    async def number(self, shell: int = 1) -> int:
        """A number that the command says on a line of its own."""
        await self.sees(b"\n", shell)
        return int(self.out[shell])

    def _inside(self, run, command: Command) -> Command | None:
        if run.cluster == 404:
            return None
        environment = {"PATH": os.environ["PATH"], "PESC_RANK": "7"} | command.environment
        return Command(command.argv, environment, command.tty, str(self.folder))

    def listen(self) -> None:
        for message in self.shells.outgoing():
            match message:
                case ShellOutput(shell, data, error):
                    assert shell not in self.over, "output after the end"
                    seen = self.err if error else self.out
                    seen[shell] += data
                    self.received += cost(data)
                    if self.reads:
                        self.shells.heard(ShellTaken(shell, cost(data)))
                case ShellTaken(shell, taken):
                    self.taken[shell] = self.taken.get(shell, 0) + taken
                case ShellOver():
                    self.over[message.shell] = message


@pytest.fixture
def sit(tmp_path: Path):
    """Play a story at a desk."""
    def sit(story: Callable[[Desk], Awaitable[None]], **how) -> None:
        async def whole() -> None:
            desk = Desk(tmp_path, **how)
            try:
                await story(desk)
            finally:
                desk.shells.clear()

        asyncio.run(whole())
    return sit


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def wait_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], WAIT_SECONDS)[0]
    os.close(descriptor)


# --- without a terminal ------------------------------------------------------------------


def test_stdout_and_stderr_come_apart_and_the_exit_code_last(sit):
    async def story(desk: Desk) -> None:
        desk.sh("echo out; echo err >&2; exit 3")
        assert await desk.end() == ShellOver(1, 3)
        assert (desk.out[1], desk.err[1]) == (b"out\n", b"err\n")

    sit(story)


def test_it_starts_in_the_folder_and_environment_of_the_run(sit, tmp_path):
    async def story(desk: Desk) -> None:
        desk.sh("pwd; echo $PESC_RANK; echo ${TERM-none}")
        await desk.end()
        assert desk.out[1].decode().split() == [str(tmp_path), "7", "none"]

    sit(story)


def test_every_byte_comes_through_as_it_is(sit):
    everything = bytes(range(256)) * 2000

    async def story(desk: Desk) -> None:
        desk.open("cat")
        for begin in range(0, len(everything), CHUNK_BYTES):
            piece = everything[begin : begin + CHUNK_BYTES]
            desk.type(piece)
            sent = begin + len(piece) + 256 * (begin // CHUNK_BYTES + 1)
            await desk.until(lambda sent=sent: desk.taken.get(1, 0) == sent)
        desk.type(b"", last=True)
        assert await desk.end() == ShellOver(1, 0)
        assert desk.out[1] == everything

    sit(story)


def test_the_signal_that_ended_it_is_told(sit):
    async def story(desk: Desk) -> None:
        desk.sh("kill -SEGV $$")
        assert await desk.end() == ShellOver(1, signal=signal.SIGSEGV)

    sit(story)


def test_without_a_command_a_shell_reads_what_is_piped_in(sit):
    async def story(desk: Desk) -> None:
        desk.open()
        desk.type(b"echo $((6 * 7)); exit 5\n", last=True)
        assert (await desk.end()).code == 5
        assert desk.out[1] == b"42\n"

    sit(story)


def test_what_cannot_be_started_is_said_with_the_number_of_a_shell(sit, tmp_path):
    (tmp_path / "plain").write_text("words")

    async def story(desk: Desk) -> None:
        desk.open("no-such-command")
        assert await desk.end() == ShellOver(1, 127, started=False,
                                              message="no-such-command: No such file or directory.")
        desk.open("./plain", shell=2)
        assert await desk.end(2) == ShellOver(2, 126, message="./plain: Permission denied.", started=False)
        desk.open("true", shell=3, run=a_run(404))
        assert await desk.end(3) == ShellOver(
            3, message="Run 404.0#1 does not run here any more.", started=False)

    sit(story)


def test_a_command_has_no_descriptor_but_its_own_and_signals_are_as_usual(sit):
    async def story(desk: Desk) -> None:
        desk.open(sys.executable, "-S", "-c", "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")
        await desk.end()
        assert desk.out[1] == b"[0, 1, 2]\n"
        desk.sh("grep -E 'SigIgn|SigBlk' /proc/self/status", shell=2)
        await desk.end(2)
        of_the_c_library = 1 << 31 | 1 << 32  # two numbers that nobody else can set
        blocked, ignored = (int(line.split()[1], 16) for line in desk.out[2].decode().splitlines())
        assert (blocked, ignored & ~of_the_c_library) == (0, 0)

    sit(story)


# --- with a terminal ---------------------------------------------------------------------


def test_a_terminal_has_the_size_and_kind_of_the_users(sit):
    async def story(desk: Desk) -> None:
        desk.sh("tty; stty size; echo $TERM", tty=True, rows=33)
        assert (await desk.end()).code == 0
        name, size, term = desk.out[1].decode().split("\r\n")[:3]
        assert (name.startswith("/dev/pts/"), size, term) == (True, "33 80", "vt100")

    sit(story)


def test_a_window_that_changes_is_told(sit):
    program = ("import os, signal\n"
               "signal.signal(signal.SIGWINCH, lambda *_: (print(os.get_terminal_size()), os._exit(0)))\n"
               "print('ready', flush=True)\n"
               "while True: signal.pause()")

    async def story(desk: Desk) -> None:
        desk.open(sys.executable, "-S", "-u", "-c", program, tty=True)
        await desk.sees(b"ready")
        desk.shells.heard(ShellResized(1, 50, 132))
        await desk.end()
        assert b"columns=132, lines=50" in desk.out[1]

    sit(story)


def test_ctrl_c_interrupts_the_command_and_not_the_shell(sit):
    async def story(desk: Desk) -> None:
        desk.open(tty=True)
        desk.type(b"sh -c 'trap \"echo cau\"\"ght; exit 5\" INT; echo rea\"\"dy; while :; do sleep 9; done'; "
                  b"echo sta''tus $?; exit 4\n")
        await desk.sees(b"ready")
        desk.type(b"\x03")
        assert (await desk.end()).code == 4
        assert b"caught" in desk.out[1]
        assert b"status 5" in desk.out[1]

    sit(story)


def test_ctrl_d_ends_a_shell(sit):
    async def story(desk: Desk) -> None:
        desk.open("/bin/sh", tty=True)
        desk.type(b"\x04")
        assert (await desk.end()).code == 0

    sit(story)


def test_the_end_of_what_is_piped_into_a_terminal_is_told_as_ctrl_d(sit):
    async def story(desk: Desk) -> None:
        desk.sh("stty -echo; cat", tty=True)
        desk.type(b"a line\n", last=True)
        assert (await desk.end()).code == 0
        assert b"a line\r\n" in desk.out[1]

    sit(story)


def test_a_kind_of_terminal_that_is_no_word_is_not_believed(sit):
    async def story(desk: Desk) -> None:
        desk.sh("echo $TERM", tty=True, term="x\n/../y")
        await desk.end()
        assert desk.out[1] == b"xterm\r\n"

    sit(story)


# --- bounds ------------------------------------------------------------------------------


def test_a_slow_reader_stops_the_command_and_not_the_others(sit):
    async def story(desk: Desk) -> None:
        desk.reads = False
        desk.sh("exec yes")
        await desk.until(lambda: desk.received >= WINDOW_BYTES)
        desk.sh("echo other", shell=2)
        assert (await desk.end(2)).code == 0
        assert desk.received <= MOST_ON_THEIR_WAY + cost(b"other\n")

    sit(story)


def test_much_output_comes_whole_though_the_command_ends_long_before(sit):
    async def story(desk: Desk) -> None:
        desk.reads = False
        desk.sh("head -c 300000 /dev/zero")
        await desk.until(lambda: desk.received >= WINDOW_BYTES)
        desk.reads = True
        desk.shells.heard(ShellTaken(1, desk.received))
        assert (await desk.end()).code == 0
        assert desk.out[1] == bytes(300_000)

    sit(story)


def test_one_turn_carries_no_more_than_its_share(sit):
    async def story(desk: Desk) -> None:
        desk.reads = False
        desk.sh("exec yes")
        await desk.until(lambda: desk.received > 0)
        turns = []

        def next_turn() -> bool:
            turns.append(sum(cost(message.data) for message in desk.shells.outgoing()))
            return desk.received + sum(turns) >= WINDOW_BYTES

        await desk.until(next_turn)
        assert max(turns) < TURN_BYTES + cost(bytes(CHUNK_BYTES))

    sit(story)


def test_input_that_nobody_reads_is_not_asked_for_and_more_ends_the_shell(sit):
    async def story(desk: Desk) -> None:
        desk.sh("echo ready; exec sleep 600")
        await desk.sees(b"ready")
        for _ in range(WINDOW_BYTES // CHUNK_BYTES):
            desk.type(bytes(CHUNK_BYTES))
        desk.listen()
        assert desk.taken.get(1, 0) <= 2 * cost(bytes(CHUNK_BYTES))  # what a pipe holds
        for _ in range(4):
            desk.type(bytes(CHUNK_BYTES))
        assert (await desk.end()).message == "The shell was ended: more was sent than was asked for."

    sit(story)


def test_input_for_a_command_that_reads_no_more_is_thrown_away(sit, tmp_path):
    async def story(desk: Desk) -> None:
        desk.sh("exec <&-; echo ready; read line < gate")
        await desk.sees(b"ready")
        for turn in range(1, 40):
            desk.type(bytes(CHUNK_BYTES))
            await desk.until(lambda turn=turn: desk.taken.get(1, 0) == turn * cost(bytes(CHUNK_BYTES)))
        await asyncio.to_thread(gate.write_text, "go\n")
        await desk.end()

    gate = tmp_path / "gate"
    os.mkfifo(gate)
    sit(story)


def test_no_more_shells_than_allowed_are_open_in_a_run_and_on_a_machine(sit):
    async def story(desk: Desk) -> None:
        for shell in range(MOST_IN_RUN):
            desk.open("cat", shell=shell)
        desk.open("cat", shell=100)
        assert not (await desk.end(100)).started
        assert desk.over[100].message == f"Job 1.0 has {MOST_IN_RUN} shells open already, and no more are allowed."
        for shell in range(MOST_IN_RUN, MOST_ON_MACHINE):
            desk.open("cat", shell=shell, run=a_run(shell))
        desk.open("cat", shell=101, run=a_run(99))
        assert "This machine has" in (await desk.end(101)).message
        desk.type(b"", last=True, shell=0)
        await desk.end(0)
        desk.open("true", shell=102, run=a_run(99))
        assert (await desk.end(102)).code == 0

    sit(story)


def test_a_shell_that_nobody_uses_is_ended(sit):
    async def story(desk: Desk) -> None:
        desk.open("cat")
        assert (await desk.end()).message.startswith("The shell was ended: nothing was typed or shown for ")

    sit(story, idle_seconds=0.05)


# --- the end -----------------------------------------------------------------------------

ESCAPE = "setsid sh -c 'sleep 600 & echo $!; exec >&-; wait' & wait"


def test_nothing_stays_behind_when_the_command_is_over(sit):
    async def story(desk: Desk) -> None:
        desk.sh("(setsid sleep 600 >&- 2>&- & echo $!)")
        pid = await desk.number()
        assert (await desk.end()).code == 0
        assert gone(pid)

    sit(story)


@pytest.mark.parametrize("tty", [False, True])
def test_the_shell_ends_with_its_run(sit, tty):
    async def story(desk: Desk) -> None:
        desk.sh(ESCAPE, tty=tty)
        pid = await desk.number()
        desk.shells.end_run(a_run(2), "another job is over.")
        desk.shells.end_run(RUN, "job 1.0 is over.")
        assert await desk.end() == ShellOver(1, message="The shell was ended: job 1.0 is over.")
        assert gone(pid)

    sit(story)


def test_the_shell_ends_when_its_user_is_gone(sit):
    async def story(desk: Desk) -> None:
        desk.sh(ESCAPE)
        pid = await desk.number()
        desk.shells.heard(CloseShell(1))
        await desk.end()
        assert gone(pid)

    sit(story)


def test_the_shell_ends_when_the_connection_breaks_and_nothing_of_it_is_said_on_the_next(sit):
    async def story(desk: Desk) -> None:
        desk.sh(ESCAPE)
        pid = await desk.number()
        desk.sh("exec yes", shell=2)
        desk.shells.clear()
        await asyncio.to_thread(wait_gone, pid)
        desk.sh("echo next", shell=1)
        assert (await desk.end(1)).code == 0
        assert (desk.out[1], desk.over.keys()) == (b"next\n", {1})

    sit(story)


# --- giving way --------------------------------------------------------------------------


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for_state(pid: int, states: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while state_of(pid) not in states:
        assert time.monotonic() < deadline


def test_a_shell_stands_still_with_its_run_and_all_it_has_started(sit):
    async def story(desk: Desk) -> None:
        desk.sh("(setsid sh -c 'echo $$; while :; do :; done' &); while read word; do echo $word; done")
        child = await desk.number()
        desk.shells.stand_still(a_run(8))
        assert state_of(child) != "T"
        desk.shells.stand_still(RUN)
        wait_for_state(child, "T")
        desk.type(b"still there\n")
        desk.shells.go_on(RUN)
        wait_for_state(child, "RS")
        await desk.sees(b"still there")
        desk.shells.stand_still(RUN)
        desk.shells.end_run(RUN, "job 1.0 is over.")
        assert "job 1.0 is over" in (await desk.end()).message
        wait_gone(child)

    sit(story)


def test_a_program_that_stood_still_is_not_one_that_its_user_has_stopped(sit):
    async def story(desk: Desk) -> None:
        desk.open("/bin/bash", "--norc", "-i", tty=True)
        desk.type(b"PS1=; sh -c 'echo begun; read word; echo got $word'\n")
        await desk.sees(b"begun\r\n")
        for _ in range(5):
            desk.shells.stand_still(RUN)
            desk.shells.go_on(RUN)
        desk.type(b"it\n")
        await desk.sees(b"got it")
        assert b"Stopped" not in desk.out[1]
        desk.type(b"sh -c 'echo $$; kill -STOP $$; exit 0'\n")
        await desk.sees(b"Stopped")
        desk.shells.stand_still(RUN)
        desk.shells.go_on(RUN)
        desk.type(b"jobs; echo 'is'that\n")
        await desk.sees(b"isthat")
        assert desk.out[1].count(b"Stopped") == 2

    sit(story)


def test_no_shell_is_opened_beside_a_run_that_stands_still(sit):
    async def story(desk: Desk) -> None:
        desk.sh("echo no")
        over = await desk.end()
        assert (over.started, "Job 1.0 stands still" in over.message) == (False, True)

    sit(story, is_halted=lambda run: run == RUN)


def test_whoever_kills_the_porter_has_ended_the_shell(sit):
    async def story(desk: Desk) -> None:
        desk.sh("kill -9 $PPID; exec cat")
        assert (await desk.end()).message == "The shell was ended: its parent was killed."

    sit(story)


def test_words_for_a_shell_that_is_over_are_too_late(sit):
    async def story(desk: Desk) -> None:
        desk.open("true")
        await desk.end()
        for message in (ShellInput(1, b"x"), ShellResized(1, 1, 1), ShellTaken(1, 5), CloseShell(1)):
            desk.shells.heard(message)
        assert desk.shells.outgoing() == []

    sit(story)


def test_numbers_out_of_range_do_no_harm(sit):
    async def story(desk: Desk) -> None:
        desk.sh("read line; stty size", tty=True, rows=2**62)
        desk.shells.heard(ShellTaken(1, -(2**62)))
        desk.shells.heard(ShellResized(1, -5, 2**40))
        desk.type(b"\n")
        await desk.end()
        assert b"1 10000" in desk.out[1]

    sit(story)
