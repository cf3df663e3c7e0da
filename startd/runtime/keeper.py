"""The parent of all jobs, as a process of its own, so that they outlive the startd.

Started as `python -m startd.runtime.keeper STATE IDENTITY`; one per state
folder. It imports next to nothing, has one thread, and does four things: spawn,
signal, wait, tell. Read `Keeper.serve` first; `kin.py` finds and ends what a
job leaves behind. With containers it works inside the engine's user and mount
namespace, and is to them what an engine's monitor is: `contain` runs a launcher
(crun), which leaves the first process of the container to the keeper and ends.

The startd connects to STATE/keeper.sock, one at a time; both ends then send
lines, each a JSON list of messages:

    to the keeper                                   from the keeper
    ["spawn", key, argv, environment, folder,       ["known", [begun…], [over…]]   on connecting
              stdin, stdout, stderr, file_bytes]    ["begun", key, pid, boot_seconds, at,
    ["contain", key, argv, environment, folder,               start_seconds, start_cpu_seconds]
              stdin, stdout, stderr, gate, pids]    ["failed", key, errno, where, words]
    ["signal", key, number]   its process group;    ["over", key, code, signal, began_at, ended_at,
                              STOP, CONT: strays             user_seconds, system_seconds, peak_kib]
    ["kill", key]             group and strays
    ["belongs", key, [pid…]]  seen in its tree
    ["forget", [key…]]
    ["shutdown"]              leave when all is over

The launcher of a container writes FOLDER/pid, and FOLDER/log when something is wrong. The
container is ready then, and waits: its processes are limited to `pids`, and a byte into the
fifo `gate` starts its program.

KEEP-1: what is told was written to the journal before.
KEEP-2: a key is spawned once; asked again, its state is told again.
KEEP-3: `over` is told when nothing of the run lives any more.
"""

import ctypes
import fcntl
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from startd.runtime import procfs
from startd.runtime.keeperjournal import BEGUN, OVER, Begun, Journal, Over, Record
from startd.runtime.kin import Kin

LOOK_SECONDS = 2.0
"""How often to see whether the state folder is still there."""

STUBBORN_SECONDS = 5.0
"""A stray that cannot be killed (a disk that hangs) holds the report of its run no longer than this."""

SAME_START_SECONDS = 1.0
"""A process of the right number that started this near the recorded moment is the one that was started."""

PR_SET_CHILD_SUBREAPER = 36
DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                   signal.SIGQUIT)
"""Python ignores some of these, a shell's background others, and what is ignored stays ignored in a child."""


class Launching:
    """A container whose launcher has not ended yet."""

    __slots__ = ("began", "folder", "gate", "key", "pids")

    def __init__(self, key: str, folder: str, gate: str, pids: int | None) -> None:
        self.key = key
        self.folder = folder
        self.gate = gate
        self.pids = pids
        self.began = time.monotonic()


