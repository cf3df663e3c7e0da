"""`pesc_startd --doctor`: is this machine fit to run jobs in containers? By trying, with a cure for each finding.

Each check is a function that answers with one Finding. What only makes things
slower or less exact is worth knowing, but no failure.
"""

import asyncio
import ctypes
import getpass
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from startd.images.engine import (
    BESIDE_PATH,
    BUILDS_SINCE,
    TRIED,
    CannotContain,
    Engine,
    call,
    dotted,
    find_programs,
    version_of,
)
from startd.monitors.nvml import Gpus
from startd.runtime import cgroups, dumps, seccomp
from startd.runtime.cdi import FOLDERS
from startd.runtime.gpudevices import CURE, Injector, NoDevice
from startd.runtime.trial import prove

ENOUGH_BYTES = 2 * 1024**3
STA_UNSYNC = 0x40
"""Of adjtimex(2): nobody keeps this clock right."""


class State(StrEnum):
    """How good a finding is."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """What a check found; `cure` says what would help."""

    check: str
    state: State
    words: str
    cure: str = ""


def examine(state: str, as_json: bool, cdi: Sequence[str] = FOLDERS) -> int:
    """Check everything, print what was found, and return the exit status."""
    findings = asyncio.run(findings_of(state, cdi))
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(
            {"ok": is_fit(findings), "findings": findings}), indent=2).decode() + "\n")
    else:
        sys.stdout.write(as_text(findings))
    return 0 if is_fit(findings) else 1


def is_fit(findings: list[Finding]) -> bool:
    return all(finding.state is not State.BAD for finding in findings)


def as_text(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:>4}  {finding.check}: {finding.words}")
        if finding.cure:
            lines.append(f"        cure: {finding.cure}")
    lines.append("Jobs can run in containers here." if is_fit(findings) else
                 "Jobs cannot run in containers here; pesc_startd --runtime auto runs them as plain processes.")
    return "\n".join(lines) + "\n"


async def findings_of(state: str, cdi: Sequence[str] = FOLDERS) -> list[Finding]:
    """All checks; those that need an engine only where there is one."""
    findings = [_user(), _clock(), _disk(state), await _dumps()]
    try:
        engine = find_programs()
    except CannotContain as error:
        findings.append(Finding("programs", State.BAD, str(error), "Install what is named, then ask again."))
        return [*findings, _system_calls(), *_gpus(cdi)]
    findings.append(Finding("programs", State.GOOD, f"{engine.podman}, {engine.crun}, {engine.init}"))
    findings += [await _version(engine), _busybox()]
    if findings[0].state is State.BAD:  # what an ordinary user can do is not for root to try
        return [*findings, _system_calls(), *_gpus(cdi)]
    checks: tuple[Callable[[Engine], Awaitable[Finding]], ...] = (_ranges, _storage, _crun)
    for check in checks:
        findings.append(await check(engine))
    findings += [_system_calls(), _groups(), _network(), *_gpus(cdi)]
    findings.append(await _trial(engine, state))
    return findings


# --- the machine -------------------------------------------------------------------------


def _user() -> Finding:
    if os.geteuid() == 0:
        return Finding("user", State.BAD, "this is root; containers here are rootless",
                       "Start pesc_startd as an ordinary user, who need not be allowed anything.")
    return Finding("user", State.GOOD, f"{getpass.getuser()}, not root")


def _clock() -> Finding:
    status = _clock_status()
    if status is None or status & STA_UNSYNC:
        return Finding("clock", State.NOTE, "nobody keeps the clock right; times in logs may be off",
                       "As root: apt-get install systemd-timesyncd (or chrony).")
    return Finding("clock", State.GOOD, "is kept right")


def _clock_status() -> int | None:
    """The kernel's word on its clock: `struct timex` begins with modes, three longs, and status."""
    asked = (ctypes.c_long * 64)()
    if ctypes.CDLL(None).adjtimex(ctypes.byref(asked)) < 0:
        return None
    return ctypes.c_int.from_buffer(asked, 5 * ctypes.sizeof(ctypes.c_long)).value


