"""Where in a value the macros are.

`scan` cuts a value into literal text, references `$(name:default)` and calls
`$FUNCTION(…)`. What looks like a macro but is none (`$x`, `$(a-b)`, an unclosed
`$(`, an unknown function) is literal text, and so is `$$(Attr)`, which is filled
in from the machine when the job starts.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_NESTING = 40


class Reference(NamedTuple):
    """`$(name)` or `$(name:default)`; the name is in lower case."""

    name: str
    default: "tuple[Part, ...] | None" = None


class Call(NamedTuple):
    """`$FUNCTION(arguments)`."""

    function: str
    arguments: "tuple[Part, ...]"


Part = str | Reference | Call

RANDOM = ("RANDOM_CHOICE", "RANDOM_INTEGER")
FUNCTIONS = ("ENV", "INT", "REAL", "STRING", "EVAL", "SUBSTR", "CHOICE", "BASENAME", "DIRNAME", *RANDOM)
_FILE_FUNCTION = re.compile(r"F[pdnxbfquaw]*\Z")
_MARK = re.compile(r"(?P<kept>\$\$\(\[?)|\$(?P<function>[A-Za-z_]+)\(|\$\((?P<name>[A-Za-z0-9_.]+)(?P<end>[:)])|[()]")


class TooDeep(Exception):
    """Macros nested beyond MAX_NESTING, at `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


@dataclass(slots=True)
class _Frame:
    """A macro whose closing parenthesis has not come yet."""

    opening: str
    name: str = ""
    function: str = ""
    parts: list[Part] = field(default_factory=list)
    parentheses: int = 0


def scan(text: str) -> tuple[Part, ...]:
    """Return `text` as literal parts, references and calls; linear in its length."""
    if "$" not in text:
        return (text,) if text else ()
    stack = [_Frame("")]
    position = 0
    for mark in _MARK.finditer(text):
        frame = stack[-1]
        if mark.start() > position:
            frame.parts.append(text[position : mark.start()])
        position = mark.end()
        token = mark[0]
        if mark["name"] and mark["end"] == ")":
            frame.parts.append(Reference(mark["name"].lower()))
        elif mark["name"]:
            stack.append(_Frame(token, name=mark["name"].lower()))
        elif mark["function"] and _is_function(mark["function"]):
            stack.append(_Frame(token, function=mark["function"]))
        elif token != ")":
            frame.parts.append(token)
            frame.parentheses += 1
        elif frame.parentheses or len(stack) == 1:
            frame.parts.append(token)
            frame.parentheses = max(0, frame.parentheses - 1)
        else:
            stack.pop()
            stack[-1].parts.append(_closed(frame))
        if len(stack) > MAX_NESTING:
            raise TooDeep(mark.start())
    stack[-1].parts.append(text[position:])
    while len(stack) > 1:
        unclosed = stack.pop()
        stack[-1].parts += [unclosed.opening, *unclosed.parts]
    return _joined(stack[0].parts)


def references(parts: tuple[Part, ...]) -> set[str]:
    """The macros that these parts name, defaults and arguments included."""
    found: set[str] = set()
    for part in parts:
        if isinstance(part, Reference):
            found.add(part.name)
            found |= references(part.default or ())
        elif isinstance(part, Call):
            found |= references(part.arguments)
            if part.function != "ENV":
                found |= _named_in(part.arguments)
    return found


def _named_in(arguments: tuple[Part, ...]) -> set[str]:
    """`$INT(n)` names the macro n as an argument."""
    words = "".join(part for part in arguments if isinstance(part, str)).split(",")
    return {word.strip().lower() for word in words}


def _is_function(name: str) -> bool:
    return name in FUNCTIONS or bool(_FILE_FUNCTION.match(name))


def _closed(frame: _Frame) -> Part:
    if frame.function:
        return Call(frame.function, _joined(frame.parts))
    return Reference(frame.name, _joined(frame.parts))


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbouring texts made one."""
    result: list[Part] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if joined := "".join(texts):
            result.append(joined)
        texts = []
        result.append(part)
    if joined := "".join(texts):
        result.append(joined)
    return tuple(result)
