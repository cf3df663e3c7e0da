"""pesc_exec: a shell, or a command, in the place of a running job.

What is typed goes there and what is written comes back, through the schedd; see
`contract.shells` for what is said. One loop waits for all: the user, the schedd, and whoever
reads our output. Nothing is read that could not be passed on.
"""

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from argparse import REMAINDER
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from cli.common import FAILED, Parser, complain, connect, run
from contract.shells import (
    CHUNK_BYTES,
    WINDOW_BYTES,
    AskShell,
    ShellInput,
    ShellOutput,
    ShellOver,
    ShellResized,
    ShellTaken,
    cost,
    decode_to_user,
    encode,
)

if TYPE_CHECKING:
    from cli.websocket import WebSocket

NAME = "pesc_exec"
EXAMPLE = """
pesc_exec 12.3                              a shell where job 12.3 runs
pesc_exec 12.3 nvidia-smi                   one command
pesc_exec 12.3 cat big.file | md5sum        its output, as it is
pesc_exec 12.3 -- sh -c 'cat > new' < old   what comes after the job is the command's own

exit status: that of the command, 128 and the number of the signal that ended it, 127 if there is
no such command; 1 if it could not be started, 255 if it was ended from outside: its job ended,
or the connection broke
"""

CUT_SHORT = 255
BY_SIGNAL = 128
LOOK_SECONDS = 5.0
WRITE_BYTES = select.PIPE_BUF
"""What can be written without waiting to a pipe of which `select` says that it can be written to."""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    parser = Parser(NAME, "Open a shell, or run a command, where a job runs: in its folder, with its environment.",
                    EXAMPLE)
    parser.add_argument("--tty", action="store_true",
                        help="with a terminal (default: if stdin, stdout and stderr are one)")
    parser.add_argument("--no-tty", action="store_true", help="without one: stdin, stdout and stderr stay apart")
    parser.add_pool()
    parser.add_argument("job", metavar="JOB", help="such as 12.3; 12 means 12.0")
    parser.add_argument("command", metavar="COMMAND", nargs=REMAINDER, help="and its arguments; none: a shell")
    chosen = parser.parse_args(arguments)
    cluster, _, proc = chosen.job.partition(".")
    if not (cluster.isdecimal() and (proc or "0").isdecimal()):
        parser.error(f"{chosen.job!r} is not a job; a job is a number such as 12.3")
    if chosen.tty and chosen.no_tty:
        parser.error("--tty and --no-tty cannot both be meant")
    words = _words(parser, chosen.command)
    from cli.websocket import Lost, WebSocket  # --help needs none of it

    terminals = [os.isatty(number) for number in (0, 1, 2)]
    with_terminal = chosen.tty or (all(terminals) and not chosen.no_tty)
    rows, columns = _size()
    websocket = WebSocket.open(connect(chosen), f"/v1/jobs/{int(cluster)}.{int(proc or 0)}/exec")
    # Keys belong to whoever shows our output (`| less`), unless it was said that they are input.
    reads_input = not terminals[0] or with_terminal or chosen.no_tty
    try:
        websocket.send(encode([AskShell(words, with_terminal, rows, columns, os.environ.get("TERM", ""))]))
        with _raw() if with_terminal and terminals[0] else contextlib.nullcontext():
            over = _Session(websocket, with_terminal, reads_input).talk()
    except Lost as lost:
        complain(NAME, f"The connection to the schedd broke: {lost}.\n  What ran there is ended.")
        return CUT_SHORT
    finally:
        websocket.close()
    return _end(over)


def _words(parser: Parser, words: list[str]) -> list[str]:
    """The command, without the `--` that may stand before it."""
    if words[:1] == ["--"]:
        words = words[1:]
    elif words and words[0].startswith("-"):
        parser.error(f"{words[0]!r} comes after the job: options go before it, "
                     "and a command that begins with a dash after --")
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        parser.error("the command is not valid UTF-8")
    return words


