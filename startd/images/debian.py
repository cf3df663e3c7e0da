"""Make `base-debian`: a small Debian with Python and pip, from this machine's own package sources.

No registry and no root is needed: apt says what belongs to it and fetches it, its files are
unpacked into a folder (`python -m startd.images.debian FOLDER`), and what packages want to be
done when they are installed is done by themselves, in a container made of that folder.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

RECIPE = "1"
"""Raised when what is made here changes, so that machines make it again."""

PACKAGES = (
    "base-files", "base-passwd", "bash", "bsdutils", "coreutils", "dash", "debianutils", "diffutils", "dpkg",
    "findutils", "grep", "gzip", "hostname", "init-system-helpers", "libc-bin", "login", "mawk", "ncurses-base",
    "ncurses-bin", "perl-base", "sed", "sysvinit-utils", "tar", "util-linux", "apt", "ca-certificates",
    "debian-archive-keyring", "procps", "python3", "python3-pip",
)

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into /usr, as all Debian systems have them by now."""

SECOND_STAGE = r"""
set -e
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
cp /usr/share/base-passwd/passwd.master /etc/passwd
cp /usr/share/base-passwd/group.master /etc/group
[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
dpkg --force-depends --force-overwrite --unpack /run/pesc/debs/*.deb
dpkg --force-depends --configure -a || dpkg --force-depends --configure -a || dpkg --configure -a
rm -f /usr/sbin/policy-rc.d
rm -rf /var/cache/debconf/*-old /var/log/* /var/lib/apt/lists/*
python3 -c 'import ssl, sqlite3'
"""


def name() -> str:
    """A name that changes when the image would: by the release of this machine and what is asked for."""
    import hashlib

    text = "\n".join([RECIPE, *PACKAGES, SECOND_STAGE, _release().get("VERSION_CODENAME", "")])
    return "localhost/pesc-base-debian:" + hashlib.sha256(text.encode()).hexdigest()[:16]


def main() -> None:
    folder = os.path.abspath(sys.argv[1])
    codename = _release().get("VERSION_CODENAME", "")
    if not codename or "debian" not in (_release().get("ID", ""), *_release().get("ID_LIKE", "").split()):
        sys.exit("This machine is no Debian, and has no packages of it. Use base, or an image of a registry.")
    try:
        fetch(folder)
        unpack(folder, codename)
    except subprocess.CalledProcessError as error:
        words = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()[-6:]
        sys.exit(f"{error.cmd[0]} failed: " + "\n".join(words))


def fetch(folder: str) -> None:
    """All packages that belong to it, into FOLDER/debs."""
    for path in ("lists/partial", "debs/partial", "cache"):
        os.makedirs(f"{folder}/{path}", exist_ok=True)
    with open(f"{folder}/status", "w"):
        pass
    options = [f"Dir::State::status={folder}/status", f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache",
               f"Dir::Cache::archives={folder}/debs", f"Dir::State::extended_states={folder}/extended",
               "APT::Sandbox::User=", "Debug::NoLocking=1", "APT::Install-Recommends=0", "APT::Install-Suggests=0",
               "Acquire::Languages=none", f"Dir::Log={folder}"]
    apt = ["apt-get", "-qq", "--yes", *(f"--option={option}" for option in options)]
    # A source that does not answer is no reason to give up while the others have what is needed.
    subprocess.run([*apt, "update"], stdout=sys.stderr, stdin=subprocess.DEVNULL, check=False)
    subprocess.run([*apt, "install", "--download-only", *PACKAGES], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                   stdin=subprocess.DEVNULL, check=True)


def unpack(folder: str, codename: str) -> None:
    """The files of all packages, as FOLDER/root.tar."""
    root = f"{folder}/root"
    for link in MERGED:
        os.makedirs(f"{root}/usr/{link}", exist_ok=True)
        os.symlink(f"usr/{link}", f"{root}/{link}")
    for path in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc/apt/apt.conf.d", "proc", "sys", "dev", "tmp"):
        os.makedirs(f"{root}/{path}", exist_ok=True)
    for deb in sorted(entry.path for entry in os.scandir(f"{folder}/debs") if entry.name.endswith(".deb")):
        subprocess.run(["sh", "-c", f"dpkg-deb --fsys-tarfile {shlex.quote(deb)} | tar -x --keep-directory-symlink "
                        f"--no-same-owner -C {shlex.quote(root)}"], stderr=subprocess.PIPE, check=True)
    with open(f"{root}/var/lib/dpkg/status", "w"):
        pass
    with open(f"{root}/etc/apt/sources.list", "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in own_sources(codename))
    with open(f"{root}/etc/apt/apt.conf.d/00pesc", "w", encoding="utf-8") as file:
        file.write('APT::Sandbox::User "root";\nAcquire::Languages "none";\n')
    subprocess.run(["tar", "-c", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0",
                    "-f", f"{folder}/root.tar", "-C", root, "."], stderr=subprocess.PIPE, check=True)


def own_sources(codename: str, folder: str = "/etc/apt") -> list[str]:
    """This machine's sources of its release, as lines; those behind a password are left out."""
    found: list[str] = []
    parts = f"{folder}/sources.list.d"
    paths = [f"{folder}/sources.list"]
    paths += sorted(entry.path for entry in os.scandir(parts)) if os.path.isdir(parts) else []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        entries = _stanzas(text) if path.endswith(".sources") else _lines(text)
        found += [f"deb {uri} {suite} {components}" for uri, suite, components in entries
                  if suite.partition("-")[0] == codename and "@" not in uri]
    return list(dict.fromkeys(found))


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", "", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            yield words[1], words[2], " ".join(words[3:])


def _stanzas(text: str) -> Iterator[tuple[str, str, str]]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = {key.strip().lower(): value.strip() for line in stanza.splitlines()
                  if ":" in line and not line.startswith("#") for key, _, value in [line.partition(":")]}
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            for uri in fields.get("uris", "").split():
                for suite in fields.get("suites", "").split():
                    yield uri, suite, fields.get("components", "")


def _release() -> dict[str, str]:
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            return {key: value.strip().strip('"') for line in file if "=" in line
                    for key, _, value in [line.partition("=")]}
    except OSError:
        return {}


if __name__ == "__main__":
    main()
