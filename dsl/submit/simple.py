"""Commands that become one attribute as they stand: a text, a number, a truth, an expression."""

from collections.abc import Callable

from dsl.submit.amounts import amount
from dsl.submit.expressions import quote
from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import shown
from dsl.submit.table import Command, Kind
from dsl.submit.values import Attributes, expression, integer, truth, without_quotes

UNQUOTED = frozenset({"batch_id", "batch_name", "container_target_dir", "jobset", "mount_under_scratch",
                      "starter_debug", "starter_log", "transfer_common_input", "transfer_output_remaps"})
"""Texts that lose a pair of quotes around them."""

Make = Callable[[Given], Attributes]


def make_simple(command: Command) -> Make:
    """How `command` becomes its attribute."""
    name, attribute = command.name, command.attribute

    def make(given: Given) -> Attributes:
        text = given.text(name)
        if text is None:
            return {}
        match command.kind:
            case Kind.INTEGER:
                return {attribute: str(integer(given, name, 0))}
            case Kind.TRUTH:
                return {attribute: "true" if truth(given, name) else "false"}
            case Kind.EXPRESSION:
                return {attribute: expression(name, text)}
            case Kind.IMAGE_SIZE:
                return {attribute: str(_kib(name, text))}
            case _:
                return {attribute: quote(without_quotes(text) if name in UNQUOTED else text)}

    return make


def _kib(command: str, text: str) -> int:
    number = amount(text, "K")
    if number is None or number < 1:
        raise Wrong(command, f"{shown(text)!r} is not an amount of memory", "It counts KiB; units are K, M, G and T.",
                    f"Write, say: {command} = 28M")
    return number
