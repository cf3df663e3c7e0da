"""What the owner of this machine does: reading only, and cheap enough for five times a second.

Every source tells what it can of a `Reading`, and nothing where the machine lacks what it
reads; `OwnerWatch` puts them together. What is typed is never looked at: of a terminal the
time of its last input is read, of an input device that something came.
"""

import os
import platform
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from contract.vocabulary import RunId
from startd.core.events import Over, Usage
from startd.core.ladder import Reading

LOOK_ANEW_SECONDS = 10.0
"""So often devices are looked for that were plugged in meanwhile."""

LOAD_SECONDS = 2.0
LOAD_SAMPLES = 4
"""The load is a mean over so many looks: a program that starts is not yet a load."""

LONGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the operating system shows itself; elsewhere for a startd in a container."""

    dev: str = "/dev"
    proc: str = "/proc"
    run: str = "/run"
    sys: str = "/sys"


class Source(Protocol):
    """One way to see the owner."""

    def available(self) -> bool:
        """Whether this machine has what the source reads."""

    def look(self, wall: float) -> Reading:
        """What is seen now; `wall` is the time since the epoch."""


class Terminals:
    """Access times of terminals: the kernel sets them when somebody's input is read.

    It does so at most once in eight seconds, in whole seconds: the first key after a pause is
    seen at once, and later ones may be eight seconds late. Jobs have no terminals.
    """

    def __init__(self, roots: Roots) -> None:
        self._dev = roots.dev
        self._consoles: list[str] = []
        self._console, self._any = _Latest(), _Latest()
        self._looked_at = float("-inf")

    def available(self) -> bool:
        return bool(self._numbered("tty") or os.path.isdir(f"{self._dev}/pts"))

    def look(self, wall: float) -> Reading:
        if abs(wall - self._looked_at) >= LOOK_ANEW_SECONDS:
            self._looked_at = wall
            self._consoles = self._numbered("tty")
        console = _last_access(self._consoles)
        latest = max(console, _last_access(self._numbered("pts/")))
        return Reading(self._any.ago(latest, wall), self._console.ago(console, wall))

    def _numbered(self, prefix: str) -> list[str]:
        folder, _, start = f"{self._dev}/{prefix}".rpartition("/")
        try:
            names = os.listdir(folder)
        except OSError:
            return []
        return [f"{folder}/{name}" for name in names if name.startswith(start) and name[len(start) :].isdigit()]


class _Latest:
    """A time in whole seconds that is exact where it was seen to change."""

    def __init__(self) -> None:
        self._told: float | None = None
        self._changed_at = 0.0

    def ago(self, told: float, wall: float) -> float | None:
        if self._told is not None and told > self._told:
            self._changed_at = wall
        self._told = told
        return _ago(wall, max(told, self._changed_at))


class InputDevices:
    """Keyboards and mice, where this user may read them: that something came, never what."""

    def __init__(self, roots: Roots) -> None:
        self._folder = f"{roots.dev}/input"
        self._open: dict[str, int] = {}
        self._looked_at = float("-inf")
        self._latest = 0.0

    def available(self) -> bool:
        self._look_anew()
        return bool(self._open)

    def look(self, wall: float) -> Reading:
        if abs(wall - self._looked_at) >= LOOK_ANEW_SECONDS:
            self._looked_at = wall
            self._look_anew()
        for name, file in list(self._open.items()):
            try:
                while os.read(file, 4096):
                    self._latest = wall
            except BlockingIOError:
                continue
            except OSError:
                os.close(self._open.pop(name))       # unplugged
        idle = _ago(wall, self._latest)
        return Reading(idle, idle)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _look_anew(self) -> None:
        with suppress(OSError):
            for name in os.listdir(self._folder):
                if name.startswith("event") and name not in self._open:
                    with suppress(OSError):
                        self._open[name] = os.open(
                            f"{self._folder}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


class Interrupts:
    """Counts of the old keyboard controller, which anybody may read; laptops have it still."""

    def __init__(self, roots: Roots) -> None:
        self._folder = f"{roots.sys}/kernel/irq"
        self._counters: list[str] = []
        self._before: bytes | None = None
        self._latest = 0.0

    def available(self) -> bool:
        with suppress(OSError):
            self._counters = sorted(
                f"{self._folder}/{number}/per_cpu_count" for number in os.listdir(self._folder)
                if b"i8042" in _read(f"{self._folder}/{number}/actions"))
        return bool(self._counters)

    def look(self, wall: float) -> Reading:
        counts = b"".join(map(_read, self._counters))
        if self._before is not None and counts != self._before:
            self._latest = wall
        self._before = counts
        idle = _ago(wall, self._latest)
        return Reading(idle, idle)


class LogindSessions:
    """The sessions that systemd-logind keeps as files: at the machine, and from afar."""

    def __init__(self, roots: Roots) -> None:
        self._folder = f"{roots.run}/systemd/sessions"
        self._changed_at: float | None = None
        self._people: tuple[str, ...] = ()

    def available(self) -> bool:
        return os.path.isdir(self._folder)

    def look(self, wall: float) -> Reading:
        try:
            changed_at = os.stat(self._folder).st_mtime_ns
            if changed_at != self._changed_at:
                # Every file is replaced by renaming, so the folder's own time tells.
                self._changed_at = changed_at
                people = (_logged_in(_read(f"{self._folder}/{name}"))
                          for name in os.listdir(self._folder) if not name.endswith(".ref"))
                self._people = tuple(sorted(filter(None, people)))
        except OSError:
            return Reading(people=())
        return Reading(people=self._people)


def _logged_in(raw: bytes) -> str:
    """Whose session a file of logind's describes; "" for one that is no person's."""
    fields = dict(line.split("=", 1) for line in raw.decode("utf-8", "replace").splitlines() if "=" in line)
    is_persons = fields.get("CLASS", "user").startswith("user") and fields.get("TYPE") != "unspecified"
    return fields.get("USER", fields.get("UID", "")) if is_persons and fields.get("STATE") != "closing" else ""


class UtmpSessions:
    """The older book of who is logged in."""

    # As glibc lays it out: times and session are 32 bits wide even where `long` has 64, but not on arm.
    _RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20x" if platform.machine() == "x86_64"
                            else "<hxxi32s4s32s256shhqqq16s20xxxxx")
    _USER_PROCESS = 7

    def __init__(self, roots: Roots) -> None:
        self._path = f"{roots.run}/utmp"
        self._proc = roots.proc

    def available(self) -> bool:
        return os.path.exists(self._path)

    def look(self, wall: float) -> Reading:
        raw = _read(self._path)
        whole = len(raw) // self._RECORD.size * self._RECORD.size
        people = []
        for kind, pid, _, _, user, *_ in self._RECORD.iter_unpack(raw[:whole]):
            # What a crash left behind names a process that is no more.
            if kind == self._USER_PROCESS and os.path.exists(f"{self._proc}/{pid}"):
                people.append(user.split(b"\0", 1)[0].decode("utf-8", "replace"))
        return Reading(people=tuple(sorted(people)))


class OthersLoad:
    """How much of the processors works for others than our runs."""

    def __init__(self, roots: Roots, ours: Callable[[], float]) -> None:
        self._path = f"{roots.proc}/stat"
        self._ours = ours
        """Processor seconds that our runs have used so far."""
        self._samples: list[tuple[float, float, float]] = []
        self._reading = Reading()
        self._looked_at = float("-inf")

    def available(self) -> bool:
        return self._busy_and_all() is not None

    def look(self, wall: float) -> Reading:
        if abs(wall - self._looked_at) >= LOAD_SECONDS and (seen := self._busy_and_all()) is not None:
            self._looked_at = wall
            self._samples.append((*seen, self._ours()))
            del self._samples[:-LOAD_SAMPLES]
            first, last = self._samples[0], self._samples[-1]
            busy, total, ours = (after - before for before, after in zip(first, last, strict=True))
            if total > 0:
                self._reading = Reading(load=min(1.0, max(0.0, (busy - ours) / total)), our_load=min(1.0, ours / total))
        return self._reading

    def _busy_and_all(self) -> tuple[float, float] | None:
        """Seconds that all processors were busy, and that there were."""
        line = _read(self._path, 4096).split(b"\n", 1)[0].split()
        if len(line) < 9 or line[0] != b"cpu":
            return None
        user, nice, system, idle, waiting, hard, soft, stolen = (int(field) / TICKS for field in line[1:9])
        busy = user + nice + system + hard + soft
        return busy, busy + idle + waiting + stolen


TICKS = os.sysconf("SC_CLK_TCK")


class OurUse:
    """Adds up what our runs have used, from what the runtime tells of them."""

    def __init__(self, mine: Callable[[], float] = time.process_time) -> None:
        self._mine = mine
        """What the startd itself has used."""
        self._living: dict[RunId, float] = {}
        self._over = 0.0

    def saw(self, happening: object) -> None:
        match happening:
            case Usage(run=run, cpu_seconds=seconds):
                self._living[run] = max(seconds, self._living.get(run, 0.0))
            case Over(run=run, user_seconds=user, system_seconds=system):
                self._over += max(user + system, self._living.pop(run, 0.0))

    def seconds(self) -> float:
        return self._over + sum(self._living.values()) + self._mine()


class OwnerWatch:
    """All sources of this machine as one."""

    def __init__(self, roots: Roots) -> None:
        self.ours = OurUse()
        devices = InputDevices(roots)
        sources: list[Source] = [Terminals(roots), devices]
        if not devices.available():
            sources.append(Interrupts(roots))
        sources += [LogindSessions(roots), UtmpSessions(roots), OthersLoad(roots, self.ours.seconds)]
        self._sources = [source for source in sources if source is devices or source.available()]
        self.reading = Reading()

    def look(self) -> Reading:
        wall = time.time()
        self.reading = together([source.look(wall) for source in self._sources])
        return self.reading


def together(readings: Sequence[Reading]) -> Reading:
    """The latest input, everybody who is logged in, the load."""
    people = [Counter(reading.people) for reading in readings if reading.people is not None]
    everybody = Counter[str]()
    for seen in people:
        everybody |= seen          # logind and utmp tell of the same sessions
    return Reading(
        _least(reading.keyboard_idle for reading in readings),
        _least(reading.console_idle for reading in readings),
        tuple(sorted(everybody.elements())) if people else None,
        *next(((reading.load, reading.our_load) for reading in readings if reading.load is not None), ()),
    )


def attributes(reading: Reading, cpus: int) -> dict[str, str]:
    """A reading as ClassAd texts, coarse enough to be news when they change."""
    texts = {}
    if reading.keyboard_idle is not None:
        texts["KeyboardIdle"] = str(_coarse_seconds(reading.keyboard_idle))
    if reading.console_idle is not None:
        texts["ConsoleIdle"] = str(_coarse_seconds(reading.console_idle))
    if reading.people is not None:
        texts["OwnerSessions"] = str(len(reading.people))
    for name, load in (("OwnerLoad", reading.load), ("CondorLoadAvg", reading.our_load)):
        if load is not None:
            texts[name] = f"{round(load * cpus * 4) / 4:.2f}"
    return texts


def _coarse_seconds(seconds: float) -> int:
    """Exact enough for policies: to the minute below an hour, then to the quarter of an hour."""
    step = 60 if seconds < 3600 else 900
    return min(int(seconds) // step * step, 7 * 86400)


def _last_access(paths: Iterable[str]) -> float:
    latest = 0.0
    for path in paths:
        with suppress(OSError):
            latest = max(latest, os.stat(path).st_atime)
    return latest


def _ago(wall: float, at: float) -> float | None:
    return max(0.0, wall - at) if at else None


def _least(values: Iterable[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _read(path: str, most: int = LONGEST_FILE) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)       # a pipe must not hold us up
    except OSError:
        return b""
    try:
        return os.read(file, most)
    except OSError:
        return b""
    finally:
        os.close(file)
