"""Bringing the daemons of a personal pool up, and taking them down.

`bring_up` starts only what is missing, `take_down` ends all that runs; both hold the
pool's lock, so two calls at once do the work once. What the pool should look like is
kept in `pool-setup.json`, so that a plain `pesc_pool start` brings the same back.
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cli.processes import Daemon, daemons_of, pid_file, process_of, read_pid_file, write_pid_file
from contract.client import Client, find_pool
from contract.places import Places
from contract.problems import Problem
from contract.requests import Ad

START_SECONDS = 60.0
"""A schedd that reloads a very long queue needs a while; one that is broken ends at once."""
STOP_SECONDS = 30.0
"""Longer than the grace that a job gets to end by itself (10 s), and time to keep its outputs."""
LOG_BYTES = 20 * 1024**2
"""A log that is longer when its daemon starts is put aside."""

Tell = Callable[[str], None]


class Setup(msgspec.Struct, frozen=True):
    """How a pool was started: what `pesc_pool start` brings back."""

    startds: int = 1
    cpus: int | None = None
    runtime: str = "auto"

    @property
    def startd_names(self) -> list[str]:
        host = re.sub(r"[^A-Za-z0-9._-]", "-", os.uname().nodename) or "localhost"
        return [host] if self.startds == 1 else [f"{host}-{number}" for number in range(1, self.startds + 1)]


def read_setup(where: Places) -> Setup | None:
    """How this pool was started, or None if it never was."""
    try:
        return msgspec.json.decode(_setup_path(where).read_bytes(), type=Setup)
    except (OSError, msgspec.MsgspecError):
        return None


def expected_daemons(where: Places, setup: Setup | None) -> list[Daemon]:
    """All that runs in this state directory, and what should run and does not."""
    found = daemons_of(where)
    if setup is None:
        return found
    wanted = [("schedd", "schedd"), *(("startd", name) for name in setup.startd_names)]
    known = {(daemon.kind, daemon.name) for daemon in found}
    missing = [Daemon(kind, name, None) for kind, name in wanted if (kind, name) not in known]
    return sorted(found + missing, key=lambda daemon: (daemon.kind, daemon.name))


def bring_up(where: Places, wanted: Callable[[Setup], Setup], tell: Tell) -> tuple[Client, list[Daemon]]:
    """Start what is missing, wait until the schedd answers and all its startds are connected; return what started."""
    _make_folders(where)
    with _lock(where, tell):
        before = read_setup(where)
        setup = wanted(before or Setup())
        living = {(daemon.kind, daemon.name): daemon for daemon in daemons_of(where)}
        started: list[Daemon] = []
        if ("schedd", "schedd") not in living:
            started.append(_start(where, "schedd", "schedd", [], tell))
        client = _wait_for_schedd(where)
        for name in setup.startd_names:
            flags = ["--name", name, "--runtime", setup.runtime]
            flags += ["--cpus", str(setup.cpus)] if setup.cpus is not None else []
            # What two offer is given away twice.
            flags += [] if name == setup.startd_names[0] else ["--gpus", "none"]
            if ("startd", name) not in living:
                started.append(_start(where, "startd", name, flags, tell))
        _wait_for_startds(where, client, setup.startd_names)
        _write_setup(where, setup)
        _tell_what_differs(before, setup, living, tell)
        return client, started


def take_down(where: Places, tell: Tell) -> list[Daemon]:
    """End all daemons of this state directory, startds first; return them."""
    if not where.run.is_dir():
        return []
    with _lock(where, tell):
        daemons = daemons_of(where)
        for kind in ("startd", "schedd"):
            _end([daemon for daemon in daemons if daemon.kind == kind], tell)
        for path in where.run.glob("*.pid"):
            path.unlink(missing_ok=True)
        return daemons


def log_of(where: Places, kind: str, name: str) -> Path:
    """Where a daemon started by `pesc_pool` writes what it has to say."""
    return where.logs / ("schedd.log" if kind == "schedd" else f"{kind}-{name}.log")


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log, at most so many."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 32 * 1024))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []


def _start(where: Places, kind: str, name: str, flags: list[str], tell: Tell) -> Daemon:
    log = log_of(where, kind, name)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    # -P and / as working directory: a folder of the user's that is called "schedd" is not ours.
    call = [sys.executable, "-P", "-m", kind, "--state", str(where.state), *flags]
    environment = {key: value for key, value in os.environ.items() if key not in ("PESC_POOL", "PESC_TOKEN")}
    with open(log, "ab") as output:
        child = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                                 env=environment, start_new_session=True)
    process = process_of(child.pid)
    if process is None:
        raise _broken(where, Daemon(kind, name, None), "ended at once")
    write_pid_file(pid_file(where, kind, name), process)
    # The daemon outlives this command: nobody here is to wait for it.
    child.returncode = 0
    daemon = Daemon(kind, name, process)
    tell(f"{daemon.label} started (pid {child.pid})")
    return daemon


def _wait_for_schedd(where: Places) -> Client:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            # Only the state directory counts here, not PESC_POOL; the token may be made just now.
            client = find_own_pool(where)
            client.call("GET", "/v1/version", dict)
            if client.token:
                return client
        except Problem as problem:
            if problem.code not in ("no_pool", "pool_stopped"):
                raise
        _fail_if_dead(where, "schedd", "schedd")
        time.sleep(0.01)
    raise _broken(where, Daemon("schedd", "schedd", None), f"does not answer after {START_SECONDS:.0f} s")


def find_own_pool(where: Places) -> Client:
    """The client for the pool of this state directory, whatever PESC_POOL and PESC_TOKEN say."""
    hidden = {key: os.environ.pop(key) for key in ("PESC_POOL", "PESC_TOKEN") if key in os.environ}
    try:
        return find_pool(None, str(where.state))
    finally:
        os.environ.update(hidden)


def _wait_for_startds(where: Places, client: Client, names: list[str]) -> None:
    end = time.monotonic() + START_SECONDS
    while missing := set(names) - connected(client.call("GET", "/v1/machines", list[Ad])):
        for name in missing:
            _fail_if_dead(where, "startd", name)
        if time.monotonic() > end:
            raise _broken(where, Daemon("startd", min(missing), None), f"is not connected after {START_SECONDS:.0f} s")
        time.sleep(0.02)


def connected(machines: list[Ad]) -> set[str]:
    """The names of the machines that are connected to the schedd."""
    return {str(ad.get("Name")) for ad in machines if ad.get("State") != "Offline"}


def how_jobs_run(machines: list[Ad]) -> str:
    """Whether the jobs of these machines are in containers, in one line, and why if they are not."""
    bare = [ad for ad in machines if ad.get("State") != "Offline" and ad.get("PescRuntime") != "podman"]
    if not bare:
        return "Jobs run in containers of their own (rootless Podman)."
    why = bare[0].get("PescNoContainers")
    return ("Jobs run as plain processes of yours, without a container: nothing keeps them from your files."
            + (f" Why: {why}." if why else ""))


def _fail_if_dead(where: Places, kind: str, name: str) -> None:
    process = read_pid_file(pid_file(where, kind, name))
    if process is not None and process.is_alive:
        return
    if not any((daemon.kind, daemon.name) == (kind, name) for daemon in daemons_of(where)):
        raise _broken(where, Daemon(kind, name, None), "ended while it was starting")


def _broken(where: Places, daemon: Daemon, what: str) -> Problem:
    log = log_of(where, daemon.kind, daemon.name)
    tail = "".join(f"\n    | {line}" for line in last_lines(log, 15))
    return Problem("pool_stopped", f"The {daemon.label} {what}. The end of its log, {log}:{tail or ' (empty)'}",
                   "When the cause is gone, pesc_pool start again starts only what is missing.")


def _tell_what_differs(before: Setup | None, setup: Setup, living: dict[tuple[str, str], Daemon], tell: Tell) -> None:
    kept = [name for name in setup.startd_names if ("startd", name) in living]
    if before is not None and before.cpus != setup.cpus and kept:
        tell(f"note: {', '.join(kept)} had been started with other cpus and keeps them; "
             "pesc_pool stop, then start, changes that")
    more = [daemon.label for daemon in living.values() if daemon.kind == "startd"
            and daemon.name not in setup.startd_names]
    if more:
        tell(f"note: from an earlier start, {', '.join(more)} runs too; pesc_pool stop, then start, ends that")


def _end(daemons: list[Daemon], tell: Tell) -> None:
    for daemon in daemons:
        if daemon.process is not None:
            daemon.process.send(signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    patience = time.monotonic() + 2.0
    for daemon in daemons:
        if daemon.process is None:
            continue
        if not daemon.process.wait(max(0.0, patience - time.monotonic())):
            tell(f"{daemon.label} (pid {daemon.process.pid}) is still ending its work; "
                 f"waiting up to {STOP_SECONDS:.0f} s …")
        if not daemon.process.wait(max(0.0, end - time.monotonic())):
            tell(f"{daemon.label} (pid {daemon.process.pid}) did not end: killed")
            daemon.process.send(signal.SIGKILL)
            daemon.process.wait(5.0)


@contextmanager
def _lock(where: Places, tell: Tell) -> Iterator[None]:
    with open(where.run / "pool.lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another pesc_pool is at work on this pool; waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_folders(where: Places) -> None:
    try:
        where.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.listdir(where.state):
            where.state.chmod(0o700)
        for folder in (where.run, where.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Problem("no_pool", f"The state directory {where.state} cannot be made: {error.strerror}.",
                      "Name another with --state DIR or PESC_HOME.") from None


def _setup_path(where: Places) -> Path:
    return where.state / "pool-setup.json"


def _write_setup(where: Places, setup: Setup) -> None:
    fresh = _setup_path(where).with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(setup) + b"\n")
    fresh.replace(_setup_path(where))
