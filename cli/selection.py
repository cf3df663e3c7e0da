"""Which jobs a command means: ids, users, everything, a constraint."""

import argparse
import re
from collections.abc import Iterable

from cli.common import Parser
from contract.problems import Problem
from contract.requests import Selection

_JOB = re.compile(r"\d+(\.\d+)?")
_ALMOST_A_JOB = re.compile(r"[\d.,#-]+[.,#-].*|\d+\.\w*")
_NO_USER = re.compile(r"|-.*|.*\s.*", re.DOTALL)


def add_selection(parser: Parser, what: str) -> None:
    """Let the user name jobs by id, owner and constraint."""
    parser.add_argument("which", nargs="*", metavar="JOB|CLUSTER|USER", help=f"{what}: 12, 12.3 or a user's name")
    parser.add_flag("constraint", "const", metavar="EXPR", dest="constraint",
                    help="only jobs for which this ClassAd expression is true")


def split_names(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Job and cluster ids; and all else, the users. What looks like a mistyped id is no user."""
    ids: list[str] = []
    owners: list[str] = []
    for name in names:
        if (_ALMOST_A_JOB.fullmatch(name) and not _JOB.fullmatch(name)) or _NO_USER.fullmatch(name):
            raise Problem("bad_request", f"{name[:80]!r} is neither a job (12.3) nor a cluster (12) nor a user's name.",
                          "See the numbers with: pesc_q -nobatch.")
        (ids if _JOB.fullmatch(name) else owners).append(name)
    return ids, owners


def selection(chosen: argparse.Namespace) -> Selection:
    """What the user named, as the API takes it."""
    ids, owners = split_names(chosen.which)
    return Selection(ids=ids, owners=owners, everything=getattr(chosen, "all", False), constraint=chosen.constraint)
