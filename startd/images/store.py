"""The images on this machine: had when they are wanted, and laid out once as the root of containers.

One maker per image, others wait for it. The engine pulls what it does not have;
`base` is made here (see `base`). A root is the image with our layer over it, mounted
in the engine's namespaces, read-only, shared by all containers of that image.
"""

import asyncio
import fcntl
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec

from startd.images import base
from startd.images.engine import Engine, Said, call, inside_environment
from startd.images.layer import EDITION, make_layer
from startd.images.stock import BASE, Inspected, Stock
from startd.runtime.interface import NoImage

BASE_MODULE = "startd.images.base"
NOT_THERE = re.compile(r"manifest unknown|not found|no such image|name unknown|repository does not exist|"
                       r"invalid reference format|requested access to the resource is denied|unauthorized|"
                       r"short-name .* did not resolve", re.IGNORECASE)
"""What registries and Podman say of an image that nobody has, in distinction to a registry that does not answer."""


@dataclass(frozen=True, slots=True)
class Root:
    """An image, ready to be run from."""

    image: str
    path: str
    environment: dict[str, str]


class _Inspected(Inspected):
    """That, and what a container of it begins with."""

    Config: dict[str, object] | None = None


class Images:
    """All images that one startd has used so far."""

    def __init__(self, engine: Engine, state: str, stock: Stock) -> None:
        self._engine = engine
        self._stock = stock
        stock.laid_out, stock.take_down = self.laid_out, self.take_down
        self._roots = f"{state}/roots"
        self._inside = 0
        self._ready: dict[str | None, Root] = {}
        self._making: dict[str | None, asyncio.Task[Root]] = {}

    def enter(self, pid: int) -> None:
        """From now on roots are mounted in the namespaces of this process; those known are of other ones."""
        self._inside = pid
        self._ready.clear()

    def ready(self, image: str | None) -> Root | None:
        return self._ready.get(image)

    async def provide(self, image: str | None) -> Root:
        """Have the image, and its root; raise NoImage."""
        root = self._ready.get(image)
        if root is not None:
            await self._stock.need(root.image, image or BASE)
            if image in self._ready:
                return self._ready[image]
        making = self._making.get(image)
        if making is None:
            making = self._making[image] = asyncio.get_running_loop().create_task(self._make(image))
            making.add_done_callback(lambda _: self._making.pop(image, None))
        return await asyncio.shield(making)

    async def stop(self) -> None:
        """Give up what is being made."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)

    async def close(self) -> None:
        """Unmount all roots."""
        for root in self._ready.values():
            await self._within("umount", "--lazy", root.path)
            await self._within(self._engine.podman, "image", "unmount", root.image)
        self._ready.clear()

    def forget(self, image: str | None) -> None:
        """What was laid out is no good any more: do it again when it is next wanted."""
        self._ready.pop(image, None)

    def laid_out(self) -> set[str]:
        """What is mounted, by how the ids of the images begin."""
        with suppress(FileNotFoundError):
            return {name for name in os.listdir(self._roots) if self._is_mounted(f"{self._roots}/{name}/root")}
        return set()

    async def take_down(self, id: str) -> None:
        """Unmount the root of an image that goes."""
        for image in [image for image, root in self._ready.items() if root.image == id]:
            del self._ready[image]
        home = f"{self._roots}/{id[:16]}"
        if self._is_mounted(f"{home}/root"):
            await self._within("umount", "--lazy", f"{home}/root")
            await self._within(self._engine.podman, "image", "unmount", id)
        if not self._is_mounted(f"{home}/root"):
            await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)

    # --- having it -----------------------------------------------------------------------

    async def _make(self, image: str | None) -> Root:
        inspected = await self._inspect(image)
        while await self._stock.need(inspected.Id, image or BASE):
            inspected = await self._inspect(image)
        root = await self._lay_out(inspected)
        self._ready[image] = root
        return root

    async def _inspect(self, image: str | None) -> _Inspected:
        name = base.name() if image is None or image == "base" else image
        if name.startswith("-"):
            raise NoImage(f"{image!r} is not the name of an image.", is_wrong=True)
        said = await self._ask_about(name)
        if said.status != 0:
            before = await self._stock.ids()
            if name == base.name():
                async with _alone():
                    if (await self._ask_about(name)).status != 0:
                        await self._make_base(name)
            else:
                await self._pull(name)
            said = await self._ask_about(name)
            await self._stock.brought(_read(name, said).Id, before, image or BASE)
        return _read(name, said)

    async def _ask_about(self, name: str) -> Said:
        return await call([self._engine.podman, "image", "inspect", name])

    async def _pull(self, name: str) -> None:
        said = await call([self._engine.podman, "pull", "--quiet", name])
        if said.status != 0:
            wrong = bool(NOT_THERE.search(said.errors))
            cure = "See whether its name is right." if wrong else "Does its registry answer from this machine?"
            raise NoImage(f"There is no image {name} here, and it could not be pulled: {said.last_words}. {cure}",
                          wrong)

    async def _make_base(self, name: str) -> None:
        reading, writing = os.pipe()
        try:
            maker = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", BASE_MODULE, stdin=asyncio.subprocess.DEVNULL, stdout=writing,
                stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
            os.close(writing)
            writing = -1
            said, (_, errors) = await asyncio.gather(
                call([self._engine.podman, "import", "--quiet", "-", name], stdin=reading), maker.communicate())
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if maker.returncode != 0:
            raise NoImage(f"The default image could not be made: {errors.decode('utf-8', 'replace').strip()[-500:]}")
        if said.status != 0:
            raise NoImage(f"The default image could not be given to Podman: {said.last_words}.")

    # --- laying it out -------------------------------------------------------------------

    async def _lay_out(self, inspected: _Inspected) -> Root:
        home = f"{self._roots}/{inspected.Id[:16]}"
        root = Root(inspected.Id, f"{home}/root", _environment(inspected))
        if self._is_mounted(root.path):
            return root
        mounted = await self._within(self._engine.podman, "image", "mount", inspected.Id)
        if mounted.status != 0:
            raise NoImage(f"Podman could not mount the image: {mounted.last_words}.")
        image = mounted.output.strip()
        layer = self._layer(home, image)
        laid = await self._within("mount", "-t", "overlay", "-o", f"ro,lowerdir={layer}:{image}", "pesc", root.path)
        if laid.status != 0:
            raise NoImage(f"The image could not be laid out: {laid.last_words}.")
        return root

    def _is_mounted(self, path: str) -> bool:
        return os.path.ismount(f"/proc/{self._inside}/root{path}")

    def _layer(self, home: str, image: str) -> str:
        """Our layer for this image; one that is there may be in use, and is left as it is."""
        layer = f"{home}/layer-{EDITION}"
        os.makedirs(f"{home}/root", exist_ok=True)
        if not os.path.isdir(layer):
            fresh = f"{layer}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            make_layer(fresh, self._engine.init, self._table(image, "passwd"), self._table(image, "group"))
            os.rename(fresh, layer)
        return layer

    def _table(self, image: str, name: str) -> str:
        """A file of the image's /etc, seen through the namespaces it is mounted in."""
        path = f"/proc/{self._inside}/root{image}/etc/{name}"
        try:
            if os.path.islink(path):
                return ""
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read(1 << 20)
        except OSError:
            return ""

    async def _within(self, *argv: str) -> Said:
        told = [f"{name}={value}" for name, value in inside_environment().items()]
        return await call([*self._engine.joining(self._inside), "env", *told, *argv])


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """Only one startd of this user at a time makes the default image; the others find it made."""
    path = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), f"pesc-base-{os.getuid()}.lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(name: str, said: Said) -> _Inspected:
    try:
        return msgspec.json.decode(said.output, type=list[_Inspected])[0]
    except (msgspec.MsgspecError, IndexError):
        raise NoImage(f"Podman cannot say what the image {name} is: {said.last_words}.") from None


def _environment(inspected: _Inspected) -> dict[str, str]:
    said = (inspected.Config or {}).get("Env")
    lines = [line for line in said if isinstance(line, str)] if isinstance(said, list) else []
    return dict(line.split("=", 1) for line in lines if "=" in line)
