"""What every image lacks for our runs: mount points, an init, and a user to be.

It is one small folder that is laid over the image, read-only like the image itself.
"""

import os
import shutil

from startd.core.container import HOSTNAME, INIT, USER, WORK

EDITION = 2
"""Raised when what is made here changes."""

FOLDERS = ("pesc/work", "pesc/output", "pesc/checkpoint", "pesc/app", "pesc/shared", "pesc/driver",
           "tmp", "proc", "sys", "dev", "etc")
EMPTY_FILES = ("pesc/job.json", "etc/resolv.conf")
NAMES = f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n"


def make_layer(folder: str, init: str, passwd: str, group: str) -> None:
    """Make the folder: `passwd` and `group` are what the image has by these names."""
    for path in FOLDERS:
        os.makedirs(f"{folder}/{path}", exist_ok=True)
    for path in EMPTY_FILES:
        _write(f"{folder}/{path}", "")
    _write(f"{folder}/etc/hosts", NAMES)
    _write(f"{folder}/etc/hostname", f"{HOSTNAME}\n")
    _write(f"{folder}/etc/passwd", _with(passwd, f"pesc:x:{USER}:{USER}:PESC:{WORK}:/bin/sh"))
    _write(f"{folder}/etc/group", _with(group, f"pesc:x:{USER}:"))
    shutil.copyfile(init, f"{folder}{INIT}")
    os.chmod(f"{folder}{INIT}", 0o755)


def _with(table: str, line: str) -> str:
    """A table of users or groups in which `line` alone has our number."""
    lines = [old for old in table.splitlines() if old.split(":")[2:3] != [str(USER)]]
    return "\n".join([*lines, line]) + "\n"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
