"""The container engine of this machine: where its programs are, and how to call them.

Podman owns images and storage, crun starts containers, catatonit is their first
process. All of it works without root, inside a user namespace that Podman makes
once; what has to be done there goes `through` it.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from startd.runtime.keeperlink import HANDED_ON

PACKAGES = {"podman": "podman", "crun": "crun", "catatonit": "catatonit", "newuidmap": "uidmap",
            "nsenter": "util-linux"}
"""Programs that are needed, and the Debian packages that bring them."""

BESIDE_PATH = "/usr/libexec/podman:/usr/lib/podman"
OF_THE_ENGINE = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                 "SSL_CERT_FILE", "SSL_CERT_DIR", "REGISTRY_AUTH_FILE", "TMPDIR")
VERSION_SECONDS = 60.0
CALL_SECONDS = 600.0
"""An image may have to come over a slow line."""


TRIED = 4
"""The major version that all of this is tried with. Whether another one does is seen by trying: `runtime.trial`."""

BUILDS_SINCE = (4, 1)
"""`podman build` writes what a program's build made to a folder, and takes a word for --pull, from here on."""


class CannotContain(Exception):
    """No containers on this machine; says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The programs, by their paths."""

    podman: str
    crun: str
    init: str
    nsenter: str

    def entering(self) -> tuple[str, ...]:
        """What makes the engine's namespaces, or joins them."""
        return self.podman, "unshare"

    def joining(self, pid: int) -> tuple[str, ...]:
        """What does a thing in the namespaces of a process that is in them."""
        return self.nsenter, f"--target={pid}", "--user", "--mount", "--preserve-credentials"


@dataclass(frozen=True, slots=True)
class Said:
    """What a program said."""

    status: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The line that most likely says what went wrong."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"


def find_engine() -> Engine:
    """The engine that this startd may use; raise CannotContain when a program is not there, or when we are root."""
    engine = find_programs()
    if os.geteuid() == 0:
        raise CannotContain("containers are rootless here, and this is root (start it as an ordinary user)")
    return engine


def find_programs() -> Engine:
    """Look for the programs; raise CannotContain when one is not there."""
    found = {name: shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), BESIDE_PATH)))
             for name in PACKAGES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        packages = " ".join(sorted({PACKAGES[name] for name in missing}))
        raise CannotContain(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine "
                            f"(as root: apt-get install {packages})")
    return Engine(*(found[name] or "" for name in ("podman", "crun", "catatonit", "nsenter")))


async def version_of(engine: Engine) -> tuple[int, ...]:
    """What Podman says that it is; raise CannotContain where it says nothing of the kind."""
    try:
        said = await call([engine.podman, "--version"], seconds=VERSION_SECONDS)
    except OSError as error:
        raise CannotContain(f"{engine.podman} cannot be called: {error.strerror}") from None
    found = re.search(r"\bversion v?(\d+)\.(\d+)(?:\.(\d+))?", said.output)
    if said.status != 0 or found is None:
        words = said.output.strip().splitlines()[:1] or [said.last_words]
        raise CannotContain(f"{engine.podman} does not say which Podman it is: {words[0][:200]}")
    return tuple(int(part) for part in found.groups(default="0"))


def dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


async def call(argv: Sequence[str], stdin: int | None = None, seconds: float = CALL_SECONDS,
               folder: str = "/") -> Said:
    """Run a program to its end, in the engine's kind of environment."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, cwd=folder, env=environment(), start_new_session=True)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        return Said(-1, "", f"{argv[0]} does not answer after {seconds:.0f} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Said(process.returncode or 0, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


def environment() -> dict[str, str]:
    """What of ours an engine may need; the process that keeps its namespaces has it as long as there are any."""
    return {name: os.environ[name] for name in (*HANDED_ON, *OF_THE_ENGINE) if name in os.environ} | {
        "LC_ALL": "C.UTF-8"}


def inside_environment() -> dict[str, str]:
    """The same for a Podman that is called inside the namespaces."""
    return {"_CONTAINERS_USERNS_CONFIGURED": "done", "_CONTAINERS_ROOTLESS_UID": str(os.getuid()),
            "_CONTAINERS_ROOTLESS_GID": str(os.getgid())}
