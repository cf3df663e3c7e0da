"""Read how runs give way to the machine's owner: a preset, and a TOML file that changes some of it.

    [owner]
    sessions = false
    freeze_after_seconds = 60
    leave_after_seconds = "never"

    [roots]                 # for a startd in a container that sees its host's devices elsewhere
    dev = "/host/dev"
"""

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from startd.core.ladder import PRESETS, Policy
from startd.monitors.owner import Roots

NEVER = "never"
OPTIONAL = {"freeze_after_seconds", "leave_after_seconds"}
SHARES = {"busy_load", "calm_load", "share"}


class OwnerSettings(NamedTuple):
    policy: Policy = PRESETS["off"]
    roots: Roots = Roots()


class WrongSettings(Exception):
    """The file cannot be used; says so in words."""


def owner_settings(preset: str, path: str | None) -> OwnerSettings:
    """The preset as the file at `path` changes it."""
    settings = OwnerSettings(PRESETS[preset])
    if path is None:
        return settings
    try:
        with open(path, "rb") as file:
            sections = tomllib.load(file)
    except OSError as error:
        raise WrongSettings(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSettings(f"{path}: {error}.") from None
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise WrongSettings(f"{path}: {name} stands in no section. Put [owner] above it.")
        _known(path, "section", name, ("owner", "roots"))
    policy = replace(settings.policy, **_changes(path, sections.get("owner", {}), asdict(Policy())))
    if policy.calm_load > policy.busy_load:
        raise WrongSettings(f"{path}: calm_load = {policy.calm_load:g} is above busy_load = {policy.busy_load:g}.")
    return OwnerSettings(policy, replace(settings.roots, **_changes(path, sections.get("roots", {}), asdict(Roots()))))


def _changes(path: str, section: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    for name in section:
        _known(path, "setting", name, like)
    return {name: _checked(f"{path}: {name} = {value}", name, value, type(like[name]))
            for name, value in section.items()}


def _known(path: str, what: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        near = get_close_matches(name, names, 1)
        raise WrongSettings(f"{path}: there is no {what} {name}." + (f" Did you mean {near[0]}?" if near else ""))


def _checked(says: str, name: str, value: object, kind: type) -> object:
    if kind is not float:
        if isinstance(value, kind):
            return value
        raise WrongSettings(f"{says} is {'neither true nor false' if kind is bool else 'no text in quotes'}.")
    if value == NEVER and name in OPTIONAL:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongSettings(f"{says} is not a number{', nor never' if name in OPTIONAL else ''}.")
    if name in SHARES and not 0 <= value <= 1:
        raise WrongSettings(f"{says} is no share: those lie between 0 and 1.")
    if not 0 <= value < 1e9:
        raise WrongSettings(f"{says} is out of range.")
    return float(value)
