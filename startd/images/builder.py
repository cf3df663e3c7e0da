"""Make the image of a recipe with the machine's own engine, or a program in one, and bring it to the pool.

The command line of Podman does the work: its log comes as it is printed, a build that is given
up is one process group to end, and the same programs are there for whoever looks after it.
What the image is made of travels as an OCI layout: layers and lists, each a content named by
its SHA-256, so that what another image shares with it is not sent twice.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from contract.messages import Build, BuildEnded, Content, Image, Making, TreeEntry
from contract.vocabulary import INLINE_BYTES, RunId
from dsl.dockerfile import check
from startd.core.events import BuildOver, BuildSaid
from startd.files.cache import Cache, Spoilt
from startd.files.paths import BadPath, checked_name
from startd.files.transfer import CannotTransfer, Transfer
from startd.images import bases, pip, programs
from startd.images.carrier import Carrier
from startd.images.engine import Engine, call, environment
from startd.images.stock import Stock
from startd.runtime.interface import NoImage

log = logging.getLogger(__name__)

LONGEST_SECONDS = 6 * 3600.0
LAST_LINES = 20
MOST_LOG_BYTES = 1 << 20
TAG = "localhost/pesc-domain"

OF_THE_ENGINE = re.compile(r"(?:\[\d+/\d+\] )?STEP \d+/\d+: |Error: building at STEP |--> |COMMIT ")
LAYER = re.compile(r"^--> (?:Using cache )?([0-9a-f]{11,64})$", re.MULTILINE)
STEP = re.compile(r"STEP (\d+)/(\d+): (.*)")
FAILED_STEP = re.compile(r'building at STEP "(.*?)": (.*)', re.DOTALL)
NO_REGISTRY = re.compile(r"pinging container registry (\S+?):|(?:Get|Head) \"https?://([^/\"]+)", re.IGNORECASE)
AWAY = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|network is unreachable|TLS handshake|"
                  r"503 Service|502 Bad|504 Gateway|Temporary failure in name resolution", re.IGNORECASE)
MACHINE = re.compile(r"no space left on device|disk quota exceeded|cannot allocate memory|newuidmap|newgidmap|"
                     r"cannot set up namespace|cannot re-exec|database is locked|input/output error|"
                     r"creating lock|overlay.*not supported|read-only file system.*storage", re.IGNORECASE)


class CannotBuild(Exception):
    """The build failed; says at which step and why, and whether the machine is to blame."""

    def __init__(self, message: str, step: str = "", blames_machine: bool = False) -> None:
        super().__init__(message)
        self.step, self.blames_machine = step, blames_machine


@dataclass(slots=True)
class _Progress:
    """What was printed so far."""

    log: bytes = b""
    step: int = 0
    steps: int = 0
    instruction: str = ""

    @property
    def lines(self) -> list[str]:
        return [line for line in self.log.decode("utf-8", "replace").splitlines() if line.strip()]

    @property
    def layers(self) -> list[str]:
        """The images that stand for what is done so far, by how their ids begin."""
        return LAYER.findall(self.log.decode("utf-8", "replace"))

    @property
    def last_lines(self) -> list[str]:
        """Of what was printed, without what the engine says of itself."""
        return [line for line in self.lines if not OF_THE_ENGINE.match(line)][-LAST_LINES:]


class _Inspected(msgspec.Struct):
    Id: str
    Size: int = 0
    Architecture: str = ""


class Builder:
    """Builds of one startd, one at a time."""

    def __init__(self, engine: Engine, state: str, cache: Cache, transfer: Transfer, carrier: Carrier,
                 stock: Stock, tell: Callable[[BuildSaid | BuildOver], None]) -> None:
        self._engine, self._cache, self._transfer, self._tell = engine, cache, transfer, tell
        self._carrier, self._stock = carrier, stock
        self._state = f"{state}/builds"
        shutil.rmtree(self._state, ignore_errors=True)
        self._task: asyncio.Task[None] | None = None
        self._build: Build | None = None

    def start(self, build: Build) -> None:
        before, self._build = self._task, build
        self._task = asyncio.get_running_loop().create_task(self._work(build, before))

    def abandon(self, key: str, attempt: int) -> None:
        if self._task is not None and self._build is not None and (self._build.key, self._build.attempt) == (
                key, attempt):
            self._task.cancel()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- one build -----------------------------------------------------------------------

    async def _work(self, build: Build, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        folder = f"{self._state}/{build.key[:16]}-{build.attempt}"
        os.makedirs(folder, mode=0o700, exist_ok=True)
        progress, holder = _Progress(), self._cache.new_holder()
        try:
            end = await self._make_one(build, folder, holder, progress)
        except CannotBuild as error:
            end = BuildEnded(build.key, build.attempt, step=error.step, message=str(error),
                             lines=progress.last_lines, blames_machine=error.blames_machine)
        except (CannotTransfer, Spoilt, BadPath, NoImage, OSError) as error:
            end = BuildEnded(build.key, build.attempt, message=str(error), lines=progress.lines[-LAST_LINES:],
                             blames_machine=True)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.error("a build failed by a fault of ours", exc_info=error)
            end = BuildEnded(build.key, build.attempt, message=f"The startd failed: {type(error).__name__}: {error}.",
                             blames_machine=True)
        finally:
            self._cache.over(holder)
            await self._transfer.run(lambda: shutil.rmtree(folder, ignore_errors=True))
        self._tell(BuildOver(await self._with_log(end, progress)))
        await self._stock.tidy()  # before the next one: nothing goes while there is one

    async def _make_one(self, build: Build, folder: str, holder: RunId, progress: _Progress) -> BuildEnded:
        bases = () if build.making is not None else check(build.recipe.dockerfile,
                                                          arguments=build.recipe.arguments).bases
        async with self._stock.building(bases, lambda: progress.layers):
            if build.making is not None:
                product = await self._make_program(build, build.making, folder, holder, progress)
                return BuildEnded(build.key, build.attempt, product=product)
            return BuildEnded(build.key, build.attempt, await self._make(build, folder, holder, progress))

    async def _make(self, build: Build, folder: str, holder: RunId, progress: _Progress) -> Image:
        def say(words: str) -> None:
            self._print(build, progress, f"{words}\n".encode())

        recipe = build.recipe
        context = await self._context(recipe.context, folder, holder)
        dockerfile = f"{folder}/Dockerfile"
        _write(dockerfile, recipe.dockerfile.encode())
        for name in dict.fromkeys(check(recipe.dockerfile, arguments=recipe.arguments).bases):
            if name in bases.NAMES:
                try:
                    await bases.provide(self._engine, name, f"{folder}/{name}", say)
                except bases.NoBase as error:
                    raise CannotBuild(f"{name} could not be made here: {error}", f"FROM {name}", True) from None
        options = await self._network(build)
        options += [f"--build-arg={name}={value}" for name, value in recipe.arguments.items()]
        identity = f"{folder}/image-id"
        await self._run(build, progress, [
            self._engine.podman, "build", "--format=oci", "--layers", "--force-rm", "--pull=missing",
            f"--file={dockerfile}", f"--iidfile={identity}", f"--tag={TAG}:{build.key[:32]}", *options, context])
        image_id = _read(identity).strip().removeprefix("sha256:")
        say(f"The image is {image_id}; it is brought to the pool.")
        return await self._bring(image_id, f"{folder}/layout")

    async def _make_program(self, build: Build, making: Making, folder: str, holder: RunId,
                            progress: _Progress) -> Content:
        """Run the command on a copy of the sources, closed in as every build; what it leaves is the program."""
        if build.image is None:
            raise CannotBuild("The image of its domain is not known.", "", True)
        await self._carrier.bring(build.image)
        context = await self._context(making.sources, folder, holder)
        if not making.sources.tree:
            await self._transfer.run(lambda: _lay_alone(making.name, self._cache.path(making.sources.sha256), context))
        dockerfile, made = f"{folder}/Dockerfile", f"{folder}/made"
        _write(dockerfile, programs.dockerfile(build.image.id, making.command, build.processor).encode())
        identity = f"{folder}/image-id"
        try:
            await self._run(build, progress, [
                self._engine.podman, "build", "--format=oci", "--layers=false", "--no-cache", "--force-rm",
                f"--file={dockerfile}", f"--iidfile={identity}", f"--output=type=local,dest={made}",
                *await self._network(build), context])
        except CannotBuild as error:
            raise CannotBuild(str(error), programs.step_named(error.step, making.command),
                              error.blames_machine) from None
        finally:
            if made_image := _read_if_there(identity):
                await call([self._engine.podman, "rmi", "--force", made_image])
        try:
            found = await self._transfer.run(lambda: programs.found(made, making.main))
        except programs.NotMade as error:
            raise CannotBuild(str(error), making.command) from None
        self._print(build, progress, f"It made {making.main}; it is brought to the pool.\n".encode())
        for path, entry in found:
            await self._transfer.upload(entry.sha256, path, entry.size)
        return await self._bring_list([entry for _, entry in found], f"{folder}/made.json")

    async def _network(self, build: Build) -> list[str]:
        """Podman's own choice is a network of the build's own, behind the machine's."""
        return await pip.options(f"{self._state}/pip") if build.network else ["--network=none"]

    async def _context(self, context: Content | None, folder: str, holder: RunId) -> str:
        """The folder that is copied from; for a single file, an empty one."""
        if context is not None and not context.tree:
            await self._transfer.fetch_contents(lambda: self._cache.lacking_of(holder, context))
        if context is None or not context.tree:
            os.mkdir(f"{folder}/context")
            return f"{folder}/context"
        await self._transfer.fetch_contents(lambda: self._cache.lacking_of(holder, context))
        return await self._transfer.run(lambda: self._cache.tree_folder(context, {}))

    async def _run(self, build: Build, progress: _Progress, argv: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            cwd="/", env=environment(), start_new_session=True)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                while piece := await process.stdout.read(64 * 1024):
                    self._print(build, progress, piece)
                status = await process.wait()
        except TimeoutError:
            raise CannotBuild(f"It took longer than {LONGEST_SECONDS / 3600:.0f} hours.",
                              progress.instruction) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if status != 0:
            raise _failure(progress, status)

    def _print(self, build: Build, progress: _Progress, piece: bytes) -> None:
        progress.log += piece[: max(0, MOST_LOG_BYTES - len(progress.log))]
        for step in STEP.finditer(piece.decode("utf-8", "replace")):
            progress.step, progress.steps, progress.instruction = int(step[1]), int(step[2]), step[3][:200]
        self._tell(BuildSaid(build.key, build.attempt, piece, progress.step, progress.steps, progress.instruction))

    async def _bring(self, image_id: str, layout: str) -> Image:
        """Send what the pool does not have of the image."""
        said = await call([self._engine.podman, "image", "inspect", image_id])
        try:
            inspected = msgspec.json.decode(said.output, type=list[_Inspected])[0]
        except (msgspec.MsgspecError, IndexError):
            raise CannotBuild(f"Podman cannot say what it built: {said.last_words}.", "", True) from None
        saved = await call([self._engine.podman, "save", "--quiet", "--format=oci-dir", f"--output={layout}", image_id])
        if saved.status != 0:
            raise CannotBuild(f"The image could not be taken out of Podman: {saved.last_words}.", "", True)
        entries = await self._transfer.run(lambda: entries_of(layout))
        for entry in entries:
            await self._transfer.upload(entry.sha256, f"{layout}/{entry.path}", entry.size)
        return Image(image_id, await self._bring_list(entries, f"{layout}.json"), inspected.Size,
                     inspected.Architecture)

    async def _bring_list(self, entries: list[TreeEntry], path: str) -> Content:
        """The list that makes a tree of contents that the pool has."""
        encoded = msgspec.json.encode(entries)
        sha256 = hashlib.sha256(encoded).hexdigest()
        _write(path, encoded)
        await self._transfer.upload(sha256, path, len(encoded))
        return Content(sha256, len(encoded), tree=True)

    async def _with_log(self, end: BuildEnded, progress: _Progress) -> BuildEnded:
        """The whole log goes with the end, or before it if it is large."""
        if not progress.log:
            return end
        content = Content(hashlib.sha256(progress.log).hexdigest(), len(progress.log))
        if content.size <= INLINE_BYTES:
            return msgspec.structs.replace(end, log=content, blobs={content.sha256: progress.log})
        path = f"{self._state}/log"
        _write(path, progress.log)
        try:
            await self._transfer.upload(content.sha256, path, content.size)
        except CannotTransfer:
            return end
        return msgspec.structs.replace(end, log=content)


