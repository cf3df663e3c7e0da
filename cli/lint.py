"""pesc_lint: say what is wrong with submit files, and ask no pool.

The story: find the files; read each as pesc_submit would, without running what it
names; make its first jobs; say everything, and end with the sum. What pesc_submit
would refuse is a mistake. No file ends the work on the others.
"""

import argparse
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cli.common import DONE, FAILED, Parser, complain, count_of, run, say, say_json
from cli.culprits import culprit, unwritable_log
from cli.localfiles import LocalFiles, submit_site
from cli.submit import MAX_FILE_BYTES, TOLD_MISTAKES
from dsl.submit import Description, Mistake, Site, SubmitErrors, Withheld, read
from dsl.submit.mistakes import shown
from dsl.submit.queue import NO_ITEMS

NAME = "pesc_lint"
EXAMPLE = """
pesc_lint sweep.pesc                   say what is wrong with it
pesc_lint experiments/                 … with every submit file below a folder
pesc_lint --json -W .                  for programs; warnings count as well
pesc_lint - --name sweep.pesc          what an editor has not saved yet
"""
ENDINGS = (".pesc", ".sub", ".submit")
STANDARD_INPUT = "<stdin>"
TRIED_JOBS = 100
"""Of so many rows it is looked whether their files are there."""
TOLD_MISSING = 5
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*=")


class Finding(NamedTuple):
    """Something to say about a submit file."""

    file: str
    """The submit file; the mistake may be in one that it includes."""
    severity: str
    mistake: Mistake

    @property
    def order(self) -> tuple[object, ...]:
        return (*self.mistake.order, self.severity, self.mistake.what)

    def as_json(self) -> dict[str, object]:
        said = self.mistake
        return {"severity": self.severity, "message": "\n".join(filter(None, (said.what, said.why, said.cure))),
                "submit_file": self.file, "submit_line": said.order[0], **said.as_json()}

    def __str__(self) -> str:
        return str(self.mistake._replace(what=f"{self.severity}: {self.mistake.what}"))


ERROR, WARNING = "error", "warning"


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _arguments(arguments)
    linter = Linter(chosen)
    files = list(dict.fromkeys(_found(chosen.files)))
    findings = [finding for file in files for finding in linter.lint(file)]
    counting = (ERROR, WARNING) if chosen.warnings_as_errors else (ERROR,)
    if chosen.quiet:
        findings = [finding for finding in findings if finding.severity in counting]
    if chosen.json:
        say_json([finding.as_json() for finding in findings])
    else:
        _tell(findings, len(files), chosen.quiet)
    return FAILED if any(finding.severity in counting for finding in findings) else DONE


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "Say what is wrong with submit files. No pool is asked, and nothing that they name is run.",
                    EXAMPLE)
    parser.add_argument("files", metavar="FILE", nargs="+", help="a submit file; a folder, for every *.pesc, *.sub and "
                        "*.submit below it; - for standard input; or NAME=VALUE, a macro set before files are read")
    parser.add_flag("name", metavar="NAME", default=None, help="what to call standard input: job.pesc is read "
                    "strictly, job.sub leniently")
    parser.add_flag("from", metavar="DIR", default=None, dest="folder",
                    help="where pesc_submit would be called (else the folder of each file)")
    parser.add_flag("strict", help="a word that means nothing is a mistake, as in a .pesc file")
    parser.add_flag("lenient", help="a word that means nothing is a warning, as in a file of HTCondor's")
    parser.add_flag("warnings-as-errors", "W", help="exit with 1 if there are warnings, too")
    parser.add_flag("quiet", "q", help="print nothing but what counts")
    parser.add_json()
    chosen = parser.read(arguments)
    words, chosen.files = chosen.files, []
    chosen.variables = {}
    for word in words:
        if _VARIABLE.match(word) and not os.path.exists(word):
            name, _, chosen.variables[name] = word.partition("=")
        else:
            chosen.files.append(word)
    if not chosen.files:
        parser.error("name a submit file, or a folder of them")
    if chosen.strict and chosen.lenient:
        parser.error("--strict and --lenient are opposites; give one of them")
    if chosen.name is not None and "-" not in chosen.files:
        parser.error("--name is for standard input: pesc_lint - --name NAME")
    if chosen.folder is not None and not os.path.isdir(chosen.folder):
        parser.error(f"there is no folder {chosen.folder}")
    return chosen


def _found(words: Iterable[str]) -> Iterator[str]:
    """The files that the words name, those of a folder sorted; hidden folders are passed over."""
    for word in words:
        if word == "-" or not os.path.isdir(word):
            yield word
            continue
        below = [os.path.normpath(os.path.join(folder, name)) for folder, name in _below(word)]
        if not below:
            complain(NAME, f"there are no submit files below {word}.")
        yield from sorted(below)


