"""Functions that take strings apart and put them together: lists, names, arguments, environments."""

from __future__ import annotations

import re
from functools import lru_cache

from dsl.classad.functions.convert import bounded
from dsl.classad.functions.table import MANY, Function
from dsl.classad.scope import Inner, Run, is_list
from dsl.classad.values import ERROR, UNDEFINED

_QUOTED = re.compile(r"(?:[^\s']|'(?:[^']|'')*')+")
_QUOTED_PART = re.compile(r"'((?:[^']|'')*)'")
_NEEDS_QUOTES = re.compile(r"[\s']+")


def split(run: Run, text: Inner, separators: Inner = ", \t") -> Inner:
    """Split at separators. Blanks around one belong to it; an empty item stays, but not at an end."""
    if not isinstance(text, str) or not isinstance(separators, str):
        return ERROR
    if not text:
        return []
    parts = _splitter(separators).split(text) if separators else [text]
    if not parts[0]:
        parts = parts[1:]
    if parts and not parts[-1]:
        parts = parts[:-1]
    return list(parts) if run.spend(len(parts)) else ERROR


@lru_cache(maxsize=64)
def _splitter(separators: str) -> re.Pattern[str]:
    blanks = "".join(re.escape(mark) for mark in separators if mark.isspace())
    others = "".join(re.escape(mark) for mark in separators if not mark.isspace())
    if not blanks:
        return re.compile(f"[{others}]")
    return re.compile(f"[{blanks}]*[{others}][{blanks}]*|[{blanks}]+" if others else f"[{blanks}]+")


def split_user_name(run: Run, text: Inner) -> Inner:
    if not isinstance(text, str):
        return ERROR
    user, _, domain = text.partition("@")
    return [user, domain]


def split_slot_name(run: Run, text: Inner) -> Inner:
    if not isinstance(text, str):
        return ERROR
    slot, at, host = text.partition("@")
    return [slot, host] if at else ["", text]


def unquoted_arguments(text: str) -> list[str] | None:
    """Read arguments in HTCondor's new form: apart by blanks, quoted by ', a doubled ' is one; None if it is open."""
    arguments: list[str] = []
    end = 0
    for found in _QUOTED.finditer(text):
        if text[end : found.start()].strip():
            return None
        arguments.append(_QUOTED_PART.sub(lambda part: part[1].replace("''", "'"), found[0]))
        end = found.end()
    return None if text[end:].strip() else arguments


def quoted_argument(argument: str) -> str:
    """Write one argument so that `unquoted_arguments` reads it back."""
    if not argument:
        return "''"
    return _NEEDS_QUOTES.sub(lambda found: "'" + found[0].replace("'", "''") + "'", argument)


def args_to_list(run: Run, text: Inner, version: Inner = 2) -> Inner:
    if not isinstance(text, str) or version not in (1, 2) or type(version) is not int:
        return ERROR
    arguments = text.split() if version == 1 else unquoted_arguments(text)
    return ERROR if arguments is None else list(arguments)


def list_to_args(run: Run, elements: Inner, version: Inner = 2) -> Inner:
    if not is_list(elements) or version not in (1, 2) or type(version) is not int:
        return ERROR
    arguments: list[str] = []
    for element in elements:  # type: ignore[union-attr]
        if not isinstance(element, str) or (version == 1 and any(mark.isspace() for mark in element)):
            return ERROR
        arguments.append(element if version == 1 else quoted_argument(element))
    return bounded(run, " ".join(arguments))


def _environment(pairs: list[str] | None) -> dict[str, str] | None:
    variables: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            return None
        variables[name] = value
    return None if pairs is None else variables


def _environment_text(run: Run, variables: dict[str, str]) -> Inner:
    return bounded(run, " ".join(quoted_argument(f"{name}={value}") for name, value in sorted(variables.items())))


def env_v1_to_v2(run: Run, text: Inner) -> Inner:
    if not isinstance(text, str):
        return UNDEFINED if text is UNDEFINED else ERROR
    variables = _environment([pair for pair in text.split(";") if pair])
    return ERROR if variables is None else _environment_text(run, variables)


def merge_environment(run: Run, *texts: Inner) -> Inner:
    """Merge environments in the new form: later ones win, undefined ones are left out."""
    merged: dict[str, str] = {}
    for text in texts:
        if text is UNDEFINED:
            continue
        variables = _environment(unquoted_arguments(text)) if isinstance(text, str) else None
        if variables is None:
            return ERROR
        merged |= variables
    return _environment_text(run, merged)


def user_map(run: Run, name: Inner, user: Inner, preferred: Inner = UNDEFINED, default: Inner = UNDEFINED) -> Inner:
    """There are no map files here: only the default is known."""
    return ERROR if ERROR in (name, user) else default


def user_home(run: Run, user: Inner, default: Inner = UNDEFINED) -> Inner:
    """Home directories are not the language's to know: only the default is."""
    if not isinstance(user, str) and user is not UNDEFINED:
        return ERROR
    return default if isinstance(default, str) else UNDEFINED


FUNCTIONS = {
    "split": Function(split, 1, 2),
    "splitusername": Function(split_user_name, 1, 1),
    "splitslotname": Function(split_slot_name, 1, 1),
    "argstolist": Function(args_to_list, 1, 2),
    "listtoargs": Function(list_to_args, 1, 2),
    "envv1tov2": Function(env_v1_to_v2, 1, 1),
    "mergeenvironment": Function(merge_environment, 0, MANY),
    "usermap": Function(user_map, 2, 4),
    "userhome": Function(user_home, 1, 2),
}
