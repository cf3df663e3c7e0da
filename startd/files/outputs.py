"""What a run left behind: which files count, and their contents.

For programs of the contract everything in output/; for every program what is
new or changed at the top of work/ (HTCondor's rule), or exactly what was
promised. stdout and stderr always. Links are followed only inside the sandbox;
what is neither file nor folder is skipped, with a warning.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from contract.messages import OutputFile, Program
from contract.vocabulary import INLINE_BYTES, MAX_NAME_CHARACTERS
from startd.core.container import APP, SHARED
from startd.files.paths import INPUT_TIME_NS

MAX_FILES = 10_000
MAX_DEPTH = 32
FEW_FILES = 16
LITTLE_BYTES = 256 * 1024
"""What is read on the startd's loop itself; more goes to a thread."""

MAX_INLINE_BYTES = 4 * 1024 * 1024
"""All small contents of one end together; the rest is uploaded, however small."""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(slots=True)
class Leaving:
    """The files of an ended run: by their name for the user, and where they lie."""

    stdout: OutputFile | None = None
    stderr: OutputFile | None = None
    files: list[OutputFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Contents too large to be said, by SHA-256: path and size."""
    total_bytes: int = 0
    inline_bytes: int = 0

    def drop(self, sha256: str, why: str) -> None:
        """Leave out a content that could not be sent, and say so."""
        for file in (self.stdout, self.stderr, *self.files):
            if file is not None and file.sha256 == sha256:
                self.warnings.append(f"{file.path} could not be returned: {why}")
        self.stdout = None if self.stdout and self.stdout.sha256 == sha256 else self.stdout
        self.stderr = None if self.stderr and self.stderr.sha256 == sha256 else self.stderr
        self.files = [file for file in self.files if file.sha256 != sha256]


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    path: str


class Glance(Enum):
    """How much work a run's remains are, as far as a glance can say."""

    NOTHING = auto()
    """Nothing was written at all."""
    LITTLE = auto()
    MUCH = auto()


def glance(sandbox: str, contract: bool) -> Glance:
    """See whether `gather` has anything to do, and whether it may do it at once."""
    total = entries_seen = links_seen = 0
    try:
        for name in ("stdout", "stderr"):
            total += os.lstat(f"{sandbox}/{name}").st_size
        for folder in ("work", "output") if contract else ("work",):
            with os.scandir(f"{sandbox}/{folder}") as entries:
                for entry in entries:
                    if links_seen < FEW_FILES and entry.is_symlink() and _is_laid_out(entry, sandbox):
                        links_seen += 1
                        continue
                    entries_seen += 1
                    if entries_seen > FEW_FILES or entry.is_dir(follow_symlinks=False):
                        return Glance.MUCH
                    total += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return Glance.MUCH
    if not total and not entries_seen:
        return Glance.NOTHING
    return Glance.LITTLE if total <= LITTLE_BYTES else Glance.MUCH


def nothing() -> Leaving:
    """What a run leaves that wrote nothing."""
    return Leaving(OutputFile("stdout", EMPTY_SHA256, 0), OutputFile("stderr", EMPTY_SHA256, 0))


def gather(sandbox: str, program: Program) -> Leaving:
    """Find and read everything that is to go back. Never raises for what a job did."""
    leaving = Leaving()
    leaving.stdout = _stream(f"{sandbox}/stdout", leaving)
    leaving.stderr = _stream(f"{sandbox}/stderr", leaving)
    taken: set[str] = set()
    real = os.path.realpath(sandbox)
    for candidate in _candidates(sandbox, real, program, leaving.warnings):
        if candidate.name in taken:
            leaving.warnings.append(f"{candidate.name} is both in output/ and in the work folder; kept output/'s.")
            continue
        if len(taken) >= MAX_FILES:
            leaving.warnings.append(f"More than {MAX_FILES} files were left behind; the rest was not kept. "
                                    "Pack them into an archive.")
            break
        taken.add(candidate.name)
        try:
            leaving.files.append(_take(candidate.name, candidate.path, leaving))
        except OSError as error:
            leaving.warnings.append(f"{candidate.name} could not be kept: {error.strerror or error}.")
    return leaving


def _stream(path: str, leaving: Leaving) -> OutputFile | None:
    try:
        return _take(os.path.basename(path), path, leaving)
    except OSError as error:
        if error.errno != errno.ENOENT:
            leaving.warnings.append(f"{os.path.basename(path)} could not be kept: {error.strerror or error}.")
        return None


def _take(name: str, path: str, leaving: Leaving) -> OutputFile:
    """Read one file: its name in SHA-256, and its bytes if they are few."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        executable = bool(found.st_mode & 0o111)
        if found.st_size == 0:
            return OutputFile(name, EMPTY_SHA256, 0, executable)
        leaving.total_bytes += found.st_size
        if found.st_size <= INLINE_BYTES and leaving.inline_bytes + found.st_size <= MAX_INLINE_BYTES:
            content = os.read(descriptor, found.st_size)
            sha256 = hashlib.sha256(content).hexdigest()
            leaving.inline_bytes += len(content)
            leaving.blobs[sha256] = content
            return OutputFile(name, sha256, len(content), executable)
        with open(descriptor, "rb", closefd=False) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        leaving.uploads[sha256] = (path, found.st_size)
        return OutputFile(name, sha256, found.st_size, executable)
    finally:
        os.close(descriptor)


def _candidates(sandbox: str, real: str, program: Program, warnings: list[str]) -> Iterator[_Candidate]:
    if program.contract:
        yield from _below(f"{sandbox}/output", "", real, warnings, 0)
    work = f"{sandbox}/work"
    if program.output_files is None:
        for entry in _scan(work):
            if entry.is_file(follow_symlinks=False):
                if not _is_untouched_input(entry):
                    yield from _named(entry.name, entry.path, warnings)
            elif not entry.is_dir(follow_symlinks=False):
                yield from _odd(entry, entry.name, real, warnings)
        return
    for promised in program.output_files:
        path = os.path.normpath(f"{work}/{promised}")
        resolved = os.path.realpath(path)
        if promised.startswith("/") or not (resolved + "/").startswith(real + "/"):
            warnings.append(f"{promised} lies outside the run's folder; it was not kept.")
        elif os.path.isdir(resolved):
            yield from _below(resolved, os.path.basename(path) + "/", real, warnings, 0)
        elif os.path.isfile(resolved):
            yield from _named(os.path.relpath(path, work), resolved, warnings)
        else:
            warnings.append(f"{promised} was promised in transfer_output_files and is not there.")


def _below(folder: str, prefix: str, real: str, warnings: list[str], depth: int) -> Iterator[_Candidate]:
    if depth > MAX_DEPTH:
        warnings.append(f"{prefix} is nested deeper than {MAX_DEPTH} folders; what is below was not kept.")
        return
    for entry in _scan(folder):
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, name + "/", real, warnings, depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield from _named(name, entry.path, warnings)
        else:
            yield from _odd(entry, name, real, warnings)


def _odd(entry: "os.DirEntry[str]", name: str, real: str, warnings: list[str]) -> Iterator[_Candidate]:
    """A link to a file inside the sandbox counts as that file; everything else is only mentioned."""
    if not entry.is_symlink():
        warnings.append(f"{name} is neither a file nor a folder; it was not kept.")
        return
    if _is_laid_out(entry, real):
        return
    resolved = os.path.realpath(entry.path)
    if resolved.startswith(real + "/"):
        if os.path.isfile(resolved):
            yield from _named(name, resolved, warnings)
    elif not _is_ours(resolved, real):
        warnings.append(f"{name} is a link that leaves the run's folder; it was not followed.")


def _is_laid_out(entry: "os.DirEntry[str]", sandbox: str) -> bool:
    """Whether a link is plainly one of those that we made: seen without looking where it ends."""
    target = os.readlink(entry.path)
    return "/.." not in target and _is_ours(target, sandbox)


def _is_ours(resolved: str, real: str) -> bool:
    """Links that we laid out point into the caches beside the runs folder, or to where containers show them."""
    if resolved.startswith((f"{APP}/", f"{SHARED}/")):
        return True
    state = os.path.dirname(os.path.dirname(real))
    return any(resolved.startswith(f"{state}/{kind}/") for kind in ("cache", "trees", "programs"))


def _named(name: str, path: str, warnings: list[str]) -> Iterator[_Candidate]:
    try:
        name.encode()
    except UnicodeEncodeError:
        warnings.append(f"{name.encode('utf-8', 'replace').decode()} has a name that is not UTF-8; it was not kept.")
        return
    if len(name) > MAX_NAME_CHARACTERS * 16:
        warnings.append(f"{name[:60]}… has too long a path; it was not kept.")
        return
    yield _Candidate(name, path)


def _is_untouched_input(entry: "os.DirEntry[str]") -> bool:
    return entry.stat(follow_symlinks=False).st_mtime_ns == INPUT_TIME_NS


def _scan(folder: str) -> list["os.DirEntry[str]"]:
    """The entries of a folder by name; none if it is gone or closed to us."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
