"""A ready domain: its Dockerfile, and what is told about it. The files lie in `store/`; others read them."""

import tomllib
from typing import NamedTuple

from dsl.dockerfile import check


class Entry(NamedTuple):
    """One ready domain. Its parameters are the arguments of its Dockerfile."""

    name: str
    description: str
    languages: tuple[str, ...]
    packages: str
    """What plain names in `packages` are: pip, apt, r, julia or octave."""
    dockerfile: str
    parameters: dict[str, str]
    """What each is for."""
    defaults: dict[str, str]


def entry_of(name: str, about: str, dockerfile: str) -> Entry:
    """The entry that a TOML text and a Dockerfile make."""
    said = tomllib.loads(about)
    arguments = check(dockerfile, name).arguments
    return Entry(name, said["description"], tuple(said.get("languages", ())), said.get("packages", "pip"), dockerfile,
                 dict(said.get("parameters", {})), {name: value or "" for name, value in arguments.items()})
