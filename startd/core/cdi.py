"""What the machine's CDI specification says of the GPUs that were granted (Container Device Interface).

Pure: files become values in `startd.runtime.cdi`, and are laid out for a container in
`startd.runtime.gpudevices`. A specification says for all its devices, and for each of them, which
device files, mounts, variables and hooks a container needs. Its hooks are programs that change a
container's files as root, which nobody is here: what they are for is done by `layout` instead.
See docs/decisions/0017-gpus-by-cdi.md.

CDI-1: a container is shown the devices that were granted, all of them, and no other; what a
       specification says is used only where that is so, else `NotShown` tells why.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

import msgspec

KIND = "nvidia.com/gpu"
CUDA = "libcuda.so.1"
"""Without it a program cannot use a GPU, whatever devices it sees."""

CARD = re.compile(r"/dev/nvidia([0-9]+)|/dev/dxg")
LIBRARY = re.compile(r"lib.+\.so(\.\S+)?|.+_drv\.so")
LINK = re.compile(r"[\w+-][\w.+-]*\.so(\.[\w.+-]+)?")
NEEDED = re.compile(r"/dev/nvidia([0-9]+|ctl|-uvm|-caps/.+)|/dev/dxg")
"""Device files without which a GPU cannot be used; others, for drawing and displays, may be away."""

CLOSED = ("/pesc", "/proc", "/sys", "/dev", "/etc/passwd", "/etc/group")
"""Where a specification may not put a mount: these are ours, or the kernel's."""

NEEDLESS = frozenset({"update-ldcache", "create-soname-symlinks", "enable-cuda-compat", "cudacompat", "chmod",
                      "disable-device-node-modification"})
"""Hooks whose purpose is met: the loader is pointed to the libraries, which have all their names (`layout`) and are
those of this machine's driver; a container, having no capability, can neither make devices nor change their modes."""

Text = Annotated[str, msgspec.Meta(max_length=4096)]
Texts = Annotated[list[Text], msgspec.Meta(max_length=256)]


class NotShown(Exception):
    """A specification cannot be used for what was granted; says why, and names its file."""


class Node(msgspec.Struct, frozen=True):
    """A device file."""

    path: Text
    hostPath: Text = ""
    type: Text = ""


class Mount(msgspec.Struct, frozen=True):
    """A file or folder of the machine, and where a container is to find it."""

    hostPath: Text
    containerPath: Text
    type: Text = ""


class Hook(msgspec.Struct, frozen=True):
    """A program that would be called while a container is made."""

    path: Text
    args: Texts = msgspec.field(default_factory=list)


class Edits(msgspec.Struct, frozen=True):
    """What a container needs."""

    env: Texts = msgspec.field(default_factory=list)
    deviceNodes: Annotated[list[Node], msgspec.Meta(max_length=256)] = msgspec.field(default_factory=list)
    mounts: Annotated[list[Mount], msgspec.Meta(max_length=1024)] = msgspec.field(default_factory=list)
    hooks: Annotated[list[Hook], msgspec.Meta(max_length=256)] = msgspec.field(default_factory=list)


class Named(msgspec.Struct, frozen=True):
    """A device, by one of its names: GPU-3b7f…, MIG-41c2…, 0, 0:1, gpu0, all."""

    name: Text
    containerEdits: Edits = msgspec.field(default_factory=Edits)


class Specification(msgspec.Struct, frozen=True):
    """A file of /etc/cdi."""

    cdiVersion: Text
    kind: Text
    devices: Annotated[list[Named], msgspec.Meta(max_length=2048)]
    containerEdits: Edits = msgspec.field(default_factory=Edits)
    file: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """A granted device, by all that is known of it here."""

    uuid: str
    minor: str = ""
    """The number in the name of its device file; "" where the driver does not tell, and for a slice."""

    @property
    def is_slice(self) -> bool:
        return self.uuid.startswith("MIG-")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a container is shown of the machine, in the machine's own places."""

    file: str
    nodes: dict[str, str] = field(default_factory=dict)
    """By place in the container, the device file here."""
    mounts: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """The same, as a container of ours can have it: in one folder of its own, which is read-only."""

    files: dict[str, str]
    """By name in that folder, which file here: libraries, and programs below bin/."""
    links: dict[str, str]
    others: dict[str, str]
    """By place in the container: what is shown only where an image has such a place."""


def specification(value: object, file: str) -> Specification | None:
    """The specification that a file holds, None if it is of other devices; raise NotShown."""
    if not isinstance(value, dict) or "kind" not in value:
        raise NotShown(f'{file} is no CDI specification: it does not say its "kind".')
    if value["kind"] != KIND:
        return None
    try:
        read = msgspec.convert(_said(value), Specification, strict=False)
    except msgspec.ValidationError as error:
        raise NotShown(f"{file} is not as CDI wants it: {error}.") from None
    for edits in (read.containerEdits, *(device.containerEdits for device in read.devices)):
        _check(edits, file)
    shown = [node.path for node in read.containerEdits.deviceNodes if CARD.fullmatch(node.path)]
    if shown:
        raise NotShown(f"{file} would show {shown[0]} to every container that has a GPU.")
    return msgspec.structs.replace(read, file=file)


