"""The bases that machines make themselves, under the names by which Dockerfiles know them.

`base` is this machine's own Python (see `base`); `base-debian` is Debian from this machine's own
package sources (see `debian`). Made once; what a build pins is what was made.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Sequence

from startd.images import base, debian
from startd.images.engine import Engine, Said, call

NAMES = {"base": base.name, "base-debian": debian.name}
MAKE_SECONDS = 3600.0


class NoBase(Exception):
    """It could not be made; says why."""


async def provide(engine: Engine, name: str, scratch: str, say: Callable[[str], None]) -> None:
    """Have `localhost/NAME`, which is what `FROM NAME` finds; what is only needed meanwhile lies in `scratch`."""
    own = NAMES[name]()
    if (await call([engine.podman, "image", "exists", own])).status != 0:
        say(f"Making {name} from what this machine has …")
        os.makedirs(scratch, exist_ok=True)
        try:
            await (_make_base(engine, own, scratch) if name == "base" else _make_debian(engine, own, scratch, say))
        finally:
            await call([engine.podman, "unshare", "rm", "-rf", scratch])
            shutil.rmtree(scratch, ignore_errors=True)
    _or_complain(await call([engine.podman, "tag", own, f"localhost/{name}:latest"]), f"{name} could not be named")


async def _make_base(engine: Engine, own: str, scratch: str) -> None:
    archive = f"{scratch}/root.tar"
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        await _python([base.__name__], descriptor)
    finally:
        os.close(descriptor)
    _or_complain(await call([engine.podman, "import", "--quiet", archive, own], seconds=MAKE_SECONDS),
                 "it could not be given to Podman")


async def _make_debian(engine: Engine, own: str, scratch: str, say: Callable[[str], None]) -> None:
    await _python([debian.__name__, scratch], asyncio.subprocess.DEVNULL)
    say("Its packages are here; now they are installed.")
    unpacked = f"{own}-unpacked"
    _or_complain(await call([engine.podman, "import", "--quiet", f"{scratch}/root.tar", unpacked],
                            seconds=MAKE_SECONDS), "it could not be given to Podman")
    _write(f"{scratch}/Dockerfile", f"FROM {unpacked}\nRUN sh /run/pesc/second-stage\n")
    _write(f"{scratch}/second-stage", debian.SECOND_STAGE)
    os.makedirs(f"{scratch}/context", exist_ok=True)
    said = await call([engine.podman, "build", "--format=oci", "--network=none", "--squash-all", "--no-cache",
                       f"--file={scratch}/Dockerfile", f"--volume={scratch}/debs:/run/pesc/debs:ro",
                       f"--volume={scratch}/second-stage:/run/pesc/second-stage:ro", f"--tag={own}",
                       f"{scratch}/context"], seconds=MAKE_SECONDS)
    await call([engine.podman, "rmi", "--force", unpacked])
    if said.status != 0:
        last = (said.output + said.errors).strip().splitlines()[-8:]
        raise NoBase("its packages could not be installed:\n" + "\n".join(last))


async def _python(argv: Sequence[str], output: int) -> None:
    maker = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", *argv, stdin=asyncio.subprocess.DEVNULL, stdout=output,
        stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        _, errors = await asyncio.wait_for(maker.communicate(), MAKE_SECONDS)
    finally:
        if maker.returncode is None:
            maker.kill()
    if maker.returncode != 0:
        raise NoBase(errors.decode("utf-8", "replace").strip()[-800:])


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _or_complain(said: Said, what: str) -> None:
    if said.status != 0:
        raise NoBase(f"{what}: {said.last_words}.")
