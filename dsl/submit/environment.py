"""Arguments and environment variables, in both of their syntaxes, and those of the submitter."""

import re
from collections.abc import Iterable, Mapping

from dsl.submit import quoting
from dsl.submit.expressions import quote, string_list
from dsl.submit.given import Given, Wrong
from dsl.submit.values import Attributes, misquoted, truth

INHERITED = "factory.environment"
"""The macro that carries what `getenv` took from the submitter's environment, as a job's `Environment`."""


def arguments(given: Given) -> Attributes:
    command = _one_of(given, "arguments")
    text = given.text(command) if command else None
    if command is None or text is None:
        return {}
    try:
        if command == "arguments" and not quoting.is_new(text):
            return {"Args": quote(quoting.unescape_old(text))}
        raw = quoting.unwrap(text) if quoting.is_new(text) else text
        quoting.split(raw)
    except quoting.BadQuoting as bad:
        raise misquoted(command, text, bad) from None
    return {"Arguments": quote(raw)}


def parameters(given: Given) -> Attributes:
    text = given.text("parameters")
    if text is None:
        return {}
    try:
        words = quoting.split(quoting.unwrap(text) if quoting.is_new(text) else text)
    except quoting.BadQuoting as bad:
        raise misquoted("parameters", text, bad) from None
    return {"PescParameters": string_list(words)}


def shell(given: Given) -> Attributes:
    """`shell = text`: a line for /bin/sh, which is on every machine."""
    text = given.text("shell")
    if text is None:
        return {}
    if given.text("executable"):
        raise Wrong("shell", "both executable and shell are given", "", "Keep one of them.")
    return {"Cmd": '"/bin/sh"', "Arguments": quote(quoting.join(["-c", text])), "TransferExecutable": "false"}


def environment(given: Given) -> Attributes:
    """The submitter's variables that `getenv` names, under those that are written out."""
    variables = quoting.read_environment(given.macro(INHERITED))
    command = _one_of(given, "environment")
    text = given.text(command) if command else None
    if command is not None and text is not None:
        try:
            new = command == "environment2" and not quoting.is_new(text)
            variables |= quoting.read_environment(text) if new else quoting.environment(text)
        except quoting.BadQuoting as bad:
            raise misquoted(command, text, bad) from None
    return {"Environment": quote(quoting.join_environment(variables))}


def inherited(wanted: str, environ: Mapping[str, str]) -> str:
    """The variables of `environ` that `getenv = wanted` takes, as a job's `Environment`.

    As in HTCondor, yes and no are names of variables here.
    """
    word = wanted.strip().strip('"').lower()
    if word in ("", "false", "f", "0"):
        return ""
    patterns = ["*"] if word in ("true", "t", "1") else re.split(r"[\s,;]+", wanted.strip())
    yes = [_pattern(text) for text in patterns if text and not text.startswith("!")]
    no = [_pattern(text[1:]) for text in patterns if text.startswith("!")]
    return quoting.join_environment({name: value for name, value in environ.items()
                                     if "=" not in name and _any(yes, name) and not _any(no, name)})


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")[:20]), re.IGNORECASE | re.DOTALL)


def _any(patterns: Iterable[re.Pattern[str]], name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in patterns)


def _one_of(given: Given, command: str) -> str | None:
    """`arguments2` goes before `arguments`; both together must be allowed."""
    second = f"{command}2"
    if not given.text(second):
        return command
    if given.text(command) and not truth(given, f"allow_{command}_v1"):
        raise Wrong(second, f"both {command} and {second} are given", "They say the same in two syntaxes.",
                    f"Keep {second}.")
    return second
