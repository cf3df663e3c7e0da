"""The image of a domain as one file, an OCI archive: what `podman load` and `skopeo` read and write."""

import hashlib
import io
import os
import tarfile
from typing import Any

import msgspec

from cli.common import DONE, say, say_json
from cli.pack import Packed, Source
from cli.upload import upload
from contract.client import Client
from contract.messages import Content, Image, Recipe, TreeEntry
from contract.problems import Problem
from contract.requests import DomainAdd, DomainShown
from contract.vocabulary import MAX_BLOB_BYTES

MOST_MEMBERS = 10_000


def export(client: Client, domain: DomainShown, path: str, as_json: bool) -> int:
    """Write the image of `domain` to `path`, whole or not at all."""
    if domain.image is None:
        raise Problem("wrong_state", f"The image of {domain.name} is not built.",
                      f"Build it with: pesc_domain build --wait {domain.name}")
    listed = b"".join(client.download(f"/v1/blobs/{domain.image.layout.sha256}"))
    entries = msgspec.json.decode(listed, type=list[TreeEntry])
    partial = f"{path}.part"
    try:
        with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as archive:
            for entry in entries:
                member = tarfile.TarInfo(entry.path)
                member.size, member.mode = entry.size, 0o644
                archive.addfile(member, _Reader(client, entry))
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
    if as_json:
        say_json({"file": path, "bytes": os.path.getsize(path), "image": domain.image.id})
    else:
        say(f"{path} holds the image of {domain.name} ({os.path.getsize(path) / 1e6:,.0f} MB).")
    return DONE


class _Reader(io.RawIOBase):
    """A content of the pool, as the file that tarfile reads."""

    def __init__(self, client: Client, entry: TreeEntry) -> None:
        self._pieces = iter(client.download(f"/v1/blobs/{entry.sha256}"))
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._left) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._left += piece
        taken = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(taken):]
        return taken


def bring_in(client: Client, name: str, path: str, everybody: bool, as_json: bool) -> int:
    """Send the image in `path` to the pool, under `name`."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        packed, entries = _unpacked(path, folder)
        image = _image(entries, folder, packed)
        upload(client, packed)
    recipe = Recipe(f"# imported\nFROM localhost/{image.id}\n")
    answer = client.call("POST", "/v1/domains", DomainShown, DomainAdd(name, recipe, image, "imported", everybody))
    if as_json:
        say_json(answer)
    else:
        say(f"{name} is ready.")
    return DONE


def _unpacked(path: str, folder: str) -> tuple[Packed, list[TreeEntry]]:
    """The files of the archive, in `folder`, each under a number: no name of it is believed."""
    packed, entries = Packed(), list[TreeEntry]()
    try:
        with tarfile.open(path) as archive:
            for number, member in enumerate(archive):
                if number > MOST_MEMBERS or member.size > MAX_BLOB_BYTES:
                    raise Problem("bad_domain", f"{path} holds more than an image does.", "Is it an OCI archive?")
                clean = member.name.removeprefix("./")
                if member.isdir():
                    continue
                if not member.isreg() or not _is_of_a_layout(clean):
                    raise Problem("bad_domain", f"{path} is no OCI archive: it holds {member.name[:80]!r}.",
                                  "Make one with: podman save --format oci-archive -o FILE IMAGE")
                source = archive.extractfile(member)
                assert source is not None
                place = f"{folder}/{number}"
                digest = hashlib.sha256()
                with open(place, "wb") as file:
                    while piece := source.read(1 << 20):
                        digest.update(piece)
                        file.write(piece)
                entries.append(TreeEntry(clean, digest.hexdigest(), member.size))
                packed.add(digest.hexdigest(), _source(place))
    except (tarfile.TarError, OSError) as error:
        raise Problem("bad_domain", f"{path} cannot be read: {error}.", "Is it an OCI archive?") from None
    return packed, sorted(entries, key=lambda entry: entry.path)


def _source(path: str) -> Source:
    from cli.pack import Stamp

    status = os.stat(path)
    if status.st_size <= 64 * 1024:
        with open(path, "rb") as file:
            return Source(status.st_size, file.read())
    return Source(status.st_size, None, path, "", Stamp.of(status))


def _is_of_a_layout(name: str) -> bool:
    parts = name.split("/")
    return name in ("oci-layout", "index.json") or (
        len(parts) == 3 and parts[:2] == ["blobs", "sha256"] and len(parts[2]) == 64 and parts[2].isalnum())


def _image(entries: list[TreeEntry], folder: str, packed: Packed) -> Image:
    """What the layout's index says it is."""
    by_path = {entry.path: entry for entry in entries}

    def read(path: str) -> Any:
        entry = by_path.get(path)
        if entry is None:
            raise Problem("bad_domain", f"The archive lacks {path}.", "Make it again.")
        return msgspec.json.decode(b"".join(packed.sources[entry.sha256].pieces()))

    try:
        manifests = read("index.json")["manifests"]
        if len(manifests) != 1:
            raise Problem("bad_domain", f"The archive holds {len(manifests)} images, not one.", "Save one by itself.")
        manifest = read(f"blobs/sha256/{manifests[0]['digest'].removeprefix('sha256:')}")
        identity = manifest["config"]["digest"].removeprefix("sha256:")
        config = read(f"blobs/sha256/{identity}")
        size = sum(layer["size"] for layer in manifest["layers"])
    except (KeyError, TypeError, AttributeError, msgspec.MsgspecError) as error:
        raise Problem("bad_domain", f"The archive is not understood: {error}.", "Is it an OCI archive?") from None
    encoded = msgspec.json.encode(entries)
    sha256 = hashlib.sha256(encoded).hexdigest()
    packed.add(sha256, Source(len(encoded), encoded))
    return Image(identity, Content(sha256, len(encoded), tree=True), size, str(config.get("architecture", "")))
