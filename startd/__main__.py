"""pesc_startd: be a machine of a pool, in the foreground, until told to stop.

    pesc_startd                          the pool of this user, all of this machine
    pesc_startd --name lab-7 --cpus 4 --pool http://head:9618
    pesc_startd --runtime podman         containers or nothing
    pesc_startd --doctor                 what keeps jobs from running in containers here?
"""

import argparse
import asyncio
import fcntl
import getpass
import logging
import os
import re
import shutil
import signal
import socket
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from contract.places import Places, state_folder
from contract.vocabulary import MAX_NAME_CHARACTERS, VERSION
from dsl.classad import ClassAdSyntaxError, parse
from startd.core.contract import Person
from startd.core.ladder import PRESETS
from startd.core.startd import StartdCore
from startd.dial import Pool
from startd.doctor import examine
from startd.files.cache import DEFAULT_LIMIT_BYTES, Cache
from startd.files.checkpoints import LARGEST_BYTES, Checkpoints
from startd.files.journal import Journal
from startd.files.sandbox import Sandboxes
from startd.files.transfer import Transfer
from startd.images.engine import CannotContain
from startd.images.stock import DEFAULT_LIMIT_BYTES as IMAGE_LIMIT_BYTES
from startd.images.trial import builders_engine
from startd.loop import Loop
from startd.monitors import machine, spot
from startd.monitors.gpus import LIMIT, GpuWatch
from startd.monitors.nvml import Gpus
from startd.monitors.owner import OwnerWatch, attributes
from startd.ownerpolicy import OwnerSettings, WrongSettings, owner_settings
from startd.runtime import dumps
from startd.runtime.cdi import FOLDERS
from startd.runtime.choose import RUNTIMES, choose
from startd.runtime.gpudevices import Injector

log = logging.getLogger("startd")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
FIND_GPUS_SECONDS = 10.0
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may change. The defaults suit one workstation."""

    name: str
    state: Path
    pool: str | None = None
    offer: machine.Offer = field(default_factory=machine.Offer)
    start: str = "true"
    """The owner's policy: which jobs may start here."""
    owner: OwnerSettings = field(default_factory=OwnerSettings)
    """How far runs give way to whoever sits at the machine."""
    cache_mib: int = DEFAULT_LIMIT_BYTES // 1024**2
    gpus: frozenset[str] | None = None
    """Which GPUs are offered, by UUID or number; None: all."""
    gpu_limit: float = LIMIT
    """How much of a GPU's memory is offered to runs that share it."""
    cdi: tuple[str, ...] = FOLDERS
    """Where CDI specifications are looked for; what is in a later folder counts for more."""
    path: str = DEFAULT_PATH
    """Where programs are looked for, and the PATH of jobs without containers."""
    runtime: str = "auto"
    """podman: in containers; process: without; auto: in containers where that works."""
    spot: str = ""
    """The provider whose notices are heeded; "" for none."""
    largest_checkpoint_bytes: int = LARGEST_BYTES
    """What is larger is not copied off the machine; the job is told, and its last smaller one stands."""
    image_cache_mib: int = IMAGE_LIMIT_BYTES // 1024**2
    """How much room images may take that no job needs."""


