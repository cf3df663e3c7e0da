"""The words of PESC that are its own: environment, groups, rooms, checkpoints, joined outputs."""

import posixpath
import re

from dsl.submit.expressions import quote, string_list
from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import nearest, shown
from dsl.submit.requirements import LANGUAGES
from dsl.submit.values import Attributes, absolute, count, file_list, name_list, truth

KNOWN_LANGUAGES = (*sorted(set(LANGUAGES.values())), "c", "cpp", "fortran", "rust", "native")
_NAME = re.compile(r"[\w.-]{1,100}\Z")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([A-Za-z]*)\Z")
_UNITS = {"": 1, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
          "d": 86400, "day": 86400}


def repetitions(given: Given) -> Attributes:
    text = given.text("repetitions")
    return {} if text is None else {"PescRepetitions": str(count("repetitions", text))}


def domain(given: Given) -> Attributes:
    """The environment; a Dockerfile is a path, or its own lines."""
    made = {}
    if text := given.text("domain"):
        made["PescDomain"] = quote(text)
    if text := given.text("dockerfile"):
        if given.text("domain"):
            raise Wrong("dockerfile", "both domain and dockerfile are given", "Each says what the environment is.",
                        "Keep one of them.")
        if "\n" in text or re.match(r"(?i)from\s", text):
            made["PescDockerfileText"] = quote(text)
        else:
            made["PescDockerfile"] = quote(absolute(given, text))
    if packages := name_list(given.text("packages")):
        made["PescPackages"] = string_list(packages)
    return made


def group(given: Given) -> Attributes:
    """Whether the repetitions belong together."""
    made = {}
    for command, attribute in (("parallel", "PescParallel"), ("same_client", "PescSameClient"),
                               ("gpu_sharing", "PescGpuSharing")):
        if given.text(command) is not None:
            made[attribute] = "true" if truth(given, command) else "false"
    return made


def rooms(given: Given) -> Attributes:
    names = name_list(given.text("rooms"))
    for name in names:
        if not _NAME.match(name):
            raise _wrong_part(given, "rooms", name, "is not the name of a room", "Write, say: rooms = lab1, lab2")
    return {"PescRooms": string_list(names)} if names else {}


def header(given: Given) -> Attributes:
    text = given.text("header")
    if text is None:
        return {}
    if text.lower() not in ("auto", "none"):
        raise Wrong("header", f"{shown(text)!r} is neither auto nor none", "", "Write: header = auto")
    return {"PescHeader": quote(text.lower())}


def checkpoint_every(given: Given) -> Attributes:
    text = given.text("checkpoint_every")
    if text is None:
        return {}
    found = _DURATION.match(text)
    unit = found[2].lower() if found else ""
    unit = unit if unit in _UNITS else unit.removesuffix("s")
    if not found or unit not in _UNITS or float(found[1]) * _UNITS[unit] < 1:
        raise Wrong("checkpoint_every", f"{shown(text)!r} is not a time", "Units are s, min, h and d; without one it "
                    "is seconds, at least 1.", "Write, say: checkpoint_every = 10 min")
    if given.text("executable"):
        raise Wrong("checkpoint_every", "an executable is given no checkpoint_dir that could be copied",
                    "Only a process is.", "Write process in place of executable, or checkpoint_exit_code = 85 and "
                    "transfer_checkpoint_files = FILES.")
    return {"PescCheckpointEvery": str(int(float(found[1]) * _UNITS[unit]))}


def checkpoint(given: Given) -> Attributes:
    text = given.text("checkpoint")
    if text is None:
        return {}
    if text.lower() not in ("folder", "process"):
        raise Wrong("checkpoint", f"{shown(text)!r} is neither folder nor process", "", "Write: checkpoint = folder")
    return {"PescCheckpoint": quote(text.lower())}


def join(given: Given) -> Attributes:
    files = file_list(given.text("join"))
    for file in files:
        if posixpath.isabs(file) or ".." in file.split("/"):
            raise _wrong_part(given, "join", file, "is outside the folder in which the job runs",
                              "Name files relative to the job's output folder.")
    return {"PescJoin": string_list(files)} if files else {}


def language_said(given: Given) -> str | None:
    """What `language` says, checked."""
    text = given.text("language")
    if text is None:
        return None
    word = text.lower()
    if word not in KNOWN_LANGUAGES:
        guess = nearest(word, KNOWN_LANGUAGES)
        raise Wrong("language", f"{shown(text)!r} is not a language that is known here",
                    f"Known are {', '.join(KNOWN_LANGUAGES)}.", f'Did you mean "{guess}"?' if guess else "")
    return word


def _wrong_part(given: Given, command: str, part: str, what: str, cure: str) -> Wrong:
    at = max((given.text(command) or "").find(part), 0)
    return Wrong(command, f"{shown(part)!r} {what}", "", cure, at, len(part))
