"""Images on a machine are bounded: what goes, and above all what stays, in a storage of the test's own."""

import asyncio
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Awaitable, Callable

import pytest

from contract.messages import Content, Image
from startd.images.builder import entries_of
from startd.images.engine import call, find_engine
from startd.images.stock import Stock
from tests.builders import a_grant, a_program, a_run
from tests.startd.test_whole import Pool, story

MIB = 1024**2

pytestmark = pytest.mark.timeout(300)


class Storage:
    """Podman with nothing in it yet, and startds that use it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        busybox = shutil.which("busybox")
        assert busybox is not None
        (folder / "context").mkdir()
        shutil.copy(busybox, folder / "context" / "busybox")

    def podman(self, *arguments: str) -> str:
        return subprocess.run(["podman", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def image(self, name: str) -> str:
        """Make an image of some MiB of its own, as the user of the machine does; return its id."""
        (self.folder / "context" / "own").write_bytes(os.urandom(2 * MIB))
        self.podman("build", "--quiet", "--format=oci", f"--tag={name}",
                    f"--file={self.dockerfile('FROM scratch', 'COPY own busybox /bin/', 'COPY busybox /bin/sh')}",
                    str(self.folder / "context"))
        return self.podman("image", "inspect", "--format={{.Id}}", name)

    def there(self) -> set[str]:
        return set(self.podman("images", "--all", "--quiet", "--no-trunc").replace("sha256:", "").split())

    def stock(self, name: str = "one", limit: int = MIB) -> Stock:
        """That of one startd."""
        state = self.folder / name
        state.mkdir(exist_ok=True)
        (state / "identity").write_text(f"{name}\n")
        return Stock(find_engine(), str(state), name, limit)

    def dockerfile(self, *lines: str) -> str:
        path = self.folder / "Dockerfile"
        path.write_text("\n".join(lines))
        return str(path)


@pytest.fixture
def storage(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    for variable, folder in (("XDG_DATA_HOME", "data"), ("XDG_RUNTIME_DIR", "runtime")):
        (tmp_path / folder).mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(tmp_path / folder))
    settings = tmp_path / "storage.conf"
    settings.write_text(f'[storage]\ndriver = "overlay"\nrunroot = "{tmp_path}/runtime/containers"\n'
                        f'graphroot = "{tmp_path}/data/containers/storage"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(settings))
    yield Storage(tmp_path)
    subprocess.run(["podman", "unshare", "rm", "-rf", f"{tmp_path}/data"], capture_output=True, check=False)


def tell(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


async def bring(storage: Storage, stock: Stock, name: str) -> str:
    """Have an image as a startd has it."""
    before = await stock.ids()
    made = storage.image(f"localhost/pesc-domain:{name}")
    await stock.brought(made, before)
    return made


def test_what_was_needed_least_recently_goes_and_what_is_needed_stays(storage: Storage):
    async def whole() -> None:
        stock = storage.stock(limit=7 * MIB)
        await stock.open()
        images = [await bring(storage, stock, name) for name in ("a", "b", "c")]
        wanted = {images[0]}
        stock.wanted = lambda: wanted
        await stock.need(images[0])
        await stock.tidy()
        assert storage.there() & set(images) == {images[0]}  # of 6 MiB each
        wanted.clear()
        await stock.tidy()
        assert images[0] in storage.there()  # it is within the bound
        wanted.add(images[0])
        images.append(await bring(storage, stock, "d"))
        await stock.tidy()
        assert storage.there() & set(images) == {images[0]}

    tell(whole)


def test_what_the_user_made_named_or_runs_stays(storage: Storage):
    async def whole() -> None:
        stock = storage.stock()
        await stock.open()
        made = storage.image("mine:1")
        named, run, left = [await bring(storage, stock, name) for name in ("named", "run", "left")]
        storage.podman("tag", named, "also-mine:1")
        storage.podman("create", run, "/bin/sh")
        await stock.tidy()
        there = storage.there()
        assert {made, named, run} <= there
        assert left not in there
        assert "localhost/also-mine:1" in storage.podman("images", "--format={{.Repository}}:{{.Tag}}")

    tell(whole)


def test_what_another_startd_needs_or_has_laid_out_stays_until_its_folder_is_gone(storage: Storage):
    async def whole() -> None:
        one, other = storage.stock(), storage.stock("other")
        for stock in (one, other):
            await stock.open()
        needed, laid_out = [await bring(storage, one, name) for name in ("needed", "laid-out")]
        await other.need(needed)
        other.wanted = lambda: {needed}
        other.laid_out = lambda: {laid_out[:16]}
        await other.need(laid_out)
        async with one.building((), list):
            await other.tidy()
        await one.tidy()
        assert {needed, laid_out} <= storage.there()
        shutil.rmtree(storage.folder / "other")
        await one.tidy()
        assert not {needed, laid_out} & storage.there()

    tell(whole)


def test_nothing_goes_while_a_build_is_under_way_and_then_what_it_left_goes(storage: Storage):
    async def whole() -> None:
        stock = storage.stock()
        await stock.open()
        storage.image("mine:1")
        users = storage.podman("build", "--quiet", "--format=oci",
                               f"--file={storage.dockerfile('FROM mine:1', 'ENV MINE=1')}", str(storage.folder))
        image = await bring(storage, stock, "before")
        printed: list[str] = []
        failing = storage.dockerfile("FROM mine:1", "ENV A=1", 'RUN ["/bin/busybox", "touch", "/a"]',
                                     'RUN ["/bin/busybox", "false"]')
        before = storage.there()
        async with stock.building(["mine:1"], lambda: printed):
            said = await call([find_engine().podman, "build", "--format=oci", "--layers", "--network=none",
                               f"--file={failing}", str(storage.folder / "context")])
            assert said.status != 0
            printed += [line.removeprefix("--> ") for line in said.output.splitlines() if line.startswith("--> ")]
            await stock.tidy()
            assert image in storage.there()
        left = storage.there() - before
        assert len(left) == 2
        await stock.tidy()
        assert storage.there() == before - {image}
        assert users in before

    tell(whole)


def test_an_engine_that_fails_costs_nothing(storage: Storage, caplog: pytest.LogCaptureFixture):
    async def whole() -> None:
        stock = storage.stock()
        await stock.open()
        image = await bring(storage, stock, "a")
        stock._engine = dataclasses.replace(find_engine(), podman="/bin/false")
        await stock.tidy()
        assert "no image is removed" in caplog.text
        stock._engine = find_engine()
        await stock.tidy()
        assert image not in storage.there()

    tell(whole)


def test_a_machine_gives_up_the_image_of_one_job_for_that_of_the_next_and_has_it_again(
        storage: Storage, tmp_path: pathlib.Path):
    state = tmp_path / "Lab"  # of whose path the engine could make no name
    state.mkdir()
    mine = storage.image("mine:1")
    images = {name: storage.image(name) for name in ("first", "second")}
    contents: dict[str, bytes] = {}
    built = {name: carried(storage, images[name], contents) for name in images}
    storage.podman("rmi", *images)

    async def run(pool: Pool, number: int, name: str) -> None:
        program = a_program(command="/bin/sh", arguments=["-c", "exit 7"], image=images[name], built=built[name])
        await pool.schedd.say(a_grant(run=a_run(number), program=program))
        ended = await pool.schedd.end_of(a_run(number))
        assert ended.end.exit_code == 7, ended

    async def whole(pool: Pool) -> None:
        pool.schedd.blobs.update(contents)
        for number, name in enumerate(("first", "second", "first", "second"), 1):
            await run(pool, number, name)
        # One of them had to go each time: the startd says so, and both ran again.
        assert pool.words().count("is removed") >= 2
        assert mine in storage.there()
        await pool.sh("exit 7", run=a_run(9))  # in the default image, which stays whatever room it takes
        assert (await pool.schedd.end_of(a_run(9))).end.exit_code == 7
        assert "localhost/pesc-base" in storage.podman("images", "--format={{.Repository}}")

    story(state, whole, "--runtime", "podman", "--image-cache", "1")


def carried(storage: Storage, image: str, contents: dict[str, bytes]) -> Image:
    """The image as the pool has it."""
    layout = storage.folder / f"layout-{image[:8]}"
    storage.podman("save", "--quiet", "--format=oci-dir", f"--output={layout}", image)
    entries = entries_of(str(layout))
    for entry in entries:
        contents[entry.sha256] = (layout / entry.path).read_bytes()
    listed = json.dumps([[entry.path, entry.sha256, entry.size, entry.executable] for entry in entries]).encode()
    name = hashlib.sha256(listed).hexdigest()
    contents[name] = listed
    return Image(image, Content(name, len(listed), tree=True))
