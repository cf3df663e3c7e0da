"""A run that is ready to start, as the files hand it to the runtime."""

from dataclasses import dataclass


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
