"""What a container is shown so that a program in it can use a GPU: the devices granted, and the driver's libraries.

What the machine's CDI specification says counts (`startd.core.cdi`). Where there is none, or none that
can be used, the device files are looked up here, and the libraries that the machine's own
loader finds. Either way the libraries belong to the driver of the kernel, not to an image: they are shown
in a folder of their own, which the program's loader is pointed to. A GPU that can be
shown in neither way is not offered.
"""

import hashlib
import logging
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dsl.classad.literals import quote
from startd.core.cdi import CUDA, NEEDED, Granted, Layout, NotShown, layout, shown
from startd.core.launch import Bind
from startd.runtime.cdi import FOLDERS, Specifications
from startd.runtime.elf import soname

log = logging.getLogger(__name__)

DRIVER = "/pesc/driver"
ALWAYS = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
LIBRARY = re.compile(r"(libcuda|libcudadebugger|libnvidia-(ml|ptxjitcompiler|nvvm\d*|gpucomp|opencl|allocator))"
                     r"\.so\S*")
CURE = "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


class NoDevice(Exception):
    """A GPU that was granted cannot be shown to a container; says which and why."""


@dataclass(frozen=True, slots=True)
class Injection:
    """What is added to a container for its GPUs."""

    by: str
    """The specification's file, or "driver"."""
    binds: list[Bind]
    where_there: list[Bind] = field(default_factory=list)
    """What is shown only in an image that has such a place."""
    environment: dict[str, str] = field(default_factory=dict)
    has_programs: bool = False
    left_out: tuple[str, ...] = ()


class Injector:
    """Shows GPUs to containers. `root` is where the machine's files are."""

    def __init__(self, state: str, root: str = "", folders: Sequence[str] = FOLDERS,
                 libraries: Callable[[], dict[str, str]] | None = None) -> None:
        self._state = state
        self._root = root
        self._specifications = Specifications([root + folder for folder in folders])
        self._find_libraries = libraries or driver_libraries
        self._libraries: dict[str, str] = {}
        self._said = ""

    def show(self, uuids: Iterable[str]) -> Injection:
        """All of them and no others; raise NoDevice."""
        wanted = list(uuids)
        try:
            injection, why = self._by_specification(wanted), ""
        except NotShown as error:
            injection, why = None, str(error)
        self._tell(why)
        if injection is not None:
            return injection
        try:
            return self._by_driver(wanted)
        except NoDevice as error:
            raise NoDevice(f"{error} {why}".rstrip()) from None

    def why_not(self, uuid: str) -> str | None:
        """Why a GPU cannot be shown to any container; None if it can."""
        try:
            self.show([uuid])
        except NoDevice as error:
            return str(error)
        except OSError as error:
            return f"the files for containers cannot be laid out: {error}"
        return None

    def attributes(self, uuids: Iterable[str]) -> dict[str, str]:
        """For the machine's ad: how GPUs are shown to containers, and what is wrong with that."""
        wanted = list(uuids)
        if not wanted:
            return {}
        try:
            by = "driver" if self._by_specification(wanted) is None else "cdi"
        except NotShown:
            by = "driver"
        wrong = self.problems(wanted)
        return {"PescGpuInjection": quote(by)} | (
            {"PescCdiProblems": "{ " + ", ".join(map(quote, wrong)) + " }"} if wrong else {})

    def problems(self, uuids: Iterable[str]) -> list[str]:
        """What is wrong with the specifications of this machine, as far as these GPUs are concerned."""
        found, wrong = self._specifications.read()
        if found:
            try:
                self._by_specification(list(uuids))
            except NotShown as error:
                return [*wrong, str(error)]
        return wrong

    def _tell(self, why: str) -> None:
        if why and why != self._said:
            log.warning("%s GPUs are shown to containers without it. Make it anew, as root: %s", why, CURE)
        self._said = why

    # --- by specification ----------------------------------------------------------------

    def _by_specification(self, uuids: list[str]) -> Injection | None:
        found, wrong = self._specifications.read()
        if not found:
            if wrong:
                raise NotShown(" ".join(wrong))
            return None
        minors = _minors(f"{self._root}/proc/driver/nvidia/gpus")
        said = shown(found, [Granted(uuid, minors.get(uuid, "")) for uuid in uuids])
        left_out = list(said.left_out)
        nodes = []
        for inside, outside in said.nodes.items():
            if os.path.exists(self._root + outside):
                nodes.append(Bind(inside, self._root + outside, True, device=True))
            elif NEEDED.fullmatch(inside):
                raise NotShown(f"{said.file} names {outside}, which is not there.")
            else:
                left_out.append(outside)
        gone = [outside for inside, outside in said.mounts.items()
                if ".so" in os.path.basename(inside) and not os.path.exists(self._root + outside)]
        if gone:
            raise NotShown(f"{said.file} is of another driver: {gone[0]} is not there.")
        laid = layout(said, lambda path: soname(self._root + path))
        others = [Bind(inside, self._root + outside) for inside, outside in laid.others.items()]
        usable = [bind for bind in others if _is_file_or_folder(bind.outside)]
        left_out += [bind.outside for bind in others if bind not in usable]
        return Injection(said.file, [*nodes, *self._driver_folder(laid)], usable, said.environment,
                         any("/" in name for name in laid.files), tuple(left_out))

    def _driver_folder(self, laid: Layout) -> list[Bind]:
        """A folder with the links, and a place for each file; another one for whatever is not the same."""
        files = {name: self._root + path for name, path in laid.files.items() if os.path.exists(self._root + path)}
        told = repr((sorted(files), sorted(laid.links.items())))
        places = f"{self._state}/driver-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        if not os.path.isdir(places):
            fresh = f"{places}.{os.getpid()}"
            os.makedirs(f"{fresh}/bin", exist_ok=True)
            for name in files:
                _touch(f"{fresh}/{name}")
            for name, target in laid.links.items():
                with suppress(FileExistsError):
                    os.symlink(target, f"{fresh}/{name}")
            with suppress(OSError):  # another thread was faster
                os.rename(fresh, places)
        return [Bind(DRIVER, places), *(Bind(f"{DRIVER}/{name}", path) for name, path in sorted(files.items()))]

    # --- without one ---------------------------------------------------------------------

    def _by_driver(self, uuids: list[str]) -> Injection:
        shown = devices(uuids, self._root)
        if CUDA not in self._libraries:
            self._libraries = self._find_libraries()
        if CUDA not in self._libraries:
            raise NoDevice(f"The driver's library {CUDA} is not on this machine.")
        return Injection("driver", [*shown, *libraries(self._state, self._libraries)])


