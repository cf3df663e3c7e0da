"""The images that PESC brought to this machine: a book of them, and those that go when there are too many.

All startds of a user on a host share one storage of images, and so one book, which lies in that
storage. Whoever reads it to decide, or writes it, holds its lock.

STOCK-1: only what is in the book is ever removed, and only what startds pulled, built or loaded gets into it.
STOCK-2: a startd writes down that it needs an image before it looks whether the image is there,
         and removes one under the same lock, when nobody has written that down.
STOCK-3: while a build is under way nothing is removed: what it takes from the engine's own cache nobody can say.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import msgspec

from startd.core.surplus import KeptImage, room, surplus
from startd.images.engine import Engine, call
from startd.runtime.interface import NoImage

log = logging.getLogger(__name__)

DEFAULT_LIMIT_BYTES = 50 * 1024**3
STAMP_SECONDS = 60.0
"""So often it is noted what is needed, and looked whether there is too much."""

LONGEST_BUILD_SECONDS = 6 * 3600.0
"""What says that it builds for longer was killed and has not come back."""

OWN_NAMES = ("localhost/pesc-domain:", "localhost/pesc-base:", "localhost/pesc-base-debian:", "localhost/trees/",
             "localhost/base:latest", "localhost/base-debian:latest")
"""How the names begin that startds give to images."""

BASE = "base"


class Inspected(msgspec.Struct):
    """What Podman says of an image, as far as it matters here."""

    class Layers(msgspec.Struct):
        Layers: list[str] | None = None

    Id: str
    Size: int = 0
    RootFS: Layers = msgspec.field(default_factory=Layers)
    RepoTags: list[str] | None = None

    @property
    def names(self) -> list[str]:
        return self.RepoTags or []


class _Image(msgspec.Struct):
    size: int
    layers: tuple[str, ...]
    names: list[str]
    """Those that we gave it; one more, and it is not ours alone."""
    asked: list[str]
    """What jobs called it."""
    needed_at: float


class _Startd(msgspec.Struct):
    folder: str
    needs: set[str] = set()
    """What its jobs need."""
    laid_out: set[str] = set()
    """Roots that containers are started from, by how the ids of their images begin; it takes them down
    itself when it finds that there is too much."""
    builds_until: float = 0.0


class _Book(msgspec.Struct):
    images: dict[str, _Image] = {}
    startds: dict[str, _Startd] = {}


class Stock:
    """The book as one startd uses it."""

    def __init__(self, engine: Engine, state: str, identity: str, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._engine, self._state, self._identity, self._limit = engine, state, identity, limit_bytes
        self._path: str | None = None
        self._turn = asyncio.Lock()
        self._published: set[str] = set()
        self._asked: set[tuple[str, str]] = set()
        self._base = ""
        self.wanted: Callable[[], Iterable[str]] = lambda: ()
        """What jobs on this machine need now: names and ids of images, `base` for the default one."""
        self.laid_out: Callable[[], set[str]] = set
        self.take_down: Callable[[str], Awaitable[None]] = _nothing
        self._tidy_asked = asyncio.Event()
        self._is_full = False

    async def open(self) -> None:
        """Find the book; without one no image is ever removed."""
        said = await call([self._engine.podman, "info", "--format", "{{.Store.GraphRoot}}"])
        folder = said.output.strip()
        if said.status != 0 or not os.access(folder, os.W_OK):
            log.warning("images on this machine are not bounded: Podman does not say where it keeps them: %s",
                        said.last_words)
            return
        self._path = f"{folder}/pesc-images"

    # --- while images are had ------------------------------------------------------------

    async def need(self, image: str, asked: str | None = None) -> bool:
        """Have it stay as long as it is `wanted`; whether that is news: then it may be gone, look again."""
        if asked == BASE:
            self._base = image
        asked = asked or image
        is_news = image not in self._published
        if is_news or (image, asked) not in self._asked:
            try:
                async with self._book() as book:
                    self._note_need(book, image, asked)
            except OSError as error:
                raise NoImage(f"It cannot be written down that the image is needed: {error}.") from None
        return is_news

    def _note_need(self, book: _Book, image: str, asked: str) -> None:
        known = book.images.get(image)
        if known is not None:
            known.needed_at = time.time()
            known.asked = sorted({*known.asked, asked})
        self._own(book).needs.add(image)
        self._published.add(image)
        self._asked.add((image, asked))

    async def ids(self) -> set[str] | None:
        """All images that the engine has; asked before one is brought."""
        said = await call([self._engine.podman, "images", "--all", "--quiet", "--no-trunc"])
        if said.status != 0:
            return None
        return {line.strip().removeprefix("sha256:") for line in said.output.splitlines()}

    async def brought(self, image: str, before: set[str] | None, asked: str | None = None) -> None:
        """An image has come, for somebody who needs it; it is ours if it was not there before."""
        if before is None or image in before:
            return
        if asked == BASE:
            self._base = image
        try:
            for inspected in await self._inspect([image]):
                async with self._book() as book:
                    self._enter(book, inspected, asked)
                    self._note_need(book, image, asked or image)
        except OSError as error:
            log.warning("image %s is not bounded: %s", image[:12], error)
        self._tidy_asked.set()

    @asynccontextmanager
    async def building(self, bases: Iterable[str], printed: Callable[[], Iterable[str]]) -> AsyncIterator[None]:
        """While a build is under way nothing goes; what it leaves is ours: what it made, and the bases it pulled.

        `printed` are the ids of layers that the engine made for it, or how they begin.
        """
        async with self._book() as book:
            self._own(book).builds_until = time.time() + LONGEST_BUILD_SECONDS
        before = await self.ids()
        try:
            yield
        finally:
            layers = tuple(printed())
            new = [one for one in await self._inspect((await self.ids() or set()) - before)
                   if (all(_is_ours(name) or _is_called(name, bases) for name in one.names) if one.names
                       else one.Id.startswith(layers))] if before is not None else []
            async with self._book() as book:
                for inspected in new:
                    self._enter(book, inspected, None)
                for id, image in book.images.items():
                    if id.startswith(layers):
                        image.needed_at = time.time()
                self._own(book).builds_until = 0.0
            self._tidy_asked.set()

    def _enter(self, book: _Book, inspected: Inspected, asked: str | None) -> None:
        names = [name for name in inspected.names if _is_ours(name) or asked is None or _is_called(name, [asked])]
        known = book.images.get(inspected.Id)
        book.images[inspected.Id] = _Image(
            inspected.Size, tuple(inspected.RootFS.Layers or ()), sorted({*names, *(known.names if known else ())}),
            sorted({*([asked] if asked else []), *(known.asked if known else ())}), time.time())

    # --- when there are too many ---------------------------------------------------------

    def over(self) -> None:
        """A run is over: what it needed may go, if that has been waited for."""
        if self._is_full:
            self._tidy_asked.set()

    async def keep_tidy(self) -> None:
        """A duty that goes on for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._tidy_asked.wait(), STAMP_SECONDS)
            self._tidy_asked.clear()
            await self.tidy()

    async def tidy(self) -> None:
        """Say what is needed here, and remove what is too much; what fails is tried again another time."""
        try:
            async with self._book() as book:
                self._say_needs(book)
                needed = set().union(*(startd.needs for startd in book.startds.values()))
                builds = any(startd.builds_until > time.time() for startd in book.startds.values())
                if room(_kept(book)) > self._limit and not builds:
                    await self._remove_surplus(book, needed)
                self._is_full = room(_kept(book)) > self._limit
        except OSError as error:
            log.warning("the images on this machine could not be tidied: %s", error)

    async def leave(self) -> None:
        """Say what is still needed when this startd has ended."""
        with suppress(OSError):
            async with self._book() as book:
                self._base = ""
                self._say_needs(book, self._wanted_by_runs(book))

    def _say_needs(self, book: _Book, needs: set[str] | None = None) -> None:
        for identity, startd in list(book.startds.items()):
            if identity != self._identity and not _is_there(startd, identity):
                del book.startds[identity]
        if needs is None:
            base = {self._base} if self._base else {id for id, image in book.images.items() if BASE in image.asked}
            needs = self._wanted_by_runs(book) | base
        now = time.time()
        for id in needs & book.images.keys():
            if now - book.images[id].needed_at >= STAMP_SECONDS:
                book.images[id].needed_at = now
        own = self._own(book)
        own.needs, own.laid_out = needs, self.laid_out()
        self._published = set(needs)

    def _wanted_by_runs(self, book: _Book) -> set[str]:
        wanted = set(self.wanted())
        return {id for id, image in book.images.items() if not wanted.isdisjoint(image.asked)} | wanted

    async def _remove_surplus(self, book: _Book, needed: set[str]) -> None:
        there = await self.ids()
        for id in book.images.keys() - there if there else ():
            del book.images[id]  # somebody tidied up by hand
        used = await call([self._engine.podman, "ps", "--all", "--external", "--no-trunc", "--format",
                           "{{.ImageID}}"])
        if not there or used.status != 0:
            log.warning("no image is removed: Podman does not say which are there and in use: %s", used.last_words)
            return
        needed = needed | {line.strip().removeprefix("sha256:") for line in used.output.splitlines()}
        for id in surplus(_kept(book), needed, self._limit):
            await self.take_down(id)
            others = (startd for identity, startd in book.startds.items() if identity != self._identity)
            if not any(id[:16] in startd.laid_out for startd in others):
                await self._remove(book, id)

    async def _remove(self, book: _Book, id: str) -> None:
        """By its id, and without force: the engine then refuses what got another name meanwhile."""
        known = book.images[id]
        names = {name for one in await self._inspect([id]) for name in one.names}
        if not all(name in known.names or _is_ours(name) for name in names):
            log.info("image %s stays: somebody here gave it a name", id[:12], extra={"image": id})
            del book.images[id]
            return
        if len(names) > 1:
            await call([self._engine.podman, "untag", id, *sorted(names)[1:]])
        said = await call([self._engine.podman, "rmi", "--no-prune", id])
        if said.status == 0:
            log.info("image %s is removed: %s", id[:12], ", ".join(sorted(names)) or "a layer of a build",
                     extra={"image": id, "bytes": known.size})
            del book.images[id]
        else:
            log.warning("image %s could not be removed: %s", id[:12], said.last_words, extra={"image": id})
            known.needed_at = time.time()  # not the first to be tried next time

    async def _inspect(self, images: Iterable[str]) -> list[Inspected]:
        wanted = sorted(images)
        if not wanted:
            return []
        said = await call([self._engine.podman, "image", "inspect", *wanted])
        try:
            return msgspec.json.decode(said.output, type=list[Inspected])
        except msgspec.MsgspecError:
            return []

    # --- the book ------------------------------------------------------------------------

    def _own(self, book: _Book) -> _Startd:
        return book.startds.setdefault(self._identity, _Startd(self._state))

    @asynccontextmanager
    async def _book(self) -> AsyncIterator[_Book]:
        """The book, to be read and changed; what was changed is written when that went well."""
        if self._path is None:
            yield _Book()
            return
        async with self._turn:  # one thread at a time waits for the others
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
                before, book = _read(f"{self._path}.json")
                try:
                    yield book
                finally:
                    after = msgspec.json.encode(book, order="deterministic")
                    if after != before:
                        _write(f"{self._path}.json", after)
            finally:
                os.close(lock)


