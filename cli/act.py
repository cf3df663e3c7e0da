"""What `pesc_rm`, `pesc_hold` and `pesc_release` share: one action on the jobs the user named."""

import argparse

from cli.common import DONE, FAILED, Parser, complain, connect, count_of, say, say_json
from cli.selection import add_selection, selection
from contract.client import Client
from contract.requests import Action, ActionAnswer


def parser(name: str, summary: str, example: str, what: str) -> Parser:
    """The arguments of a command that acts on jobs."""
    made = Parser(name, summary, example)
    add_selection(made, what)
    made.add_flag("all", help="all jobs that you may touch")
    made.add_pool()
    made.add_json()
    return made


def read(made: Parser, arguments: list[str]) -> argparse.Namespace:
    """The arguments; nothing named is a wrong call, not "all"."""
    chosen = made.read(arguments)
    if not (chosen.which or chosen.all or chosen.constraint):
        made.error("which jobs? Name ids (12, 12.3), users, -constraint EXPR, or -all")
    return chosen


def act(name: str, arguments: list[str], what: str, past: str, summary: str, example: str) -> int:
    """The whole of a command that needs no more than a reason."""
    made = parser(name, summary, example, f"{what} these")
    made.add_flag("reason", metavar="TEXT", default="", help="why, for those who look later")
    chosen = read(made, arguments)
    answer = ask(connect(chosen), Action(what=what, selection=selection(chosen), reason=chosen.reason))
    return tell(name, answer, past, chosen.json)


def ask(client: Client, action: Action) -> ActionAnswer:
    return client.call("POST", "/v1/actions", ActionAnswer, action)


def tell(name: str, answer: ActionAnswer, past: str, as_json: bool) -> int:
    """Say what was done and what was refused; return the exit code."""
    if as_json:
        say_json({"changed": answer.changed, "refused": answer.refused})
    elif answer.changed or not answer.refused:
        say(f"{count_of(answer.changed, 'job')} {past}." if answer.changed else nothing(past))
    if not as_json:
        for refusal in answer.refused:
            complain(name, refusal)
    return FAILED if answer.refused else DONE


def nothing(past: str) -> str:
    return f"0 jobs {past}: none matches, or they are so already."
