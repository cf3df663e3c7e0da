"""A run that is ready to start, as the files hand it to the runtime."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of the machine, and where the container shows it."""

    inside: str
    outside: str
    writable: bool = False
    device: bool = False
    """Whether it is a device file, to be used as one."""


@dataclass(frozen=True, slots=True)
class Box:
    """What a run in a container is closed into. Paths in `argv` and `folder` of its Launch are those inside."""

    image: str | None
    """None: the pool's `base`."""
    binds: tuple[Bind, ...]
    network: bool = False
    pids_limit: int | None = None
    cpus: float = 1.0


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that is ready to start: everything is where it will look for it."""

    argv: list[str]
    environment: dict[str, str]
    sandbox: str
    """The run's own folder: its size is what the disk limit is about."""
    folder: str
    stdout: str
    stderr: str
    stdin: str | None = None
    memory_limit_mib: int | None = None
    disk_limit_kib: int | None = None
    box: Box | None = None
    gpus: tuple[str, ...] = ()
    """The UUIDs of the devices that it may see; a runtime with walls lets no others through."""
