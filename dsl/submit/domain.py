"""The environment that a submit file asks for: a name, an image, a Dockerfile or a folder; and packages.

    domain = scipy                            of the pool, or of the store
    domain = python version=3.11              … with a value for an argument of its Dockerfile
    domain = ghcr.io/group/image:1.2          an image of a registry
    domain = ./Dockerfile                     or a folder with one in it
    dockerfile @=END … @END                   its own lines
    packages = numpy, apt:graphviz            added to any of these, or to base
    build = make                              without any of these: in c, or rust

The Dockerfile is read and checked here, so that what is wrong is said before anything is sent.
"""

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dsl.dockerfile import check, is_reference
from dsl.dockerfile.checking import Checked
from dsl.domains.recipes import KIND_OF_LANGUAGE, BadPackage, with_packages
from dsl.submit.description import Files
from dsl.submit.given import IWD, Given, Wrong
from dsl.submit.mistakes import Mistake, shown
from dsl.submit.requirements import language_of, source_language
from dsl.submit.values import absolute, name_list

DOMAIN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
DOCKERFILES = ("Dockerfile", "Containerfile")
OF_SOURCES = {"c": "c", "cpp": "c", "fortran": "c", "rust": "rust"}
"""The ready domains in which a program is built when nothing else is said; for all others it is c."""

OF_LANGUAGE = {"r": "r", "julia": "julia", "octave": "octave"}
"""The ready domains that packages alone are added to; for all others it is base."""
_IS_DOCKERFILE = re.compile(r"(?i)(Dockerfile|Containerfile)(\.[\w.-]+)?\Z|[\w.-]+\.(Dockerfile|Containerfile)\Z")
_VALUE = re.compile(r"([A-Za-z_]\w*)=(\S*)\Z")


@dataclass(slots=True)
class Asked:
    """An environment as asked for: a name, or a Dockerfile with the files it copies."""

    name: str = ""
    dockerfile: str = ""
    packages: list[str] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    """The absolute path of the folder that the Dockerfile copies from."""
    sources: list[str] = field(default_factory=list)
    """What of that folder it copies, relative to it."""
    command: str = "domain"
    """Which command of the submit file says so."""


def asked(given: Given, files: Files, block_at: tuple[str, int] | None) -> tuple[Asked | None, Checked]:
    """What is asked for, and what is wrong with its Dockerfile; Wrong where a command is.

    `block_at`: the file and the line where the Dockerfile's own lines begin, if they are in the submit file.
    """
    text, lines, packages = given.text("domain"), given.text("dockerfile"), name_list(given.text("packages"))
    build = given.text("build")
    if text is None and lines is None and not packages and build is None:
        return None, Checked()
    if text is not None and lines is not None:
        return None, Checked()  # said by the maker of their attributes
    if lines is not None:
        found, checked = _given_lines(given, files, lines, block_at)
    elif text is not None:
        found, checked = named(files, given.macro(IWD), text)
    elif build is not None:
        found, checked = Asked(name=OF_SOURCES.get(source_language(given) or "", "c"), command="build"), Checked()
    else:
        found, checked = _for_packages_alone(given), Checked()
    found.packages = packages
    _check_packages(given, packages)
    if found.dockerfile and packages:
        # Written out here, and sent: what was submitted counts.
        found.dockerfile, found.packages = _installed(given, found.dockerfile, packages), []
    return found, checked


def _given_lines(given: Given, files: Files, text: str, block_at: tuple[str, int] | None) -> tuple[Asked, Checked]:
    """A path, or the lines themselves, which copy from where they are submitted."""
    if "\n" not in text and not re.match(r"(?i)(from|arg)\s", text):
        return _file(files, "dockerfile", absolute(given, text), text, {})
    folder = given.macro(IWD)
    name, first = block_at or ("dockerfile", 1)
    checked = check(text, name, has=_has(files, folder), first_line=first)
    return Asked(dockerfile=text + "\n", folder=folder, sources=checked.sources, command="dockerfile"), checked


