"""Names of images: what they look like, and whether a policy allows them."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

OWN_BASES = {
    "base": "the machine's own Python, its standard library and busybox",
    "base-debian": "Debian with Python, pip and apt, unpacked from the machine's own package sources",
}
"""Images that a machine makes by itself, without any registry."""

SCRATCH = "scratch"

_REFERENCE = re.compile(
    r"(?:(?P<host>(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+:[0-9]+)(?::[0-9]+)?)/)?"
    r"(?P<path>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?\Z")


def is_reference(text: str) -> bool:
    """Whether `text` can be the name of an image."""
    return len(text) <= 500 and _REFERENCE.match(text) is not None


def whole(text: str) -> str:
    """The name with all that is left out put in: python → docker.io/library/python:latest."""
    found = _REFERENCE.match(text)
    if found is None:
        return text
    host, path = found["host"] or "docker.io", found["path"]
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    tag = found["tag"] or ("" if found["digest"] else "latest")
    return f"{host}/{path}{':' + tag if tag else ''}{'@' + found['digest'] if found['digest'] else ''}"


def is_allowed(text: str, allowed: Sequence[str]) -> bool:
    """Whether one of the patterns covers the image, by its short name or its whole one.

    A pattern without a tag covers all tags.
    """
    if text in OWN_BASES or text == SCRATCH:
        return True
    names = {text, whole(text)}
    names |= {name.partition("@")[0] for name in names}
    names |= {_without_tag(name) for name in names}
    return any(fnmatchcase(name, pattern) for name in names for pattern in allowed)


def _without_tag(name: str) -> str:
    head, _, tail = name.rpartition(":")
    return head if head and "/" not in tail else name
