"""Can images be built here? Only what was tried is advertised."""

import logging
import os
import tempfile

from startd.images.engine import BUILDS_SINCE, CannotContain, Engine, call, dotted, find_engine, version_of

log = logging.getLogger(__name__)

TRIAL_SECONDS = 60.0


async def builders_engine() -> Engine | None:
    """The engine, if a small build went well with it."""
    try:
        engine = find_engine()
        version = await version_of(engine)
    except CannotContain as error:
        log.info("no images are built here: %s", error)
        return None
    if version < BUILDS_SINCE:
        log.warning("no images are built here: Podman is %s, and builds need %s", dotted(version),
                    dotted(BUILDS_SINCE))
        return None
    with tempfile.TemporaryDirectory() as folder:
        _write(f"{folder}/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
        said = await call([engine.podman, "build", "--quiet", "--format=oci", "--no-cache", "--network=none", folder],
                          seconds=TRIAL_SECONDS)
        if said.status == 0:
            await call([engine.podman, "rmi", "--force", said.output.strip()], seconds=TRIAL_SECONDS)
            return engine
    log.warning("no images are built here: %s", said.last_words)
    return None


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
