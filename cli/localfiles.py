"""The files that a submit file may look at: those of the user who submits."""

import glob
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from dsl.submit import Site

MAX_MEMBERS = 200_000


class LocalFiles:
    """Relative paths start at `folder`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def read_text(self, path: str) -> str:
        return Path(self._absolute(path)).read_text(encoding="utf-8")

    def exists(self, path: str) -> bool:
        return os.path.exists(self._absolute(path))

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(self._absolute(path))

    def glob(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern, root_dir=self._folder))

    def members(self, path: str) -> list[str] | None:
        """The relative paths of the files in a folder or zip, sorted; None if it is neither."""
        path = self._absolute(path)
        if os.path.isdir(path):
            return _files_below(path)
        if not is_zip(path):
            return None
        import zipfile

        try:
            with zipfile.ZipFile(path) as archive:
                return sorted(os.path.normpath(info.filename) for info in archive.infolist() if not info.is_dir())
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise OSError(str(error)) from None

    def _absolute(self, path: str) -> str:
        return os.path.join(self._folder, path)


def is_zip(path: str) -> bool:
    """Whether `path` is to be unpacked when it is given to process. A .jar is not."""
    return path.lower().endswith(".zip") and _is_regular(path)


def submit_site() -> Site:
    """Where and when this command is called."""
    machine = os.uname()
    arch = {"x86_64": "X86_64", "amd64": "X86_64"}.get(machine.machine, machine.machine)
    return Site(arch=arch, opsys=machine.sysname.upper(), user=_user(), iwd=_here(), now=datetime.now(UTC),
                file_system_domain=machine.nodename)


def _here() -> str:
    """The current folder, by the name the user came by (`cd` through a link keeps it)."""
    named = os.environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return named
    except OSError:
        pass
    return os.getcwd()


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _files_below(root: str) -> list[str]:
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        folders.sort()
        found += [os.path.relpath(os.path.join(folder, name), root) for name in sorted(files)]
        if len(found) > MAX_MEMBERS:
            break
    return found
