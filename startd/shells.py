"""The shells that people have open in the places of runs.

`contract.shells` has what is said and the rules; `runtime.porter` is the parent of each shell.
A shell's life: `open` starts it, what the user types goes in as fast as it is read, what it
writes goes out as far as the window allows; when its porter has ended and all of its output was
said, `ShellOver` is. A shell that is cut short (its run is over, its user gone) is killed first.

Nothing here waits: descriptors are watched by the event loop, and what is to be said piles up,
bounded by the window, until `outgoing` takes it.
"""

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections import deque
from collections.abc import Callable
from pathlib import Path

from contract.messages import FromStartd
from contract.shells import (
    CHUNK_BYTES,
    MOST_ON_THEIR_WAY,
    MOST_ROWS,
    SHELL,
    WINDOW_BYTES,
    CloseShell,
    OpenShell,
    ShellInput,
    ShellOutput,
    ShellOver,
    ShellResized,
    ShellTaken,
    ToShell,
    cost,
)
from contract.vocabulary import RunId
from startd.runtime import procfs
from startd.runtime.interface import Command

log = logging.getLogger(__name__)

MOST_ON_MACHINE = 8
MOST_IN_RUN = 3
IDLE_SECONDS = 12 * 3600.0
TURN_BYTES = 64 * 1024
"""What all shells together may put into one turn of the connection, so that ends of runs never wait behind them."""

LAST_WORDS_SECONDS = 1.0
"""What a shell that is over wrote is there; a descriptor that somebody else still holds is not waited for longer."""

ROOT = Path(__file__).resolve().parents[1]
PORTER = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from startd.runtime.porter import main; main()"
TERM = re.compile(r"[A-Za-z0-9._+-]{1,64}")
END_OF_INPUT = b"\x04"
"""Ctrl-D: how a terminal is told that there is no more."""

MOST_PASSES = 20
"""How often to look for processes that were started while the others were being stopped."""

NOT_FOUND, NOT_EXECUTABLE = 127, 126


class Shells:
    """All shells of this machine. `changed` is called whenever there is something to say."""

    def __init__(self, changed: Callable[[], None], idle_seconds: float = IDLE_SECONDS,
                 is_halted: Callable[[RunId], bool] = lambda run: False) -> None:
        self._changed = changed
        self._idle_seconds = idle_seconds
        self._is_halted = is_halted
        self._shells: dict[int, _Shell] = {}
        self._said: deque[FromStartd] = deque()

    def open(self, asked: OpenShell, inside: Callable[[RunId, Command], Command | None]) -> None:
        """Start what is asked for; `inside` says how that is done in the place of a run."""
        term = asked.term if TERM.fullmatch(asked.term) else "xterm"
        command = inside(asked.run, Command(asked.argv or SHELL, {"TERM": term} if asked.tty else {}, asked.tty))
        refusal = self._refusal(asked.run) if command is not None else f"Run {asked.run} does not run here any more."
        if command is None or refusal:
            self.say(ShellOver(asked.shell, message=refusal, started=False))
            return
        try:
            self._shells[asked.shell] = _Shell(asked, command, self._changed, self._idle_seconds)
        except OSError as error:
            self.say(ShellOver(asked.shell, message=f"The machine cannot start it: {error.strerror}.", started=False))

    def heard(self, message: ToShell) -> None:
        """What the schedd passed on; of a shell that is over it is too late."""
        shell = self._shells.get(message.shell)
        if shell is None:
            return
        match message:
            case ShellInput(_, data, last):
                shell.take(data, last)
            case ShellResized(_, rows, columns):
                shell.resize(rows, columns)
            case ShellTaken(_, amount):
                shell.allow(amount)
            case CloseShell():
                shell.cut("its user hung up.")

    def stand_still(self, run: RunId) -> None:
        """The run stands still, and so does what was started beside it."""
        for shell in self._shells.values():
            if shell.run == run:
                shell.stand_still()

    def go_on(self, run: RunId) -> None:
        for shell in self._shells.values():
            if shell.run == run:
                shell.go_on()

    def end_run(self, run: RunId, why: str) -> None:
        for shell in list(self._shells.values()):
            if shell.run == run:
                shell.cut(why)

    def end_all(self, why: str) -> None:
        for shell in list(self._shells.values()):
            shell.cut(why)

    def clear(self) -> None:
        """The connection is gone, and with it everybody who could hear of a shell."""
        for shell in self._shells.values():
            shell.outgoing = deque(maxlen=0)  # nobody hears what it says now
            shell.cut("the connection to the schedd broke.")
        self._shells.clear()
        self._said.clear()

    def outgoing(self) -> list[FromStartd]:
        """What is to be said in this turn: something of each shell, and not too much."""
        said, self._said = list(self._said), deque()
        left = TURN_BYTES
        while left > 0 and (speaking := [shell for shell in self._shells.values() if shell.outgoing]):
            for shell in speaking:
                message = shell.outgoing.popleft()
                said.append(message)
                left -= cost(message.data)
        for number, shell in list(self._shells.items()):
            if shell.taken:
                said.append(ShellTaken(number, shell.taken))
                shell.taken = 0
            if shell.over is not None and not shell.outgoing:
                said.append(shell.over)
                del self._shells[number]
        if any(shell.outgoing for shell in self._shells.values()):
            self._changed()
        return said

    def say(self, message: FromStartd) -> None:
        self._said.append(message)
        self._changed()

    def _refusal(self, run: RunId) -> str:
        if len(self._shells) >= MOST_ON_MACHINE:
            return f"This machine has {MOST_ON_MACHINE} shells open already, and no more are allowed."
        if sum(shell.run == run for shell in self._shells.values()) >= MOST_IN_RUN:
            return f"Job {run.job} has {MOST_IN_RUN} shells open already, and no more are allowed."
        if self._is_halted(run):
            return f"Job {run.job} stands still while its machine is needed by its owner. Try again when it goes on."
        return ""


