"""GPUs: how many, and which will do. PESC's words say the same as HTCondor's commands."""

import re

from dsl.submit.expressions import inside, value_of
from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import shown
from dsl.submit.values import Attributes, count, expression, memory_mib

_VERSION = re.compile(r"([0-9]{1,4})(?:\.([0-9]{1,3}))?\Z")


def gpus(given: Given) -> Attributes:
    number = requested(given)
    if number is None:
        return {}
    made = {"RequestGPUs": number}
    clauses = []
    if required := given.text("require_gpus"):
        clauses.append(inside(expression("require_gpus", required)))
    for command, attribute, clause in (
        ("gpus_minimum_capability", "GPUsMinCapability", "Capability >= GPUsMinCapability"),
        ("gpus_maximum_capability", "GPUsMaxCapability", "Capability <= GPUsMaxCapability"),
        ("gpu_capability", "GPUsMinCapability", "Capability >= GPUsMinCapability"),
    ):
        if (text := given.text(command)) is None:
            continue
        if command == "gpu_capability" and not isinstance(value_of(text), int | float):
            raise Wrong(command, f"{shown(text)!r} is not a capability", "", "Write, say: gpu_capability = 8.0")
        made[attribute] = expression(command, text)
        clauses.append(clause)
    for command in ("gpus_minimum_memory", "gpu_memory"):
        if (text := given.text(command)) is not None:
            mib = memory_mib(command, text)
            made["GPUsMinMemory"] = expression(command, text) if mib is None else str(mib)
            clauses.append("GlobalMemoryMb >= GPUsMinMemory")
    if (text := given.text("gpus_minimum_runtime")) is not None:
        made["GPUsMinRuntime"] = _runtime(text)
        clauses.append("MaxSupportedVersion >= GPUsMinRuntime")
    if clauses:
        made["RequireGPUs"] = " && ".join(clauses)
    return made


def requested(given: Given) -> str | None:
    """How many GPUs are asked for, as ClassAd text."""
    ours, theirs = given.text("gpus"), given.text("request_gpus")
    if ours is not None:
        if theirs is not None:
            raise Wrong("gpus", "both gpus and request_gpus are given", "They say the same.", "Keep one of them.")
        return str(count("gpus", ours, 0))
    return None if theirs is None else expression("request_gpus", theirs)


def _runtime(text: str) -> str:
    """CUDA's number for a version: 12.1 is 12010."""
    found = _VERSION.match(text)
    if not found:
        return expression("gpus_minimum_runtime", text)
    return str(int(found[1]) * 1000 + int(found[2] or 0) * 10)
