"""Bring contents to this machine and results back, while the schedd comes and goes.

The HTTP client waits for its answers, so it works in a few threads of its own.
A schedd that is away is waited for, for as long as it takes: a result is never
given up. One content is fetched once, however many runs want it.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from contract.client import Client
from contract.messages import Content, Grant
from contract.problems import Problem
from contract.vocabulary import INLINE_BYTES
from startd.files.cache import Cache, Spoilt

T = TypeVar("T")

THREADS = 4
PACK_BYTES = 4 * 1024 * 1024
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
TRIES = 5
"""How often a content that arrives changed, or a schedd that answers nonsense, is tried."""

GONE = {"pool_stopped", "no_pool", "unavailable"}


class CannotTransfer(Exception):
    """Waiting would not help; says why in words."""


class Transfer:
    """Downloads and uploads of one startd."""

    def __init__(self, cache: Cache, dial: Callable[[], Client]) -> None:
        self._cache = cache
        self._dial = dial
        self._threads = ThreadPoolExecutor(THREADS, "transfer")
        self._mine = threading.local()
        self._coming: dict[str, asyncio.Future[None]] = {}

    async def fetch(self, grant: Grant) -> None:
        """Return when all that `grant` needs is here; raise CannotTransfer."""
        # A tree's list comes first; only then is it known what else is lacking.
        while lacking := self._cache.lacking(grant):
            await self._get_all(lacking)

    async def fetch_contents(self, lacking: Callable[[], list[Content]]) -> None:
        """The same for whatever is `lacking`, until nothing is."""
        while wanted := lacking():
            await self._get_all(wanted)

    async def upload(self, sha256: str, path: str, size: int) -> None:
        """Return when the schedd has this content; raise CannotTransfer if the file is no longer that content."""
        await self._patiently(lambda client: _put(client, sha256, path, size))

    async def upload_all(self, small: dict[str, bytes], large: dict[str, tuple[str, int]]) -> None:
        """Return when the schedd has all of these contents, by SHA-256; of large ones their path and size are given."""
        names = [*small, *large]
        lacking = await self._patiently(lambda client: client.call("POST", "/v1/blobs/missing", list[str], names))
        for name in lacking:
            if name in large:
                path, size = large[name]
                await self.upload(name, path, size)
            elif len(small[name]) > INLINE_BYTES:
                await self._patiently(lambda client, name=name: _put_bytes(client, name, small[name]))  # type: ignore[misc]
        for pack in _packs_of_bytes(small[name] for name in lacking if name in small):
            body = msgspec.msgpack.encode(pack)
            await self._patiently(lambda client, body=body: client.exchange(  # type: ignore[misc]
                "POST", "/v1/blobs/pack", body, None, {"Content-Type": "application/msgpack"}))

    async def run(self, work: Callable[[], T]) -> T:
        """Do some other long work beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def soon(self, work: Callable[[], None]) -> None:
        """The same, when nobody waits for it."""
        self._threads.submit(work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- fetching ------------------------------------------------------------------------

    async def _get_all(self, lacking: list[Content]) -> None:
        loop = asyncio.get_running_loop()
        mine: list[Content] = []
        for content in lacking:
            if content.sha256 not in self._coming:
                self._coming[content.sha256] = loop.create_future()
                mine.append(content)
        wanted = [self._coming[content.sha256] for content in lacking]
        getting = [loop.create_task(self._get(pack)) for pack in _packs(mine)]
        try:
            # Others may wait for what is being got here, so it is got even if this run is stopped.
            await asyncio.shield(asyncio.gather(*wanted))
        finally:
            for task in getting:
                task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _get(self, pack: list[Content]) -> None:
        failure: BaseException | None = None
        try:
            if len(pack) == 1 and pack[0].size > INLINE_BYTES:
                await self._patiently(lambda client: self._get_one(client, pack[0]))
            else:
                await self._patiently(lambda client: self._get_pack(client, pack))
        except BaseException as error:
            failure = error
            raise
        finally:
            for content in pack:
                coming = self._coming.pop(content.sha256)
                if coming.done():
                    continue
                if failure is None:
                    coming.set_result(None)
                else:
                    coming.set_exception(failure if isinstance(failure, Exception) else CannotTransfer(str(failure)))
                    coming.exception()  # heard, even if nobody waits any more

    def _get_one(self, client: Client, content: Content) -> None:
        self._cache.keep_pieces(content.sha256, lambda offset: client.download(_blob(content.sha256), offset))

    def _get_pack(self, client: Client, pack: list[Content]) -> None:
        names = [content.sha256 for content in pack]
        _, raw = client.exchange("POST", "/v1/blobs/fetch", msgspec.json.encode(names))
        got = msgspec.msgpack.decode(raw, type=dict[str, bytes])
        for content in pack:
            blob = got.get(content.sha256)
            if blob is None:
                self._get_one(client, content)
            else:
                self._cache.keep(content.sha256, blob)

    # --- patience ------------------------------------------------------------------------

    async def _patiently(self, work: Callable[[Client], T]) -> T:
        pause, tries = FIRST_PAUSE_SECONDS, 0
        while True:
            try:
                return await self.run(lambda: work(self._client()))
            except Problem as problem:
                if problem.code not in GONE:
                    tries += 1
                if tries >= TRIES or problem.code in ("no_such_blob", "not_found"):
                    raise CannotTransfer(f"{problem.message} {problem.cure}".strip()) from None
            except Spoilt as error:
                tries += 1
                if tries >= TRIES:
                    raise CannotTransfer(str(error)) from None
            except OSError as error:
                raise CannotTransfer(f"{error.strerror or error} ({error.filename or 'contents'})") from None
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    def _client(self) -> Client:
        """This thread's connection; dialled anew when the pool has another address."""
        fresh = self._dial()
        old: Client | None = getattr(self._mine, "client", None)
        if old is not None and (old.url, old.unix_socket, old.token) == (fresh.url, fresh.unix_socket, fresh.token):
            return old
        self._mine.client = fresh
        return fresh


def _packs(contents: list[Content]) -> Iterator[list[Content]]:
    """Small contents together up to a bound, large ones alone."""
    pack: list[Content] = []
    total = 0
    for content in contents:
        if content.size > INLINE_BYTES:
            yield [content]
            continue
        if pack and total + content.size > PACK_BYTES:
            yield pack
            pack, total = [], 0
        pack.append(content)
        total += content.size
    if pack:
        yield pack


def _packs_of_bytes(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Those that may travel together, in packs up to a bound."""
    pack: list[bytes] = []
    total = 0
    for content in contents:
        if len(content) > INLINE_BYTES:
            continue
        if pack and total + len(content) > PACK_BYTES:
            yield pack
            pack, total = [], 0
        pack.append(content)
        total += len(content)
    if pack:
        yield pack


def _put_bytes(client: Client, sha256: str, raw: bytes) -> None:
    client.exchange("PUT", _blob(sha256), raw, {"offset": 0, "size": len(raw)},
                    {"Content-Type": "application/octet-stream"})


def _put(client: Client, sha256: str, path: str, size: int) -> None:
    """Send what the schedd does not have yet of a file."""
    offset = _offset(client, sha256)
    if offset is None:
        return
    with open(path, "rb") as file:
        file.seek(min(offset, size))
        client.exchange("PUT", _blob(sha256), file, {"offset": offset, "size": size},
                        {"Content-Length": str(size - offset), "Content-Type": "application/octet-stream"})


def _offset(client: Client, sha256: str) -> int | None:
    """How much of a content the schedd has; None when it has it all."""
    missing = client.call("POST", "/v1/blobs/missing", list[str], [sha256])
    if not missing:
        return None
    try:
        response, _ = client.exchange("HEAD", _blob(sha256))
    except Problem as problem:
        if problem.code in GONE:
            raise
        return 0
    return int(response.headers.get("Pesc-Offset") or 0)


def _blob(sha256: str) -> str:
    return f"/v1/blobs/{sha256}"


