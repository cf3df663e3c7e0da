"""From a grammar to its tables: what Lark makes of a `.lark` file, kept as plain literals.

Importing Lark and building its tables takes longer than a command may take to start,
and the grammars change once a year. After changing one:

    python -c 'from dsl.maketables import source_text; print(source_text("classad"), end="")' > tables.new
    mv tables.new dsl/classad/tables.py

A test compares what is written there with what this makes.
"""

import re
from pprint import pformat
from typing import Any, NamedTuple

WIDTH = 118


class Grammar(NamedTuple):
    """A grammar file, and what may be read with it."""

    file: str
    starts: tuple[str, ...]
    lexer: str


GRAMMARS = {
    "classad": Grammar("classad/classad.lark", ("start",), "basic"),
    "submit": Grammar("submit/submit.lark", ("line", "queue_arguments", "sweep_axes"), "contextual"),
}


def source_text(name: str) -> str:
    """The whole of the `tables.py` of a grammar."""
    from lark import Lark
    from lark.parsers.lalr_analysis import Shift

    grammar = GRAMMARS[name]
    lark: Any = Lark.open(grammar.file, rel_to=__file__, parser="lalr", lexer=grammar.lexer, start=list(grammar.starts),
                          maybe_placeholders=False)
    begun = {start: lark.parse_interactive("", start=start).parser_state.parse_conf for start in grammar.starts}
    tables = begun[grammar.starts[0]]
    rules = sorted(tables.callbacks, key=_order_of_rule)
    states = _states_in_order(tables.states, [each.start_state for each in begun.values()])
    rule_number = {rule: number for number, rule in enumerate(rules)}
    state_number = {state: number for number, state in enumerate(states)}
    rows = [
        {name: state_number[target] if action is Shift else -1 - rule_number[target]
         for name, (action, target) in sorted(tables.states[state].items())}
        for state in states
    ]
    literals = (
        ("STARTS", "dict[str, int]", {start: state_number[each.start_state] for start, each in begun.items()}),
        ("ENDS", "dict[str, int]", {start: state_number[each.end_state] for start, each in begun.items()}),
        ("RULES", "list[tuple[str, int, tuple[tuple[int, bool], ...], str | None, bool]]", [*map(_rule, rules)]),
        ("STATES", "list[dict[str, int]]", rows),
        ("IGNORED", "list[str]", [_pattern(each) for each in _terminals(lark, ignored=True)]),
        ("TOKENS", "dict[str, str]", {each.name: _pattern(each) for each in _terminals(lark, ignored=False)}),
    )
    header = (f'"""The tables that Lark makes of `{grammar.file}`. Made by `dsl/maketables.py`; do not edit."""\n'
              "\n# ruff: noqa\n")
    return header + "".join(
        f"\n{name}: {kind} = {pformat(value, width=WIDTH, compact=True, sort_dicts=False)}\n"
        for name, kind, value in literals
    )


def _order_of_rule(rule: Any) -> tuple[str, list[str], str]:
    return rule.origin.name, [symbol.name for symbol in rule.expansion], rule.alias or ""


def _states_in_order(states: dict[Any, dict[str, tuple[Any, Any]]], starts: list[Any]) -> list[Any]:
    """The states as they are met from the first ones on: Lark's own numbers differ from run to run."""
    found = list(starts)
    for state in found:
        for _, (_, target) in sorted(states[state].items(), key=lambda item: item[0]):
            if target in states and target not in found:
                found.append(target)
    return found


def _rule(rule: Any) -> tuple[str, int, tuple[tuple[int, bool], ...], str | None, bool]:
    """Its name, how much it takes, which of that are kept (and spliced), who makes a tree of it, does one pass through.

    This is Lark's own way: unnamed terminals are dropped, rules with `_` give their parts away,
    and a rule with `?` stands aside when it has a single part.
    """
    kept = tuple((place, not symbol.is_term and symbol.name.startswith("_"))
                 for place, symbol in enumerate(rule.expansion)
                 if not (symbol.is_term and symbol.filter_out))
    name = str(rule.origin.name)
    maker = None if name.startswith("_") else str(rule.alias or name)
    return name, len(rule.expansion), kept, maker, bool(rule.options.expand1 and not rule.alias)


def _pattern(terminal: Any) -> str:
    pattern = terminal.pattern
    if pattern.type == "str":
        return re.escape(str(pattern.value))
    return f"(?{''.join(sorted(pattern.flags))}:{pattern.value})"


def _terminals(lark: Any, ignored: bool) -> list[Any]:
    """In the order in which they are to be tried."""
    chosen = [each for each in lark.terminals if (each.name in lark.ignore_tokens) is ignored]
    return sorted(chosen, key=lambda each: (
        -each.priority, -each.pattern.max_width, -len(each.pattern.value), each.name))
