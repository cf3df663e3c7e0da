"""The part that `pesc_q` and `pesc_history` share: which jobs are asked for, how ads are printed."""

import argparse
from collections.abc import Callable, Sequence

import msgspec

from cli.adtext import Autoformat, autoformat, has_expression, is_name, long_form
from cli.common import Parser, complain, connect, count_of, positive_int, say, say_json
from cli.selection import split_names
from contract.client import Client
from contract.requests import Ad

DEFAULT_LIMIT = 10_000
HISTORY = "/v1/history"
LEFT_OFF = "Pesc-Left-Off"


def add_ad_options(parser: Parser) -> None:
    """Let the user choose how ads are printed."""
    parser.add_flag("autoformat", "af", metavar="ATTR", nargs="+", default=[], dest="autoformat",
                    help="only these attributes or expressions, one job a line; -af:jh and more as in HTCondor")
    parser.add_argument("--autoformat-options", default="", help=argparse.SUPPRESS)
    parser.add_flag("long", "l", help="the whole ads")
    parser.add_json()


def add_limit(parser: Parser) -> None:
    parser.add_flag("limit", "match", metavar="N", type=positive_int, default=DEFAULT_LIMIT, dest="limit",
                    help=f"at most so many jobs (else {DEFAULT_LIMIT:,}; 0: all)")


def jobs(client: Client, path: str, chosen: argparse.Namespace, attributes: Sequence[str],
         constraint: str | None = None) -> tuple[list[Ad], int]:
    """The ads that the user asked for, and how many more there are."""
    ids, owners = split_names(chosen.which)
    response, content = client.exchange("GET", path, query={
        "id": ids, "owner": owners, "constraint": both(constraint, chosen.constraint),
        "attributes": ",".join(attributes), "limit": str(chosen.limit)})
    return msgspec.json.decode(content, type=list[Ad]), int(response.headers.get(LEFT_OFF) or 0)


def show(name: str, path: str, chosen: argparse.Namespace, as_table: Callable[[list[Ad]], str],
         attributes: Sequence[str], constraint: str | None = None) -> None:
    """Ask for the jobs and print them as the user wants them."""
    Autoformat.of_letters(chosen.autoformat_options)      # wrong ones are wrong without jobs too
    client = connect(chosen)
    if chosen.autoformat:
        ads, left_off = _for_autoformat(client, path, chosen, constraint)
        if ads:
            say(autoformat(ads, chosen.autoformat, chosen.autoformat_options))
    elif chosen.long or chosen.json:
        ads, left_off = jobs(client, path, chosen, (), constraint)
        if chosen.json:
            say_json(ads)
        elif ads:
            say(long_form(ads))
    else:
        ads, left_off = jobs(client, path, chosen, attributes, constraint)
        say(as_table(ads))
    if path == HISTORY and chosen.limit == len(ads) == DEFAULT_LIMIT:
        complain(name, f"Only the latest {count_of(len(ads), 'job')} are shown; -limit 0 shows all.")
    if left_off:
        complain(name, f"{count_of(left_off, 'more job is', 'more jobs are')} not shown; -limit 0 shows all.")


def both(one: str | None, other: str | None) -> str | None:
    """Two constraints as one."""
    return f"({one}) && ({other})" if one and other else one or other


def _for_autoformat(client: Client, path: str, chosen: argparse.Namespace,
                    constraint: str | None) -> tuple[list[Ad], int]:
    """Only the attributes that are printed, unless one of them is an expression over others."""
    if all(map(is_name, chosen.autoformat)):
        ads, left_off = jobs(client, path, chosen, ["ClusterId", "ProcId", *chosen.autoformat], constraint)
        if "r" in chosen.autoformat_options or not has_expression(ads):
            return ads, left_off
    return jobs(client, path, chosen, (), constraint)
