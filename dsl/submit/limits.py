"""Which limits a job's machine must be able to enforce: what `pids_limit` and `enforce` say.

An amount is no such demand: `request_memory = 2G` asks for a machine that has it, and whoever can keeps the
job to it. `pids_limit` asks for nothing but a limit, so a machine that cannot keep it will not do; `enforce`
says the same of the others. Files without these words match as they would in HTCondor.
"""

from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import nearest, shown
from dsl.submit.values import Attributes, count, name_list, truth

MACHINES_SAY = {"memory": "HasMemoryLimit", "disk": "HasDiskLimit", "pids": "HasPidsLimit",
                "network": "HasNetworkIsolation"}
"""What can be enforced, and what a machine says that can."""

AMOUNTS = {"memory": ("request_memory", "2G"), "disk": ("request_disk", "10G")}
"""Without such an amount there is no limit to be enforced."""

MOST_PIDS = 32768
"""As many processes as a whole machine has, where nobody told its kernel otherwise."""


def limits(given: Given) -> Attributes:
    made = {}
    text = given.text("pids_limit")
    if text is not None:
        most = count("pids_limit", text)
        if most > MOST_PIDS:
            raise Wrong("pids_limit", f"{shown(text)!r} is more than a machine has",
                        f"It may be at most {MOST_PIDS}; without it a container has 2048.", "Write, say: "
                        "pids_limit = 4096")
        made["PescPidsLimit"] = str(most)
    _enforced(given)
    return made


def clauses(given: Given, named: frozenset[str]) -> list[str]:
    """What Requirements say; what is wrong with the commands is said by `limits`."""
    try:
        kinds = _enforced(given)
    except Wrong:
        return []
    needed = [MACHINES_SAY[kind] for kind in kinds]
    if given.text("pids_limit") and "pids" not in kinds and "haspidslimit" not in named:
        needed.append("HasPidsLimit")
    return [f"(TARGET.{name})" for name in needed]


def _enforced(given: Given) -> list[str]:
    """The kinds that `enforce` names, each once."""
    text = given.text("enforce")
    kinds = list(dict.fromkeys(name.lower() for name in name_list(text)))
    for kind in kinds:
        if kind not in MACHINES_SAY:
            guess = nearest(kind, list(MACHINES_SAY))
            raise _wrong(text, kind, "is nothing that a machine could enforce", f"It can: {', '.join(MACHINES_SAY)}.",
                         f'Did you mean "{guess}"?' if guess else "Write, say: enforce = memory, disk")
        if kind in AMOUNTS and not given.text(AMOUNTS[kind][0]):
            command, example = AMOUNTS[kind]
            raise _wrong(text, kind, f"cannot be enforced without {command}", "Nothing says how much it may be.",
                         f"Write, say: {command} = {example}")
    if "network" in kinds and _wants_network(given):
        raise _wrong(text, "network", "cannot be both closed and granted", "want_job_networking = true grants it.",
                     "Take one of the two out.")
    return kinds


def _wants_network(given: Given) -> bool:
    try:
        return truth(given, "want_job_networking")
    except Wrong:
        return False  # said by its own maker


def _wrong(text: str | None, part: str, what: str, why: str, cure: str) -> Wrong:
    at = max((text or "").lower().find(part), 0)
    return Wrong("enforce", f"{shown(part)!r} {what}", why, cure, at, len(part))
