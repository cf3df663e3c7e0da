"""From `classad.lark` to `tables.py`: what Lark makes of the grammar, kept as plain literals.

Importing Lark and building its tables takes longer than a command may take to start,
and the grammar changes once a year. After changing it:

    python -c 'from dsl.classad.maketables import source_text; print(source_text(), end="")' > tables.py.new
    mv tables.py.new dsl/classad/tables.py

A test compares what is written there with what this makes.
"""

import re
from pprint import pformat
from typing import Any

WIDTH = 118
HEADER = '''"""The tables that Lark makes of `classad.lark`. Made by `maketables.py`; do not edit."""

# ruff: noqa
'''


def source_text() -> str:
    """The whole of `tables.py`."""
    from lark import Lark
    from lark.parsers.lalr_analysis import Shift

    lark = Lark.open("classad.lark", rel_to=__file__, parser="lalr", lexer="basic", maybe_placeholders=False)
    tables: Any = lark.parse_interactive("").parser_state.parse_conf
    rules = sorted(tables.callbacks, key=_order_of_rule)
    states = _states_in_order(tables.states, tables.start_state)
    rule_number = {rule: number for number, rule in enumerate(rules)}
    state_number = {state: number for number, state in enumerate(states)}
    rows = [
        {name: state_number[target] if action is Shift else -1 - rule_number[target]
         for name, (action, target) in sorted(tables.states[state].items())}
        for state in states
    ]
    return HEADER + "".join(
        f"\n{name}: {kind} = {pformat(value, width=WIDTH, compact=True, sort_dicts=False)}\n"
        for name, kind, value in (
            ("START", "int", state_number[tables.start_state]),
            ("END", "int", state_number[tables.end_state]),
            ("RULES", "list[tuple[str, int, tuple[tuple[int, bool], ...], str | None, bool]]", [*map(_rule, rules)]),
            ("STATES", "list[dict[str, int]]", rows),
            ("IGNORED", "list[str]", [_pattern(each) for each in _terminals(lark, ignored=True)]),
            ("TOKENS", "dict[str, str]",
             {each.name: _pattern(each) for each in _terminals(lark, ignored=False)}),
        )
    )


def _order_of_rule(rule: Any) -> tuple[str, list[str], str]:
    return rule.origin.name, [symbol.name for symbol in rule.expansion], rule.alias or ""


def _states_in_order(states: dict[Any, dict[str, tuple[Any, Any]]], start: Any) -> list[Any]:
    """The states as they are met from `start` on: Lark's own numbers differ from run to run."""
    found = [start]
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
    return sorted(chosen, key=lambda each: (-each.priority, -each.pattern.max_width, each.name))
