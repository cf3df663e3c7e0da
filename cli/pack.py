"""What travels with a submission: files, folders and zips become contents named by their SHA-256.

A folder, and a zip given to process, become a tree: a list of `TreeEntry`s that is a
content itself. Nothing leaves its folder: a link, a name or an archive that points
out of it is refused, and so is what is no regular file.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from cli.localfiles import is_zip
from contract.messages import Content, TreeEntry
from contract.vocabulary import INLINE_BYTES, MAX_NAME_CHARACTERS, MAX_TREE_BYTES, MAX_TREE_FILES
from dsl.submit.expander import Role
from dsl.submit.requirements import LANGUAGES

if TYPE_CHECKING:
    import zipfile

    from contract.requests import DomainAsked

Copies = Mapping[str, Mapping[str, bytes]]
"""What travels instead of the main files of processes, by the process's path and theirs below it ("" for itself)."""

PIECE_BYTES = 1 << 20
KNOWN_ENDINGS = frozenset(LANGUAGES)
MAX_DEPTH = 100
MOST_SWELLING = 200
"""How many times its own size a zip may unpack to, beyond LARGE_BYTES: more is a bomb."""
LARGE_BYTES = 1 << 30
KEPT_BYTES = 32 * 1024**2
"""So much of small files is kept in memory from the digest to the upload."""


class Reads(Protocol):
    """An open file, or a member of an open zip."""

    def read(self, size: int, /) -> bytes: ...


