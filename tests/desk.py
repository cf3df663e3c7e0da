"""A desk where nobody has been for long: a real terminal, as the only one that a startd sees."""

import os
from pathlib import Path

LONG_AGO = 1_000_000_000.0


class Desk:
    """`flags` lets a startd watch it; use with `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys, self._shell = os.openpty()
        name = os.ttyname(self._shell)
        os.utime(name, (LONG_AGO, LONG_AGO))
        (folder / "dev/pts").mkdir(parents=True)
        (folder / "dev/pts/0").symlink_to(name)

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._keys)
        os.close(self._shell)

    def flags(self, **settings: float | str) -> list[str]:
        """Of a startd that heeds this terminal and nothing else."""
        lines = [f"{name} = {value}" for name, value in ({"load": "false"} | settings).items()]
        roots = [f'{name} = "{self._folder}/{name}"' for name in ("dev", "run", "sys")]
        path = self._folder / "owner.toml"
        path.write_text("\n".join(["[owner]", *lines, "[roots]", *roots]))
        return ["--owner", "desktop", "--owner-config", str(path)]

    def press_a_key(self) -> None:
        os.write(self._keys, b"k\n")
        os.read(self._shell, 10)