async def _nothing(image: str) -> None:
    pass


def _kept(book: _Book) -> list[KeptImage]:
    return [KeptImage(id, image.size, image.layers, image.needed_at) for id, image in book.images.items()]


def _is_there(startd: _Startd, identity: str) -> bool:
    """Whether this startd may come back: its folder is there, and still its own."""
    try:
        with open(f"{startd.folder}/identity") as file:
            return file.read().strip() == identity
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _is_ours(name: str) -> bool:
    return name.startswith(OWN_NAMES)


def _is_called(name: str, asked: Iterable[str]) -> bool:
    """Whether an engine that was asked for one of these calls it so."""
    for one in asked:
        whole = one if ":" in one.rpartition("/")[2] else f"{one}:latest"
        if name == whole or name.endswith(f"/{whole}"):
            return True
    return False


def _read(path: str) -> tuple[bytes, _Book]:
    try:
        with open(path, "rb") as file:
            raw = file.read()
        return raw, msgspec.json.decode(raw, type=_Book)
    except FileNotFoundError:
        return b"", _Book()
    except msgspec.MsgspecError as error:
        log.warning("the book of images is not readable, and begun anew; what it named stays: %s", error)
        return b"", _Book()


def _write(path: str, raw: bytes) -> None:
    fresh = f"{path}.new"
    with open(fresh, "wb") as file:
        file.write(raw)
    os.rename(fresh, path)
