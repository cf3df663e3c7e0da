"""Expressions that can be read and make no sense: unknown functions, wrong kinds, what can never be true.

HTCondor takes them all. In a `.pesc` file they are mistakes, elsewhere warnings.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from dsl.submit.expressions import called_functions, value_of
from dsl.submit.mistakes import nearest, shown
from dsl.submit.table import BY_WORD, Command, Kind

CHANGING = ("JobStatus", "JobPrio", "HoldReason", "HoldReasonCode", "PescRow")
"""Attributes of a new job that its life changes, or that differ from job to job."""

MOST_TOLD = 3
"""Unknown functions of one expression: likeness is slow to tell."""

AMOUNTS = frozenset({"request_cpus", "request_memory", "request_disk", "request_gpus", "rank", "job_lease_duration",
                     "gpus_minimum_capability", "gpus_maximum_capability", "gpus_minimum_memory",
                     "allowed_execute_duration", "allowed_job_duration", "on_exit_hold_subcode",
                     "periodic_hold_subcode"})
TEXTS = frozenset({"on_exit_hold_reason", "periodic_hold_reason", "periodic_remove_reason"})

MACHINE_NUMBERS = frozenset({
    "cpus", "memory", "disk", "gpus", "freecpus", "freememory", "freedisk", "freegpus", "loadavg", "clockmin",
    "clockday", "keyboardidle", "consoleidle", "numruns", "gpus_globalmemorymb"})
MACHINE_TEXTS = frozenset({"arch", "microarch", "opsys", "opsysandver", "opsysname", "machine", "name", "state",
                           "activity", "filesystemdomain", "gpus_devicename"})
"""Attributes of a machine, in lower case, by the kind of value that they have everywhere."""
_VALUE = r'"(?:[^"\\]|\\.)*+"|[0-9][0-9.]*+(?![\w.])|(?:X86_64|INTEL|AARCH64|LINUX|WINDOWS|OSX|MACOS)\b(?!\s*[.(])'
_NAME = r"(?P<{0}_target>TARGET\s*+\.\s*+)?(?<!\w)(?P<{0}>[A-Za-z_]\w*+)(?!\s*[.(\[])"
_COMPARED = re.compile(rf"(?<![\w.]){_NAME.format('left')}\s*+(?:[<>]=?|[=!]=)\s*+(?P<right_value>{_VALUE})"
                       rf"|(?P<left_value>{_VALUE})\s*+(?:[<>]=?|[=!]=)\s*+{_NAME.format('right')}"
                       r'|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.IGNORECASE | re.DOTALL)


class Nonsense(NamedTuple):
    """What is wrong at `offset` in an expression."""

    offset: int
    length: int
    what: str
    why: str = ""
    cure: str = ""


def nonsense(word: str, text: str, template: Mapping[str, str]) -> Iterator[Nonsense]:
    """What makes no sense in the expression that a command, or `+Attribute`, was given."""
    command = BY_WORD.get(word.lstrip("+").lower())
    if command is None and not word.startswith("+"):
        return
    if command is not None and not word.startswith("+") and command.kind not in (Kind.EXPRESSION, Kind.MEMORY,
                                                                                Kind.DISK):
        return
    unknown = list(_unknown_functions(text))
    yield from unknown
    if unknown:
        return
    if command is not None and (wrong := _wrong_kind(command, text)):
        yield Nonsense(0, len(text), wrong, "", _CURES.get(command.name, ""))
    elif word == "requirements" and (wrong_comparisons := list(_wrong_comparisons(text, template))):
        yield from wrong_comparisons
    elif word == "requirements" and (why := _never(text, template)):
        yield Nonsense(0, len(text), "this can never be true", why, "No machine would ever be good enough.")


def _unknown_functions(text: str) -> Iterator[Nonsense]:
    calls = list(called_functions(text))
    if not calls:
        return
    from dsl.classad.functions import FUNCTIONS, LAZY_FUNCTIONS

    known = [*FUNCTIONS, *LAZY_FUNCTIONS]
    names = frozenset(known)
    unknown = ((offset, name) for offset, name in calls if name.lower() not in names)
    for offset, name in islice(unknown, MOST_TOLD):
        guess = nearest(name, known)
        yield Nonsense(offset, len(name), f"there is no function {shown(name)}()", "Calling it is an error.",
                       f"Did you mean {guess}()?" if guess else "")


_CURES = {"request_memory": "Write, say: request_memory = 2G", "request_disk": "Write, say: request_disk = 2G",
          "request_cpus": "Write, say: request_cpus = 4"}


def _wrong_kind(command: Command, text: str) -> str:
    """The kind that a value plainly has, where another is wanted."""
    stripped = text.strip()
    if not (stripped[:1] == '"' or stripped.lower() in ("true", "false") or stripped.replace(".", "", 1).isdigit()):
        return ""
    value = value_of(stripped)
    is_text, is_truth = isinstance(value, str), isinstance(value, bool)
    if command.name in AMOUNTS and (is_text or is_truth):
        return f"{command.name} is a number, and {shown(stripped)} is {'a text' if is_text else 'true or false'}"
    if command.name in TEXTS and value is not None and not is_text:
        return f"{command.name} is a text, and {shown(stripped)} is none: put it into double quotes"
    if command.kind is Kind.EXPRESSION and command.name not in AMOUNTS | TEXTS and is_text and command.attribute:
        return f"{command.name} is true or false, and {shown(stripped)} is a text"
    return ""


def _wrong_comparisons(text: str, template: Mapping[str, str]) -> Iterator[Nonsense]:
    """Where an attribute of the machine is compared with a value that is of another kind wherever it is asked."""
    own = {name.lower() for name in template}
    for found in islice(_COMPARED.finditer(text), MOST_COMPARISONS):
        side, other = ("left", "right") if found["left"] else ("right", "left")
        name, value = found[side], found[f"{other}_value"]
        if not name or (name.lower() in own and not found[f"{side}_target"]):
            continue
        wants_text = name.lower() in MACHINE_TEXTS
        if (not wants_text and name.lower() not in MACHINE_NUMBERS) or (
                wants_text if value[0] == '"' else not wants_text or (value[0].isalpha() and value.lower() in own)):
            continue
        is_name = value[0].isalpha()
        yield Nonsense(
            found.start(), len(found[0]), f"{name} is a {'text' if wants_text else 'number'}, and {shown(value)} is "
            + ("the name of an attribute" if is_name else "a number" if wants_text else "a text"),
            "This comparison is not true on any machine.",
            f'Write: "{value}"' if is_name else "" if wants_text else "Take the quotes away, and write memory in MiB.")


MOST_COMPARISONS = 1000
"""Of one expression: more are not looked at."""


def _never(text: str, template: Mapping[str, str]) -> str:
    """Why `text` is not true on any machine, "" if it may be."""
    from dsl import classad
    from dsl.classad.tree import Literal

    try:
        ad = classad.Ad.from_texts({name: value for name, value in template.items() if name not in CHANGING})
        left = classad.flatten(classad.parse(text), ad)
    except classad.ClassAdSyntaxError:
        return ""  # said by its maker
    if not isinstance(left.tree, Literal) or classad.is_true(left.evaluate()):
        return ""
    return f"Whatever the machine, it comes to {shown(str(left))}."
