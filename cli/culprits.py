"""Files that a submit file names and that will not do, said where it names them."""

import os

from dsl.submit import Description, Mistake, plain_text

NAMING = ("process", "executable", "input", "transfer_input_files", "shared_files", "domain", "dockerfile")


def culprit(description: Description, path: str, what: str, cure: str = "") -> Mistake:
    """A mistake that points at where the submit file names `path`."""
    name = os.path.basename(path)
    for command in NAMING:
        said = description.locate(command, what, "", cure, fragment=name)
        if said.line and name in said.source:
            return said
    for command in reversed(NAMING):
        said = description.locate(command, what, "", cure)
        if said.line and command in description.varying:
            return said
    return Mistake(description.name, 0, 0, what, "", cure)


def missing(description: Description) -> list[Mistake]:
    """The files of the first job that are not there, and the folder of its log."""
    if not description.count:
        return []
    return [culprit(description, path, f"there is no file {path}", "Without it the jobs cannot be queued.")
            for path in description.paths(0) if not os.path.exists(path)] + unwritable_log(description)


def unwritable_log(description: Description) -> list[Mistake]:
    """The log that could not be written, because its folder is not there."""
    path = plain_text(description.job(1, 0).get("UserLog", ""))
    folder = os.path.dirname(path)
    if not path or os.path.isdir(folder):
        return []
    return [description.locate("log", f"there is no folder {folder} for the log", "",
                               f"Make it: mkdir -p {folder}")]