def shown(found: Sequence[Specification], granted: Iterable[Granted]) -> Shown:
    """What the specifications, the one that counts most first, say of these devices; raise NotShown."""
    chosen: list[tuple[Specification, Named]] = [_find(found, one) for one in granted]
    nodes: dict[str, str] = {}
    mounts: dict[str, str] = {}
    environment: dict[str, str] = {}
    links: dict[str, str] = {}
    left_out: list[str] = []
    wholes = {whole.file: whole.containerEdits for whole, _ in chosen}
    for edits in (*wholes.values(), *(device.containerEdits for _, device in chosen)):
        nodes |= {node.path: node.hostPath or node.path for node in edits.deviceNodes}
        environment |= dict(text.split("=", 1) for text in edits.env)
        for mount in edits.mounts:
            if mount.type in ("", "bind", "none"):
                mounts.setdefault(mount.containerPath, mount.hostPath)
            else:
                left_out.append(f"the mount {mount.containerPath} of type {mount.type}")
        for hook in edits.hooks:
            made = _links(hook)
            if made is None:
                left_out.append(f"the hook {' '.join([hook.path, *hook.args[1:2]])}")
            else:
                links |= made
    return Shown(", ".join(sorted(wholes)), nodes, mounts, environment, links, tuple(dict.fromkeys(left_out)))


def layout(shown: Shown, soname: Callable[[str], str | None]) -> Layout:
    """Where a container finds all that; `soname` is the name a library calls itself, None if none of ours can load it.

    Raise NotShown if programs could not load CUDA from it.
    """
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    others: dict[str, str] = {}
    for place, source in shown.mounts.items():
        folder, name = posixpath.split(place)
        if LIBRARY.fullmatch(name):
            own = soname(source)
            if own is not None and files.setdefault(name, source) == source and own:
                links.setdefault(own, name)
        elif posixpath.basename(folder) in ("bin", "sbin"):
            files.setdefault(f"bin/{name}", source)
        else:
            others[place] = source
    for place, target in shown.links.items():
        links.setdefault(posixpath.basename(place), posixpath.basename(target))
    links = {name: target for name, target in links.items() if name not in files and LINK.fullmatch(name)}
    links = {name: target for name, target in links.items() if _leads_to_a_file(name, links, files)}
    if CUDA not in files and CUDA not in links:
        raise NotShown(f"{shown.file} brings no {CUDA}, the driver's library for programs.")
    return Layout(files, links, others)


def _said(value: object) -> object:
    """The same without what is said to be nothing: "mounts: null" is as good as no such line."""
    if isinstance(value, dict):
        return {name: _said(part) for name, part in value.items() if part is not None}
    return [_said(part) for part in value] if isinstance(value, list) else value


def _check(edits: Edits, file: str) -> None:
    for node in edits.deviceNodes:
        if not node.path.startswith("/dev/") or not _is_plain(node.path):
            raise NotShown(f"{file} has a device file outside /dev: {node.path!r}.")
        if node.type not in ("", "c", "u") or (node.hostPath and not _is_plain(node.hostPath)):
            raise NotShown(f"{file}: {node.path!r} is not a device file that a container could be shown.")
    for mount in edits.mounts:
        if not _is_plain(mount.containerPath) or not (_is_plain(mount.hostPath) or mount.type):
            raise NotShown(f"{file}: the mount {mount.hostPath!r} to {mount.containerPath!r} is not by whole paths.")
        if any(mount.containerPath == place or mount.containerPath.startswith(f"{place}/") for place in CLOSED):
            raise NotShown(f"{file} would put a mount over {mount.containerPath}.")
    for text in edits.env:
        if not re.match(r"[A-Za-z_]\w*=", text) or "\0" in text:
            raise NotShown(f"{file}: {text!r} is not NAME=VALUE.")


def _is_plain(path: str) -> bool:
    return path.startswith("/") and path != "/" and posixpath.normpath(path) == path and "\0" not in path


def _find(found: Sequence[Specification], granted: Granted) -> tuple[Specification, Named]:
    """By its UUID, else by its device file. Never by its number: that may be another device's by now."""
    why = ""
    for whole in found:
        for device in whole.devices:
            if device.name == granted.uuid:
                why = _why_not(granted, device)
                if not why:
                    return whole, device
                why = f"{whole.file}: the device {device.name!r} {why}."
        for device in whole.devices:
            if granted.minor and not _why_not(granted, device):
                return whole, device
    names = " by UUID (nvidia-ctk cdi generate --device-name-strategy=uuid …)" if granted.is_slice else ""
    raise NotShown(why or f"{', '.join(whole.file for whole in found)} does not list {granted.uuid}{names}.")


def _why_not(granted: Granted, device: Named) -> str:
    paths = [node.path for node in device.containerEdits.deviceNodes]
    cards = [path for path in paths if CARD.fullmatch(path)]
    if len(cards) != 1:
        return "has no device file of a card" if not cards else f"is several cards: {', '.join(cards)}"
    if granted.minor and cards[0] != f"/dev/nvidia{granted.minor}":
        return f"is {cards[0]}, but {granted.uuid} is /dev/nvidia{granted.minor} now"
    is_slice = any(path.startswith("/dev/nvidia-caps/") for path in paths)
    if granted.is_slice and not is_slice:
        return "has no device file of a slice (/dev/nvidia-caps/…)"
    return "is a slice of a card" if is_slice and not granted.is_slice else ""


def _links(hook: Hook) -> dict[str, str] | None:
    """The links that a hook would make, by their place; none, if it is needless; None, if nobody knows what it does."""
    words = hook.args[1:]
    if words[:1] == ["hook"]:  # as in `nvidia-ctk hook create-symlinks`
        words = words[1:]
    if not words or (words[0] != "create-symlinks" and words[0] not in NEEDLESS):
        return None
    if words[0] in NEEDLESS:
        return {}
    links = {}
    for before, word in pairwise(words):
        said = word if before == "--link" else word.removeprefix("--link=") if word.startswith("--link=") else ""
        target, _, place = said.partition("::")
        if target and place:
            links[place] = target
    return links


def _leads_to_a_file(name: str, links: dict[str, str], files: dict[str, str]) -> bool:
    seen: set[str] = set()
    while name in links and name not in seen:
        seen.add(name)
        name = links[name]
    return name in files
