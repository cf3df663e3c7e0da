"""pesc_token: a token for somebody else, or for a program."""

import getpass

import msgspec

from cli.common import DONE, Parser, connect, run, say, say_json
from contract.endpoints import Role
from contract.requests import TokenRequest

NAME = "pesc_token"
EXAMPLE = """
pesc_token create --user dana --role user --days 30
PESC_TOKEN=pesc1.… pesc_q --pool http://machine:9618
"""
HOUR, DAY = 3600, 86400
DEFAULT_DAYS = 30
MOST_DAYS = 3650


class _Answer(msgspec.Struct, frozen=True):
    token: str


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    parser = Parser(NAME, "Make a token: signed by the pool, for one user, with roles, until it expires.", EXAMPLE)
    parser.add_argument("what", choices=("create",))
    parser.add_flag("user", metavar="USER", default=getpass.getuser(), help="whose jobs it may touch (else you)")
    parser.add_flag("role", metavar="ROLE", action="append", choices=[role.value for role in Role], default=[],
                    dest="roles", help="user (else), operator, admin or startd; may be given several times")
    lasting = parser.add_mutually_exclusive_group()
    lasting.add_argument("--days", type=int, metavar="N", help=f"how long it lasts (else {DEFAULT_DAYS} days)")
    lasting.add_argument("--hours", type=int, metavar="N")
    parser.add_pool()
    parser.add_json()
    chosen = parser.read(arguments)
    seconds = chosen.hours * HOUR if chosen.hours is not None else (
        DEFAULT_DAYS if chosen.days is None else chosen.days) * DAY
    if not 0 < seconds <= MOST_DAYS * DAY:
        parser.error(f"a token lasts from 1 hour to {MOST_DAYS} days")
    request = TokenRequest(chosen.user, chosen.roles or [Role.USER.value], seconds)
    answer = connect(chosen).call("POST", "/v1/tokens", _Answer, request)
    if chosen.json:
        say_json({"token": answer.token, "user": request.user, "roles": request.roles, "seconds": seconds})
    else:
        say(answer.token)
    return DONE
