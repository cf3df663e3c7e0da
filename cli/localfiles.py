"""The files that a submit file may look at: those of the user who submits."""

import errno
import glob
import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

from dsl.submit import Site

MAX_MEMBERS = 200_000
MAX_TEXT_BYTES = 64 << 20
COMMAND_SECONDS = 600


class LocalFiles:
    """Relative paths start at `folder`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def read_text(self, path: str) -> str:
        with open(self._absolute(path), "rb") as file:
            return _text_of(file.read(MAX_TEXT_BYTES + 1))

    def write_text(self, path: str, text: str) -> None:
        Path(self._absolute(path)).write_text(text, encoding="utf-8")

    def run(self, command: str) -> tuple[str, int]:
        """What a command prints, and its exit code; no shell sees it."""
        import shlex
        import subprocess

        words = shlex.split(command)
        if not words:
            raise FileNotFoundError(errno.ENOENT, "there is no command")
        try:
            ran = subprocess.run(words, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 timeout=COMMAND_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise TimeoutError(errno.ETIMEDOUT, f"it did not end within {COMMAND_SECONDS} seconds") from None
        return _text_of(ran.stdout), ran.returncode

    def standard_input(self) -> str:
        return _text_of(sys.stdin.buffer.read(MAX_TEXT_BYTES + 1))

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


def _text_of(raw: bytes) -> str:
    if len(raw) > MAX_TEXT_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_TEXT_BYTES >> 20} MiB")
    return raw.decode("utf-8")


def is_zip(path: str) -> bool:
    """Whether `path` is to be unpacked when it is given to process. A .jar is not."""
    return path.lower().endswith(".zip") and _is_regular(path)


def submit_site() -> Site:
    """Where and when this command is called."""
    machine = os.uname()
    arch = {"x86_64": "X86_64", "amd64": "X86_64"}.get(machine.machine, machine.machine)
    return Site(arch=arch, opsys=machine.sysname.upper(), user=_user(), iwd=_here(), now=datetime.now(UTC),
                file_system_domain=machine.nodename, seed=os.urandom(8).hex())


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
