"""Kinds of processors, by the names that compilers give them, and which build of a domain each one is best served by.

A Dockerfile with `ARG PESC_MICROARCH=x86-64-v2,x86-64-v3` names *variants*: it is built once for
each, with that one as the argument's value, and a machine has the best that its processor can run.
Without a default (`ARG PESC_MICROARCH`) there is one for each kind of processor in the pool.
"""

import re
from collections.abc import Iterable, Mapping

ARGUMENT = "PESC_MICROARCH"

X86 = ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4")
"""The levels of the x86-64 psABI, lowest first: each runs what was made for those before it."""

MOST_VARIANTS = 8
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_SEPARATORS = re.compile(r"[,\s]+")


class BadProcessor(ValueError):
    """What is written names no kind of processor; says so in words. `word` is the culprit."""

    def __init__(self, word: str) -> None:
        super().__init__(f"{word[:40]!r} is not a kind of processor")
        self.word = word


def processor_of(microarch: object, arch: object) -> str:
    """The kind of a machine's processor, by its ad's `Microarch` and `Arch`."""
    if isinstance(microarch, str) and (name := _normal(microarch)) in X86:
        return name
    name = _normal(arch) if isinstance(arch, str) else ""
    return name if _NAME.match(name) else "unknown"


def variants(text: str) -> tuple[str, ...]:
    """The kinds that `text` names, each once, as written; raise BadProcessor."""
    named = [word for word in _SEPARATORS.split(text.strip()) if word]
    for word in named:
        name = _normal(word)
        # There is no other level: a slip such as x86-64-v33 would be built for no machine.
        if not _NAME.match(name) or (name.startswith("x86-") and name not in X86):
            raise BadProcessor(word)
    return tuple(dict.fromkeys(map(_normal, named)))


def asked_variants(declared: Mapping[str, str | None], given: Mapping[str, str]) -> tuple[str, ...] | None:
    """The variants of a Dockerfile with these arguments; none: one for each kind in the pool; None: it has none."""
    if ARGUMENT not in declared:
        return None
    return variants(given.get(ARGUMENT) or declared[ARGUMENT] or "")


def best(named: Iterable[str], processor: str) -> str | None:
    """Which of `named` is best on a machine with this processor; None: it can run none of them."""
    if processor not in X86:
        return processor if processor in named else None
    fitting = [name for name in named if name in X86 and X86.index(name) <= X86.index(processor)]
    return max(fitting, key=X86.index, default=None)


def runs(processor: str, made_for: str) -> bool:
    """Whether what was made for `made_for` runs on this processor."""
    return best((made_for,), processor) is not None


def _normal(name: str) -> str:
    """`x86_64-v3`, as HTCondor writes it, and `X86_64` too."""
    name = name.strip().strip('"').lower().replace("x86_64", "x86-64")
    return "x86-64" if name == "x86-64-v1" else name
