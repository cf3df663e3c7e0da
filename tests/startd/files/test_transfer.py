"""Contents on their way, against the smallest schedd there is."""

# ruff: noqa: ASYNC240  (nothing else runs on a test's loop meanwhile)

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from contract.client import find_pool
from contract.messages import NamedContent
from contract.vocabulary import INLINE_BYTES
from startd.files.cache import Cache
from startd.files.transfer import CannotTransfer, Transfer
from tests.builders import a_content, a_grant, a_program, a_run, sha256
from tests.startd.fakeschedd import FakeSchedd, a_schedd

LARGE = os.urandom(INLINE_BYTES * 40)


def needs(*contents: bytes, run=None) -> object:
    inputs = [NamedContent(f"input-{number}", a_content(raw)) for number, raw in enumerate(contents)]
    return a_grant(run=run or a_run(), program=a_program(inputs=inputs))


def story(tmp_path: Path, tell: Callable[[FakeSchedd, Cache, Transfer], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with a_schedd(tmp_path / "pool") as schedd:
            cache = Cache(str(tmp_path / "startd"))
            transfer = Transfer(cache, lambda: find_pool(None, str(tmp_path / "pool")))
            async with asyncio.timeout(60):
                await tell(schedd, cache, transfer)
            transfer.close()

    (tmp_path / "pool").mkdir()
    asyncio.run(whole())


def test_ten_runs_that_want_the_same_content_fetch_it_once(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        schedd.add(LARGE)
        schedd.add(b"small")
        await asyncio.gather(*(transfer.fetch(needs(LARGE, b"small", run=a_run(number))) for number in range(1, 11)))
        assert sorted(schedd.fetched) == sorted([sha256(LARGE), sha256(b"small")])
        assert Path(cache.path(sha256(LARGE))).read_bytes() == LARGE

    story(tmp_path, tell)


def test_many_small_contents_come_in_one_answer(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        contents = [b"%d" % number for number in range(200)]
        for raw in contents:
            schedd.add(raw)
        await transfer.fetch(needs(*contents))
        assert schedd.requests == 1

    story(tmp_path, tell)


def test_a_download_goes_on_where_an_earlier_one_was_cut(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        name = schedd.add(LARGE)
        Path(cache.state, "cache", f".part-{name}").write_bytes(LARGE[:1_000_000])
        await transfer.fetch(needs(LARGE))
        assert Path(cache.path(name)).read_bytes() == LARGE
        assert schedd.offsets == [1_000_000]

    story(tmp_path, tell)


def test_a_half_download_of_something_else_is_thrown_away(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        name = schedd.add(LARGE)
        Path(cache.state, "cache", f".part-{name}").write_bytes(b"nonsense")
        await transfer.fetch(needs(LARGE))
        assert Path(cache.path(name)).read_bytes() == LARGE

    story(tmp_path, tell)


def test_a_content_that_is_nowhere_is_said_in_words(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        with pytest.raises(CannotTransfer, match="not here"):
            await transfer.fetch(needs(b"unknown"))

    story(tmp_path, tell)


def test_a_schedd_that_is_away_is_waited_for(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        large = tmp_path / "large"
        large.write_bytes(LARGE)
        await schedd.stop()
        upload = asyncio.create_task(transfer.upload(sha256(LARGE), str(large), len(LARGE)))
        fetch = asyncio.create_task(transfer.fetch(needs(b"small")))
        await asyncio.wait([upload, fetch], timeout=0.3)
        assert not upload.done() and not fetch.done()
        schedd.add(b"small")
        await schedd.start()
        await asyncio.gather(upload, fetch)
        assert schedd.blobs[sha256(LARGE)] == LARGE

    story(tmp_path, tell)


def test_what_the_schedd_has_already_is_not_sent_again(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        schedd.add(LARGE)
        await transfer.upload(sha256(LARGE), "/no/such/file", len(LARGE))

    story(tmp_path, tell)


def test_an_upload_goes_on_where_an_earlier_one_was_cut(tmp_path: Path):
    async def tell(schedd: FakeSchedd, cache: Cache, transfer: Transfer) -> None:
        large = tmp_path / "large"
        large.write_bytes(LARGE)
        schedd.partial[sha256(LARGE)] = LARGE[:700_000]
        await transfer.upload(sha256(LARGE), str(large), len(LARGE))
        assert schedd.blobs[sha256(LARGE)] == LARGE
        assert schedd.received == len(LARGE) - 700_000

    story(tmp_path, tell)
