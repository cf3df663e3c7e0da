"""Have an image that another machine built: its layers come through the pool, never from a registry."""

import asyncio

from contract.messages import Image
from startd.files.cache import Cache
from startd.files.transfer import Transfer
from startd.images.engine import Engine, call
from startd.images.stock import Stock
from startd.runtime.interface import NoImage

LOAD_SECONDS = 3600.0


class Carrier:
    """Brings images into the engine of this machine, each once."""

    def __init__(self, engine: Engine, cache: Cache, transfer: Transfer, stock: Stock) -> None:
        self._engine, self._cache, self._transfer, self._stock = engine, cache, transfer, stock
        self._here: set[str] = set()
        self._coming: dict[str, asyncio.Task[None]] = {}

    async def bring(self, image: Image) -> None:
        """Return when the engine has the image; raise NoImage, or what a transfer raises."""
        if await self._stock.need(image.id):
            self._here.discard(image.id)
        if image.id in self._here:
            return
        coming = self._coming.get(image.id)
        if coming is None:
            coming = self._coming[image.id] = asyncio.get_running_loop().create_task(self._bring(image))
            coming.add_done_callback(lambda _: self._coming.pop(image.id, None))
        await asyncio.shield(coming)

    def forget(self, image: Image) -> None:
        """It may have been taken from the engine behind our back: look again."""
        self._here.discard(image.id)

    async def _bring(self, image: Image) -> None:
        if not await self._has(image):
            holder = self._cache.new_holder()
            try:
                await self._transfer.fetch_contents(lambda: self._cache.lacking_of(holder, image.layout))
                folder = await self._transfer.run(lambda: self._cache.tree_folder(image.layout, {}))
                before = await self._stock.ids()
                # The engine makes a name of the path that it is told, and names have no capital letters.
                state, kind, name = folder.rsplit("/", 2)
                said = await call([self._engine.podman, "pull", "--quiet", f"oci:{kind}/{name}"],
                                  seconds=LOAD_SECONDS, folder=state)
            finally:
                self._cache.over(holder)
            if said.status != 0:
                raise NoImage(f"The image of the domain could not be loaded: {said.last_words}.")
            if not await self._has(image):
                raise NoImage("The image of the domain is not the one that was built: its layers give another.")
            await self._stock.brought(image.id, before)
        self._here.add(image.id)

    async def _has(self, image: Image) -> bool:
        return (await call([self._engine.podman, "image", "exists", image.id])).status == 0