def devices(uuids: Iterable[str], root: str = "") -> list[Bind]:
    """The device files of these GPUs and no others."""
    minors = _minors(f"{root}/proc/driver/nvidia/gpus")
    names = [name for name in ALWAYS if os.path.exists(f"{root}/dev/{name}")]
    for uuid in uuids:
        if uuid not in minors:
            why = f"slices (MIG) are shown by a CDI specification (as root: {CURE})" if uuid.startswith("MIG-") \
                else "the driver does not know it"
            raise NoDevice(f"The GPU {uuid} cannot be shown to a container: {why}.")
        name = f"nvidia{minors[uuid]}"
        if not os.path.exists(f"{root}/dev/{name}"):
            raise NoDevice(f"The GPU {uuid} cannot be shown to a container: there is no /dev/{name}.")
        names.append(name)
    return [Bind(f"/dev/{name}", f"{root}/dev/{name}", True, device=True) for name in names]


def libraries(state: str, found: Mapping[str, str]) -> list[Bind]:
    """The driver's libraries by name, each bound to a place that is made for it in STATE/driver."""
    places = f"{state}/driver"
    os.makedirs(places, exist_ok=True)
    for name in found:
        _touch(f"{places}/{name}")
    return [Bind(DRIVER, places), *(Bind(f"{DRIVER}/{name}", path) for name, path in sorted(found.items()))]


def driver_libraries() -> dict[str, str]:
    """Where the loader of this machine finds the driver's libraries."""
    said = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    return read_loader_cache(said.stdout)


def read_loader_cache(text: str) -> dict[str, str]:
    """The 64-bit libraries of the driver among what `ldconfig -p` prints; the first of a name counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, path = line.strip().partition(" => ")
        name, _, kind = name.partition(" ")
        if LIBRARY.fullmatch(name) and ("x86-64" in kind or "AArch64" in kind):
            found.setdefault(name, os.path.realpath(path))
    return found


def _touch(path: str) -> None:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def _is_file_or_folder(path: str) -> bool:
    """A socket of the machine is no business of a container."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _minors(folder: str) -> dict[str, str]:
    """By UUID, the number in the name of the device file."""
    minors = {}
    with suppress(OSError):
        for card in os.listdir(folder):
            with open(f"{folder}/{card}/information") as file:
                said = dict(line.split(":", 1) for line in file if ":" in line)
            minors[said.get("GPU UUID", "").strip()] = said.get("Device Minor", "").strip()
    return minors
