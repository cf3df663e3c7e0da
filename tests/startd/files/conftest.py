"""A state folder with a cache and sandboxes, and trees to put into it."""

import json
import shutil
from pathlib import Path

import pytest

from contract.messages import Content, Grant, TreeEntry
from startd.core.contract import Person
from startd.files.cache import Cache
from startd.files.sandbox import Sandboxes
from tests.builders import sha256


class Room:
    """What a startd has on its disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = str(folder)
        self.open()

    def open(self) -> None:
        self.cache = Cache(self.state)
        self.sandboxes = Sandboxes(self.state, self.cache, Person("dana", "/usr/bin:/bin"), shutil.which)

    def content(self, raw: bytes, **changes) -> Content:
        """A content that is in the cache already."""
        self.cache.keep(sha256(raw), raw)
        return Content(sha256(raw), len(raw), **changes)

    def tree(self, files: dict[str, bytes], executable=()) -> Content:
        for raw in files.values():
            self.cache.keep(sha256(raw), raw)
        entries = [TreeEntry(path, sha256(raw), len(raw), path in executable) for path, raw in sorted(files.items())]
        return self.content(json.dumps([[
            entry.path, entry.sha256, entry.size, entry.executable] for entry in entries]).encode(), tree=True)

    def prepare(self, grant: Grant):
        self.cache.hold(grant)
        assert self.cache.lacking(grant) == []
        return self.sandboxes.prepare(grant)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "startd")
