"""The folder of a run: made before it starts, removed when its end is acknowledged.

    runs/12.3.1/  work/         where the process starts; inputs, and links to what is shared
                  tmp/          its TMPDIR
                  output/ checkpoint/ job.json     only for programs of the contract
                  stdout stderr

A run in a container finds the same at fixed places (`startd.core.container`), each bound there
by itself; what it shares with other runs is bound below shared/, and links lead to that.

Making a folder costs more than starting a process, so the folders of runs that
left little behind are renamed for the next ones instead of being removed; with the
links to their program, which the next one most likely wants too.
"""

import os
import shutil
import stat
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from contract.messages import Content, Grant, NamedContent
from contract.vocabulary import EndReason, RunId
from startd.core import words
from startd.core.container import APP, CHECKPOINT, INSIDE, JOB_FILE, OUTPUT, SCRATCH, SHARED, WORK
from startd.core.contract import Folders, Person, contract_arguments, environment, interpreter_for, job_file
from startd.core.launch import Bind, Box, Launch
from startd.files.cache import Cache, Spoilt
from startd.files.checkpoints import decode_entries
from startd.files.paths import INPUT_TIME_NS, BadPath, checked, checked_name

SPARE_FOLDERS = 64
FEW_FILES = 32
FILE_MODE, FOLDER_MODE = 0o644, 0o755
BARE = {"work", "tmp", "stdout", "stderr"}


class Links(NamedTuple):
    """What of a program is linked into work/: these names of the folder `app`, which the run sees at `seen`."""

    app: str
    program: str
    names: tuple[str, ...]
    seen: str


BARE_WORK = Links("", "", (), "")