class _Shell:
    """One shell: its porter, and this end of its terminal or pipes."""

    def __init__(self, asked: OpenShell, command: Command, changed: Callable[[], None], idle_seconds: float) -> None:
        self.run = asked.run
        self.outgoing: deque[ShellOutput] = deque()
        self.taken = 0
        self.over: ShellOver | None = None
        self._number = asked.shell
        self._command = command
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._in_flight = 0
        self._waiting: deque[tuple[bytes, int]] = deque()
        """Input that was not read yet, each piece with what it cost."""
        self._waiting_cost = 0
        self._no_more_input = False
        self._still: list[int] = []
        """What stands still by our signal, parents before their children."""
        self._why = ""
        self._report = b""
        self._is_done = False
        self._traffic_at = self._loop.time()
        self._idle_seconds = idle_seconds
        self._start(asked)
        self._idle: asyncio.TimerHandle | None = self._loop.call_later(idle_seconds, self._look_if_idle)

    # --- beginning -----------------------------------------------------------------------

    def _start(self, asked: OpenShell) -> None:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            def pipe() -> tuple[int, int]:
                reading, writing = os.pipe2(os.O_CLOEXEC)
                return reading, writing

            def keep(descriptor: int) -> int:
                ours.callback(os.close, descriptor)
                return descriptor

            def give(descriptor: int) -> int:
                theirs.callback(os.close, descriptor)
                return descriptor

            if self._command.tty:
                terminal, slave = os.openpty()
                self._input = keep(terminal)
                self._outputs = {terminal: False}
                streams = [give(slave)] * 3
                self.resize(asked.rows, asked.columns)
            else:
                (stdin, self._input), (out, stdout), (err, stderr) = pipe(), pipe(), pipe()
                for mine in (self._input, out, err):
                    keep(mine)
                streams = [give(stdin), give(stdout), give(stderr)]
                self._outputs = {out: False, err: True}
            (life, self._life), (self._reported, report) = pipe(), pipe()
            keep(self._life), keep(self._reported), give(life), give(report)
            spec = give(_memory_file(json.dumps({
                "argv": self._command.argv, "environment": self._command.environment,
                "folder": self._command.folder, "tty": self._command.tty}).encode()))
            self._porter = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", PORTER, *map(str, (spec, *streams))],
                stdin=life, stdout=report, stderr=subprocess.DEVNULL, pass_fds=(spec, *streams), cwd="/", env={})
            ours.pop_all()
        self._input_open = True
        for descriptor in {self._input, *self._outputs}:
            os.set_blocking(descriptor, False)
        for descriptor in self._outputs:
            self._loop.add_reader(descriptor, self._read, descriptor)
        self._loop.add_reader(self._reported, self._on_report)

    # --- in ------------------------------------------------------------------------------

    def take(self, data: bytes, last: bool) -> None:
        """Input from the user, to be passed on as soon as it is read."""
        self._traffic_at = self._loop.time()
        if self._no_more_input or self._why:
            return
        self._no_more_input = last
        if data:
            self._waiting.append((data, cost(data)))
            self._waiting_cost += cost(data)
        if self._waiting_cost > MOST_ON_THEIR_WAY:
            self.cut("more was sent than was asked for.")
        else:
            self._write()

    def resize(self, rows: int, columns: int) -> None:
        if self._command.tty and self._outputs:
            size = [max(1, min(number, MOST_ROWS)) for number in (rows, columns)]
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def _write(self) -> None:
        try:
            while self._waiting and self._input_open:
                data, price = self._waiting[0]
                written = os.write(self._input, data)
                if written == len(data):
                    self._waiting.popleft()
                    self._took(price)
                else:
                    self._waiting[0] = data[written:], price
        except BlockingIOError:
            self._loop.add_writer(self._input, self._write)
            return
        except OSError:
            self._close_input()
        if self._input_open:
            self._loop.remove_writer(self._input)
            if self._no_more_input:
                self._end_input()
        while self._waiting:
            self._took(self._waiting.popleft()[1])  # nobody reads it: it is thrown away, and more may come

    def _end_input(self) -> None:
        if self._command.tty:
            with contextlib.suppress(OSError):
                os.write(self._input, END_OF_INPUT)
        else:
            self._close_input()

    def _close_input(self) -> None:
        if not self._input_open:
            return
        self._input_open = False
        self._loop.remove_writer(self._input)
        if not self._command.tty:
            os.close(self._input)

    def _took(self, price: int) -> None:
        self._waiting_cost -= price
        self.taken += price
        self._changed()

    # --- out -----------------------------------------------------------------------------

    def allow(self, amount: int) -> None:
        """The user has seen so much."""
        self._in_flight = max(0, self._in_flight - max(0, amount))
        if not self._is_done and self._has_credit:
            for descriptor in self._outputs:
                self._loop.add_reader(descriptor, self._read, descriptor)

    @property
    def _has_credit(self) -> bool:
        return self._in_flight < WINDOW_BYTES

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal without anybody at its other end
        if not data:
            if self._command.tty and not self._is_done:
                # It has closed its terminal and lives yet. Our end closed now would be a hang-up, and kill it.
                self._loop.remove_reader(descriptor)
            else:
                self._close_output(descriptor)
            return
        self._traffic_at = self._loop.time()
        self._in_flight += cost(data)
        self.outgoing.append(ShellOutput(self._number, data, self._outputs[descriptor]))
        if not self._has_credit:
            for output in self._outputs:
                self._loop.remove_reader(output)
        self._changed()

    def _close_output(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        del self._outputs[descriptor]
        if self._command.tty:
            self._close_input()
        os.close(descriptor)
        self._finish_if_done()

    # --- giving way ----------------------------------------------------------------------

    def stand_still(self) -> None:
        """Stop all that it has started; what its user stopped is left to its user."""
        for _ in range(MOST_PASSES):
            fresh = [pid for pid in self._started() if pid not in self._still and not _is_stopped(pid)]
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
            self._still += fresh
            if not fresh:
                return

    def go_on(self) -> None:
        """From the bottom up: a shell that wakes first takes its program for one that its user has stopped."""
        there = set(self._started())
        for pid in reversed(self._still):
            if pid in there:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGCONT)
        self._still.clear()

    def _started(self) -> list[int]:
        return [pid for pid in procfs.descendants([self._porter.pid]) if pid != self._porter.pid]

    # --- the end -------------------------------------------------------------------------

    def cut(self, why: str) -> None:
        """End it and all it has started, now."""
        if self._why or self._is_done:
            return
        self._why = why
        os.close(self._life)
        for pid in self._started():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _on_report(self) -> None:
        piece = os.read(self._reported, 4096)
        self._report += piece
        if not piece:
            self._loop.remove_reader(self._reported)
            os.close(self._reported)
            self._porter.wait()
            self._is_done = True
            if not self._why:
                os.close(self._life)
            if self._command.tty and self._has_credit:
                for descriptor in list(self._outputs):
                    self._read(descriptor)
            self._finish_if_done()
            if self._outputs:
                self._idle = self._again(LAST_WORDS_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Finish unless there is output that only waits for the user."""
        for descriptor in list(self._outputs):
            if self._has_credit:
                self._read(descriptor)
        if self.over is None and (self._why or self._has_credit) and not self.outgoing:
            for descriptor in list(self._outputs):
                self._close_output(descriptor)
        elif self.over is None:
            self._idle = self._again(LAST_WORDS_SECONDS, self._give_up)

    def _finish_if_done(self) -> None:
        if not self._is_done or self._outputs or self.over is not None:
            return
        self._close_input()
        if self._idle is not None:
            self._idle.cancel()
        self.over = self._verdict()
        self._changed()

    def _verdict(self) -> ShellOver:
        report = json.loads(self._report or b"{}")
        if self._why:
            return ShellOver(self._number, message=f"The shell was ended: {self._why}")
        match report:
            case {"code": int(code)}:
                return ShellOver(self._number, code)
            case {"signal": int(number)}:
                return ShellOver(self._number, signal=number)
            case {"errno": int(number), "where": where}:
                name = self._command.argv[0] if where == "program" else self._command.folder
                return ShellOver(self._number, NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE,
                                 message=f"{name}: {os.strerror(number)}.", started=False)
        return ShellOver(self._number, message="The shell was ended: its parent was killed.")

    def _look_if_idle(self) -> None:
        left = self._traffic_at + self._idle_seconds - self._loop.time()
        if left > 0:
            self._idle = self._again(left, self._look_if_idle)
        else:
            self.cut(f"nothing was typed or shown for {self._idle_seconds / 3600:g} hours.")

    def _again(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
        if self._idle is not None:
            self._idle.cancel()
        return self._loop.call_later(seconds, do)


def _is_stopped(pid: int) -> bool:
    stat = procfs.read_stat(pid)
    return stat is None or stat.state in "TtZX"


def _memory_file(content: bytes) -> int:
    """A descriptor from which `content` can be read."""
    descriptor = os.memfd_create("shell")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