def _below(root: str) -> Iterator[tuple[str, str]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(ENDINGS) and os.path.isfile(os.path.join(folder, name)):
                yield folder, name


def _tell(findings: list[Finding], files: int, is_quiet: bool) -> None:
    """Like a compiler: each finding with its line, then how many there are."""
    told = dict.fromkeys((finding.file for finding in findings), 0)
    for finding in findings:
        told[finding.file] += 1
        if told[finding.file] <= TOLD_MISTAKES:
            say(str(finding))
    for file, number in told.items():
        if number > TOLD_MISTAKES:
            say(f"{file}: … and {number - TOLD_MISTAKES:,} more.")
    if not is_quiet:
        say(_sum(findings, files))


def _sum(findings: list[Finding], files: int) -> str:
    """`3 mistakes, 1 warning in 2 of 12 files`"""
    if not findings:
        return f"no mistakes in {count_of(files, 'file')}"
    parts = [(ERROR, "mistake"), (WARNING, "warning")]
    counted = [(sum(finding.severity == severity for finding in findings), word) for severity, word in parts]
    said = ", ".join(count_of(number, word) for number, word in counted if number)
    return f"{said} in {len({finding.file for finding in findings}):,} of {count_of(files, 'file')}"


# --- one file -------------------------------------------------------------------------


class Linter:
    """Reads files under the same conditions."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._strict = True if chosen.strict else False if chosen.lenient else None
        self._site = submit_site()._replace(seed="")  # what is drawn by chance is the same in every call
        self._members: dict[str, list[str] | None] = {}

    def lint(self, file: str) -> list[Finding]:
        """Everything there is to say about one file, in the order of its lines."""
        name = (self._chosen.name or STANDARD_INPUT) if file == "-" else file
        folder = os.path.dirname(name) if self._chosen.folder is None else self._chosen.folder
        files = OnlyLooking(os.path.normpath(os.path.join(self._site.iwd, folder)), self._members)
        try:
            said = _said(_text(file), name, files, self._site._replace(iwd=files.folder), self._chosen.variables,
                         self._strict)
        except OSError as error:
            said = {ERROR: [Mistake(name, 0, 0, f"it cannot be read: {error.strerror or error}", "",
                                    "Is the name right?")]}
        findings = {Finding(name, severity, _from_here(mistake, folder))
                    for severity, mistakes in said.items() for mistake in mistakes}
        return sorted(findings, key=lambda finding: finding.order)


def _text(path: str) -> str:
    """What stands in a file; what is not UTF-8 is said later, with its place."""
    if path == "-":
        raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        with open(path, "rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise OSError(f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
    return raw.decode("utf-8", "surrogateescape")


def _said(text: str, name: str, files: "OnlyLooking", site: Site, variables: Mapping[str, str],
          strict: bool | None) -> dict[str, list[Mistake]]:
    """What is to be said of a text, by severity."""
    try:
        description = read(text, name=name, files=files, variables=variables, environ=os.environ, site=site,
                           strict=strict)
    except SubmitErrors as errors:
        return {ERROR: errors.mistakes + errors.refusals, WARNING: errors.warnings}
    mistakes = [*description.refusals]
    warnings = [warning for warning in description.warnings if warning.what != NO_ITEMS]
    if not description.count and not files.withheld:
        mistakes.append(description.locate("queue", NO_ITEMS, "", "See what its queue line finds: pesc_submit "
                                           "--dry-run."))
    if not files.withheld:
        mistakes += _missing(description)
    return {ERROR: mistakes, WARNING: warnings}


def _missing(description: Description) -> list[Mistake]:
    """The files of some jobs that are not there, and the folder of the log."""
    if not description.count:
        return []
    try:
        told = unwritable_log(description)
        looked_at: set[str] = set()
        for proc in _tried(description):
            for path in description.paths(proc):
                if path not in looked_at and not os.path.exists(path):
                    told.append(culprit(description, path, f"there is no file {path}",
                                        "Without it the jobs cannot be queued."))
                looked_at.add(path)
            if len(told) >= TOLD_MISSING:
                break
    except SubmitErrors as errors:
        return errors.mistakes
    return told


def _tried(description: Description) -> list[int]:
    """The first jobs, one of each row; only the very first where all need the same files."""
    if not description.paths_vary:
        return [0]
    return list(range(0, min(description.count, TRIED_JOBS * description.steps), description.steps))


def _from_here(mistake: Mistake, folder: str) -> Mistake:
    """The mistake with the names of included files as they are seen from here, not from the submit file."""
    if not mistake.included or not folder:
        return mistake
    *between, top = mistake.included
    return mistake._replace(file=os.path.join(folder, mistake.file),
                            included=(*((os.path.join(folder, file), line) for file, line in between), top))


class OnlyLooking(LocalFiles):
    """The user's files, for one who runs nothing, writes nothing and waits for nobody."""

    def __init__(self, folder: str, members: dict[str, list[str] | None]) -> None:
        super().__init__(folder)
        self.folder = folder
        self.withheld = False
        """Whether something was not asked for."""
        self._known = members

    def read_text(self, path: str) -> str:
        if not stat.S_ISREG(os.stat(self._absolute(path)).st_mode):
            raise OSError("it is no file" if self.is_dir(path) else "it is no ordinary file")
        return super().read_text(path)

    def run(self, command: str) -> tuple[str, int]:
        raise self._withhold(f"the command {shown(command)!r} is not run by {NAME}")

    def standard_input(self) -> str:
        raise self._withhold(f"standard input is not read by {NAME}")

    def write_text(self, path: str, text: str) -> None:
        raise PermissionError(f"{NAME} writes nothing")

    def members(self, path: str) -> list[str] | None:
        """As they were when they were first asked for: many files may ask about one folder."""
        path = self._absolute(path)
        if path not in self._known:
            self._known[path] = super().members(path)
        return self._known[path]

    def _withhold(self, what: str) -> Withheld:
        self.withheld = True
        return Withheld(what)