def _end(over: ShellOver) -> int:
    """Say what is to be said; the exit status."""
    if over.message:
        complain(NAME, over.message)
    if over.signal is not None:
        return BY_SIGNAL + over.signal
    if over.code is not None:
        return over.code
    return CUT_SHORT if over.started else FAILED


class _Session:
    """Both directions of one shell."""

    def __init__(self, websocket: "WebSocket", with_terminal: bool, reads_input: bool) -> None:
        self._websocket = websocket
        self._with_terminal = with_terminal
        self._in_flight = 0
        self._input_open = True
        self._writing: deque[tuple[int, bytes, int]] = deque()
        """Output not yet written: where to, what, and what it cost."""
        self._over: ShellOver | None = None
        if not reads_input:
            self._end_input()

    def talk(self) -> ShellOver:
        """Until it is over, and all of its output written."""
        with _resizes(self._with_terminal) as resized:
            while self._over is None or self._writing:
                readers: list[int] = [resized]
                if self._over is None:
                    readers.append(self._websocket.fileno())
                    if self._input_open and self._in_flight < WINDOW_BYTES and not self._websocket.is_behind:
                        readers.append(0)
                writers = [self._writing[0][0]] if self._writing else []
                if self._websocket.wants_to_write and self._over is None:
                    writers.append(self._websocket.fileno())
                ready, writable, _ = select.select(readers, writers, [], LOOK_SECONDS)
                if resized in ready:
                    os.read(resized, 4096)
                    self._say(ShellResized(0, *_size()))
                if self._writing and self._writing[0][0] in writable:
                    self._write()
                if self._over is None:
                    self._pass_on(0 in ready)
        return self._over

    def _pass_on(self, has_input: bool) -> None:
        self._websocket.flush()
        if has_input:
            self._read()
        for frame in self._websocket.frames():
            for message in decode_to_user(frame):
                self._hear(message)
            if self._over is not None:
                return
        self._websocket.keep_alive()

    def _hear(self, message: ShellOutput | ShellTaken | ShellOver) -> None:
        match message:
            case ShellOutput(_, data, error):
                self._writing.append((2 if error else 1, data, cost(data)))
            case ShellTaken(_, taken):
                self._in_flight -= taken
            case ShellOver():
                self._over = message
                self._websocket.close()

    def _read(self) -> None:
        try:
            data = os.read(0, CHUNK_BYTES)
        except OSError:
            data = b""             # the terminal is gone
        if data:
            self._in_flight += cost(data)
            self._say(ShellInput(0, data))
        else:
            self._end_input()

    def _end_input(self) -> None:
        self._input_open = False
        self._in_flight += cost(b"")
        self._say(ShellInput(0, b"", last=True))

    def _write(self) -> None:
        where, data, price = self._writing.popleft()
        written = os.write(where, data[:WRITE_BYTES])
        if written < len(data):
            self._writing.appendleft((where, data[written:], price))
        elif self._over is None:
            self._say(ShellTaken(0, price))

    def _say(self, message: ShellInput | ShellTaken | ShellResized) -> None:
        self._websocket.send(encode([message]))


def _size() -> tuple[int, int]:
    """Rows and columns of the window."""
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(number)
            if size.lines and size.columns:
                return size.lines, size.columns
    return 24, 80


@contextlib.contextmanager
def _resizes(with_terminal: bool) -> Iterator[int]:
    """A descriptor that can be read when the window has changed."""
    changed, change = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def told(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(change, b"x")

    before = signal.signal(signal.SIGWINCH, told) if with_terminal else None
    try:
        yield changed
    finally:
        if with_terminal:
            signal.signal(signal.SIGWINCH, before)
        os.close(changed)
        os.close(change)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Hand every key on as it is; whatever happens, the terminal is as before afterwards."""
    before = termios.tcgetattr(0)

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(BY_SIGNAL + number)

    old = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(0, termios.TCSANOW)
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        for number, how in old.items():
            signal.signal(number, how)


