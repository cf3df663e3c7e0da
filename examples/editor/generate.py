"""Writes what editors need to know of the language, from the table of submit commands.

    python examples/editor/generate.py          write the files
    python examples/editor/generate.py --check  say which are out of date, exit status 1 if any is

`pesc.tmLanguage.json` is a TextMate grammar; `commands.json` has the words and their
help. A test checks them with every test run.
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from dsl.classad.functions import FUNCTIONS, LAZY_FUNCTIONS  # noqa: E402
from dsl.submit.macros import JOB_NAMES  # noqa: E402
from dsl.submit.scan import FUNCTIONS as MACRO_FUNCTIONS  # noqa: E402
from dsl.submit.table import COMMANDS, Command, Kind, Status  # noqa: E402

Rule = dict[str, Any]

BLANK = r"[ \t\f\x0B]"
START = rf"^{BLANK}*"
END = r"(?=\r?\n)"
"""A line that ends in a backslash is taken with its line end, so this is where the last one ends."""

EXPRESSIONS = {Kind.EXPRESSION, Kind.MEMORY, Kind.DISK, Kind.IMAGE_SIZE, Kind.INTEGER, Kind.NUMBER, Kind.COUNT,
               Kind.DURATION, Kind.TRUTH, Kind.SIGNAL}
QUOTED = {Kind.ARGUMENTS, Kind.ENVIRONMENT}
STATUS_SCOPES = {Status.CARRIED_OUT: "support.type.property-name.command",
                 Status.ACCEPTED: "support.type.property-name.accepted",
                 Status.REFUSED: "support.type.property-name.refused"}


def grammar() -> Rule:
    """The TextMate grammar."""
    return {
        "comment": "Made by examples/editor/generate.py from the table of submit commands; change it there.",
        "name": "PESC",
        "scopeName": "source.pesc",
        "fileTypes": ["pesc", "sub", "submit"],
        "patterns": [_include(name) for name in (
            "comment", "table-block", "verbatim-block", "block", "sweep", "table", "queue", "condition", "include",
            "use", "message", "attribute", *_command_rules(), "resource", "assignment", "line-break")],
        "repository": {**_lines(), **_command_rules(), **_values()},
    }


# --- lines ----------------------------------------------------------------------------


def _lines() -> dict[str, Rule]:
    name = r"((?:[A-Za-z0-9_.]|\$\([A-Za-z0-9_.]+\))+)"
    return {
        "comment": _match(rf"{START}(#.*)", {1: "comment.line.number-sign"}),
        "table-block": _block("table", "keyword.control.table", "cells"),
        "verbatim-block": _block("dockerfile", STATUS_SCOPES[Status.REFUSED], "macro"),
        "block": _block("[A-Za-z0-9_.]+", "variable.other.definition", "comment", "value"),
        "sweep": _line(rf"(?i){START}(sweep)(?={BLANK}+[^= \t\r\n])", {1: "keyword.control.sweep"},
                       "line-break", "macro", "axis-words", "range", "string", "list", "number", "name"),
        "table": _line(rf"(?i){START}(table)(?={BLANK}+[^= \t@\r\n])", {1: "keyword.control.table"}, "text"),
        "queue": _line(rf"(?i){START}(queue(?={BLANK}|\r?\n)|iterate(?=[ \t]+[^ \t=]|{BLANK}*\r?\n))",
                       {1: "keyword.control.queue"}, "line-break", "macro", "source", "number", "operator", "name"),
        "condition": {"patterns": [
            _line(rf"(?i){START}(if|elif)(?=[ \t!]|\r?\n)", {1: "keyword.control.conditional"},
                  "line-break", "macro", "condition-words", "constant", "number"),
            _match(rf"(?i){START}(else|endif){BLANK}*(?=\r?\n)", {1: "keyword.control.conditional"}),
        ]},
        "include": _line(rf"(?i){START}(include){BLANK}*(?:(ifexist|command)\b{BLANK}*)?(?:(into)\b{BLANK}*([^=: \t]+)"
                         rf"{BLANK}*)?(:)",
                         {1: "keyword.control.import", 2: "storage.modifier", 3: "storage.modifier",
                          4: "string.unquoted.file", 5: "punctuation.separator"}, "pipe", "text"),
        "use": _line(rf"(?i){START}(use){BLANK}+([^=:]*)(:)",
                     {1: "keyword.control.import", 2: "entity.name.type.template", 3: "punctuation.separator"}, "text"),
        "message": _line(rf"(?i){START}(error|warning){BLANK}*(:)",
                         {1: "keyword.control.message", 2: "punctuation.separator"}, "text"),
        "attribute": _line(rf"(?i){START}(\+|MY\.)([A-Za-z0-9_]+){BLANK}*(=)",
                           {1: "punctuation.definition.attribute", 2: "entity.other.attribute-name",
                            3: "keyword.operator.assignment"}, "expression"),
        "resource": _line(rf"(?i){START}(request_[A-Za-z0-9_]+){BLANK}*(=)",
                          {1: STATUS_SCOPES[Status.REFUSED], 2: "keyword.operator.assignment"}, "expression"),
        "assignment": _line(rf"{START}{name}{BLANK}*(=)",
                            {1: "variable.other.definition", 2: "keyword.operator.assignment"}, "value"),
    }


def _command_rules() -> dict[str, Rule]:
    """The lines that set commands: one rule for each kind of value and each thing that becomes of them."""
    words: dict[tuple[str, Status], list[str]] = {}
    for command in COMMANDS:
        words.setdefault((_value_rule(command), _shown_status(command)), []).extend(command.words)
    return {
        f"{status.name.lower().replace('_', '-')}-{value}": _line(
            rf"(?i){START}({'|'.join(sorted(dict.fromkeys(names)))}){BLANK}*(=)",
            {1: STATUS_SCOPES[status], 2: "keyword.operator.assignment"}, value)
        for (value, status), names in words.items()
    }


def _shown_status(command: Command) -> Status:
    """A command of which some words are carried out does not look refused."""
    return Status.CARRIED_OUT if command.accepts and command.kind in (Kind.WORD, Kind.TRUTH) else command.status


def _value_rule(command: Command) -> str:
    if command.kind in EXPRESSIONS:
        return "expression"
    if command.kind in QUOTED:
        return "quoted"
    return "word" if command.kind is Kind.WORD else "value"


# --- values ---------------------------------------------------------------------------


def _values() -> dict[str, Rule]:
    return {
        "line-break": _match(r"(\\)[ \t]*\r?\n", {1: "constant.character.escape.line-break"}),
        "macro": {"patterns": [
            _pair(r"(\$\$\(\[?)", r"(\]?\))", "variable.other.macro.match", "macro", "expression-parts"),
            _pair(rf"(\$)({'|'.join(name for name in MACRO_FUNCTIONS)}|F[pdnxbfquaw]*)(\()", r"(\))",
                  {1: "punctuation.definition.macro", 2: "support.function.macro", 3: "punctuation.definition.macro"},
                  "macro", "format", "number", "string", "parentheses"),
            _pair(rf"(?i)(\$\()({'|'.join(sorted(JOB_NAMES))})(?=[:)])", r"(\))",
                  {1: "punctuation.definition.macro", 2: "variable.language.macro"}, "default"),
            _pair(r"(\$\()([A-Za-z0-9_.]+)(?=[:)])", r"(\))",
                  {1: "punctuation.definition.macro", 2: "variable.other.macro"}, "default"),
        ]},
        "format": _match(r"(%[-+ 0#]*[0-9]*(?:\.[0-9]*)?[diuxXofeEgGs])", {1: "constant.other.placeholder"}),
        "default": {"patterns": [_match("(:)", {1: "punctuation.separator"}), _include("macro"),
                                 _include("parentheses")]},
        "parentheses": {"begin": r"\(", "end": rf"\)|{END}", "patterns": [_include("macro"), _include("parentheses")]},
        "text": {"patterns": [_include("line-break"), _include("macro")]},
        "value": {"patterns": [_include("line-break"), _include("macro"), _include("string"), _include("constant"),
                               _include("number")]},
        "quoted": {"patterns": [
            _include("line-break"), _include("macro"),
            _pair(r'(")', r'(")(?!")', "string.quoted.double", "line-break", "doubled", "single", "macro",
                  content="string.quoted.double"),
        ]},
        "doubled": _match(r"(\"\"|'')", {1: "constant.character.escape"}),
        "single": _pair("(')", "(')(?!')", "string.quoted.single", "line-break", "doubled", "macro",
                        content="string.quoted.single"),
        "word": {"patterns": [
            _include("line-break"), _include("macro"),
            _match(rf"(?i)\b({'|'.join(_accepted_words())})\b", {1: "constant.language"}), _include("number")]},
        "expression": {"patterns": [_include("line-break"), _include("macro"), _include("expression-parts")]},
        "expression-parts": {"patterns": [
            _include("string"),
            _match(r"('(?:\\.|[^'\\\r\n])*')", {1: "variable.other.attribute.quoted"}),
            _include("constant"), _include("number"),
            _match(r"(?i)\b(isnt|is)\b", {1: "keyword.operator.word"}),
            _match(r"(?i)\b(MY|TARGET|PARENT)(\.)", {1: "variable.language.scope", 2: "punctuation.accessor"}),
            _match(rf"(?i)\b({'|'.join(sorted({*FUNCTIONS, *LAZY_FUNCTIONS}))})[ \t]*(?=\()",
                   {1: "support.function.classad"}),
            _match(r"\b([A-Za-z_][A-Za-z0-9_]*)[ \t]*(?=\()", {1: "invalid.illegal.function"}),
            _match(r"\b([A-Za-z_][A-Za-z0-9_]*)\b", {1: "variable.other.attribute"}),
            _include("operator"),
        ]},
        "operator": _match(r"(=\?=|=!=|==|!=|<=|>=|&&|\|\||>>>|<<|>>|[-<>!?:+*/%&|^~=])", {1: "keyword.operator"}),
        "constant": _match(r"(?i)\b(true|false|undefined|error|yes|no)\b(?![ \t]*[.(])", {1: "constant.language"}),
        "number": _match(r"(?i)(?<![\w.])((?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?(?:[ \t]*[KMGT]B?\b)?)"
                         r"(?![A-Za-z_])",
                         {1: "constant.numeric"}),
        "string": {"name": "string.quoted.double.pesc", "begin": '"', "end": rf'"|{END}',
                   "patterns": [_include("line-break"), _match(r'(\\.|"")', {1: "constant.character.escape"}),
                                _include("macro")]},
        "name": _match(r"\b([A-Za-z_][A-Za-z0-9_.]*)", {1: "variable.parameter"}),
        "axis-words": _match(r"(?i)\b(in|step)(?=[ \t(])", {1: "keyword.operator.word"}),
        "range": _match(r"([-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)[ \t]*(\.\.)[ \t]*"
                        r"([-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)",
                        {1: "constant.numeric", 2: "keyword.operator.range", 3: "constant.numeric"}),
        "source": {"begin": r"(?i)\b(in|from|matching)(?=[ \t(\[]|\r?\n)(?:[ \t]+(files|dirs|any|table)(?=[ \t(\[]))?",
                   "beginCaptures": _captures({1: "keyword.operator.word", 2: "storage.modifier"}), "end": END,
                   "patterns": [_include(name) for name in ("line-break", "macro", "slice", "rows", "list", "pipe",
                                                            "number")]},
        "slice": {"begin": r"\[", "end": rf"\]|{END}", "patterns": [
            _include("number"), _match("(:)", {1: "punctuation.separator"})]},
        "rows": {"begin": r"(\()[ \t]*\r?\n", "beginCaptures": _captures({1: "punctuation.section.rows"}),
                 "end": rf"{START}(\))", "endCaptures": _captures({1: "punctuation.section.rows"}),
                 "patterns": [_include("comment"), _include("cells")]},
        "list": {"begin": r"(\()", "beginCaptures": _captures({1: "punctuation.section.list"}), "end": rf"(\))|{END}",
                 "endCaptures": _captures({1: "punctuation.section.list"}), "patterns": [_include("cells")]},
        "cells": {"patterns": [
            _include("line-break"), _include("macro"), _include("string"),
            _match(r"(?<![^\s,;(])([-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)(?![^\s,;)])", {1: "constant.numeric"}),
            _match(r'([^\s,;()$"\\]+)', {1: "string.unquoted.cell"}),
            _match("([,;])", {1: "punctuation.separator"}),
        ]},
        "pipe": _match(r"(\|)[ \t]*(?=\r?\n)", {1: "keyword.operator.pipe"}),
        "condition-words": {"patterns": [
            _match("(!)", {1: "keyword.operator"}),
            _match(r"(?i)\b(defined)\b[ \t]*([A-Za-z0-9_.]+)?",
                   {1: "keyword.operator.word", 2: "variable.other.macro"}),
            _match(r"(?i)\b(version)[ \t]*(<=|>=|==|!=|<|>)[ \t]*([0-9.]+)",
                   {1: "keyword.operator.word", 2: "keyword.operator", 3: "constant.numeric"}),
        ]},
    }


def _accepted_words() -> list[str]:
    return sorted({value for command in COMMANDS if command.kind is Kind.WORD
                   for value in (*command.accepts, command.default.lower()) if value})


# --- forms of rules -------------------------------------------------------------------


def _include(name: str) -> Rule:
    return {"include": f"#{name}"}


def _captures(scopes: dict[int, str]) -> Rule:
    return {str(number): {"name": f"{scope}.pesc"} for number, scope in scopes.items()}


def _match(pattern: str, scopes: dict[int, str]) -> Rule:
    return {"match": pattern, "captures": _captures(scopes)}


def _line(begin: str, scopes: dict[int, str], *values: str) -> Rule:
    """A line of a kind, with what continues it."""
    return {"begin": begin, "beginCaptures": _captures(scopes), "end": END,
            "patterns": [_include(value) for value in values]}


def _pair(begin: str, end: str, scopes: dict[int, str] | str, *values: str, content: str = "") -> Rule:
    """What stands between two marks; it ends with its line at the latest."""
    if isinstance(scopes, str):
        scopes = {1: scopes}
    return {"begin": begin, "beginCaptures": _captures(scopes), "end": f"{end}|{END}",
            "endCaptures": _captures({1: scopes[1]}), **({"contentName": f"{content}.pesc"} if content else {}),
            "patterns": [_include(value) for value in values]}


def _block(name: str, scope: str, *values: str) -> Rule:
    """`name @=TAG`, up to `@TAG`."""
    return {"begin": rf"(?i){START}({name}){BLANK}*(@=){BLANK}*([A-Za-z0-9_]+){BLANK}*\r?\n",
            "beginCaptures": _captures({1: scope, 2: "keyword.operator.assignment", 3: "entity.name.tag"}),
            "end": rf"{START}(@)(\3){BLANK}*(?=\r?\n)",
            "endCaptures": _captures({1: "keyword.operator.assignment", 2: "entity.name.tag"}),
            "patterns": [_include(value) for value in values]}


# --- words ----------------------------------------------------------------------------


def commands() -> list[dict[str, object]]:
    """What an editor offers and tells: PESC's own words first, then the rest."""
    return [{"name": command.name, "aliases": list(command.words[1:]), "help": command.help, "value": str(command.kind),
             "default": command.default, "only": list(command.accepts), "status": str(command.status),
             "pesc": command.pesc}
            for command in sorted(COMMANDS, key=lambda command: (not command.pesc, command.name))]


def files() -> dict[Path, str]:
    """Every file and what it should hold."""
    colours = json.dumps(grammar(), indent=2) + "\n"
    words = "[\n" + ",\n".join(json.dumps(command) for command in commands()) + "\n]\n"
    return {HERE / "pesc.tmLanguage.json": colours,
            HERE / "vscode-pesc" / "syntaxes" / "pesc.tmLanguage.json": colours,
            HERE / "vscode-pesc" / "commands.json": words}


def main() -> int:
    """Write the files, or check them."""
    check = "--check" in sys.argv[1:]
    stale = [path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if not check:
            path.write_text(files()[path], "utf-8")
        print(f"{path.relative_to(HERE)}: "
              f"{'out of date; run python examples/editor/generate.py' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
