"""What a domain is made by, as one text and one key.

A recipe is a Dockerfile, the values of its arguments and the files that it copies. Its key
is the SHA-256 of all that in one canonical form: the same content has the same key, whoever
submits it, so a pool builds it once.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence

PACKAGE = re.compile(
    r"(?:(?P<kind>[a-z]+):)?(?P<name>[A-Za-z0-9][A-Za-z0-9._+-]*(?:\[[A-Za-z0-9,._-]+\])?)"
    r"(?P<version>(?:(?:===?|>=|<=|~=|!=|<|>|=)[A-Za-z0-9.*+_:~-]+(?:,(?=[=<>~!]))?)*)\Z")
"""`numpy>=2`, `apt:graphviz`."""

KINDS = ("pip", "apt", "r", "julia", "octave")

KIND_OF_LANGUAGE = {"python": "pip", "r": "r", "julia": "julia", "octave": "octave", "c": "apt", "cpp": "apt",
                    "java": "apt", "fortran": "apt", "shell": "apt"}

FORMAT = "1"
"""Raised when the same recipe would give another image."""

PIP_FOLDER = "/run/pesc/pip"
"""Where a builder shows its own pip to images that have none."""


class BadPackage(ValueError):
    """What is asked for is not a package; says so in words."""


def key_of(dockerfile: str, arguments: Mapping[str, str], context: str) -> str:
    """The name of what comes out; `context` is the SHA-256 of the copied files' list, or ""."""
    lines = [line.rstrip() for line in dockerfile.replace("\r\n", "\n").split("\n")]
    canonical = json.dumps([FORMAT, "\n".join(lines).strip("\n"), sorted(arguments.items()), context],
                           ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def with_packages(dockerfile: str, packages: Sequence[str], usual: str = "pip") -> str:
    """`dockerfile` and, after it, the lines that install `packages`; plain names are of the `usual` kind."""
    wanted: dict[str, list[str]] = {}
    for package in packages:
        found = PACKAGE.match(package)
        if found is None:
            raise BadPackage(f"{package[:60]!r} is not a package")
        kind = found["kind"] or usual
        if kind not in KINDS:
            raise BadPackage(f"there are no packages of kind {kind[:30]!r}; kinds are {', '.join(KINDS)}")
        name = found["name"] + found["version"]
        if kind != "pip" and found["version"] and not (kind == "apt" and re.match("=[^=]", found["version"])):
            raise BadPackage(f"{package[:60]!r}: a version can be chosen of pip packages only, and of apt packages "
                             "as NAME=VERSION")
        wanted.setdefault(kind, []).append(name)
    if not wanted:
        return dockerfile
    lines = [_INSTALL[kind](sorted(set(wanted[kind]))) for kind in ("apt", "octave", "pip", "r", "julia")
             if kind in wanted]
    return "\n".join([dockerfile.rstrip("\n"), *lines, ""])


def _pip(names: Sequence[str]) -> str:
    """With the pip of the image, else with that of the machine that builds."""
    quoted = " ".join(map(shlex.quote, names))
    return (f"RUN python3 -m pip --version >/dev/null 2>&1 || export PYTHONPATH={PIP_FOLDER}; "
            f"PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir --no-input "
            f"--disable-pip-version-check {quoted}")


def _apt(names: Sequence[str]) -> str:
    return ("RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
            f"{' '.join(map(shlex.quote, names))} && rm -rf /var/lib/apt/lists/*")


def _octave(names: Sequence[str]) -> str:
    return _apt([f"octave-{name}" for name in names])


def _r(names: Sequence[str]) -> str:
    vector = ", ".join(f'"{name}"' for name in names)
    script = (f"wanted <- c({vector}); install.packages(wanted, repos = getOption(\"repos\", "
              "\"https://cloud.r-project.org\")); stopifnot(all(wanted %in% rownames(installed.packages())))")
    return f"RUN Rscript -e {shlex.quote(script)}"


def _julia(names: Sequence[str]) -> str:
    vector = ", ".join(f'"{name}"' for name in names)
    script = f"using Pkg; Pkg.add([{vector}]); Pkg.precompile()"
    return (f"RUN JULIA_DEPOT_PATH=/usr/local/share/julia julia -e {shlex.quote(script)} "
            "&& chmod -R a+rX /usr/local/share/julia\nENV JULIA_DEPOT_PATH=:/usr/local/share/julia")


_INSTALL = {"pip": _pip, "apt": _apt, "octave": _octave, "r": _r, "julia": _julia}