def _disk(state: str) -> Finding:
    folder = state
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    words = f"{free / 1024**3:.1f} GiB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", State.BAD, f"{folder} cannot be written", "Name another folder: --state DIR.")
    if free < ENOUGH_BYTES:
        return Finding("disk", State.NOTE, words, "Make room, or name a folder on another disk: --state DIR.")
    return Finding("disk", State.GOOD, words)


async def _dumps() -> Finding:
    """No job needs them, so their absence is no reason to do anything."""
    return Finding("process dumps", State.GOOD, f"none, jobs keep their checkpoints in files: {await dumps.why_none()}")


def _gpus(cdi: Sequence[str]) -> list[Finding]:
    """Whether they answer, and whether containers can be shown them."""
    if not os.path.exists("/dev/nvidiactl"):
        return [Finding("GPUs", State.GOOD, "there are none of NVIDIA's")]
    if not os.access("/dev/nvidiactl", os.R_OK | os.W_OK):
        return [Finding("GPUs", State.NOTE, "this user may not open /dev/nvidiactl",
                        "As root: usermod --append --groups video,render USER.")]
    look = Gpus().look()
    if look.problems or not look.devices:
        return [Finding("GPUs", State.NOTE, " ".join(look.problems) or "NVIDIA's library finds none",
                        "See what this says: nvidia-smi. The driver's libraries (libnvidia-ml1) belong to its kernel "
                        "module: after a change of one of them, restart the machine.")]
    uuids = [device.uuid for device in look.devices]
    with tempfile.TemporaryDirectory() as scratch:
        return [Finding("GPUs", State.GOOD, f"{len(uuids)} answer"),
                injection(uuids, Injector(scratch, folders=cdi))]


