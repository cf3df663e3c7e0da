"""Run each job in a fresh container, rootless: Podman has the images, crun starts, the keeper waits.

What a container may do is decided in `startd.core.container`; here that is
written down for crun, in the run's own folder, and the keeper is asked to start it.
The keeper works inside the engine's user and mount namespace, where the roots of the
images are mounted; pids are the machine's, so watching, pausing and adopting are as
with plain processes. What differs: a container ends with its first process, which is
an init; signals for the job go to everything below that.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import msgspec

from contract.vocabulary import RunId
from startd.core.container import Ground, configuration, entering, environment_of, exit_of, pids_by_user
from startd.core.launch import Box, Launch
from startd.core.seccomp import Filter
from startd.images.engine import Engine
from startd.images.look import Inside, why_not
from startd.images.stock import Stock
from startd.images.store import Images, Root
from startd.runtime import cgroups, procfs, seccomp
from startd.runtime.gpudevices import DRIVER, Injector, NoDevice
from startd.runtime.interface import Command, Happening, NoImage
from startd.runtime.process import ProcessRuntime

log = logging.getLogger(__name__)

CHILDLESS_SECONDS = 0.01
"""An init that has not started its program yet cannot hand on a signal: try again this much later."""

MOST_ENTERING = 64
"""So many files say what is started inside runs; each is read at once, and then written over."""

MOST_PASSES = 20
"""How often to look for processes that were started while the others were being stopped."""


class PodmanRuntime(ProcessRuntime):
    """See `interface.Runtime`, which this implements."""

    def __init__(self, state: str, identity: str, tell: Callable[[Happening], None], engine: Engine,
                 gpus: Injector | None = None, stock: Stock | None = None) -> None:
        super().__init__(state, identity, tell, engine.entering())
        self._state = state
        self._identity = identity
        self._engine = engine
        self._images = Images(engine, state, stock or Stock(engine, state, identity))
        self._environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8",
                             "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", "")}
        self._ground = Ground("", {})
        self._waiting: dict[RunId, asyncio.Task[None]] = {}
        """Runs whose image is still being made."""
        self._groups: dict[RunId, str] = {}
        self._gpus = gpus or Injector(state)
        self._entered = 0
        self._making_base: asyncio.Task[None] | None = None

    async def open(self) -> set[RunId]:
        # Before there is a keeper: what is started stays in the group we are in then.
        group = cgroups.claim_group(f"pesc-{self._identity[:12]}".replace("/", "-"))
        found = await super().open()
        self._images.enter(self._link.keeper_pid)
        os.makedirs(f"{self._state}/crun", mode=0o700, exist_ok=True)
        program, filter = _system_calls(self._state)
        self._ground = Ground("", {}, program, filter, group)
        self._making_base = asyncio.get_running_loop().create_task(self._make_base())
        return found

    def start(self, run: RunId, launch: Launch) -> None:
        assert launch.box is not None, "a launch for a container says what is in it"
        self._launches[run] = launch
        root = self._images.ready(launch.box.image)
        if root is not None:
            self._ask_start(run, launch)
        elif run not in self._waiting:
            self._waiting[run] = asyncio.get_running_loop().create_task(self._start_with_image(run, launch))

    async def provide(self, image: str | None) -> None:
        await self._images.provide(image)

    def signal(self, run: RunId, number: int) -> None:
        if number == signal.SIGKILL:
            self.kill(run)
            return
        pid = self._living.get(run)
        if pid is not None and not _signal_all(pid, number):
            asyncio.get_running_loop().call_later(CHILDLESS_SECONDS, self.signal, run, number)

    def kill(self, run: RunId) -> None:
        waiting = self._waiting.pop(run, None)
        if waiting is not None:
            waiting.cancel()
            self._failed(run, 0, "engine", "It was ended before its image was ready.")
            return
        super().kill(run)

    def suspend(self, run: RunId) -> None:
        pid = self._living.get(run)
        if pid is None or (run in self._groups and cgroups.freeze(self._groups[run], True)):
            return
        for _ in range(MOST_PASSES):  # what is started between a look and a signal is found by the next look
            if _all_stopped(pid):
                break
            _signal_all(pid, signal.SIGSTOP)

    def resume(self, run: RunId) -> None:
        pid = self._living.get(run)
        if pid is not None and not (run in self._groups and cgroups.freeze(self._groups[run], False)):
            _signal_all(pid, signal.SIGCONT)

    def inside(self, run: RunId, command: Command) -> Command | None:
        """crun joins the container; what is started there is closed in as the run's own program is."""
        launch = self._launches.get(run)
        if launch is None or run not in self._living:
            return None
        try:
            with open(f"{launch.sandbox}/config.json", "rb") as file:
                process = msgspec.json.decode(file.read())["process"]
            self._entered = (self._entered + 1) % MOST_ENTERING
            path = f"{launch.sandbox}/enter-{self._entered}.json"
            _write(path, msgspec.json.encode(entering(process, command.argv, command.environment, command.tty)))
        except OSError as error:
            log.error("run %s cannot be entered: %s", run, error, extra={"run": str(run)})
            return None
        manager = "disabled" if self._ground.group is None else "cgroupfs"
        argv = [*self._engine.joining(self._link.keeper_pid), self._engine.crun, f"--root={self._state}/crun",
                f"--cgroup-manager={manager}", "exec", f"--process={path}", _name(run)]
        return Command(argv, self._environment, command.tty)

    async def close(self, leave: bool) -> None:
        beside = [*self._waiting.values(), *([self._making_base] if self._making_base else [])]
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await self._images.stop()
        if leave and not self._living:
            await self._images.close()
            if self._ground.group is not None:
                cgroups.remove(self._ground.group.path)
        await super().close(leave)

    # --- starting ------------------------------------------------------------------------

    async def _make_base(self) -> None:
        """Have the default image before somebody waits for it."""
        try:
            await self._images.provide(None)
        except (NoImage, OSError) as error:
            log.warning("the default image is not ready: %s", error)

    async def _start_with_image(self, run: RunId, launch: Launch) -> None:
        assert launch.box is not None
        try:
            await self._images.provide(launch.box.image)
        except NoImage as error:
            self._failed(run, 0, "image" if error.is_wrong else "engine", str(error))
        except OSError as error:
            self._failed(run, error.errno or 0, "engine", f"The engine cannot be called: {error}.")
        else:
            self._ask_start(run, launch)
        finally:
            self._waiting.pop(run, None)

    def _ask_start(self, run: RunId, launch: Launch) -> None:
        box = launch.box
        if box is None:
            return  # found from before, and only to be watched
        root = self._images.ready(box.image)
        if root is None:
            self.start(run, launch)
            return
        key = str(run)
        self._runs[key] = run
        name = _name(run)
        try:
            if not self._can_start(run, launch, box, root):
                return
            launch.environment["PESC_RUN"] = f"{key}@{self._identity}"
            if launch.gpus:
                box = self._with_gpus(launch, box, root)
            self._tidy(run)
            ground = Ground(root.path, root.environment, self._ground.program, self._ground.filter, self._ground.group)
            _write(f"{launch.sandbox}/config.json", msgspec.json.encode(configuration(name, launch, box, ground)))
        except NoDevice as error:
            self._failed(run, 0, "engine", str(error))
            return
        except OSError as error:
            self._failed(run, error.errno or 0, "folder", f"The container could not be described: {error}.")
            return
        if ground.group is not None:
            self._groups[run] = f"{ground.group.path}/{name}"
        self._ask(["contain", key, self._launcher(launch.sandbox, name), self._environment, launch.sandbox,
                   launch.stdin, launch.stdout, launch.stderr, f"{self._state}/crun/{name}/exec.fifo",
                   pids_by_user(box, ground)])

    def _with_gpus(self, launch: Launch, box: Box, root: Root) -> Box:
        """Show the run its GPUs; what it says of variables counts more than what the machine says."""
        shown = self._gpus.show(launch.gpus)
        inside = Inside(f"/proc/{self._link.keeper_pid}/root{root.path}", box.binds)
        where_there = [bind for bind in shown.where_there if (place := inside.outside(bind.inside)) is not None
                       and os.path.isdir(place) == os.path.isdir(bind.outside)]
        for name, value in shown.environment.items():
            launch.environment.setdefault(name, value)
        before = environment_of(launch, self._ground_of(root))
        launch.environment["LD_LIBRARY_PATH"] = ":".join(filter(None, (before.get("LD_LIBRARY_PATH"), DRIVER)))
        if shown.has_programs:
            launch.environment["PATH"] = f"{before['PATH']}:{DRIVER}/bin"
        return replace(box, binds=(*box.binds, *shown.binds, *where_there))

    def _can_start(self, run: RunId, launch: Launch, box: Box, root: Root) -> bool:
        """Whether its program would start in there; if not, that is told."""
        path = f"/proc/{self._link.keeper_pid}/root{root.path}"
        if not os.path.isdir(f"{path}/pesc"):
            self._images.forget(box.image)
            self._failed(run, 0, "engine", "The image is not mounted any more; the next run has it mounted again.")
            return False
        inside = Inside(path, box.binds)
        if inside.outside(launch.folder) is None:
            self._failed(run, 2, "folder", "")
            return False
        number = why_not(launch.argv[0], launch.folder, environment_of(launch, self._ground_of(root)), inside)
        if number:
            self._failed(run, number, "program", "")
        return not number

    def _ground_of(self, root: Root) -> Ground:
        return Ground(root.path, root.environment)

    def _launcher(self, sandbox: str, name: str) -> list[str]:
        manager = "disabled" if self._ground.group is None else "cgroupfs"
        return [self._engine.crun, f"--root={self._state}/crun", f"--log=file:{sandbox}/log", "--log-format=text",
                f"--cgroup-manager={manager}", "create", f"--pid-file={sandbox}/pid",
                f"--bundle={sandbox}", name]

    def _was_asked(self, run: RunId) -> bool:
        return run not in self._waiting

    # --- when it is over -----------------------------------------------------------------

    def _failed(self, run: RunId, errno: int, where: str, words: str) -> None:
        self._tidy(run)
        super()._failed(run, errno, where, words)

    def _begun(self, run: RunId, pid: int) -> None:
        if run not in self._launches:  # found from before: its group is where it is
            group = cgroups.own_path(pid)
            if group is not None and group.endswith(f"/{_name(run)}"):
                self._groups[run] = group
        super()._begun(run, pid)

    def _how_it_ended(self, code: int | None, number: int | None) -> tuple[int | None, int | None]:
        return exit_of(code, number)

    def _clear(self, run: RunId) -> bool:
        self._tidy(run)
        group = self._groups.pop(run, None)
        if group is None:
            return False
        starved = cgroups.memory_kills(group) > 0
        cgroups.remove(group)
        return starved

    def _tidy(self, run: RunId) -> None:
        """Remove what crun noted about the container: it is asked nothing more about it."""
        folder = f"{self._state}/crun/{_name(run)}"
        with suppress(FileNotFoundError):
            for name in os.listdir(folder):
                os.unlink(f"{folder}/{name}")
            os.rmdir(folder)


def _name(run: RunId) -> str:
    return f"{run.cluster}.{run.proc}.{run.attempt}"


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _below(init: int) -> list[int]:
    """All processes of a container but its init."""
    return [pid for pid in procfs.descendants([init]) if pid != init]


def _signal_all(init: int, number: int) -> bool:
    """Send a signal to all below the init; whether there was anything."""
    below = _below(init)
    for pid in below:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return bool(below)


def _all_stopped(init: int) -> bool:
    states = [stat.state for stat in map(procfs.read_stat, _below(init)) if stat is not None]
    return bool(states) and all(state in "TtZX" for state in states)


def _system_calls(state: str) -> tuple[bytes | None, Filter | None]:
    """The filter of system calls: compiled, or as rules; none at all where the engine has no profile."""
    found = seccomp.profile_here()
    if found is None:
        return None, None
    raw, rules = found
    try:
        return seccomp.compiled(raw, rules, state), rules
    except (seccomp.CannotCompile, OSError) as error:
        log.warning("system calls are filtered by rules, which makes every start slower: %s", error)
        return None, rules