def named(files: Files, here: str, text: str) -> tuple[Asked, Checked]:
    """What `domain = text` means for somebody in the folder `here`."""
    words = text.split()
    arguments: dict[str, str] = {}
    while len(words) > 1 and (value := _VALUE.match(words[-1])):
        arguments[value[1]] = value[2]
        words.pop()
    what = " ".join(words)
    path = posixpath.normpath(posixpath.join(here, what))
    if _looks_like_a_path(what) or _is_there(files, what, path):
        return _path(files, path, what, arguments)
    if DOMAIN_NAME.match(what):
        return Asked(name=what, arguments=arguments), Checked()
    image = what.removeprefix("docker://")
    if is_reference(image):
        if arguments:
            raise Wrong("domain", f"an image takes no values, as {next(iter(arguments))} is one",
                        "Only a Dockerfile has arguments.", f"Write: domain = {shown(image)}")
        return Asked(dockerfile=f"FROM {image}\n"), Checked()
    raise Wrong("domain", f"{shown(what)!r} is neither a name, nor an image, nor a file",
                "", "Write, say: domain = scipy, domain = debian:12, or domain = ./Dockerfile", 0, len(what))


def _looks_like_a_path(text: str) -> bool:
    return text.startswith(("/", "./", "../")) or text in (".", "..")


def _is_there(files: Files, text: str, path: str) -> bool:
    """A name goes before a file of that name, unless the file is a Dockerfile or its folder."""
    if _IS_DOCKERFILE.match(posixpath.basename(text)):
        return files.exists(path)
    return any(files.exists(f"{path}/{name}") for name in DOCKERFILES)


def _path(files: Files, path: str, written: str, arguments: dict[str, str]) -> tuple[Asked, Checked]:
    if not files.is_dir(path):
        return _file(files, "domain", path, written, arguments)
    for name in DOCKERFILES:
        if files.exists(f"{path}/{name}"):
            return _file(files, "domain", f"{path}/{name}", posixpath.join(written, name), arguments)
    raise Wrong("domain", f"there is no Dockerfile in the folder {shown(written)}", "It says how the domain is made.",
                f"Write one: {shown(posixpath.join(written, 'Dockerfile'))}", 0, len(written))


def _file(files: Files, command: str, path: str, written: str, arguments: dict[str, str]) -> tuple[Asked, Checked]:
    try:
        text = files.read_text(path)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or ("it is no text" if isinstance(error, UnicodeError) else str(error))
        raise Wrong(command, f"the Dockerfile {shown(written)} cannot be read: {why}", "", "Is the name right?", 0,
                    len(written)) from None
    folder = posixpath.dirname(path)
    checked = check(text, posixpath.normpath(written), arguments=arguments, has=_has(files, folder))
    return Asked(dockerfile=text, arguments=arguments, folder=folder, sources=checked.sources,
                 command=command), checked


def _has(files: Files, folder: str) -> Callable[[str], bool]:
    """Whether a path or pattern is in `folder`."""
    def has(source: str) -> bool:
        path = posixpath.join(folder, source)
        return bool(files.glob(path)) if re.search(r"[*?\[]", source) else files.exists(path)

    return has


def _for_packages_alone(given: Given) -> Asked:
    language = language_of(given) or ""
    if language in OF_LANGUAGE:
        return Asked(name=OF_LANGUAGE[language], command="packages")
    return Asked(dockerfile="FROM base\n", command="packages")


def _check_packages(given: Given, packages: Sequence[str]) -> None:
    for package in packages:
        try:
            with_packages("", [package])
        except BadPackage as bad:
            raise Wrong("packages", str(bad), "A name alone is what the domain's language has; apt:NAME is a package "
                        "of Debian.", "Write, say: packages = numpy>=2, apt:graphviz",
                        max((given.text("packages") or "").find(package), 0), len(package)) from None


def _installed(given: Given, dockerfile: str, packages: Sequence[str]) -> str:
    language = language_of(given) or ""
    return with_packages(dockerfile, packages, KIND_OF_LANGUAGE.get(language, "pip"))


def in_order(checked: Checked) -> list[Mistake]:
    return sorted(checked.mistakes, key=lambda mistake: (mistake.line, mistake.column))