class Keeper:
    """All runs of one startd: spawned, adopted, and over but not yet forgotten."""

    def __init__(self, state: str, identity: str) -> None:
        self.state = state
        self.journal = Journal(f"{state}/keeper.journal")
        self.kin = Kin(identity)
        self.living: dict[str, int] = {}
        self.closing: dict[str, Over] = {}
        self._adopted: set[str] = set()
        """Living and closing runs of an earlier keeper, whose strays are not our children."""
        self._dying: set[int] = set()
        self._launching: dict[int, Launching] = {}
        """By the pid of the launcher, which is its run's process until the container's own is known."""
        self._early: dict[int, tuple[int, resource.struct_rusage]] = {}
        """Orphans that ended while something was launching: a container may be over before its launcher is."""
        self._leaving = False
        self._news: list[Record] = []
        self._out: list[list[Any]] = []
        self._unsent = b""
        self._unread = b""
        self._client: socket.socket | None = None
        self._selector = selectors.DefaultSelector()
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._on_child)
        self._listener = _listen(state)
        self._selector.register(self._listener, selectors.EVENT_READ, self._on_connect)
        self._adopt()

    def serve(self) -> None:
        """Work until told to leave, or until there is neither a startd nor a living run."""
        folder = os.stat(self.state).st_ino
        looked_at = time.monotonic()
        while True:
            for chosen, _ in self._selector.select(LOOK_SECONDS):
                do: Callable[[], None] = chosen.data
                do()
            self._tell()
            if time.monotonic() - looked_at >= LOOK_SECONDS:
                looked_at = time.monotonic()
                if self.closing:
                    self._close_runs()
                    self._tell()
                if not _same_folder(self.state, folder):
                    for key in self.living:
                        self._kill(key)
                    return
                if self._client is None and not self.living and not self.closing:
                    return
            if self._leaving and not self.living and not self.closing and not self._unsent:
                return

    # --- what the startd asks ------------------------------------------------------------

    def _on_connect(self) -> None:
        self._tell()
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        self._leaving = False
        # One startd at a time: what a dead one still had in the pipe is read to its end
        # before the next one is told what is known.
        self._selector.unregister(self._listener)
        self._client, self._unread, self._unsent = connection, b"", b""
        self._selector.register(connection, selectors.EVENT_READ, self._on_request)
        begun = [record for key, record in self.journal.begun.items() if key in self.living or key in self.closing]
        self._out = [["known", begun, list(self.journal.over.values())]]

    def _on_request(self) -> None:
        assert self._client is not None
        try:
            piece = self._client.recv(1 << 20)
        except BlockingIOError:
            piece = None
        except OSError:
            piece = b""
        if piece == b"":
            self._hang_up()
            return
        if self._unsent:
            self._send()
        *lines, self._unread = (self._unread + (piece or b"")).split(b"\n")
        for line in lines:
            for request in json.loads(line):
                self._obey(request)

    def _obey(self, request: list[Any]) -> None:
        match request:
            case ["spawn", key, *how]:
                self._spawn(key, *how)
            case ["contain", key, *how]:
                self._contain(key, *how)
            case ["signal", key, number]:
                if key in self.living:
                    _signal_group(self.living[key], number)
                    if number in (signal.SIGSTOP, signal.SIGCONT):
                        self._signal_escaped(key, number)
            case ["kill", key]:
                self._kill(key)
            case ["belongs", key, pids]:
                self.kin.remember(key, pids)
            case ["forget", keys]:
                for key in keys:
                    self.journal.forget(key)
            case ["shutdown"]:
                self._leaving = True

    def _spawn(self, key: str, argv: list[str], environment: dict[str, str], folder: str,
               stdin: str | None, stdout: str, stderr: str, file_bytes: int | None) -> None:
        if key in self.journal.begun:
            self._repeat(key)
            return
        environment["PESC_RUN"] = self.kin.marker(key)
        files = _streams(stdin, stdout, stderr)
        where = "folder"
        try:
            os.chdir(folder)
            where = "program"
            if file_bytes is not None:
                _limit_files(file_bytes)
            try:
                pid = os.posix_spawn(argv[0], argv, environment, file_actions=files,
                                     setsid=True, setsigmask=(), setsigdef=DEFAULT_SIGNALS)
            finally:
                if file_bytes is not None:
                    _limit_files(None)
        except (OSError, ValueError) as error:
            self._out.append(["failed", key, getattr(error, "errno", 0) or 0, where, ""])
            return
        self._begun(key, pid, time.clock_gettime(time.CLOCK_BOOTTIME))

    def _contain(self, key: str, argv: list[str], environment: dict[str, str], folder: str,
                 stdin: str | None, stdout: str, stderr: str, gate: str, pids: int | None) -> None:
        if key in self.journal.begun:
            self._repeat(key)
            return
        if key in self.living:
            return
        environment["PESC_RUN"] = self.kin.marker(key)
        try:
            os.chdir(folder)
            pid = os.posix_spawn(argv[0], argv, environment, file_actions=_streams(stdin, stdout, stderr),
                                 setsid=True, setsigmask=(), setsigdef=DEFAULT_SIGNALS)
        except (OSError, ValueError) as error:
            self._out.append(["failed", key, getattr(error, "errno", 0) or 0, "engine", str(error)])
            return
        self._launching[pid] = Launching(key, folder, gate, pids)
        self.living[key] = pid
        self.kin.mains[pid] = key

    def _launched(self, pid: int, code: int, usage: resource.struct_rusage) -> None:
        """A launcher ended: either its container's first process is ours now, or there is none."""
        launching = self._launching.pop(pid)
        key = launching.key
        del self.kin.mains[pid], self.living[key]
        main = _number_in(f"{launching.folder}/pid") if code == 0 else None
        if main is None:
            self.kin.kill_strays({key}, self.living.keys())
            self._out.append(["failed", key, 0, "engine", _words_in(f"{launching.folder}/log")])
            return
        ticks = procfs.start_ticks(main)
        started = time.clock_gettime(time.CLOCK_BOOTTIME) if ticks is None else ticks / procfs.TICKS_PER_SECOND
        self._begun(key, main, started, time.monotonic() - launching.began, usage.ru_utime + usage.ru_stime)
        if main not in self._early:
            _let_go(main, launching.gate, launching.pids)
        else:
            self._ended_as(key, main, *self._early.pop(main))

    def _begun(self, key: str, pid: int, boot_seconds: float, start_seconds: float = 0.0,
               start_cpu_seconds: float = 0.0) -> None:
        begun = Begun(BEGUN, key, pid, boot_seconds, time.time(), start_seconds, start_cpu_seconds)
        self.living[key] = pid
        self.kin.mains[pid] = self.kin.sessions[pid] = key
        self.journal.begun[key] = begun
        self._news.append(begun)

    def _repeat(self, key: str) -> None:
        if key in self.living:
            self._out.append(list(self.journal.begun[key]))
        elif key in self.journal.over:
            self._out.append(list(self.journal.over[key]))

    def _kill(self, key: str) -> None:
        pid = self.living.get(key)
        if pid is not None:
            if not procfs.in_other_pids(pid):  # the kernel ends all of a pid namespace with its first process
                self.kin.remember(key, list(procfs.descendants([pid])))
            _signal_group(pid, signal.SIGKILL)
            self.kin.kill_strays({key}, self.living.keys() - {key})

    def _signal_escaped(self, key: str, number: int) -> None:
        """Nobody goes on by having left the group while the others stand still."""
        for pid in self.kin.escaped(key, self.living[key], self.living.keys()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    # --- what happens to the processes ---------------------------------------------------

    def _on_child(self) -> None:
        os.read(self._wake, 4096)
        self._reap()

    def _reap(self) -> None:
        """Collect every ended child; the group goes before its leader is reaped, while its number is surely ours."""
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if seen is None:
                break
            pid = seen.si_pid
            key = self.kin.mains.get(pid)
            if key is not None:
                _signal_group(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            if pid in self._launching:
                self._launched(pid, os.waitstatus_to_exitcode(status), usage)
            elif key is None:
                self.kin.gone(pid)
                if self._launching:
                    self._early[pid] = status, usage
            else:
                self._ended_as(key, pid, status, usage)
        if not self._launching:
            self._early.clear()
        if self.closing or self.kin.has_strays:
            self._close_runs()

    def _ended_as(self, key: str, pid: int, status: int, usage: resource.struct_rusage) -> None:
        code = os.waitstatus_to_exitcode(status)
        self._ended(key, pid, code if code >= 0 else None, -code if code < 0 else None, usage)

    def _ended(self, key: str, pid: int, code: int | None, number: int | None,
               usage: resource.struct_rusage | None) -> None:
        del self.living[key], self.kin.mains[pid]
        user, system, peak = (usage.ru_utime, usage.ru_stime, usage.ru_maxrss) if usage else (0.0, 0.0, 0)
        self.closing[key] = Over(OVER, key, code, number, self.journal.begun[key].at, time.time(), user, system, peak)

    def _close_runs(self) -> None:
        """Kill what ended runs left behind; a run of which nothing is left is over."""
        left = self.kin.kill_strays(self.closing.keys(), self.living.keys())
        if self._adopted & self.closing.keys():
            left |= self._kill_marked()
        now = time.time()
        for key in [k for k, over in self.closing.items() if k not in left or now - over.ended_at > STUBBORN_SECONDS]:
            self.kin.sessions.pop(self.journal.begun[key].pid, None)
            self._adopted.discard(key)
            self._news.append(self.closing.pop(key))

    # --- telling -------------------------------------------------------------------------

    def _tell(self) -> None:
        lines = b""
        if self._out:
            lines = json.dumps(self._out).encode() + b"\n"
            self._out = []
        if self._news:
            lines += self.journal.append(self._news)
            self._news = []
        if lines and self._client is not None:
            self._unsent += lines
            self._send()

    def _send(self) -> None:
        assert self._client is not None
        try:
            self._unsent = self._unsent[self._client.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        if self._selector.get_key(self._client).events != wanted:
            self._selector.modify(self._client, wanted, self._on_request)

    def _hang_up(self) -> None:
        assert self._client is not None
        self._selector.unregister(self._client)
        self._client.close()
        self._client, self._unsent = None, b""
        self._selector.register(self._listener, selectors.EVENT_READ, self._on_connect)

    # --- after a keeper that was killed --------------------------------------------------

    def _adopt(self) -> None:
        """Find again what an earlier keeper left: the living are watched by pidfd, the dead are lost."""
        for key, begun in list(self.journal.begun.items()):
            if key in self.journal.over:
                continue
            self.living[key] = begun.pid
            self._adopted.add(key)
            self.kin.mains[begun.pid] = self.kin.sessions[begun.pid] = key
            if not self._watch(key, begun.pid, begun.boot_seconds):
                self._lost(key, begun.pid)
        for pid, key in self.kin.marked():
            stat = procfs.read_stat(pid)
            if stat is None or key in self.living:
                continue
            if key in self.journal.begun or key in self.closing or stat.session != pid:
                os.kill(pid, signal.SIGKILL)
                continue
            # Spawned, but killed before the journal knew: the session's leader is the job.
            started = stat.start_ticks / procfs.TICKS_PER_SECOND
            self.journal.append([Begun(BEGUN, key, pid, started, time.time())])
            self.living[key] = pid
            self._adopted.add(key)
            self.kin.mains[pid] = self.kin.sessions[pid] = key
            self._watch(key, pid, started)
        if self.closing:
            self._close_runs()

    def _watch(self, key: str, pid: int, boot_seconds: float) -> bool:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return False
        ticks = procfs.start_ticks(pid)
        if ticks is None or abs(ticks / procfs.TICKS_PER_SECOND - boot_seconds) > SAME_START_SECONDS:
            os.close(descriptor)
            return False

        def on_end() -> None:
            self._lost(key, pid)
            self._close_runs()

        self._when_gone(descriptor, on_end)
        return True

    def _when_gone(self, descriptor: int, do: Callable[[], None]) -> None:
        """Do something once when the process of this pidfd is gone."""

        def on_end() -> None:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            do()

        self._selector.register(descriptor, selectors.EVENT_READ, on_end)

    def _lost(self, key: str, pid: int) -> None:
        """An adopted process is gone; not being its parent, nobody can say how."""
        self._ended(key, pid, None, None, None)

    def _kill_marked(self) -> set[str]:
        """Kill what carries the marker of an adopted run that is closing; return the runs that still have some.

        Nobody tells us when such a process is gone, so each is watched until it is.
        """
        left = set()
        for pid, key in self.kin.marked():
            if key not in self._adopted or key not in self.closing:
                continue
            left.add(key)
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                if pid not in self._dying:
                    descriptor = os.pidfd_open(pid)
                    self._dying.add(pid)
                    self._when_gone(descriptor, partial(self._stray_gone, pid))
        return left

    def _stray_gone(self, pid: int) -> None:
        self._dying.discard(pid)
        self._close_runs()


def _listen(state: str) -> socket.socket:
    """Listen at STATE/keeper.sock; through /proc, because the address of a socket ends at 107 bytes."""
    path = f"{state}/keeper.sock"
    if os.path.lexists(path):
        os.unlink(path)
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"/proc/self/fd/{folder}/keeper.sock")
    os.chmod(path, 0o600)
    listener.listen(8)
    os.close(folder)
    return listener


def _streams(stdin: str | None, stdout: str, stderr: str) -> list[tuple[Any, ...]]:
    """What a new process is to have as its standard streams."""
    written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return [
        (os.POSIX_SPAWN_OPEN, 0, stdin or "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, stdout, written, 0o644),
        (os.POSIX_SPAWN_OPEN, 2, stderr, written, 0o644),
    ]


def _let_go(pid: int, gate: str, pids: int | None) -> None:
    """Have a container that is ready start its program."""
    with suppress(OSError):  # it was killed meanwhile, which is heard by itself
        if pids is not None:
            resource.prlimit(pid, resource.RLIMIT_NPROC, (pids, pids))
        opened = os.open(gate, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.write(opened, b"0")
        os.close(opened)


def _number_in(path: str) -> int | None:
    try:
        return int(_words_in(path))
    except ValueError:
        return None


def _words_in(path: str) -> str:
    """The beginning of a small file; "" when there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(2000).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _limit_files(file_bytes: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wanted = hard if file_bytes is None else file_bytes
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wanted, hard))


def _same_folder(path: str, inode: int) -> bool:
    try:
        return os.stat(path).st_ino == inode
    except OSError:
        return False


def _leave_parent() -> int:
    """Go on as an orphan; return what to write to when the process that was started may end.

    The engine's `unshare` waits for what it started, and is larger than the keeper by far.
    """
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os.read(ready, 1)
        os._exit(0)
    os.close(ready)
    os.setsid()
    return tell


def main() -> None:
    state, identity, *how = sys.argv[1:]
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # what a shell left open is not for jobs
    os.chdir("/")
    os.umask(0o022)
    lock = os.open(f"{state}/keeper.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another keeper works in {state}")
    tell = _leave_parent() if "--orphan" in how else None
    os.pwrite(lock, f"{os.getpid():<10}\n".encode(), 0)  # always as long: never seen half written
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the startd says when to leave
    keeper = Keeper(state, identity)
    if tell is not None:
        os.close(tell)
    keeper.serve()


if __name__ == "__main__":
    main()