def injection(uuids: list[str], injector: Injector) -> Finding:
    """How containers are shown these GPUs; their device files are opened, as a program would."""
    check = "GPU injection"
    made_anew = f"As root: {CURE} (of the package nvidia-container-toolkit; again after every change of the driver)."
    by: set[str] = set()
    for uuid in uuids:
        try:
            shown = injector.show([uuid])
            by.add(shown.by)
            for bind in shown.binds:
                if bind.device:
                    os.close(os.open(bind.outside, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
        except NoDevice as error:
            return Finding(check, State.NOTE, str(error), made_anew)
        except OSError as error:
            return Finding(check, State.NOTE, f"{error.filename} of {uuid} cannot be opened: {error.strerror}",
                           "As root: usermod --append --groups video,render USER.")
    wrong = injector.problems(uuids)
    if wrong:
        return Finding(check, State.NOTE, f"by device files and the driver's libraries, because {' '.join(wrong)}"
                       if "driver" in by else " ".join(wrong), made_anew)
    how = "by device files and the driver's libraries; there is no CDI specification" if by == {"driver"} else \
        f"by CDI, {', '.join(sorted(by))}"
    return Finding(check, State.GOOD, how)


# --- the engine --------------------------------------------------------------------------


def _busybox() -> Finding:
    if shutil.which("busybox") is None:
        return Finding("busybox", State.NOTE, "is not here: the default image has Python, but no shell",
                       "As root: apt-get install busybox-static.")
    return Finding("busybox", State.GOOD, "gives the default image its shell")


async def _version(engine: Engine) -> Finding:
    try:
        version = await version_of(engine)
    except CannotContain as error:
        return Finding("Podman", State.BAD, str(error), "Install Podman itself; as root: apt-get install podman.")
    if version < BUILDS_SINCE:
        return Finding("Podman", State.NOTE, f"{dotted(version)} builds no domains, which needs "
                       f"{dotted(BUILDS_SINCE)}; other machines of the pool do it, and this one runs them",
                       f"Install a newer one: PESC is tried with {TRIED}.")
    if version[0] != TRIED:
        return Finding("Podman", State.NOTE, f"{dotted(version)} is not what PESC is tried with, which is {TRIED}",
                       "Whether it does here is tried below. If a container starts, nothing needs to be done.")
    return Finding("Podman", State.GOOD, dotted(version))


async def _ranges(engine: Engine) -> Finding:
    said = await call([*engine.entering(), "cat", "/proc/self/uid_map"], seconds=60.0)
    name = getpass.getuser()
    cure = (f"As root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}; "
            "then: podman system migrate.")
    if said.status != 0:
        return Finding("user namespace", State.BAD, f"cannot be made: {said.last_words}", cure)
    ids = sum(int(line.split()[2]) for line in said.output.splitlines())
    if ids < 2:
        return Finding("user ids", State.NOTE, "only one: images with files of several users cannot be had", cure)
    return Finding("user ids", State.GOOD, f"{ids} of them")


async def _storage(engine: Engine) -> Finding:
    said = await call([engine.podman, "info", "--format", "json"], seconds=60.0)
    try:
        store: dict[str, Any] = msgspec.json.decode(said.output)["store"]
    except (msgspec.MsgspecError, KeyError, TypeError):
        return Finding("storage", State.BAD, f"Podman cannot say: {said.last_words}", "Try: podman info.")
    driver = store.get("graphDriverName")
    if driver != "overlay":
        return Finding("storage", State.NOTE, f"Podman uses {driver}, which copies whole images",
                       'Write driver = "overlay" below [storage] in ~/.config/containers/storage.conf; then: '
                       "podman system reset.")
    if "fuse-overlayfs" in str(store.get("graphOptions")):
        return Finding("storage", State.NOTE, "overlay by way of FUSE, which is slow",
                       "Remove mount_program from storage.conf: the kernel does it since 5.13.")
    return Finding("storage", State.GOOD, f"overlay in {store.get('graphRoot')}")


async def _crun(engine: Engine) -> Finding:
    said = await call([engine.crun, "--version"], seconds=60.0)
    if said.status != 0:
        return Finding("crun", State.BAD, f"does not run: {said.last_words}", "As root: apt-get install crun.")
    if "+SECCOMP" not in said.output:
        return Finding("crun", State.BAD, "cannot filter system calls", "Install the one of your distribution.")
    return Finding("crun", State.GOOD, said.output.splitlines()[0].removeprefix("crun "))


def _system_calls() -> Finding:
    found = seccomp.profile_here()
    if found is None:
        return Finding("system calls", State.BAD, "there is no profile to filter them by",
                       "As root: apt-get install golang-github-containers-common (it comes with Podman).")
    try:
        seccomp.compile_filter(found[1])
    except seccomp.CannotCompile as error:
        return Finding("system calls", State.NOTE, f"the filter is compiled anew for every start: {error}",
                       "As root: apt-get install libseccomp2.")
    return Finding("system calls", State.GOOD, "are filtered by the engine's profile, compiled once")


def _groups() -> Finding:
    group = cgroups.claim_group(f"pesc-doctor-{os.getpid()}")
    if group is None:
        return Finding("cgroups", State.NOTE, "none with limits is ours: memory is watched, and a run that grows "
                       "beyond its limit is ended a moment later",
                       "With systemd: systemd-run --user --scope -p Delegate=yes pesc_startd …")
    cgroups.remove(group.path)
    return Finding("cgroups", State.GOOD, f"the kernel limits {', '.join(sorted(group.controllers))}")


def _network() -> Finding:
    path = os.pathsep.join((os.environ.get("PATH", ""), BESIDE_PATH))
    helper = next(filter(None, (shutil.which(name, path=path) for name in ("pasta", "slirp4netns"))), None)
    if helper is None:
        return Finding("network", State.NOTE, "no helper for networks of their own; jobs get none, or the machine's",
                       "As root: apt-get install passt slirp4netns. Only building images needs it.")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return Finding("network", State.NOTE, "this user may not open /dev/net/tun; jobs get none, or the machine's",
                       "As root: chmod 666 /dev/net/tun. Only building images needs it.")
    return Finding("network", State.GOOD, helper)


async def _trial(engine: Engine, state: str) -> Finding:
    os.makedirs(state, mode=0o700, exist_ok=True)
    try:
        found = await prove(engine, state)
    except CannotContain as error:
        return Finding("a container", State.BAD, str(error),
                       "Cure what is bad above; if nothing is, see what this says: podman run --rm alpine true.")
    lacking = [what for what, holds in (("its number of processes is not limited", found.pids_limit),
                                        ("it reaches the network", found.network_isolation)) if not holds]
    if lacking:
        return Finding("a container", State.NOTE, f"starts, but {', '.join(lacking)}", "The machine's ad says so.")
    return Finding("a container", State.GOOD, "starts, is closed in, and ends")