def main() -> None:
    parser = _parser()
    chosen = parser.parse_args()
    logging.basicConfig(level=chosen.log_level.upper(), stream=sys.stderr,
                        format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("websockets", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        parse(chosen.start)
    except ClassAdSyntaxError as error:
        sys.exit(f"pesc_startd: --start: {error}")
    if not NAME.fullmatch(chosen.name) or len(chosen.name) > MAX_NAME_CHARACTERS:
        sys.exit(f"pesc_startd: {chosen.name!r} cannot be the name of a machine.\n"
                 "  Letters, digits and . _ - @ make a name; the first is a letter or a digit.")
    try:
        owner = owner_settings(chosen.owner, chosen.owner_config)
    except WrongSettings as error:
        sys.exit(f"pesc_startd: --owner-config: {error}")
    cdi = (*FOLDERS, os.path.abspath(chosen.cdi)) if chosen.cdi else FOLDERS
    if chosen.doctor:
        sys.exit(examine(str(Places(state_folder(chosen.state)).startd(chosen.name)), chosen.json, cdi))
    settings = Settings(chosen.name, state_folder(chosen.state), chosen.pool or os.environ.get("PESC_POOL"),
                        machine.Offer(chosen.cpus, chosen.memory, chosen.disk), chosen.start, owner, chosen.cache,
                        chosen.gpus, chosen.gpu_limit, cdi, os.environ.get("PATH") or DEFAULT_PATH, chosen.runtime,
                        chosen.spot or "", chosen.max_checkpoint * 1024**2, chosen.image_cache)
    folder = Places(settings.state).startd(settings.name)
    os.umask(0o022)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = _lock(folder, settings.name)
    try:
        asyncio.run(serve(settings, str(folder)))
    finally:
        os.close(lock)


async def serve(settings: Settings, folder: str) -> None:
    """Put the parts together and let the loop run."""
    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    identity = _identity(folder)
    gpus = GpuWatch(Gpus(chosen=settings.gpus), settings.gpu_limit)
    injector = Injector(folder, folders=settings.cdi)
    try:
        runtime = await choose(settings.runtime, folder, identity, injector, settings.image_cache_mib * 1024**2)
    except CannotContain as error:
        sys.exit(f"pesc_startd: no containers here: {error}.\n"
                 "  See what is missing: pesc_startd --doctor. To do without: --runtime process.")
    if runtime.contains:
        gpus.why_not = injector.why_not
    await _find(gpus)
    offered = replace(machine.amounts(settings.offer, folder), gpus=gpus.parts())
    fixed = machine.fixed(settings.name, offered, settings.start)
    fixed |= await dumps.attributes()
    engine = await builders_engine() if runtime.contains else None
    if engine is not None:
        fixed |= {"HasContainerBuild": "true"}
    journal = Journal(f"{folder}/journal")
    watch = OwnerWatch(settings.owner.roots)

    def see(busy: bool) -> dict[str, str]:
        shown = injector.attributes(part.device for part in gpus.parts()) if runtime.contains else {}
        return (fixed | machine.changing(busy) | gpus.attributes() | shown
                | attributes(watch.look(), os.cpu_count() or 1) | runtime.attributes)

    core = StartdCore.restore(journal.read(), settings.name, identity, offered, see(False),
                              settings.owner.policy)
    journal.rewrite(core.entries())
    cache = Cache(folder, settings.cache_mib * 1024**2)
    pool = Pool(settings.pool, str(settings.state))
    which = _Which(settings.path)
    person = Person(_user(), None if runtime.contains else settings.path)
    sandboxes = Sandboxes(folder, cache, person, which.find, runtime.contains)
    transfer = Transfer(cache, pool.client)
    loop = Loop(core, runtime.make, journal, cache, sandboxes, transfer,
                Checkpoints(transfer, settings.largest_checkpoint_bytes), see, gpus, watch, engine,
                runtime.stock)
    log.info("startd %s begins", settings.name, extra={"machine": settings.name, "version": VERSION,
                                                       "runs": len(core.runs)})
    await loop.run(pool.connect, leave, spot.poller_of(settings.spot) if settings.spot else None)
    log.info("startd %s ends", settings.name, extra={"machine": settings.name, "kept": len(core.runs)})


async def _find(gpus: GpuWatch) -> None:
    """Look before the first Hello; a driver that takes its time is not waited for, its GPUs are told later."""
    with suppress(TimeoutError):
        await asyncio.wait_for(gpus.look(), FIND_GPUS_SECONDS)


class _Which:
    """Where programs are; what was found is not looked for again."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[str, str] = {}

    def find(self, program: str) -> str | None:
        found = self._found.get(program) or shutil.which(program, path=self._path)
        if found is None and program == "python3":
            found = sys.executable
        if found is not None:
            self._found[program] = found
        return found


def _lock(folder: Path, name: str) -> int:
    """Hold the state folder: two startds in one would start every run twice."""
    lock = os.open(folder / "startd.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode().strip() or "unknown"
        sys.exit(f"pesc_startd: a startd named {name} already runs here (pid {holder}, state in {folder}).\n"
                 "  Give this one another --name, or stop the other.")
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _identity(folder: str) -> str:
    """Random, made once: tells a restart of this startd from a second machine of its name."""
    path = Path(folder) / "identity"
    try:
        known = path.read_text().strip()
    except FileNotFoundError:
        known = ""
    if not known:
        known = uuid.uuid4().hex
        fresh = path.with_suffix(".new")
        fresh.write_text(known + "\n")
        fresh.rename(path)
    return known


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pesc_startd", description="Be a machine of a pool, in the foreground, until told to stop.",
        epilog="examples: pesc_startd --name lab-7 --cpus 4 --start 'RequestMemory < 2000'; "
               "pesc_startd --gpus 0,1 --gpu-limit 0.5")
    parser.add_argument("--name", default=socket.gethostname(), help="name of this machine (default: the host's)")
    parser.add_argument("--state", metavar="DIR", help="the pool's state directory (default: $PESC_HOME)")
    parser.add_argument("--pool", metavar="URL", help="the schedd (default: that of the state directory)")
    parser.add_argument("--cpus", type=float, metavar="N", help="offer so many cpus")
    parser.add_argument("--memory", type=int, metavar="MIB", help="offer so much memory")
    parser.add_argument("--disk", type=int, metavar="KIB", help="offer so much disk")
    parser.add_argument("--cache", type=int, metavar="MIB", default=DEFAULT_LIMIT_BYTES // 1024**2,
                        help="keep at most so much of what jobs brought, beside what runs need (default: 20480)")
    parser.add_argument("--image-cache", type=int, metavar="MIB", default=IMAGE_LIMIT_BYTES // 1024**2,
                        help="keep at most so much of the images that were brought here, beside what jobs and builds "
                             "need (default: %(default)s)")
    parser.add_argument("--start", default="true", metavar="EXPR", help="which jobs may start here (default: true)")
    parser.add_argument("--owner", default="off", choices=list(PRESETS),
                        help="how runs give way: desktop (to keys, mouse, sessions and load), server (no new work "
                             "while others load it), off (default)")
    parser.add_argument("--owner-config", metavar="FILE", help="a TOML file that changes numbers of --owner")
    parser.add_argument("--gpus", type=_gpus, metavar="WHICH", help="which GPUs to offer: auto (all, the default), "
                        "none, or their UUIDs or numbers, separated by commas")
    parser.add_argument("--gpu-limit", type=_share, default=LIMIT, metavar="SHARE", help="how much of a GPU's memory "
                        f"the runs that share it may have together (default: {LIMIT:g})")
    parser.add_argument("--cdi", metavar="DIR", help="look for CDI specifications of GPUs here as well; what is here "
                        f"counts for more than {' and '.join(FOLDERS)}")
    parser.add_argument("--runtime", default="auto", choices=RUNTIMES,
                        help="how jobs are run: in containers (podman), without (process), or auto, which is in "
                             "containers where that works (default: auto)")
    parser.add_argument("--spot", type=_spot, metavar="PROVIDER",
                        help="leave in good order when the cloud provider says that it takes the machine away: aws, "
                             "gcp, azure, or auto, which finds out; PROVIDER=URL asks elsewhere")
    parser.add_argument("--max-checkpoint", type=int, default=LARGEST_BYTES // 1024**2, metavar="MIB",
                        help="the largest checkpoint that is taken along when a job leaves (default: %(default)s)")
    parser.add_argument("--doctor", action="store_true",
                        help="see whether jobs can run in containers here, by trying; say what would help; 0 if so")
    parser.add_argument("--json", action="store_true", help="with --doctor: as JSON")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--version", action="version", version=f"pesc {VERSION}")
    return parser


def _gpus(text: str) -> frozenset[str] | None:
    if text.strip().lower() == "auto":
        return None
    return frozenset(word for word in map(str.strip, text.split(",")) if word and word.lower() != "none")


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return share


def _spot(text: str) -> str:
    try:
        spot.poller_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


if __name__ == "__main__":
    main()
