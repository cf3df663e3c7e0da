"""Which system calls a container may make: the profile of the engine, for a process without any capability.

`rules` reads the profile as container engines write it (names, conditions by
architecture, kernel and capability) and keeps what holds here. The same rules
become a filter for the kernel (`startd.runtime.seccomp`) or, where that cannot be
compiled, the JSON that the OCI runtime reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ARCHITECTURES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
"""By the kernel's name for the machine: its name in a profile's conditions, and libseccomp's."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to some system calls, if all `conditions` on their arguments hold."""

    names: tuple[str, ...]
    action: str
    errno: int | None
    conditions: tuple[tuple[int, str, int, int], ...]
    """Which argument, how it is compared, with what, and the second value of a masked comparison."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A whole profile, read for one machine."""

    action: str
    """For all system calls that no rule names."""
    errno: int | None
    architectures: tuple[str, ...]
    rules: tuple[Rule, ...]


def read_profile(profile: Mapping[str, Any], machine: str, kernel: tuple[int, int]) -> Filter:
    """What `profile` means on this kind of machine; raise KeyError for a machine nobody thought of."""
    name, libseccomp_name = ARCHITECTURES[machine]
    others = [name for entry in profile.get("archMap") or [] if entry["architecture"] == libseccomp_name
              for name in entry.get("subArchitectures") or []]
    return Filter(profile["defaultAction"], profile.get("defaultErrnoRet"), (libseccomp_name, *others),
                  tuple(_rules(profile, name, kernel)))


def as_oci(filter: Filter) -> dict[str, Any]:
    """The filter as an OCI runtime reads it."""
    said: dict[str, Any] = {"defaultAction": filter.action, "architectures": list(filter.architectures)}
    if filter.errno is not None:
        said["defaultErrnoRet"] = filter.errno
    said["syscalls"] = [_call(rule) for rule in filter.rules]
    return said


def _rules(profile: Mapping[str, Any], architecture: str, kernel: tuple[int, int]) -> Iterator[Rule]:
    for call in profile["syscalls"]:
        if _holds(call.get("includes") or {}, call.get("excludes") or {}, architecture, kernel):
            conditions = tuple((arg["index"], arg["op"], arg["value"], arg.get("valueTwo") or 0)
                               for arg in call.get("args") or [])
            yield Rule(tuple(call["names"]), call["action"], call.get("errnoRet"), conditions)


def _holds(includes: Mapping[str, Any], excludes: Mapping[str, Any], architecture: str,
           kernel: tuple[int, int]) -> bool:
    """Whether an entry is meant for us, who never have a capability: `excludes` can only name architectures."""
    if includes.get("caps"):
        return False
    if includes.get("arches") and architecture not in includes["arches"]:
        return False
    if (least := includes.get("minKernel")) and kernel < _version(least):
        return False
    if (most := excludes.get("minKernel")) and kernel >= _version(most):
        return False
    return architecture not in (excludes.get("arches") or [])


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor.partition(".")[0] or 0)


def _call(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = {"names": list(rule.names), "action": rule.action}
    if rule.errno is not None:
        said["errnoRet"] = rule.errno
    if rule.conditions:
        said["args"] = [{"index": index, "op": how, "value": value, "valueTwo": second}
                        for index, how, value, second in rule.conditions]
    return said
