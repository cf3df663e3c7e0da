"""Can the processes of a container be dumped here and restored elsewhere (CRIU)? Found out, and so far always no.

A startd is no administrator and has no capability (decision 0009); CRIU wants CAP_CHECKPOINT_RESTORE
outside the container's own user namespace. Decision 0016 says why nothing is built on it yet. What
is said here is the first thing in the way, so that the refusal of `checkpoint = process` can name it.
"""

import shutil
from collections.abc import Sequence

from dsl.classad.literals import quote
from startd.images.engine import call

CHECK_SECONDS = 20.0
MOST_WORDS = 300


async def why_none(path: str | None = None) -> str:
    """What is in the way, in words; it costs next to nothing where there is no CRIU."""
    criu = shutil.which("criu", path=path)
    if criu is None:
        return "criu is not on this machine"
    said = await _check([criu, "check", "--unprivileged"])
    if said:
        return f"criu cannot work for the user of this startd: {said}"
    return "criu works for the user of this startd, but this version of PESC makes no dumps of processes"


async def attributes() -> dict[str, str]:
    """What the machine's ad says of it."""
    return {"HasProcessCheckpoint": "false", "PescNoProcessCheckpoint": quote(await why_none())}


async def _check(argv: Sequence[str]) -> str:
    try:
        said = await call(argv, seconds=CHECK_SECONDS)
    except OSError as error:
        return f"it cannot be called ({error.strerror})"
    return "" if said.status == 0 else said.last_words[:MOST_WORDS]