class Unfit(Exception):
    """`path` cannot travel. `of` is the path that the submit file names."""

    def __init__(self, of: str, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.of, self.what, self.cure = of, what, cure


class Stamp(NamedTuple):
    """What changes when a file is written."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bytes of a content come from: memory, a file, or a member of a zip."""

    size: int
    kept: bytes | None = None
    path: str = ""
    member: str = ""
    stamp: Stamp | None = None

    def pieces(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from `offset` on; Unfit if the file has changed since its digest was made."""
        if self.kept is not None:
            yield self.kept[offset:]
            return
        with open(self.path, "rb") as file:
            self._check(os.fstat(file.fileno()))
            if self.member:
                import zipfile

                with zipfile.ZipFile(file) as archive, archive.open(self.member) as inside:
                    inside.seek(offset)
                    yield from _read(inside)
            else:
                file.seek(offset)
                yield from _read(file)
            self._check(os.fstat(file.fileno()))

    def _check(self, status: os.stat_result) -> None:
        if Stamp.of(status) != self.stamp:
            raise changed(self.path)


@dataclass(slots=True)
class Packed:
    """All that travels: `files` as the submission names them, `sources` by SHA-256."""

    files: dict[str, Content] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    domain: "DomainAsked | None" = None
    """The environment, whose files are among the sources."""
    _kept: int = 0

    def put(self, raw: bytes) -> Content:
        """A content that is in no file."""
        sha256 = hashlib.sha256(raw).hexdigest()
        self.add(sha256, Source(len(raw), raw))
        return Content(sha256, len(raw))

    def add(self, sha256: str, source: Source) -> None:
        if source.kept is not None and source.path:
            if self._kept + source.size > KEPT_BYTES:
                source = Source(source.size, None, source.path, source.member, source.stamp)
            else:
                self._kept += source.size
        self.sources.setdefault(sha256, source)


def changed(path: str) -> Unfit:
    return Unfit(path, f"{path} was changed while it was being submitted",
                 "Submit again once nothing writes to it.")


def pack(travelling: Mapping[str, Role], copies: Copies | None = None,
         interpreted: Collection[str] = ()) -> tuple[Packed, list[Unfit]]:
    """Digest everything that travels; say all that cannot. Those of `interpreted` need not be executable."""
    packed, unfit = Packed(), []
    for path, role in travelling.items():
        try:
            packed.files[path] = _content(packed, path, role, (copies or {}).get(path, {}), path in interpreted)
        except Unfit as error:
            unfit.append(error)
        except FileNotFoundError as error:
            unfit.append(Unfit(path, f"there is no file {error.filename or path}"))
        except OSError as error:
            unfit.append(Unfit(path, f"cannot read {error.filename or path}: {error.strerror or error}"))
    return packed, unfit


def _content(packed: Packed, path: str, role: Role, copies: Mapping[str, bytes], interpreted: bool) -> Content:
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        return _tree(packed, _folder_entries(packed, path, copies))
    if role == "process" and is_zip(path):
        return _tree(packed, _zip_entries(packed, path, copies))
    content = packed.put(copies[""]) if "" in copies else _file(packed, path, path)
    executable = bool(status.st_mode & 0o111)
    if role != "file":
        _check_program(path, role, executable or interpreted)
    # As in HTCondor, an executable need not be marked as one.
    return Content(content.sha256, content.size, executable=executable or role == "executable")


def _check_program(path: str, role: Role, starts: bool) -> None:
    """What can be seen beforehand of a program that could not be started."""
    with open(path, "rb") as file:
        first_line = file.readline(300)
    if first_line.startswith(b"#!") and first_line.endswith(b"\r\n"):
        raise Unfit(path, f"the lines of {path} end as on Windows; its first line would name no program",
                    f"Convert it: sed -i 's/\\r$//' {path}")
    if role == "process" and not starts and os.path.splitext(path)[1].lower() not in KNOWN_ENDINGS:
        raise Unfit(path, f"{path} is not executable", f"Make it so: chmod +x {path}; "
                    "or give it the ending of its language (.py, .R, .jl, .m, .sh, .jar), or say: language = python")


def _file(packed: Packed, path: str, of: str) -> Content:
    """Digest one file."""
    before = os.stat(path)
    if not stat.S_ISREG(before.st_mode):
        raise Unfit(of, f"{path} is not a regular file", "Only files and folders can travel with a job.")
    digest = hashlib.sha256()
    small = before.st_size <= INLINE_BYTES
    kept: list[bytes] = []
    size = 0
    with open(path, "rb") as file:
        for piece in _read(file):
            digest.update(piece)
            size += len(piece)
            if small:
                kept.append(piece)
        after = os.fstat(file.fileno())
    if Stamp.of(before) != Stamp.of(after) or size != after.st_size:
        raise changed(path)
    sha256 = digest.hexdigest()
    packed.add(sha256, Source(size, b"".join(kept) if small else None, path, "", Stamp.of(after)))
    return Content(sha256, size)


def pack_context(packed: Packed, folder: str, sources: Iterable[str]) -> Content | None:
    """What a Dockerfile copies of its folder, as a tree with the paths that it has there."""
    import glob

    wanted = sorted({path for source in sources for path in (
        glob.glob(source, root_dir=folder) if glob.has_magic(source) else [source])})
    entries: dict[str, TreeEntry] = {}
    ignore = os.path.join(folder, ".dockerignore")
    for name in [*wanted, *([".dockerignore"] if wanted and os.path.exists(ignore) else [])]:
        path = os.path.join(folder, name)
        if os.path.commonpath([os.path.realpath(path), os.path.realpath(folder)]) != os.path.realpath(folder):
            raise Unfit(folder, f"{path} leads out of the folder {folder}", "Copy it into the folder.")
        if os.path.isdir(path):
            found = _folder_entries(packed, path, {})
            entries |= {full: entry for entry in found for full in [_joined(name, entry.path)]}
        else:
            content = _file(packed, path, folder)
            executable = bool(os.stat(path).st_mode & 0o111)
            entries[name] = TreeEntry(name, content.sha256, content.size, executable)
    whole = [TreeEntry(name, entry.sha256, entry.size, entry.executable) for name, entry in entries.items()]
    return _tree(packed, whole) if whole else None


def _joined(folder: str, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))


def _tree(packed: Packed, entries: list[TreeEntry]) -> Content:
    content = packed.put(msgspec.json.encode(sorted(entries, key=lambda entry: entry.path)))
    return Content(content.sha256, content.size, tree=True)


def _folder_entries(packed: Packed, root: str, copies: Mapping[str, bytes]) -> list[TreeEntry]:
    """Every file below `root`. Links are followed as long as they stay inside."""
    real_root = os.path.realpath(root)
    entries: list[TreeEntry] = []
    waiting: list[tuple[str, str, tuple[str, ...]]] = [(root, "", (real_root,))]
    total = 0
    while waiting:
        folder, prefix, ancestors = waiting.pop()
        with os.scandir(folder) as found:
            for entry in found:
                name = prefix + entry.name
                _check_name(root, name)
                real = os.path.realpath(entry.path) if entry.is_symlink() else ""
                if real and os.path.commonpath([real, real_root]) != real_root:
                    raise Unfit(root, f"{entry.path} is a link that leaves the folder {root}",
                                "Copy what it points to into the folder, or take the link out.")
                if entry.is_dir():
                    real = real or os.path.realpath(entry.path)
                    if real in ancestors or len(ancestors) > MAX_DEPTH:
                        raise Unfit(root, f"{entry.path} leads back into itself", "Take the link out.")
                    waiting.append((entry.path, name + "/", (*ancestors, real)))
                    continue
                content = packed.put(copies[name]) if name in copies else _file(packed, entry.path, root)
                total += content.size
                entries.append(TreeEntry(name, content.sha256, content.size, bool(entry.stat().st_mode & 0o111)))
                _check_amount(root, len(entries), total)
    return entries


def _zip_entries(packed: Packed, path: str, copies: Mapping[str, bytes]) -> list[TreeEntry]:
    """Every file of a zip, after looking at where its names lead."""
    import zipfile
    import zlib

    entries: list[TreeEntry] = []
    total = 0
    stamp = Stamp.of(os.stat(path))
    try:
        with zipfile.ZipFile(path) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
            _check_zip_names(path, archive.infolist())
            for info in files:
                total += info.file_size
                _check_amount(path, len(entries) + 1, total)
                if total > LARGE_BYTES and total > MOST_SWELLING * os.path.getsize(path):
                    raise Unfit(path, f"{path} unpacks to more than {MOST_SWELLING} times its size",
                                "If that is what you want, submit the folder itself.")
                name = os.path.normpath(info.filename)
                with archive.open(info) as inside:
                    content = (packed.put(copies[name]) if name in copies
                               else _zip_member(packed, path, info, inside, stamp))
                mode = info.external_attr >> 16
                entries.append(TreeEntry(name, content.sha256, content.size, bool(mode & 0o111)))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error) as error:
        raise Unfit(path, f"{path} cannot be unpacked: {error}", "Make the zip again, without a password.") from None
    return entries


def _zip_member(packed: Packed, path: str, info: "zipfile.ZipInfo", inside: Reads, stamp: Stamp) -> Content:
    digest = hashlib.sha256()
    kept: list[bytes] = []
    size = 0
    small = info.file_size <= INLINE_BYTES
    for piece in _read(inside):
        digest.update(piece)
        size += len(piece)
        if size > info.file_size:
            raise Unfit(path, f"{info.filename} in {path} is larger than the zip says", "Make the zip again.")
        if small:
            kept.append(piece)
    packed.add(digest.hexdigest(), Source(size, b"".join(kept) if small else None, path, info.filename, stamp))
    return Content(digest.hexdigest(), size)


def _check_zip_names(path: str, infos: "list[zipfile.ZipInfo]") -> None:
    seen: set[str] = set()
    folders: set[str] = set()
    for info in infos:
        name = info.filename
        parts = name.rstrip("/").split("/")
        if name.startswith("/") or ".." in parts or "\\" in name or (len(name) > 1 and name[1] == ":"):
            raise Unfit(path, f"{path} holds {name!r}, which would leave its folder", "Make the zip of relative paths.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise Unfit(path, f"{path} holds the link {name!r}", "Zip the files themselves (zip without -y).")
        if info.flag_bits & 1:
            raise Unfit(path, f"{path} is locked by a password", "Make the zip without one.")
        _check_name(path, os.path.normpath(name))
        clean = os.path.normpath(name)
        if not info.is_dir():
            if clean in seen:
                raise Unfit(path, f"{path} holds {name!r} twice", "Make the zip again.")
            seen.add(clean)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if both := seen & folders:
        raise Unfit(path, f"{path} holds {min(both)!r} as a file and as a folder", "Make the zip again.")


def _check_name(of: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Unfit(of, f"{of} holds a name that is not UTF-8: {name!r}", "Rename it.") from None
    parts = name.split("/")
    if any(len(part.encode()) > MAX_NAME_CHARACTERS for part in parts) or len(parts) > MAX_DEPTH or "\0" in name:
        raise Unfit(of, f"{of} holds a name that is too long or too deep: {name[:60]!r}", "Give it a shorter one.")


def _check_amount(of: str, files: int, size: int) -> None:
    if files > MAX_TREE_FILES:
        raise Unfit(of, f"{of} holds more than {MAX_TREE_FILES:,} files", "Send an archive of them instead.")
    if size > MAX_TREE_BYTES:
        raise Unfit(of, f"{of} comes to more than {MAX_TREE_BYTES >> 30} GiB", "Send less.")


def _read(file: Reads) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece
