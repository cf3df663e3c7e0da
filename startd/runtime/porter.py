"""The parent of one shell: starts it, and sees to it that nothing of it stays behind.

Started by `startd.shells` as `python -m startd.runtime.porter SPEC IN OUT ERR`, all of them
descriptors; SPEC holds the command as JSON. Whatever the command leaves behind becomes the
porter's child. All of it is killed when the command itself is over, and when stdin ends: then
the startd wants no more of it, or is itself no more. At the end one line on stdout:

    {"code": 3}   {"signal": 9}   {"errno": 2, "where": "program"}
"""

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import sys
import termios
import time
from contextlib import suppress
from typing import Any, NoReturn

from startd.runtime import procfs

STUBBORN_SECONDS = 5.0
"""What cannot be killed for so long (a disk that hangs) is left to itself."""

LOOK_SECONDS = 0.1
PR_SET_CHILD_SUBREAPER = 36
DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM,
                   signal.SIGHUP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def main() -> None:
    spec_file, *streams = map(int, sys.argv[1:])
    with open(spec_file, "rb") as file:
        spec = json.load(file)
    wake = _hear_of_children()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    failed, tell = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _become(spec, streams, tell)
    os.close(tell)
    for stream in set(streams):
        os.close(stream)
    with open(failed, "rb") as file:
        failure = file.read()
    how = _wait(child, wake)
    _end_all(wake)
    os.write(1, failure or json.dumps(how).encode())


def _hear_of_children() -> int:
    """A descriptor that can be read when a child has ended."""
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    return wake


def _become(spec: dict[str, Any], streams: list[int], tell: int) -> NoReturn:
    """Be the command; in a session of its own, with the terminal as its terminal."""
    where = "folder"
    try:
        signal.set_wakeup_fd(-1)
        for default in DEFAULT_SIGNALS:
            signal.signal(default, signal.SIG_DFL)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        if spec["tty"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.closerange(3, tell)
        os.closerange(tell + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        os.umask(0o022)
        os.chdir(spec["folder"])
        where = "program"
        os.execvpe(spec["argv"][0], spec["argv"], spec["environment"])
    except (OSError, ValueError) as error:
        os.write(tell, json.dumps({"errno": getattr(error, "errno", 0) or 0, "where": where}).encode())
    os._exit(127)


def _wait(child: int, wake: int) -> dict[str, int]:
    """How the command ended; if the startd wants no more of it, it is killed first."""
    wanted = [0, wake]
    while True:
        for ended, status in _reap(wake):
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                return {"code": code} if code >= 0 else {"signal": -code}
        ready, _, _ = select.select(wanted, [], [])
        if 0 in ready and not os.read(0, 4096):
            return {"signal": int(signal.SIGKILL)}


def _end_all(wake: int) -> None:
    """Kill all that is below, until nothing is."""
    end = time.monotonic() + STUBBORN_SECONDS
    me = os.getpid()
    while time.monotonic() < end:
        for pid in procfs.descendants([me]):
            if pid != me:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        _reap(wake)
        if not procfs.children(me):
            return
        select.select([wake], [], [], LOOK_SECONDS)


def _reap(wake: int) -> list[tuple[int, int]]:
    """The children that have ended, with their status."""
    with suppress(BlockingIOError):
        os.read(wake, 4096)
    ended = []
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(found)
    return ended


if __name__ == "__main__":
    main()
