"""The contents that this machine has, by SHA-256, and the folders made from them.

    cache/SHA                one content, read-only
    trees/SHA/…              a tree, laid out once, read-only
    programs/SHA/NAME        a single program file, executable

Everything is written beside its place, verified, and then renamed: what is there
is whole. Small contents that came inside a grant stay in memory, where the latest
are kept for the next grants too; they are worth no file of their own. What goes when
it becomes too much is decided in `keeping`.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable

import msgspec

from contract.messages import Content, Grant, TreeEntry
from contract.vocabulary import RunId
from startd.files.keeping import Keeping
from startd.files.paths import BadPath, checked, checked_name

_decode_tree = msgspec.json.Decoder(list[TreeEntry]).decode

RECENT_BYTES = 32 * 1024 * 1024
"""Memory for small contents that other runs may want too."""


DEFAULT_LIMIT_BYTES = 20 * 1024**3
"""Of what is on the disk and no run needs now."""


class Spoilt(Exception):
    """A content that is not what its name says, or a tree that cannot be laid out."""


class Cache:
    """Contents and folders below one state folder."""

    def __init__(self, state: str, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.state = state
        self._keeping = Keeping(state, limit_bytes)
        self._inline: dict[RunId, dict[str, bytes]] = {}
        self._recent: dict[str, bytes] = {}
        self._recent_bytes = 0
        self._count = 0
        for folder in ("cache", "trees", "programs"):
            os.makedirs(f"{state}/{folder}", exist_ok=True)
        for folder in ("cache", "trees", "programs"):
            for name in os.listdir(f"{state}/{folder}"):
                if name.startswith("."):  # half written when an earlier startd was killed
                    _remove(f"{state}/{folder}/{name}")
        self._present = set(os.listdir(f"{state}/cache"))
        trees, programs = (os.listdir(f"{state}/{kind}") for kind in ("trees", "programs"))
        self._folders = {f"trees/{name}" for name in trees}
        self._folders.update(f"programs/{name}/{file}" for name in programs for file in _names_in(state, name))
        self._keeping.found([*(f"cache/{name}" for name in self._present if not name.startswith(".")),
                             *(f"trees/{name}" for name in trees), *(f"programs/{name}" for name in programs)])

    def path(self, sha256: str) -> str:
        return f"{self.state}/cache/{sha256}"

    def hold(self, grant: Grant) -> None:
        """Keep the contents that came inside `grant` at hand; those that are not what they say are dropped."""
        for name, blob in grant.blobs.items():
            if name not in self._recent and hashlib.sha256(blob).hexdigest() == name:
                self._recent[name] = blob
                self._recent_bytes += len(blob)
        self._inline[grant.run] = {name: self._recent[name] for name in grant.blobs if name in self._recent}
        while self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(self._recent.pop(next(iter(self._recent))))

    def release(self, run: RunId) -> None:
        """The run has its contents: what came inside its grant need not be at hand any more."""
        self._inline.pop(run, None)

    def over(self, run: RunId) -> None:
        """The run needs nothing of this any more."""
        self._inline.pop(run, None)
        self._keeping.over(run)

    def trim(self) -> list[str]:
        """Give up what is too much; return the paths of what is to be removed, which may take long."""
        doomed = []
        for place in self._keeping.surplus():
            kind, _, name = place.partition("/")
            if kind == "cache":
                self._present.discard(name)
            else:
                self._folders -= {folder for folder in self._folders if f"{folder}/".startswith(f"{place}/")}
            path = self._beside(kind)
            try:
                os.rename(f"{self.state}/{place}", path)
            except OSError:
                continue  # somebody tidied up by hand
            doomed.append(path)
        return doomed

    @staticmethod
    def remove(paths: Iterable[str]) -> None:
        for path in paths:
            _remove(path)

    def lacking(self, grant: Grant) -> list[Content]:
        """What has to be fetched before the run can start (of a tree that is not here: at least its list)."""
        run = grant.run
        inline = self._inline.setdefault(run, {})
        program = grant.program
        lacking: dict[str, Content] = {}
        if program.content is not None and not self._has_folder(run, program.content, program.name):
            self._lacks(run, program.content, inline, lacking)
        if program.stdin is not None:
            self._lacks(run, program.stdin, inline, lacking)
        if program.checkpoint is not None:
            self._lacks(run, program.checkpoint, inline, lacking)
        for named in (*program.inputs, *program.shared):
            if not named.content.tree or not self._has_folder(run, named.content):
                self._lacks(run, named.content, inline, lacking)
        return list(lacking.values())

    def new_holder(self) -> RunId:
        """A name under which something else than a run needs contents: no run is of a cluster 0."""
        self._count += 1
        return RunId(0, 0, self._count)

    def lacking_of(self, holder: RunId, content: Content) -> list[Content]:
        """What has to be fetched of one content, which `holder` needs until it is `over`."""
        lacking: dict[str, Content] = {}
        if not content.tree or not self._has_folder(holder, content):
            self._lacks(holder, content, {}, lacking)
        return list(lacking.values())

    def _has_folder(self, run: RunId, content: Content, name: str = "") -> bool:
        """Whether a tree, or a single program under its `name`, is laid out."""
        place = self._folder_of(content)
        self._keeping.needs(run, place)
        return (place if content.tree else f"{place}/{name}") in self._folders

    def _lacks(self, run: RunId, content: Content, inline: dict[str, bytes], lacking: dict[str, Content]) -> None:
        if not self._has_for(run, content.sha256, inline):
            lacking[content.sha256] = Content(content.sha256, content.size)
        elif content.tree:
            for entry in self.tree(content, inline):
                if not self._has_for(run, entry.sha256, inline):
                    lacking[entry.sha256] = Content(entry.sha256, entry.size)

    def _has_for(self, run: RunId, sha256: str, inline: dict[str, bytes]) -> bool:
        if sha256 in inline:
            return True
        self._keeping.needs(run, f"cache/{sha256}")
        return self.has(sha256, inline)

    def has(self, sha256: str, inline: dict[str, bytes] | None = None) -> bool:
        """Whether a content is here; one that is in memory only is kept at hand in `inline`."""
        if sha256 in self._present:
            return True
        if inline is None or sha256 in inline:
            return inline is not None
        blob = self._recent.get(sha256)
        if blob is not None:
            inline[sha256] = blob
        return blob is not None

    def tree(self, content: Content, inline: dict[str, bytes]) -> list[TreeEntry]:
        """The entries of a tree whose list is here; raise Spoilt when it is none."""
        try:
            entries = _decode_tree(self.bytes_of(content.sha256, inline))
            for entry in entries:
                checked(entry.path)
        except (msgspec.MsgspecError, BadPath) as error:
            raise Spoilt(f"the folder {content.sha256[:12]}… cannot be laid out: {error}") from None
        return entries

    def inline_of(self, run: RunId) -> dict[str, bytes]:
        return self._inline.get(run, {})

    # --- taking in -----------------------------------------------------------------------

    def keep(self, sha256: str, blob: bytes) -> None:
        """Take in a content; raise Spoilt if it is not what its name says."""
        if hashlib.sha256(blob).hexdigest() != sha256:
            raise Spoilt(f"content {sha256[:12]}… arrived changed")
        partial = self._beside("cache")
        with open(partial, "xb") as file:
            file.write(blob)
        self._settle(partial, sha256)

    def keep_pieces(self, sha256: str, pieces: Callable[[int], Iterable[bytes]]) -> None:
        """Take in a content that comes in pieces, from the offset on that an earlier try got to."""
        partial = f"{self.state}/cache/.part-{sha256}"
        digest = hashlib.sha256()
        with open(partial, "a+b") as file:
            file.seek(0)
            while piece := file.read(1 << 20):
                digest.update(piece)
            for piece in pieces(file.tell()):
                file.write(piece)
                digest.update(piece)
        if digest.hexdigest() != sha256:
            os.unlink(partial)
            raise Spoilt(f"content {sha256[:12]}… arrived changed")
        self._settle(partial, sha256)

    def _settle(self, partial: str, sha256: str) -> None:
        os.chmod(partial, 0o444)
        size = os.stat(partial).st_size
        os.rename(partial, self.path(sha256))
        self._present.add(sha256)
        self._keeping.came(f"cache/{sha256}", size)

    # --- folders -------------------------------------------------------------------------

    def program_folder(self, content: Content, name: str, inline: dict[str, bytes]) -> str:
        """The read-only folder of a program: its tree, or a folder with the one file."""
        place = self._folder_of(content)
        if content.tree:
            return self.tree_folder(content, inline)
        folder = f"{self.state}/{place}"
        if f"{place}/{checked_name(name)}" not in self._folders:
            os.makedirs(folder, exist_ok=True)
            partial = f"{folder}/.{self._next()}"
            self._place(content.sha256, partial, True, inline)
            os.rename(partial, f"{folder}/{checked_name(name)}")
            self._folders.add(f"{place}/{name}")
            self._keeping.came(place, content.size)
        return folder

    def place_of(self, content: Content) -> str:
        """Where `program_folder` puts it."""
        return f"{self.state}/{self._folder_of(content)}"

    def tree_folder(self, content: Content, inline: dict[str, bytes]) -> str:
        place = self._folder_of(content)
        folder = f"{self.state}/{place}"
        if place in self._folders:
            return folder
        partial = self._beside("trees")
        os.mkdir(partial)
        try:
            for entry in self.tree(content, inline):
                path = f"{partial}/{entry.path}"
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self._place(entry.sha256, path, entry.executable, inline)
            os.rename(partial, folder)
        except OSError as error:
            _remove(partial)
            if not os.path.isdir(folder):
                if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
                    raise Spoilt(f"the folder {content.sha256[:12]}… cannot be laid out: {error}") from None
                raise
        self._folders.add(place)
        self._keeping.came(place, sum(entry.size for entry in self.tree(content, inline)))
        return folder

    def _place(self, sha256: str, path: str, executable: bool, inline: dict[str, bytes]) -> None:
        """One read-only file at `path`, sharing the cache's bytes where their mode is the same."""
        if sha256 not in inline and not executable:
            os.link(self.path(sha256), path)
            return
        if sha256 in inline:
            with open(path, "xb") as file:
                file.write(inline[sha256])
        else:
            shutil.copyfile(self.path(sha256), path)
        os.chmod(path, 0o555 if executable else 0o444)

    def bytes_of(self, sha256: str, inline: dict[str, bytes]) -> bytes:
        """A content that is here."""
        if sha256 in inline:
            return inline[sha256]
        with open(self.path(sha256), "rb") as file:
            return file.read()

    def _folder_of(self, content: Content) -> str:
        return f"{'trees' if content.tree else 'programs'}/{content.sha256}"

    def _beside(self, kind: str) -> str:
        return f"{self.state}/{kind}/.{self._next()}"

    def _next(self) -> str:
        self._count += 1
        return f"new-{os.getpid()}-{self._count}"


def _names_in(state: str, name: str) -> list[str]:
    return [file for file in os.listdir(f"{state}/programs/{name}") if not file.startswith(".")]


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif ".part-" not in path:  # a download goes on where it was
        os.unlink(path)