def entries_of(layout: str) -> list[TreeEntry]:
    """The files of an OCI layout, by digest."""
    entries = []
    for folder, _, names in os.walk(layout):
        for name in names:
            path = f"{folder}/{name}"
            with open(path, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            entries.append(TreeEntry(os.path.relpath(path, layout), sha256, os.path.getsize(path)))
    return sorted(entries, key=lambda entry: entry.path)


def _lay_alone(name: str, source: str, folder: str) -> None:
    place = f"{folder}/{checked_name(name)}"
    shutil.copyfile(source, place)
    os.chmod(place, 0o644)


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _read_if_there(path: str) -> str:
    try:
        return _read(path).strip()
    except OSError:
        return ""


def _failure(progress: _Progress, status: int) -> CannotBuild:
    """What Podman's last words mean."""
    text = "\n".join(progress.lines[-LAST_LINES:])
    error = text[text.rfind("Error:") + 6 :].strip() if "Error:" in text else ""
    if MACHINE.search(error):
        return CannotBuild(f"The machine could not do it: {error[:500]}", progress.instruction, blames_machine=True)
    if (registry := NO_REGISTRY.search(error)) and AWAY.search(error):
        return CannotBuild(f"The registry {registry[1] or registry[2]} does not answer from here. "
                           "What is made of base or base-debian needs none: see pesc_domain show NAME for a parameter "
                           "base_image.", progress.instruction)
    if step := FAILED_STEP.search(error):
        why = step[2].strip().removeprefix("while running runtime: ")
        return CannotBuild(why[:500] or f"exit status {status}", step[1][:300])
    return CannotBuild(error[:500] or f"Podman ended with status {status}.", progress.instruction)
