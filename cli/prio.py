"""pesc_prio: which of one's own jobs go first."""

import argparse
import re
from collections.abc import Iterable

from cli import act
from cli.common import WRONGLY_CALLED, Parser, complain, connect, run
from cli.jobs import both
from cli.selection import selection
from contract.client import Client
from contract.problems import Problem
from contract.requests import Action, ActionAnswer, Ad, Selection

NAME = "pesc_prio"
EXAMPLE = """
pesc_prio -p 10 12       priority 10 for cluster 12
pesc_prio +5 12.3        5 more than it has
pesc_prio -5 lee         5 less, for all jobs of lee
"""
MOST_PRIORITIES = 100


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    change, rest = split_change(arguments)
    parser = _parser()
    chosen = act.read(parser, rest)
    if change is None and chosen.priority is None:
        parser.error("which priority? Say -p N, +N or -N")
    if change is not None and chosen.priority is not None:
        complain(NAME, f"-p {chosen.priority} and {change:+d} contradict each other.\n  Say one of them.")
        return WRONGLY_CALLED
    client = connect(chosen)
    if change is None:
        answer = act.ask(client, Action("priority", selection(chosen), priority=chosen.priority))
    else:
        answer = _change(client, selection(chosen), change)
    return act.tell(NAME, answer, "given another priority", chosen.json)


def split_change(arguments: Iterable[str]) -> tuple[int | None, list[str]]:
    """The `+5` or `-5` among the arguments, and the others."""
    change: int | None = None
    rest: list[str] = []
    after_option = False
    for argument in arguments:
        if change is None and not after_option and re.fullmatch(r"[+-]\d{1,9}", argument):
            change = int(argument)
        else:
            rest.append(argument)
        after_option = argument in ("-p", "-priority", "--priority")
    return change, rest


def _parser() -> Parser:
    parser = act.parser(NAME, "Change the priority of jobs among their owner's own: the highest goes first.",
                        EXAMPLE, "change these")
    parser.usage = "pesc_prio [-p N | +N | -N] [options] JOB|CLUSTER|USER ..."
    parser.add_flag("priority", "p", metavar="N", type=_whole, help="the new priority")
    return parser


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _change(client: Client, meant: Selection, change: int) -> ActionAnswer:
    """Give each job meant `change` more than it has, one priority after the other.

    From the far end, so that no job is moved into a group that is still to be moved.
    """
    changed, refused = 0, []
    for priority in sorted(_priorities(client, meant), reverse=change > 0):
        these = Selection(meant.ids, meant.owners, meant.everything,
                          both(meant.constraint, f"JobPrio == {priority}"))
        answer = act.ask(client, Action("priority", these, priority=priority + change))
        changed += answer.changed
        refused += [refusal for refusal in answer.refused if refusal not in refused]
    return ActionAnswer(changed, refused)


def _priorities(client: Client, meant: Selection) -> list[int]:
    """The priorities that the jobs meant have now: a question for each, not one for each job."""
    found: list[int] = []
    while True:
        others = " && ".join(f"JobPrio != {priority}" for priority in found)
        ads = client.call("GET", "/v1/jobs", list[Ad], id=meant.ids, owner=meant.owners, limit="1",
                          attributes="JobPrio", constraint=both(meant.constraint, others or None))
        if not ads:
            return found or [0]
        found.append(int(ads[0].get("JobPrio", 0)))
        if len(found) > MOST_PRIORITIES:
            raise Problem("too_large", f"These jobs have more than {MOST_PRIORITIES} different priorities.",
                          "Name fewer jobs, or give them all one priority with -p N.")
