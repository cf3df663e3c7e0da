"""How this machine's pip reaches its packages, shown to builds while they run, and to nobody after.

Indexes may lie behind names and passwords: the settings are mounted into a build, so that they
are in no layer, in no log and in no recipe.
"""

import asyncio
import importlib.util
import os
import re
import shutil
import sys

from dsl.domains.recipes import PIP_FOLDER

SETTING = re.compile(r"(?:global|install|:env:)\.(\S+?)=(['\"])(.*)\2\Z")
"""As `pip config list` prints it."""

USEFUL = frozenset({"index-url", "extra-index-url", "find-links", "cert", "client-cert", "trusted-host", "proxy",
                    "timeout", "default-timeout", "retries", "no-index", "prefer-binary"})
LOCAL = re.compile(r"(?:file://)?(/[^\s'\"]+)")


async def options(folder: str) -> list[str]:
    """What to add to a build's command line: pip itself, its settings, and what these name on this machine."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = [f"--volume={place}:{PIP_FOLDER}:ro"] if (place := _own_pip(folder)) else []
    settings = await _settings()
    if not settings:
        return found
    path = f"{folder}/pip.conf"
    lines = ["[global]", *(f"{name} = {value}" for name, value in sorted(settings.items()))]
    _write(path, "\n".join(lines) + "\n")
    places = {match[1].rstrip("/") for value in settings.values() for match in LOCAL.finditer(value)
              if "://" not in value[max(0, match.start() - 6) : match.start()]}
    found += [f"--volume={place}:{place}:ro" for place in _outermost(places)]
    return [*found, f"--volume={path}:/etc/pip.conf:ro"]


def _own_pip(folder: str) -> str | None:
    """A folder with nothing but our pip in it."""
    spec = importlib.util.find_spec("pip")
    if spec is None or not spec.submodule_search_locations:
        return None
    place = f"{folder}/module"
    if not os.path.isdir(f"{place}/pip"):
        fresh = f"{place}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(spec.submodule_search_locations[0], f"{fresh}/pip",
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.rmtree(place, ignore_errors=True)
        os.rename(fresh, place)
    return place


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


async def _settings() -> dict[str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pip", "config", "list", stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    output, _ = await process.communicate()
    return settings_of(output.decode("utf-8", "replace"))


def settings_of(listed: str) -> dict[str, str]:
    """Where packages come from; variables go before files, as pip has it."""
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        setting = SETTING.match(line)
        if setting and setting[1] in USEFUL:
            name = "timeout" if setting[1] == "default-timeout" else setting[1]
            found[name] = setting[3].replace("\\n", "\n    ")
    return found


def _outermost(places: set[str]) -> list[str]:
    there = sorted(place for place in places if os.path.exists(place))
    return [place for place in there if not any(place.startswith(f"{other}/") for other in there)]
