"""Which runtime this startd has: containers where they were proven to work, else plain processes."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from dsl.classad.literals import quote
from startd.images.engine import CannotContain, dotted, find_engine, version_of
from startd.images.stock import DEFAULT_LIMIT_BYTES, Stock
from startd.runtime.gpudevices import Injector
from startd.runtime.interface import Happening, Runtime
from startd.runtime.podman import PodmanRuntime
from startd.runtime.process import ProcessRuntime
from startd.runtime.trial import Abilities, prove

log = logging.getLogger(__name__)

KERNEL, WATCHING = '"kernel"', '"watching"'
"""How memory is limited: at once, or by looking four times a second and ending what has grown too large."""

RUNTIMES = ("auto", "podman", "process")

Make = Callable[[Callable[[Happening], None]], Runtime]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A runtime, and what the machine's ad says of it."""

    contains: bool
    make: Make
    attributes: dict[str, str]
    stock: Stock | None = None
    """Of images, where there are containers."""


async def choose(asked: str, state: str, identity: str, gpus: Injector | None = None,
                 image_bytes: int = DEFAULT_LIMIT_BYTES) -> Chosen:
    """The runtime that was asked for; `auto` tries containers first. Raise CannotContain where only they would do.

    Runs of an earlier start that are still there decide: their keeper cannot change its kind.
    """
    left = _kind_of_keeper(state)
    if left is not None and asked not in ("auto", left):
        log.warning("runs of the %s runtime are left from before; this startd goes on with that until it is "
                    "restarted without them", left)
    if (left or asked) == "process":
        return _process(state, identity)
    try:
        engine = find_engine()
        version = dotted(await version_of(engine))
        abilities = await prove(engine, state)
    except CannotContain as error:
        if asked == "podman" or left == "podman":
            raise
        log.warning("jobs run as plain processes, without containers: %s", error)
        return _process(state, identity, str(error))
    stock = Stock(engine, state, identity, image_bytes)
    await stock.open()
    return Chosen(True, lambda tell: PodmanRuntime(state, identity, tell, engine, gpus, stock),
                  _attributes(version, abilities), stock)


def _process(state: str, identity: str, why: str = "") -> Chosen:
    said = {"PescNoContainers": quote(why)} if why else {}
    return Chosen(False, lambda tell: ProcessRuntime(state, identity, tell), {
        "PescRuntime": '"process"', "HasContainer": "false", "HasDocker": "false", "HasDockerURL": "false",
        "HasMemoryLimit": "true", "PescMemoryLimitBy": WATCHING,
        # What it writes outside its folder is not seen, nor does anything keep it from there.
        "HasDiskLimit": "false", "HasPidsLimit": "false", "HasNetworkIsolation": "false", "HasCpuShares": "false",
        **said,
    })


def _attributes(version: str, abilities: Abilities) -> dict[str, str]:
    return {
        "PescRuntime": '"podman"', "PescEngine": quote(f"podman {version}"),
        "HasContainer": "true", "HasDocker": "true", "HasDockerURL": "true",
        "HasMemoryLimit": "true", "PescMemoryLimitBy": KERNEL if abilities.memory_limit else WATCHING,
        "HasDiskLimit": "true", "HasPidsLimit": _truth(abilities.pids_limit),
        "HasCpuShares": _truth(abilities.cpu_shares),
        "HasNetworkIsolation": _truth(abilities.network_isolation),
        # Of the languages, what the default image has: others come with an image of their own.
        "HasPython": "true", "HasR": "false", "HasJulia": "false", "HasOctave": "false",
        "HasJava": "false",
    }


def _kind_of_keeper(state: str) -> str | None:
    """Which kind of keeper lives in this folder, if one does."""
    try:
        with open(f"{state}/keeper.pid") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"startd.runtime.keeper" not in file.read():
                return None
        inside = os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    except (OSError, ValueError):
        return None
    return "podman" if inside else "process"


def _truth(holds: bool) -> str:
    return "true" if holds else "false"
