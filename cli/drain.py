"""pesc_drain: empty a machine with notice, or take it back into service."""

import argparse
import re

from cli.common import DONE, Parser, connect, count_of, run, say, say_json
from contract.requests import DrainAnswer, DrainOrder

NAME = "pesc_drain"
EXAMPLE = """
pesc_drain lab-7 --in 2h --reason 'new memory'
pesc_drain lab-7                                  at once: its jobs checkpoint and leave
pesc_drain lab-7 --back                           it takes jobs again
"""
UNITS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _arguments(arguments)
    client = connect(chosen)
    answers = [
        client.call("POST", "/v1/drains", DrainAnswer,
                    DrainOrder(machine, chosen.notice, chosen.back, chosen.reason))
        for machine in chosen.machines
    ]
    if chosen.json:
        say_json(answers)
    else:
        say("\n".join(map(_line, answers)))
    return DONE


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "Empty a machine with notice: nothing new starts there, and its jobs go on elsewhere from "
                    "their last checkpoint. It stays so until it is taken back.", EXAMPLE)
    parser.add_argument("machines", nargs="+", metavar="MACHINE", help="the name of a machine, as pesc_status shows it")
    parser.add_flag("in", metavar="TIME", dest="notice", type=seconds, default=0.0,
                    help="how long its jobs may go on: 90s, 2m, 1h, 1d (default: not at all)")
    parser.add_flag("back", help="take it back into service")
    parser.add_flag("reason", metavar="TEXT", default="", help="why, for those who look later")
    parser.add_pool()
    parser.add_json()
    chosen = parser.read(arguments)
    if chosen.back and (chosen.notice or chosen.reason):
        parser.error("--back takes neither --in nor --reason")
    return chosen


def seconds(text: str) -> float:
    """`90`, `90s`, `2m`, `1.5h`, `1d` in seconds."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; say 90s, 2m, 1h or 1d")
    return float(found[1]) * UNITS[found[2]]


def _line(answer: DrainAnswer) -> str:
    if not answer.draining:
        return f"{answer.machine} takes jobs again."
    if not answer.runs:
        return f"{answer.machine} is empty and takes no jobs until: pesc_drain {answer.machine} --back"
    leaving = "is leaving" if answer.runs == 1 else "are leaving"
    when = f"may go on for {answer.seconds:.0f} s" if answer.seconds > 0 else leaving
    return (f"{answer.machine} takes no new jobs; {count_of(answer.runs, 'run')} there {when}. "
            f"To undo: pesc_drain {answer.machine} --back")
