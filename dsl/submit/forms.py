"""What a line of a submit file may say, as values; `parse` makes them of its text."""

from dataclasses import dataclass
from typing import NamedTuple


class Assignment(NamedTuple):
    """`name = value`; `offset` is where the value begins in its line."""

    name: str
    value: str
    offset: int
    name_offset: int


class Attribute(NamedTuple):
    """`+Name = expression` or `MY.Name = expression`."""

    name: str
    value: str
    offset: int
    name_offset: int


class Block(NamedTuple):
    """`name @=TAG`: the lines up to `@TAG` are the value."""

    name: str
    tag: str
    name_offset: int


class Queue(NamedTuple):
    """`queue …`; what the arguments say is known once their macros are expanded."""

    arguments: str
    offset: int


class Condition(NamedTuple):
    """`if`, `elif`, `else` or `endif`."""

    word: str
    condition: str
    offset: int


class Message(NamedTuple):
    """`error : text` or `warning : text`."""

    kind: str
    text: str


class Include(NamedTuple):
    """`include [ifexist | command [into CACHE]] : target`; `how` are the words before the colon."""

    how: str
    target: str
    offset: int


class Use(NamedTuple):
    """`use CATEGORY : template`."""

    template: str
    offset: int


class Sweep(NamedTuple):
    """`sweep x in 1..9, …`; read once its macros are expanded."""

    axes: str
    offset: int


class TableFile(NamedTuple):
    """`table FILE.csv`."""

    path: str
    offset: int


Statement = Assignment | Attribute | Block | Queue | Condition | Message | Include | Use | Sweep | TableFile


@dataclass(frozen=True, slots=True)
class QueueArguments:
    """`[count] [names] [in | from | matching [kind] [slice] list]`."""

    count: int | None = None
    names: tuple[str, ...] = ()
    source: str | None = None
    kind: str = ""
    slice: str | None = None
    list: str = ""


class SweepAxis(NamedTuple):
    """`name in first..last step step` or `name in (values)`; numbers as they are written."""

    name: str
    offset: int
    length: int
    first: str = ""
    last: str = ""
    step: str = ""
    values: list[str] | None = None


class BadLine(Exception):
    """The line says nothing that can be understood, from `offset` on."""

    def __init__(self, offset: int, length: int, what: str, why: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.offset, self.length, self.what, self.why, self.cure = offset, length, what, why, cure
