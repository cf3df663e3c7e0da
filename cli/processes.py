"""Daemons of this machine, told apart from whatever took their number since.

A pid file holds the process's number, its start time and the boot it belongs to: a
number that was given to another process is never signalled (`is_alive` compares
all three, and signals go through a pidfd that was opened before comparing).
"""

import os
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contract import places

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Process(msgspec.Struct, frozen=True):
    """One process, now or never again."""

    pid: int
    started_ticks: int
    """Since boot, from /proc/PID/stat."""
    boot: str

    @property
    def is_alive(self) -> bool:
        return self.boot == _boot() and _started_ticks(self.pid) == self.started_ticks

    @property
    def uptime_seconds(self) -> float:
        with open("/proc/uptime") as file:
            since_boot = float(file.read().split()[0])
        return max(0.0, since_boot - self.started_ticks / TICKS_PER_SECOND)

    def send(self, number: signal.Signals) -> bool:
        """Signal exactly this process; False when it is gone."""
        return self._with_pidfd(lambda pidfd: signal.pidfd_send_signal(pidfd, number))

    def wait(self, seconds: float) -> bool:
        """Whether it is over within `seconds`."""
        over = False

        def ended(pidfd: int) -> None:
            nonlocal over
            over = bool(select.select([pidfd], [], [], seconds)[0])

        return not self._with_pidfd(ended) or over

    def _with_pidfd(self, act: Callable[[int], None]) -> bool:
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.is_alive:
                return False
            act(pidfd)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A schedd or startd of a pool: what it is, and its process if one is known."""

    kind: str
    name: str
    process: Process | None

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive

    @property
    def label(self) -> str:
        return self.kind if self.kind == "schedd" else f"{self.kind} {self.name}"


def process_of(pid: int) -> Process | None:
    """The process that has this number now, if one does."""
    ticks = _started_ticks(pid)
    return None if ticks is None else Process(pid, ticks, _boot())


def write_pid_file(path: Path, process: Process) -> None:
    """Remember `process`; whoever reads at the same moment sees the old file or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(process) + b"\n")
    fresh.replace(path)


def read_pid_file(path: Path) -> Process | None:
    """The process of a pid file, if the file is there and whole."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Process)
    except (OSError, msgspec.MsgspecError):
        return None


def daemons_of(where: places.Places) -> list[Daemon]:
    """The living daemons of a state directory: those with a pid file, and those started by hand."""
    found: dict[int, Daemon] = {}
    for path in sorted(where.run.glob("*.pid")):
        process = read_pid_file(path)
        if process is not None and process.is_alive:
            kind, _, name = path.stem.partition("-")
            found[process.pid] = Daemon(kind, name or kind, process)
    for daemon in _started_by_hand(where.state):
        if daemon.process is not None:
            found.setdefault(daemon.process.pid, daemon)
    return sorted(found.values(), key=lambda daemon: (daemon.kind, daemon.name))


def pid_file(where: places.Places, kind: str, name: str) -> Path:
    """Where `pesc_pool` remembers the process of a daemon."""
    return where.run / ("schedd.pid" if kind == "schedd" else f"{kind}-{name}.pid")


def _started_by_hand(state: Path) -> Iterator[Daemon]:
    me = os.getuid()
    seen: set[int] = set()
    for entry in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            if os.stat(f"/proc/{entry}").st_uid != me:
                continue
            daemon = _daemon_of_command_line(entry, _words(f"/proc/{entry}/cmdline"), state)
        except OSError:
            continue
        if daemon is None or daemon.process is None:
            continue
        seen.add(entry)
        # A child that has not yet become its own program still shows its parent's command line.
        if _parent(entry) not in seen:
            yield daemon


def _daemon_of_command_line(pid: int, words: list[str], state: Path) -> Daemon | None:
    kind = daemon_kind(words)
    if kind is None:
        return None
    environment = dict(word.partition("=")[::2] for word in _words(f"/proc/{pid}/environ"))
    chosen = option(words, "--state")
    if chosen is not None:
        chosen = os.path.join(os.readlink(f"/proc/{pid}/cwd"), chosen)
    if not _same_folder(places.state_folder(chosen, environment), state):
        return None
    name = kind if kind == "schedd" else option(words, "--name") or os.uname().nodename
    return Daemon(kind, name, process_of(pid))


def daemon_kind(words: list[str]) -> str | None:
    """"schedd" or "startd" if this command line is one of our daemons."""
    for index, word in enumerate(words[:4]):
        if os.path.basename(word) in ("pesc_schedd", "pesc_startd"):
            return os.path.basename(word).removeprefix("pesc_")
        if word == "-m":
            module = words[index + 1] if index + 1 < len(words) else ""
            return module if module in ("schedd", "startd") else None
    return None


def option(words: list[str], name: str) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE` in a command line."""
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(name + "="):
            return word.removeprefix(name + "=")
    return None


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _words(path: str) -> list[str]:
    with open(path, "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0") if word]


def _stat(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = os.fsdecode(file.read())
    except OSError:
        return None
    # The command's name may hold blanks and parentheses: the fields begin after the last one.
    return text.rpartition(")")[2].split()


def _started_ticks(pid: int) -> int | None:
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
