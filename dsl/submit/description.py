"""What reading a submit file gives, and what it needs to know of the world.

The file system comes in as `Files`, the place of submission as `Site`; nothing
here looks around by itself.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dsl.submit.expander import Expander, Role, paths_of, plain_text
from dsl.submit.mistakes import Mistake
from dsl.submit.sweeps import Axis

if TYPE_CHECKING:
    from dsl.submit.domain import Asked

PATH_COMMANDS = ("process", "executable", "input", "transfer_input_files", "shared_files", "initialdir")
PATH_ATTRIBUTES = ("Cmd", "PescProcess", "Iwd", "In", "TransferInput", "PescSharedFiles")
"""What `paths_of` looks at."""


class Withheld(Exception):
    """Raised by `Files.run` and `Files.standard_input` where a text is only looked at: it is read on without."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Files(Protocol):
    """The files a description may look at. Relative paths start where it was submitted."""

    def read_text(self, path: str) -> str:
        """The text of a file; OSError or UnicodeError if it cannot be had."""

    def exists(self, path: str) -> bool: ...

    def is_dir(self, path: str) -> bool: ...

    def glob(self, pattern: str) -> list[str]:
        """The paths that match, sorted."""

    def run(self, command: str) -> tuple[str, int]:
        """What a command prints, and its exit code; PermissionError where no commands are run, or Withheld."""

    def standard_input(self) -> str:
        """All of standard input; PermissionError if there is none to read, or Withheld."""

    def write_text(self, path: str, text: str) -> None:
        """Keep what a command printed; PermissionError where nothing is written."""

    def members(self, path: str) -> list[str] | None:
        """The relative paths in a folder or zip; None if it is neither."""


class Site(NamedTuple):
    """Where and by whom a description is submitted."""

    arch: str = "X86_64"
    opsys: str = "LINUX"
    user: str = ""
    iwd: str = "/"
    file_system_domain: str = ""
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    seed: str = ""
    """Where `$RANDOM_…` begins."""


@dataclass(slots=True)
class Description:
    """One cluster: what is the same for all its jobs, and what is needed to make each of them.

    Job `p` is step `p % steps` of item `p // steps`; where there is a `sweep`, its rows are the items.
    """

    name: str
    template: dict[str, str]
    varying: dict[str, str]
    macros: dict[str, str]
    item_names: list[str]
    items: list[list[str]]
    sweep: list[Axis]
    steps: int
    count: int
    paths_vary: bool
    """Whether what travels differs from job to job."""
    warnings: list[Mistake]
    unused: list[str]
    refusals: list[Mistake]
    """Commands that this version reads and does not carry out: jobs that need them are not queued."""
    domain: "Asked | None"
    """The environment that the jobs run in, if one is asked for."""
    locate: Callable[..., Mistake] = field(repr=False)
    """`locate(command, what, why, cure, fragment=text)`: a mistake that points at the command's value."""

    def expander(self) -> Expander:
        return Expander(self.varying, self.macros, self.item_names, self.items, self.steps,
                        sweep=self.sweep)

    def job(self, cluster: int, proc: int) -> dict[str, str]:
        """All attributes of one job."""
        return {**self.template, **self.expander().attributes(cluster, proc)}

    def travelling(self, cluster: int = 1) -> dict[str, Role]:
        """The absolute paths that must travel with any of the jobs, and what each is for."""
        found: dict[str, Role] = {}
        for attributes in self._path_attributes(cluster):
            for path, role in paths_of(attributes):
                if found.setdefault(path, role) == "file":
                    found[path] = role
        return found

    def paths(self, proc: int | None = None, cluster: int = 1) -> list[str]:
        """The absolute paths that must travel, with one job or with any."""
        if proc is None:
            return list(self.travelling(cluster))
        return list(dict(paths_of(self.job(cluster, proc))))

    def processes(self, cluster: int = 1) -> dict[str, dict[str, str]]:
        """Every process by its absolute path: its main files ("" where it is one file), and their languages."""
        found: dict[str, dict[str, str]] = {}
        for said in [self.template] if "PescProcess" in self.template else self._path_attributes(cluster):
            if "PescProcess" in said:
                main = posixpath.normpath(plain_text(said["PescMain"])) if "PescMain" in said else ""
                found.setdefault(plain_text(said["PescProcess"]), {})[main] = plain_text(said["PescLanguage"])
        return found

    def _path_attributes(self, cluster: int) -> Iterator[Mapping[str, str]]:
        if not self.paths_vary:
            yield self.template
            return
        # Only what names paths is made for each job.
        varying = {name: text for name, text in self.varying.items() if name in (*PATH_COMMANDS, "main")}
        expander = Expander(varying, self.macros, self.item_names, self.items, self.steps,
                            sweep=self.sweep)
        same = {name: self.template[name] for name in PATH_ATTRIBUTES if name in self.template}
        for proc in range(self.count):
            yield {**same, **expander.attributes(cluster, proc)}