class CannotStart(Exception):
    """The run cannot start here; `reason` says whose fault it is."""

    def __init__(self, reason: EndReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Sandboxes:
    """The folders of all runs of this machine."""

    def __init__(self, state: str, cache: Cache, person: Person, which: Callable[[str], str | None],
                 contains: bool = False) -> None:
        """With `contains`, runs are in containers: the image says where programs are."""
        self.runs = f"{state}/runs"
        self._contains = contains
        self._cache = cache
        self._person = person
        self._which = which
        self._spare: dict[tuple[str, str], list[tuple[str, Links]]] = {}
        """Folders ready to be used again, by the program they have links to."""
        self._spares = 0
        self._lock = threading.Lock()
        """Large folders are prepared in a thread, beside the loop."""
        self._links: dict[RunId, Links] = {}
        self._count = 0
        os.makedirs(self.runs, exist_ok=True)

    def path(self, run: RunId) -> str:
        return f"{self.runs}/{run.cluster}.{run.proc}.{run.attempt}"

    def keep_only(self, runs: set[RunId]) -> None:
        """After a restart: remove every folder that belongs to none of `runs`."""
        wanted = {os.path.basename(self.path(run)) for run in runs}
        for name in os.listdir(self.runs):
            if name not in wanted:
                _remove_tree(f"{self.runs}/{name}")

    def bytes_to_copy(self, grant: Grant) -> int:
        """How much `prepare` has to copy: much is better done in a thread."""
        return sum(named.content.size for named in grant.program.inputs) + (
            grant.program.content.size if grant.program.content else 0)

    def prepare(self, grant: Grant) -> Launch:
        """Make the run's folder and say how to start it; raise CannotStart."""
        try:
            return self._prepare(grant)
        except (BadPath, Spoilt) as error:
            raise CannotStart(EndReason.REFUSED, f"The job cannot be laid out: {error}.") from None
        except OSError as error:
            raise CannotStart(EndReason.MACHINE_FAULT,
                              f"The run's folder could not be made: {error}.") from None

    def environment(self, grant: Grant) -> dict[str, str]:
        """All variables of a run that was prepared before."""
        content = grant.program.content
        if self._contains:
            folders = Folders(INSIDE, WORK if content is None else APP, SCRATCH)
        else:
            sandbox = self.path(grant.run)
            folders = Folders(sandbox, f"{sandbox}/work" if content is None else self._cache.place_of(content))
        return environment(grant, folders, self._person)

    def discard(self, run: RunId) -> bool:
        """Put the run's folder out of the way; False if `sweep` has to remove something large."""
        path = self.path(run)
        self._count += 1
        spare = f"{self.runs}/spare-{self._count}"
        links = self._links.pop(run, BARE_WORK)
        recycled = self._spares < SPARE_FOLDERS and _emptied(path, links)
        try:
            os.rename(path, spare if recycled else f"{self.runs}/old-{self._count}")
        except OSError:
            return True  # it was never made
        if recycled:
            with self._lock:
                self._spares += 1
                self._spare.setdefault(links[:2], []).append((spare, links))
        return recycled

    def sweep(self) -> None:
        """Remove discarded folders; may take long."""
        for name in os.listdir(self.runs):
            if name.startswith("old-"):
                _remove_tree(f"{self.runs}/{name}")

    # --- making --------------------------------------------------------------------------

    def _prepare(self, grant: Grant) -> Launch:
        program = grant.program
        sandbox = self.path(grant.run)
        inline = self._cache.inline_of(grant.run)
        app = ""
        if program.content is not None:
            app = self._cache.program_folder(program.content, program.name, inline)
        links = self._make(sandbox, program.contract, app, program.name if app else "")
        if links.app != app:
            links = Links(app, program.name, tuple(os.listdir(app)), APP if self._contains else app)
            for name in links.names:
                os.symlink(f"{links.seen}/{name}", f"{sandbox}/work/{name}")
        self._links[grant.run] = links
        work = f"{sandbox}/work"
        folders = Folders(INSIDE, APP if app else WORK, SCRATCH) if self._contains else Folders(sandbox, app or work)
        binds: list[Bind] = []
        for shared in program.shared:
            self._share(shared, work, inline, binds)
        for named in program.inputs:
            self._copy(named, work, inline)
        stdin = None
        if program.stdin is not None:
            stdin = f"{sandbox}/stdin"
            self._write(program.stdin, stdin, inline)
        if program.checkpoint is not None:
            place = f"{sandbox}/checkpoint" if program.contract else work
            self._lay_back(program.checkpoint, place, inline)
        if program.contract:
            _write_bytes(f"{sandbox}/job.json", job_file(grant, folders))
        return Launch(self._argv(grant, folders, app or work), environment(grant, folders, self._person), sandbox,
                      folders.work, f"{sandbox}/stdout", f"{sandbox}/stderr", stdin,
                      program.memory_limit_mib, program.disk_limit_kib,
                      _box(grant, sandbox, app, binds) if self._contains else None,
                      tuple(part.device for part in grant.claim.gpus))

    def _make(self, sandbox: str, contract: bool, app: str, program: str) -> Links:
        """Make the folder; return what of a program is linked there already: all of it or nothing."""
        if os.path.lexists(sandbox):  # half made before a restart
            _remove_tree(sandbox)
        links = BARE_WORK
        spare = self._take_spare((app, program))
        if spare is not None:
            place, links = spare
            os.rename(place, sandbox)
            if links[:2] != (app, program):
                for name in links.names:
                    os.unlink(f"{sandbox}/work/{name}")
                links = BARE_WORK
        else:
            os.mkdir(sandbox, FOLDER_MODE)
            os.mkdir(f"{sandbox}/work", FOLDER_MODE)
            os.mkdir(f"{sandbox}/tmp", 0o755)
        if contract:
            os.mkdir(f"{sandbox}/output", FOLDER_MODE)
            os.mkdir(f"{sandbox}/checkpoint", 0o755)
        return links

    def _take_spare(self, wanted: tuple[str, str]) -> tuple[str, Links] | None:
        """A folder with the links that are wanted, else any."""
        with self._lock:
            if not self._spares:
                return None
            key = wanted if wanted in self._spare else next(iter(self._spare))
            self._spares -= 1
            alike = self._spare[key]
            spare = alike.pop()
            if not alike:
                del self._spare[key]
            return spare

    def _share(self, shared: NamedContent, work: str, inline: dict[str, bytes], binds: list[Bind]) -> None:
        place = _room(work, shared.path)
        content = shared.content
        if content.tree:
            self._lead(self._cache.tree_folder(content, inline), place, binds)
        elif self._cache.has(content.sha256):
            self._lead(self._cache.path(content.sha256), place, binds)
        else:
            _write_bytes(place, inline[content.sha256])
            os.chmod(place, 0o444)
            os.utime(place, ns=(INPUT_TIME_NS, INPUT_TIME_NS))

    def _lead(self, shared: str, place: str, binds: list[Bind]) -> None:
        """Make `place` a link to what is shared; for a container, to where that will be bound."""
        if not self._contains:
            os.symlink(shared, place)
            return
        seen = f"{SHARED}/{len(binds)}"
        binds.append(Bind(seen, shared))
        os.symlink(seen, place)

    def _copy(self, named: NamedContent, work: str, inline: dict[str, bytes]) -> None:
        place = _room(work, named.path)
        if not named.content.tree:
            self._write(named.content, place, inline)
            return
        os.mkdir(place)
        for entry in self._cache.tree(named.content, inline):
            self._write(Content(entry.sha256, entry.size, executable=entry.executable),
                        _room(place, entry.path), inline)

    def _lay_back(self, checkpoint: Content, folder: str, inline: dict[str, bytes]) -> None:
        """Let the run find what an earlier one left; which file is newer than which can still be seen."""
        self._cache.tree(checkpoint, inline)     # its paths are checked there
        for entry in decode_entries(self._cache.bytes_of(checkpoint.sha256, inline)):
            place = _room(folder, entry.path)
            self._write(Content(entry.sha256, entry.size, executable=entry.executable), place, inline)
            modified = INPUT_TIME_NS + (1 + entry.order) * 1_000_000_000
            os.utime(place, ns=(modified, modified))

    def _write(self, content: Content, place: str, inline: dict[str, bytes]) -> None:
        """A copy of a content, the run's own to change."""
        if content.sha256 in inline:
            _write_bytes(place, inline[content.sha256])
        else:
            shutil.copyfile(self._cache.path(content.sha256), place)
        if content.executable:
            os.chmod(place, 0o755)
        os.utime(place, ns=(INPUT_TIME_NS, INPUT_TIME_NS))

    # --- the program ---------------------------------------------------------------------

    def _argv(self, grant: Grant, folders: Folders, app: str) -> list[str]:
        """The words to start it with; its program lies in `app`."""
        program = grant.program
        if program.contract:
            main = checked(program.main or program.name)
            return [*self._interpreter(f"{app}/{main}", grant.ad), f"{folders.app}/{main}",
                    *contract_arguments(program, folders), *program.arguments]
        if program.command is None:
            name = checked(program.main) if program.main else checked_name(program.name)
            return [f"{folders.work}/{name}", *program.arguments]
        command = program.command
        if os.sep not in command and self._contains:
            return [command, *program.arguments]
        if os.sep not in command:
            found = self._which(command)
            if found is None:
                raise CannotStart(EndReason.REFUSED, f"There is no program {command!r} on this machine. "
                                  "Give its whole path, or bring it along.")
            command = found
        return [os.path.join(folders.work, command), *program.arguments]

    def _interpreter(self, main: str, ad: Mapping[str, str]) -> list[str]:
        """The words before the main file."""
        try:
            with open(main, "rb") as file:
                words_before = interpreter_for(main, file.read(256), ad.get("PescLanguage", "").strip('"'))
        except OSError:
            raise CannotStart(EndReason.REFUSED, f"There is no main file {os.path.basename(main)!r} in the "
                              "program's folder. Name it: main = FILE.") from None
        if not words_before or self._contains:
            return list(words_before)
        found = words_before[0] if os.sep in words_before[0] else self._which(words_before[0])
        if found is None:
            raise CannotStart(EndReason.REFUSED, words.no_interpreter(words_before[0], os.path.basename(main)))
        return [found, *words_before[1:]]


def _box(grant: Grant, sandbox: str, app: str, shared: list[Bind]) -> Box:
    """What of this machine the run's container shows."""
    program = grant.program
    binds = [Bind(WORK, f"{sandbox}/work", True), Bind(SCRATCH, f"{sandbox}/tmp", True)]
    if program.contract:
        binds += [Bind(OUTPUT, f"{sandbox}/output", True), Bind(CHECKPOINT, f"{sandbox}/checkpoint", True),
                  Bind(JOB_FILE, f"{sandbox}/job.json")]
    if app:
        binds.append(Bind(APP, app))
    if shared:
        places = f"{sandbox}/shared"
        os.mkdir(places, FOLDER_MODE)
        for bind in shared:  # what something is bound to has to be there, of the same kind
            place = f"{places}/{os.path.basename(bind.inside)}"
            os.mkdir(place) if os.path.isdir(bind.outside) else _write_bytes(place, b"")
        binds.append(Bind(SHARED, places))
    return Box(program.image, (*binds, *shared), program.network, program.pids_limit, grant.claim.cpus)


def _room(folder: str, path: str) -> str:
    """Where `path` goes in `folder`: its parents made, an earlier link of that name out of the way."""
    parts = checked(path).split("/")
    for depth in range(1, len(parts)):
        parent = os.path.join(folder, *parts[:depth])
        if os.path.islink(parent):
            os.unlink(parent)
        if not os.path.isdir(parent):
            os.mkdir(parent)
    place = os.path.join(folder, *parts)
    if os.path.islink(place):
        os.unlink(place)
    return place


def _write_bytes(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _emptied(path: str, links: Links) -> bool:
    """Make the folder of a run as good as new but for `links`, if little is in it; False if it is better removed."""
    try:
        names = os.listdir(path)
        for name in names:
            entry = f"{path}/{name}"
            found = os.lstat(entry)
            mode = stat.S_IMODE(found.st_mode)
            if name in ("stdout", "stderr"):
                if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or mode != FILE_MODE:
                    return False
                if found.st_size:
                    os.truncate(entry, 0)
            elif stat.S_ISDIR(found.st_mode):
                if mode != FOLDER_MODE or not _clear(entry, links if name == "work" else BARE_WORK):
                    return False
                if name not in BARE:
                    os.rmdir(entry)
            elif name in BARE:
                return False
            else:
                os.unlink(entry)
    except OSError:
        return False
    return BARE.issubset(names)


def _clear(folder: str, links: Links) -> bool:
    """Unlink the files of a folder, if they are few, there are no folders among them and `links` are still there."""
    names = os.listdir(folder)
    if len(names) > FEW_FILES + len(links.names):
        return False
    kept = 0
    for name in names:
        if name in links.names and os.readlink(f"{folder}/{name}") == f"{links.seen}/{name}":
            kept += 1
        else:
            os.unlink(f"{folder}/{name}")  # refuses a folder
    return kept == len(links.names)


def _remove_tree(path: str) -> None:
    """Remove a folder, even if a job took away the right to look into parts of it."""

    def again(function: Callable[[str], object], culprit: str, _: object) -> None:
        try:
            os.chmod(os.path.dirname(culprit), 0o700)
            if os.path.isdir(culprit) and not os.path.islink(culprit):
                os.chmod(culprit, 0o700)
                shutil.rmtree(culprit, ignore_errors=True)
            else:
                function(culprit)
        except OSError:
            pass

    shutil.rmtree(path, onerror=again)
