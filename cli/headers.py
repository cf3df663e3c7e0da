"""The header at work: `pesc_submit --header LANG` prints one, and main files that want one travel as copies.

Nothing is written to where the user's files are. See docs/howto/header.md.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from cli.common import DONE, WRONGLY_CALLED, complain, say
from cli.localfiles import is_zip
from dsl.headers import ALIASES, HEADERS, INJECTED, Copy, LeftAlone, header, put_in
from dsl.submit import Description, SubmitErrors, plain_text, read_environment

if TYPE_CHECKING:
    import zipfile

MAX_BYTES = 1 << 20


class Changed(NamedTuple):
    """A main file and the copy that travels instead."""

    process: str
    main: str
    before: str
    copy: Copy

    @property
    def name(self) -> str:
        return self.main or os.path.basename(self.process)


def print_header(name: str, language: str) -> int:
    """pesc_submit --header LANG."""
    language = ALIASES.get(language.lower(), language.lower())
    if language not in HEADERS:
        complain(name, f"There is no header for {language[:80]!r}.\n  There is one for: {', '.join(HEADERS)}.")
        return WRONGLY_CALLED
    say(header(language).rstrip("\n"))
    return DONE


def changed(description: Description) -> tuple[list[Changed], list[str]]:
    """The main files that travel with a header put in; and why others do not, for those who asked."""
    if "header" in description.varying:
        raise SubmitErrors([description.locate(
            "header", "header differs from job to job", "A process travels once, with the header or without.",
            "Write it without macros: header = auto")])
    said = description.template.get("PescHeader")
    found: list[Changed] = []
    left: list[str] = []
    if said == '"none"':
        return found, left
    environment = _environment(description)
    for process, main, language in _main_files(description):
        text = _text(process, main)
        if text is None:
            continue
        try:
            found.append(Changed(process, main, text, put_in(
                language, text, environment if language == "shell" else frozenset())))
        except LeftAlone as why:
            if said is not None:
                left.append(f"{main or os.path.basename(process)} gets no header: {why}.")
    return found, left


def in_words(one: Changed) -> str:
    moved = f"its later lines move down by {one.copy.added}" if one.copy.added else "its line numbers stay"
    return f"{one.name} travels as a copy with the header in line {one.copy.line}; {moved} (header = none: as it is)."


def difference(one: Changed) -> Iterator[str]:
    """As `diff -u` shows it."""
    import difflib

    yield from difflib.unified_diff(one.before.splitlines(), one.copy.text.splitlines(), one.name,
                                    f"{one.name}, the copy", n=2, lineterm="")


def _environment(description: Description) -> frozenset[str]:
    """The variables that the submit file sets for the jobs: a shell has those already."""
    if not description.count:
        return frozenset()
    return frozenset(read_environment(plain_text(description.job(1, 0).get("Environment", ""))))


def _main_files(description: Description) -> Iterator[tuple[str, str, str]]:
    for process, mains in description.processes().items():
        for main, language in mains.items():
            if language in INJECTED:
                yield process, main, language


def _text(process: str, main: str) -> str | None:
    """None where there is nothing that could be read: what is wrong with it is said by whoever packs it."""
    try:
        raw = _read(process, main)
        return raw.decode() if len(raw) <= MAX_BYTES else None
    except (OSError, UnicodeDecodeError, KeyError):
        return None


def _read(process: str, main: str) -> bytes:
    if main and is_zip(process):
        import zipfile

        try:
            with zipfile.ZipFile(process) as archive, archive.open(_member(archive, main)) as inside:
                return inside.read(MAX_BYTES + 1)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise OSError(str(error)) from None
    path = os.path.join(process, main) if main else process
    if not os.path.isfile(path):
        raise FileNotFoundError(path)
    with open(path, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _member(archive: "zipfile.ZipFile", main: str) -> str:
    return next((name for name in archive.namelist() if os.path.normpath(name) == main), main)
