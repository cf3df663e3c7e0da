"""A store on disk, and a core that saves in it."""

import asyncio
import contextlib
import inspect

import pytest

from schedd.store.rows import statements
from schedd.store.store import Store
from tests.builders import Lab


class StoredLab(Lab):
    """A core that keeps the statements of its outcomes until they are committed."""

    def __init__(self):
        super().__init__()
        self.unsaved = []

    def saw(self, outcome):
        self.unsaved += statements(self.pool, outcome)

    async def save(self, store):
        saves, self.unsaved = self.unsaved, []
        await store.commit(saves)


@pytest.fixture
def lab():
    return StoredLab()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pesc.db"


@contextlib.asynccontextmanager
async def opened(path):
    store = await Store.open(path)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def with_store(path):
    """Run a coroutine function with the open store; what is on disk stays for the next call."""
    def run(work, *arguments):
        async def call():
            async with opened(path) as store:
                found = work(store, *arguments)
                return await found if inspect.isawaitable(found) else [item async for item in found]
        return asyncio.run(call())
    return run
