"""pesc_pool: a personal pool on this machine — start it, stop it, look at it."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from cli import daemons
from cli.common import DONE, FAILED, Parser, complain, positive_int, run, say, say_json
from cli.daemons import Setup
from cli.processes import Daemon
from contract import places
from contract.places import Places
from contract.problems import Problem
from contract.requests import Ad

NAME = "pesc_pool"
EXAMPLE = """
pesc_pool start --cpus 8
pesc_submit sweep.pesc --wait
pesc_pool stop
"""
START = "Start the pool with: pesc_pool start."


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _arguments(arguments)
    where = Places(places.state_folder(chosen.state))
    match chosen.what:
        case "start":
            return _start(where, chosen)
        case "stop":
            return _stop(where, chosen.json)
        case "status":
            return _status(where, chosen.json)
        case _:
            return _logs(where, chosen)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "A personal pool on this machine: a schedd, and startds that run its jobs.", EXAMPLE)
    parser.add_argument("what", choices=("start", "stop", "status", "logs"),
                        help="start what is missing; stop all; what runs; what the daemons said")
    parser.add_argument("daemon", nargs="*", help="logs: schedd, startd or a startd's name (else all)")
    parser.add_flag("cpus", metavar="N", type=positive_int,
                    help="start: each startd offers so many cpus (else the machine's)")
    parser.add_flag("startds", metavar="N", type=positive_int, help="start: so many startds (else 1)")
    parser.add_flag("runtime", metavar="NAME",
                    help="start: how jobs are run: in containers (podman), without (process), or in containers "
                         "where that works (auto; else as before, at first auto)")
    parser.add_flag("follow", "f", help="logs: go on until Ctrl-C")
    parser.add_state()
    parser.add_json()
    chosen = parser.read(arguments)
    if chosen.daemon and chosen.what != "logs":
        parser.error(f"{chosen.what} takes no {chosen.daemon[0]!r}")
    if chosen.runtime not in (None, "auto", "process", "podman"):
        parser.error(f"there is no runtime {chosen.runtime!r}; there are: auto, podman, process")
    if chosen.startds == 0 or chosen.cpus == 0:
        parser.error("a pool needs at least 1 startd with 1 cpu")
    return chosen


def _start(where: Places, chosen: argparse.Namespace) -> int:
    def wanted(before: Setup) -> Setup:
        return Setup(chosen.startds or before.startds, chosen.cpus or before.cpus, chosen.runtime or before.runtime)

    client, started = daemons.bring_up(where, wanted, _teller(chosen.json))
    if chosen.json:
        say_json(_described(where))
        return DONE
    say(f"The pool {'is ready' if started else 'runs already'}: {client.url}, state in {where.state}.")
    if started:
        say(daemons.how_jobs_run(client.call("GET", "/v1/machines", list[Ad])))
    return DONE


def _teller(as_json: bool) -> daemons.Tell:
    """What goes on while it goes on: for people only."""
    return (lambda line: None) if as_json else (lambda line: print(line, flush=True))


def _stop(where: Places, as_json: bool) -> int:
    ended = daemons.take_down(where, _teller(as_json))
    if as_json:
        say_json({"stopped": [{"kind": daemon.kind, "name": daemon.name} for daemon in ended]})
    elif ended:
        say(f"Stopped: {', '.join(daemon.label for daemon in ended)}.")
    else:
        say(f"No pool runs in {where.state}.")
    return DONE


def _status(where: Places, as_json: bool) -> int:
    expected = daemons.expected_daemons(where, daemons.read_setup(where))
    if as_json:
        say_json(_described(where))
    elif expected:
        from tabulate import tabulate

        say(tabulate([_row(daemon) for daemon in expected], ["DAEMON", "STATE", "PID", "UP"],
                     tablefmt="plain", disable_numparse=True))
        say(f"{_address(where)['url'] or 'no address yet'}, state in {where.state}")
    dead = [daemon.label for daemon in expected if not daemon.is_alive]
    if not expected:
        complain(NAME, f"No pool runs in {where.state}.\n  {START}")
    elif dead:
        complain(NAME, f"Not running: {', '.join(dead)}.\n  {START}")
    return FAILED if dead or not expected else DONE


def _logs(where: Places, chosen: argparse.Namespace) -> int:
    logs = [str(path) for path in sorted(where.logs.glob("*.log")) if _is_meant(path.stem, chosen.daemon)]
    if not logs:
        which = " of " + ", ".join(chosen.daemon) if chosen.daemon else ""
        raise Problem("not_found", f"There is no log{which} in {where.logs}.", "See what runs: pesc_pool status.")
    follow = ["-F"] if chosen.follow else []
    os.execvp("tail", ["tail", "-n", "100", *follow, "--", *logs])


def _is_meant(stem: str, names: Sequence[str]) -> bool:
    kind, _, name = stem.partition("-")
    return not names or any(wanted in (stem, kind, name) for wanted in names)


def _described(where: Places) -> dict[str, Any]:
    expected = daemons.expected_daemons(where, daemons.read_setup(where))
    return {"daemons": [_as_json(daemon) for daemon in expected], **_address(where), "state": str(where.state)}


def _as_json(daemon: Daemon) -> dict[str, Any]:
    process = daemon.process if daemon.is_alive else None
    return {
        "kind": daemon.kind,
        "name": daemon.name,
        "pid": process.pid if process else None,
        "alive": process is not None,
        "uptime": round(process.uptime_seconds, 1) if process else None,
    }


def _row(daemon: Daemon) -> list[str]:
    if daemon.process is None or not daemon.is_alive:
        return [daemon.label, "not running", "", ""]
    return [daemon.label, "running", str(daemon.process.pid), uptime(daemon.process.uptime_seconds)]


def uptime(seconds: float) -> str:
    """`0+00:12:31`, as HTCondor writes times."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}+{hour:02}:{minute:02}:{second:02}"


def _address(where: Places) -> dict[str, str | None]:
    try:
        address = places.read_address(where)
    except Problem:
        return {"pool": None, "url": None}
    return {"pool": address.pool, "url": address.url}
