"""From a run to its container: all that decides how a run is closed in is on this page.

Pure: the answer is the configuration that an OCI runtime (crun) reads, and
depends on nothing but what is given. The page to review before changing isolation;
`tests/startd/core/test_container.py` holds what comes out, word for word.

BOX-1: nothing in a container is root: its one user is the startd's own, under another number.
BOX-2: it has no capability, cannot gain one, and makes only the calls of the engine's filter.
BOX-3: it sees its own processes, its own files, what its image and program bring, and nothing else;
       of these it can write its own files only.
BOX-4: it has no network unless that was granted.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from startd.core.launch import Bind, Box, Launch
from startd.core.seccomp import Filter, as_oci

USER = 1000
"""The number of the container's only user. Any but 0 will do; this one is that of a desktop's first user."""

HOSTNAME = "pesc"
INIT = "/pesc/init"
INSIDE = "/pesc"
WORK, OUTPUT, CHECKPOINT = "/pesc/work", "/pesc/output", "/pesc/checkpoint"
APP, SHARED, JOB_FILE, SCRATCH = "/pesc/app", "/pesc/shared", "/pesc/job.json", "/tmp"
"""The same on every machine, so that a checkpoint which names them is valid on the next one."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PIDS_LIMIT = 2048
"""Where nothing else is asked for; as in Podman."""

SHM_BYTES = 64 * 1024**2
"""Size of /dev/shm, as in Podman."""

KIB, MIB = 1024, 1024**2

HIDDEN = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
          "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block", "/sys/firmware", "/sys/fs/selinux")
READ_ONLY = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What of the kernel's own files is nobody's business in a container; as in Podman."""


@dataclass(frozen=True, slots=True)
class Group:
    """A place for cgroups that is ours, and what can be limited there."""

    path: str
    """From the root of the cgroup tree."""
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a container stands on here."""

    root: str
    """Its image, with our mount points in it."""
    environment: dict[str, str]
    """The image's own."""
    program: bytes | None = None
    """The compiled filter of system calls."""
    filter: Filter | None = None
    """The same as rules, for where it could not be compiled."""
    group: Group | None = None


def configuration(name: str, launch: Launch, box: Box, ground: Ground) -> dict[str, Any]:
    """What crun is told about the container `name`."""
    said: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "hostname": HOSTNAME,
        "root": {"path": ground.root, "readonly": True},
        "process": _process(launch, box, ground),
        "mounts": [*_kernel_mounts(box.network), *map(_bind, box.binds), *_network_files(box.network)],
        "linux": {
            "uidMappings": [{"containerID": USER, "hostID": 0, "size": 1}],
            "gidMappings": [{"containerID": USER, "hostID": 0, "size": 1}],
            "namespaces": [{"type": kind} for kind in _namespaces(box.network)],
            "maskedPaths": list(HIDDEN),
            "readonlyPaths": list(READ_ONLY),
        },
    }
    if ground.program is not None:
        said["annotations"] = {"run.oci.seccomp_bpf_data": b64encode(ground.program).decode()}
    elif ground.filter is not None:
        said["linux"]["seccomp"] = as_oci(ground.filter)
    if ground.group is not None:
        said["linux"]["cgroupsPath"] = f"{ground.group.path}/{name}"
        said["linux"]["resources"] = _resources(launch, box, ground.group.controllers)
    return said


def entering(process: dict[str, Any], argv: list[str], more: dict[str, str], tty: bool) -> dict[str, Any]:
    """What crun is told of a command that joins a container: all as for its own `process` but what is started."""
    variables = dict(text.split("=", 1) for text in process["env"]) | more
    return process | {"args": argv, "terminal": tty, "env": [f"{name}={value}" for name, value in variables.items()]}


def exit_of(code: int | None, number: int | None) -> tuple[int | None, int | None]:
    """Exit code or signal of the program, by what its init said: init ends with 128 + n where its child died by n."""
    if code is not None and 128 < code <= 128 + 64:
        return None, code - 128
    return code, number


def environment_of(launch: Launch, ground: Ground) -> dict[str, str]:
    """The image's variables, and over them the run's."""
    return {"PATH": DEFAULT_PATH} | ground.environment | launch.environment


def _process(launch: Launch, box: Box, ground: Ground) -> dict[str, Any]:
    limits = [("RLIMIT_CORE", 0)]
    if launch.disk_limit_kib is not None:
        limits.append(("RLIMIT_FSIZE", launch.disk_limit_kib * KIB))
    return {
        "terminal": False,
        "user": {"uid": USER, "gid": USER, "umask": 0o022},
        "args": [INIT, "--", *launch.argv],
        "env": [f"{name}={value}" for name, value in environment_of(launch, ground).items()],
        "cwd": launch.folder,
        "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        "noNewPrivileges": True,
        "rlimits": [{"type": kind, "soft": limit, "hard": limit} for kind, limit in limits],
    }


def pids_limit(box: Box) -> int:
    """Processes and threads at once, its init among them."""
    return (box.pids_limit or PIDS_LIMIT) + 1


def pids_by_user(box: Box, ground: Ground) -> int | None:
    """The same where no cgroup counts them: as the limit of a user's processes.

    In a user namespace of its own that is the container's processes alone. crun would set it
    before there is that namespace, when it limits all that this user runs on the machine: so
    it is set from outside, between the making of the container and the start of its program.
    """
    return None if ground.group is not None and "pids" in ground.group.controllers else pids_limit(box)


def _namespaces(network: bool) -> tuple[str, ...]:
    always = ("user", "mount", "pid", "ipc", "uts", "cgroup")
    return always if network else (*always, "network")


def _kernel_mounts(network: bool) -> list[dict[str, Any]]:
    mounts = [
        _mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "nosuid", "noexec", "strictatime", "mode=755", "size=64k"),
        _mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
        _mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", f"size={SHM_BYTES}"),
    ]
    if network:
        # Only the owner of a network may mount its /sys; the machine's is shown instead.
        mounts.append({"destination": "/sys", "type": "none", "source": "/sys",
                       "options": ["rbind", "rslave", "ro", "nosuid", "noexec", "nodev"]})
    else:
        mounts.append(_mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"))
    return mounts


def _network_files(network: bool) -> list[dict[str, Any]]:
    names = ("/etc/resolv.conf", "/etc/hosts") if network else ()
    return [_bind(Bind(name, name)) for name in names]


def _mount(place: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": kind, "options": list(options)}


def _bind(bind: Bind) -> dict[str, Any]:
    return {"destination": bind.inside, "type": "bind", "source": bind.outside,
            "options": ["bind", "rw" if bind.writable else "ro", "nosuid", *([] if bind.device else ["nodev"])]}


def _resources(launch: Launch, box: Box, controllers: frozenset[str]) -> dict[str, Any]:
    """What the kernel is to hold the container to, as far as it can here."""
    resources: dict[str, Any] = {}
    if "memory" in controllers and launch.memory_limit_mib is not None:
        most = launch.memory_limit_mib * MIB
        resources["memory"] = {"limit": most, "swap": most}
    if "cpu" in controllers:
        resources["cpu"] = {"shares": max(2, int(1024 * box.cpus))}
    if "pids" in controllers:
        resources["pids"] = {"limit": pids_limit(box)}
    return resources
