"""Make `base`, the default image, out of what this machine has: CPython, its standard library, busybox.

No registry, no network and no root is needed. The same interpreter gives the same
bytes: entries are sorted and carry neither owner nor time. Run as a program it writes
the archive to stdout, to be read by `podman import -`.
"""

import importlib.util
import io
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO

LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages",
            "dist-packages", "__pycache__"}

RECIPE = "3"
"""Raised when what is made here changes, so that machines make it again."""

RUNTIMES = ("libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1",
            "libutil.so.1", "libresolv.so.2", "libm.so.6")

FILES = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
FOLDERS = {"tmp": 0o1777, "proc": 0o755, "sys": 0o755, "dev": 0o755}


@dataclass(slots=True)
class Tree:
    """What goes into the image, by its path there without the first slash."""

    files: dict[str, str] = field(default_factory=dict)
    """Where each file lies on this machine."""
    links: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, source: str | None = None) -> None:
        self.files.setdefault(path.lstrip("/"), source or path)


def interpreter() -> str:
    """The CPython that runs this, without any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def busybox() -> str | None:
    """A busybox that needs no library: Debian's own, or a static one."""
    return shutil.which("busybox")


def name() -> str:
    """A name that changes when the image would: by what it is made from, without making it."""
    import hashlib

    parts = [RECIPE, sys.version]
    for path in (interpreter(), busybox() or ""):
        try:
            found = os.stat(path)
            parts.append(f"{path} {found.st_size} {found.st_mtime_ns}")
        except OSError:
            parts.append(path)
    return "localhost/pesc-base:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        write(gather(scratch), sys.stdout.buffer)


def gather(scratch: str) -> Tree:
    """All that the image holds; what has to be compiled for it is put into `scratch`."""
    tree = Tree()
    program = interpreter()
    tree.add(program)
    _add_library(tree)
    _add_compiled(tree, scratch)
    shared = [source for source in tree.files.values() if source.endswith(".so")]
    runtimes = _runtimes()
    for library in (*runtimes, *_needed([program, *shared, *runtimes])):
        tree.add(library, os.path.realpath(library))
    if tools := busybox():
        _add_busybox(tree, tools)
        for library in _needed([tools]):
            tree.add(library, os.path.realpath(library))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in ("python3", "python", version):
        tree.links.setdefault(f"bin/{name}", program)
    # Scripts say #!/usr/bin/env or name /usr/bin/python3.
    tree.links.setdefault("usr/bin", "../bin")
    tree.links = {path: target for path, target in tree.links.items() if path not in tree.files}
    if any(path.startswith("usr/bin/") for path in (*tree.files, *tree.links)):
        del tree.links["usr/bin"]
        tree.links |= {f"usr/bin/{name}": f"/bin/{name}" for name in ("env", "python3", "sh")
                       if f"usr/bin/{name}" not in tree.files}
    return tree


def write(tree: Tree, output: IO[bytes]) -> None:
    """The archive, the same for the same content."""
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for path, mode in sorted(_folders(tree).items()):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for path, target in sorted(tree.links.items()):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for path, text in sorted(FILES.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
        for path, source in sorted(tree.files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = os.path.getsize(source)
            entry.mode = 0o755 if os.access(source, os.X_OK) else 0o644
            with open(source, "rb") as file:
                archive.addfile(entry, file)


def _add_library(tree: Tree) -> None:
    """The standard library, without what no experiment needs."""
    library = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})
    for folder, below, names in os.walk(library):
        below[:] = [name for name in below if name not in LEFT_OUT and not name.startswith("config-")]
        for name in names:
            if not name.endswith((".pyc", ".a")):
                tree.add(f"{folder}/{name}", os.path.realpath(f"{folder}/{name}"))


def _add_compiled(tree: Tree, scratch: str) -> None:
    """Byte code, so that a job's imports do not take five times as long; by hash, for the times are not kept."""
    for number, path in enumerate(sorted(path for path in tree.files if path.endswith(".py"))):
        target = f"{scratch}/{number}"
        try:
            py_compile.compile(tree.files[path], target, dfile=f"/{path}", doraise=True,
                               invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        except py_compile.PyCompileError:
            continue  # some files of the library are examples of what is wrong
        tree.add(importlib.util.cache_from_source(f"/{path}"), target)


def _add_busybox(tree: Tree, program: str) -> None:
    tree.add("bin/busybox", os.path.realpath(program))
    said = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    tree.links |= {f"bin/{name}": "busybox" for name in said.stdout.split()}


def _runtimes() -> list[str]:
    """What compiled packages of Python take for granted, as far as this machine has it."""
    said = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True)
    found: dict[str, str] = {}
    for line in said.stdout.splitlines():
        name, _, path = line.strip().partition(" => ")
        if (name := name.split(" ")[0]) in RUNTIMES:
            found.setdefault(name, path)
    return sorted(found.values())


def _needed(programs: Iterable[str]) -> list[str]:
    """The shared libraries of `programs`, the loader among them."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True)
    words = (word for line in said.stdout.splitlines() for word in line.split())
    return sorted({word for word in words if word.startswith("/") and not word.endswith(":")})


def _folders(tree: Tree) -> dict[str, int]:
    folders = dict(FOLDERS)
    for path in (*tree.files, *FILES, *tree.links):
        while path := os.path.dirname(path):
            folders.setdefault(path, 0o755)
    return folders


if __name__ == "__main__":
    main()
