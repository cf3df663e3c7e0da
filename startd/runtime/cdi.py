"""The CDI specifications of this machine, read again when their files change.

They are YAML or JSON, written by `nvidia-ctk cdi generate`. Of YAML only what such files
consist of is read: mappings, lists and scalars, taken as text, within bounds and without aliases,
so that no file can make the startd large or slow.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from startd.core.cdi import NotShown, Specification, specification

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""What is in a later folder counts for more: it was written since the machine was started."""

LARGEST_BYTES = 4 * 1024**2
MOST_FILES = 64
MOST_NESTED = 16


class Specifications:
    """Those of NVIDIA's GPUs, the one that counts most first; and what is wrong with the others."""

    def __init__(self, folders: Sequence[str] = FOLDERS) -> None:
        self._folders = folders
        self._seen: object = None
        self._read: tuple[list[Specification], list[str]] = ([], [])

    def read(self) -> tuple[list[Specification], list[str]]:
        files = list(self._files())
        if files != self._seen:
            found: list[Specification] = []
            wrong: list[str] = []
            for path, *_ in files:
                try:
                    one = specification(_value_of(path), path)
                except NotShown as error:
                    wrong.append(str(error))
                else:
                    found += [one] if one is not None else []
            self._read, self._seen = (found, wrong), files
        return self._read

    def _files(self) -> Iterator[tuple[str, int, int, int]]:
        """What there is to read, and what shows that it has changed."""
        for folder in reversed(self._folders):
            try:
                names = sorted(name for name in os.listdir(folder) if name.endswith((".json", ".yaml", ".yml")))
            except OSError:
                continue
            for name in names[:MOST_FILES]:
                try:
                    found = os.stat(f"{folder}/{name}")
                    yield f"{folder}/{name}", found.st_ino, found.st_size, found.st_mtime_ns
                except OSError:
                    yield f"{folder}/{name}", 0, 0, 0


def _value_of(path: str) -> object:
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise NotShown(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST_BYTES:
        raise NotShown(f"{path} is larger than {LARGEST_BYTES // 1024**2} MiB.")
    try:
        text = content.decode()
        if not path.endswith(".json"):
            return read_yaml(text)
        try:
            return msgspec.json.decode(content)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
    except ValueError as error:  # also what msgspec raises, and what is not UTF-8
        raise NotShown(f"{path} is broken: {error}.") from None


def read_yaml(text: str) -> object:
    """Mappings, lists and texts; raise ValueError with the place of what is wrong."""
    import yaml  # 15 ms, and most machines have no such file

    def line_of(mark: Any) -> int:
        return int(mark.line) + 1

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    top: list[Any] = []
    open_ones: list[Any] = [top]
    keys: list[str | None] = [None]

    def put(value: object) -> None:
        into = open_ones[-1]
        if isinstance(into, list):
            into.append(value)
        elif keys[-1] is None:
            if not isinstance(value, str):
                raise ValueError("a key is not a text")
            keys[-1] = value
        else:
            into[keys[-1]], keys[-1] = value, None

    try:
        for event in yaml.parse(text, Loader=loader):
            match event:
                case yaml.ScalarEvent():
                    is_nothing = event.style in (None, "") and event.value in ("", "~", "null")
                    put(None if is_nothing and keys[-1] is not None else event.value)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    opened: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
                    put(opened)
                    open_ones.append(opened)
                    keys.append(None)
                    if len(open_ones) > MOST_NESTED:
                        raise ValueError(f"line {line_of(event.start_mark)} is nested too deeply")
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    open_ones.pop()
                    keys.pop()
                case yaml.AliasEvent():
                    raise ValueError(f"line {line_of(event.start_mark)} refers to another place of the file")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {line_of(mark)}: " if mark is not None else ""
        raise ValueError(f"{where}{getattr(error, 'problem', None) or 'it is not YAML'}") from None
    return top[0] if len(top) == 1 else None
