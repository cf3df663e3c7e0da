"""What a description runs: is it there, and which of its files is the main one."""

import posixpath
from collections.abc import Mapping
from typing import NamedTuple

from dsl.submit.description import Files, Site
from dsl.submit.given import Given, Wrong
from dsl.submit.macros import Program
from dsl.submit.mistakes import nearest, shown
from dsl.submit.requirements import LANGUAGES, SOURCES
from dsl.submit.transfer import executable_travels
from dsl.submit.values import absolute

Said = tuple[str, str, str, str]
"""Command, what, why, what to do."""


class Found(NamedTuple):
    """`main`: the file to start in a folder or zip, or of what is built, if it had to be found."""

    mistakes: list[Said]
    main: str | None = None


def check_program(raw: Mapping[str, str], programs: Mapping[str, Program], given: Given, files: Files,
                  site: Site) -> Found:
    """Look at what is to be run, as far as it is the same for every job."""
    said: list[Said] = []
    main = None
    if "executable" in raw and "process" in raw:
        said.append(("process", "both executable and process are given",
                     "An executable is run HTCondor's way, a process is given its rank, parameters and folders.",
                     "Keep one of them."))
    elif not {"executable", "process", "shell", "container_image", "docker_image"} & raw.keys():
        said.append(("", "nothing says what to run", "There is neither process nor executable.",
                     "Write, say: process = experiment.py"))
    if "parameters" in raw and "executable" in raw and "process" not in raw:
        said.append(("parameters", "parameters are for process", "An executable would not see them.",
                     "Use arguments, or write process instead of executable."))
    if "build" in raw and "process" not in raw:
        said.append(("build", "build is for process", "It makes a process from its sources.",
                     "Write process = FOLDER instead of executable, or build it yourself."))
    if "arguments" in raw and "process" in raw and "executable" not in raw:
        said.append(("arguments", "arguments are for executable",
                     "A process is called with --rank, --output_dir and so on; your own part of it is --parameters.",
                     "Write parameters instead of arguments."))
    try:
        executable, process = given.text("executable"), given.text("process")
        folder = given.text("initialdir")
    except Wrong:
        return Found(said)  # said by their makers
    if folder and not files.is_dir(absolute(given, folder)):
        said.append(("initialdir", f"there is no folder {shown(folder)}", "", "Make it, or name another."))
    if executable and executable_travels(given):
        said += _file_there("executable", executable, absolute(given, executable), files, site)
    elif process:
        missing = _there("process", process, absolute(given, process), files, site)
        said += missing
        if not missing:
            try:
                members = files.members(absolute(given, process))
                choose = _made if raw.get("build", "").strip() else _main
                if choose is _main or "main" not in raw or given.text("main"):    # else: said where it may not vary
                    main, more = choose(process, given.text("main"), members)
                else:
                    more = []
            except OSError as error:
                more = [("process", f"{shown(process)} cannot be opened: {error.strerror or error}", "",
                         "Is it a folder you may read, or a whole zip?")]
            said += more
    return Found(said, main)


def _file_there(command: str, name: str, path: str, files: Files, site: Site) -> list[Said]:
    if files.is_dir(path):
        return [(command, f"{shown(name)} is a folder", "", "Name the file in it, or write: process = folder")]
    return _there(command, name, path, files, site)


def _there(command: str, name: str, path: str, files: Files, site: Site) -> list[Said]:
    if files.exists(path):
        return []
    why = f"It was looked for in {site.iwd}; pesc_submit looks where it is called." if not name.startswith("/") else ""
    if " #" in name:
        why = 'A "#" after a value is part of the value; comments stand on lines of their own.'
    if name.startswith('"'):
        return [(command, f"there is no file {shown(name)}", "The quotes are part of the name.",
                 f"Write it without: {command} = {shown(name.strip(chr(34)))}")]
    folder = posixpath.dirname(path)
    around = files.members(folder) if files.is_dir(folder) else None
    guess = nearest(posixpath.basename(path), [other for other in around or [] if "/" not in other])
    return [(command, f"there is no file {shown(name)}", why, f'Did you mean "{guess}"?' if guess else "")]


_COMPILERS = {"c": "gcc -O2", "cpp": "g++ -O2", "fortran": "gfortran -O2", "rust": "rustc -O"}


def _made(process: str, main: str | None, members: list[str] | None) -> tuple[str | None, list[Said]]:
    """The file that is built: the one that is named, or a single source without its ending."""
    if main is not None:
        name = posixpath.normpath(main)
        if posixpath.isabs(name) or name == ".." or name.startswith("../") or name == ".":
            return None, [("main", f"{shown(main)} is outside the folder in which it is built", "",
                           "Name the file relative to that folder.")]
        return name, []
    stem, ending = posixpath.splitext(posixpath.basename(process))
    if members is None and ending:
        return stem, []
    return None, [("build", "what is to be started once it is built is not clear",
                   f"{shown(process)} is " + ("a folder." if members is not None else "a file without an ending."),
                   "Name the file that the command makes, as in: main = simulate")]


def _only_a_source(command: str, path: str) -> list[Said]:
    """What is said of a file that cannot be started before it is built."""
    stem, ending = posixpath.splitext(posixpath.basename(path))
    language = SOURCES.get(ending.lower())
    if language is None:
        return []
    return [(command, f"{shown(path)} is a source, not a program", "Nothing says how it is built.",
             f"Write, say: build = {_COMPILERS[language]} -o {shown(stem)} {shown(path)}")]


def _main(process: str, main: str | None, members: list[str] | None) -> tuple[str | None, list[Said]]:
    """The main file of a folder or zip: the one that is named, main.*, or the only one there is."""
    if members is None:
        if main is not None:
            return None, [("main", "main is for a folder or a zip", f"{shown(process)} is a single file.",
                           "Take this line out.")]
        return None, _only_a_source("process", process)
    if main is not None:
        wanted = posixpath.normpath(main)
        if wanted in members:
            return wanted, _only_a_source("main", wanted)
        guess = nearest(wanted, members)
        return None, [("main", f"there is no {shown(main)} in {shown(process)}", "",
                       f'Did you mean "{guess}"?' if guess else "Name one of its files.")]
    top = [name for name in members if "/" not in name]
    named = [name for name in top if posixpath.splitext(name)[0].lower() == "main"]
    known = [name for name in members if posixpath.splitext(name)[1].lower() in LANGUAGES]
    for candidates in (named, [name for name in known if "/" not in name], known, members):
        if len(candidates) == 1:
            return candidates[0], _only_a_source("process", candidates[0])
        if candidates:
            break
    listed = ", ".join(shown(name) for name in (named or known or members)[:5])
    return None, [("process", f"which file of {shown(process)} is to be started is not clear",
                   f"It could be {listed}." if listed else "It is empty.", "Write, say: main = run.py")]
