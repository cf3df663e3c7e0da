"""A program is made from its sources by a build like that of an image: same engine, same walls, same log.

The command runs in the image of the job's domain, on a copy of the sources; all that is then in
their folder is what was made, as files (`--output`), and the image itself is thrown away.
"""

import difflib
import hashlib
import json
import os
import stat

from contract.messages import TreeEntry
from contract.vocabulary import MAX_TREE_BYTES, MAX_TREE_FILES
from dsl.dockerfile.processors import ARGUMENT

FOLDER = "/pesc/build"
"""Where the command runs."""

Found = list[tuple[str, TreeEntry]]
"""Files by their paths here, and as entries of a tree."""


class NotMade(Exception):
    """The command went well and did not make what was asked for, or too much; says so in words."""


def dockerfile(image: str, command: str, processor: str) -> str:
    """What the engine is told. The command is a list in JSON, so that nothing in it means anything to the engine."""
    shell = json.dumps(["/bin/sh", "-c", command])
    return (f"FROM {image}\nUSER 0\nENV {ARGUMENT}={processor}\nWORKDIR {FOLDER}\nCOPY . .\nRUN {shell}\n"
            f"FROM scratch\nCOPY --from=0 {FOLDER} /\n")


def step_named(step: str, command: str) -> str:
    """How people know a step that the engine names."""
    return command if step.startswith("RUN") else step


def found(folder: str, main: str) -> Found:
    """All files in `folder`; raise NotMade if `main` is not among them, or if they are too many."""
    files: Found = []
    size = 0
    for path in _files(os.path.realpath(folder)):
        name = os.path.relpath(path, os.path.realpath(folder))
        entry = _entry(path, name)
        size += entry.size
        files.append((path, entry))
        if len(files) > MAX_TREE_FILES or size > MAX_TREE_BYTES:
            raise NotMade(f"It leaves more than {MAX_TREE_FILES:,} files or {MAX_TREE_BYTES >> 30} GiB; let it remove "
                          "what is not needed to run")
    names = [entry.path for _, entry in files]
    wanted = os.path.normpath(main)
    if wanted not in names:
        executables = [entry.path for _, entry in files if entry.executable]
        near = difflib.get_close_matches(wanted, names, n=1) or executables[:1]
        raise NotMade(f"It ended well and made no file {wanted}" + (f"; it made {near[0]}: write main = {near[0]}, or "
                      f"let the command make {wanted}" if near else ""))
    return sorted(files, key=lambda one: one[1].path)


def _files(folder: str) -> list[str]:
    """Regular files, and links to such inside the folder; whatever else there is cannot travel."""
    paths = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = f"{place}/{name}"
            target = os.path.realpath(path)
            if not path.isprintable():
                continue
            if target.startswith(f"{folder}/") and os.path.isfile(target):
                paths.append(path)
    return paths


def _entry(path: str, name: str) -> TreeEntry:
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return TreeEntry(name, sha256, status.st_size, bool(status.st_mode & stat.S_IXUSR))
