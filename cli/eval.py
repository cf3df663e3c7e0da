"""pesc_eval: what a ClassAd expression is worth, for people and, record by record, for programs."""

import os
import sys
import time
from typing import TYPE_CHECKING

from cli.common import DONE, FAILED, WRONGLY_CALLED, Parser, complain, run, say, say_json

if TYPE_CHECKING:
    from dsl.classad import Ad

NAME = "pesc_eval"
EXAMPLE = """
pesc_eval '1 + 2 * 3'
pesc_eval 'TARGET.Memory >= RequestMemory' --my job.ad --target machine.ad
pesc_status -l node7 | pesc_eval 'Cpus > 4 && Arch == "X86_64"' --my -
"""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _parser().read(arguments)
    if chosen.jsonl:
        if chosen.expression is not None or chosen.my or chosen.target:
            complain(NAME, "--jsonl takes everything from stdin.\n  Leave out the expression and the ads.")
            return WRONGLY_CALLED
        return _answer_records()
    if chosen.expression is None:
        complain(NAME, f"Which expression?\n  See: {NAME} --help.")
        return WRONGLY_CALLED
    if chosen.my == chosen.target == "-":
        complain(NAME, "--my and --target cannot both be read from stdin.\n  Put one of the ads into a file.")
        return WRONGLY_CALLED
    return _evaluate(chosen.expression, chosen.my, chosen.target, say_as_json=chosen.json)


def _parser() -> Parser:
    parser = Parser(NAME, "Evaluate a ClassAd expression, alone or seen from one ad with another as TARGET.", EXAMPLE)
    parser.add_argument("expression", nargs="?", metavar="EXPR", help="what to evaluate")
    parser.add_argument("--my", metavar="FILE", help="the ad to look from, in new or old syntax; - for stdin")
    parser.add_argument("--target", metavar="FILE", help="the other ad, in new or old syntax; - for stdin")
    parser.add_json()
    parser.add_argument("--jsonl", action="store_true",
                        help="answer the records on stdin, one JSON object a line, each with its result")
    return parser


def _evaluate(text: str, my: str | None, target: str | None, say_as_json: bool) -> int:
    from cli.evalrecords import encoded
    from dsl.classad import ClassAdSyntaxError, literal, parse

    where = "the expression"
    ads: list[Ad | None] = []
    try:
        expression = parse(text)
        for name in (my, target):
            where = "stdin" if name == "-" else str(name)
            ads.append(None if name is None else read_ad(_contents(name)))
    except ClassAdSyntaxError as error:
        complain(NAME, f"{where}: {error}")
        return FAILED
    value = expression.evaluate(*ads, now=time.time(), seed=int.from_bytes(os.urandom(8)))
    if say_as_json:
        say_json(encoded(value))
    else:
        say(str(literal(value)))
    return DONE


def _contents(name: str) -> str:
    if name == "-":
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    with open(name, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def read_ad(text: str) -> "Ad":
    """Read an ad in new syntax, `[ … ]`, or else in old; where the daemons leave out a bad line, raise."""
    from dsl.classad import Ad

    return Ad.parse(text) if text.lstrip().startswith(("[", "//", "/*")) else _read_old(text)


def _read_old(text: str) -> "Ad":
    from dsl.classad import Ad, ClassAdSyntaxError, parse, parse_old

    ad = Ad()
    start = 0
    for line in text.split("\n"):
        one = parse_old(line)
        if not len(one) and line.strip() and not line.strip().startswith("#"):
            name, equals, written = line.partition("=")
            if not equals:
                raise ClassAdSyntaxError(text, start, "this line is no attribute", "Write Name = value.")
            try:
                parse(written)
            except ClassAdSyntaxError as fault:
                offset = start + len(name) + 1 + fault.column - 1
                raise ClassAdSyntaxError(text, offset, fault.message, fault.reason) from None
            raise ClassAdSyntaxError(text, start, "this line has no attribute's name", "Write Name = value.")
        for name in one:
            ad[name] = one[name]
        start += len(line) + 1
    return ad


def _answer_records() -> int:
    """Answer line by line, each as soon as it is read: whoever asks may wait for it before the next."""
    from cli.evalrecords import answered

    for line in sys.stdin.buffer:
        if line.strip():
            say(answered(line, time.time(), int.from_bytes(os.urandom(8))))
            sys.stdout.flush()
    return DONE
