"""Job and machine ads as text: whole ads (`-l`), chosen attributes (`-af`), values.

An ad comes as JSON the way HTCondor writes it: literals as themselves, expressions as
`/Expr(text)/`. Pure; expressions are evaluated by `dsl.classad`, imported only then.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.problems import Problem
from contract.requests import Ad

_EXPRESSION = re.compile(r"/Expr\((.*)\)/", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


@dataclass(frozen=True, slots=True)
class Autoformat:
    """HTCondor's letters after `-af:`."""

    labels: bool = False
    heading: bool = False
    job_id: bool = False
    quoted: bool = False
    raw: bool = False
    between: str = " "
    after_each_ad: str = ""

    @classmethod
    def of_letters(cls, letters: str) -> "Autoformat":
        """Read the letters; the later of two separators wins."""
        between, after = " ", ""
        for letter in letters:
            match letter:
                case "," | "t" | "n":
                    between = {",": ", ", "t": "\t", "n": "\n"}[letter]
                case "g":
                    after = "\n"
                case "l" | "h" | "j" | "V" | "r" | "o":
                    pass
                case _:
                    raise Problem("bad_request", f"-af:{letters}: {letter!r} is not one of its letters.",
                                  "The letters are: j job id, h heading, l labels, V quoted, r as written, "
                                  "t tabs, n one a line, a comma, g an empty line between ads.")
        return cls("l" in letters, "h" in letters, "j" in letters, "V" in letters,
                   "r" in letters or "o" in letters, between, after)


def is_name(text: str) -> bool:
    """Whether `text` is an attribute's name rather than an expression."""
    return _NAME.fullmatch(text) is not None


def has_expression(ads: Iterable[Ad]) -> bool:
    """Whether an attribute of these ads must be evaluated to be known."""
    return any(isinstance(value, str) and _EXPRESSION.fullmatch(value) for ad in ads for value in ad.values())


def literal(value: Any) -> str:
    """A value as ClassAd text: what can be read again."""
    match value:
        case None:
            return "undefined"
        case bool():
            return "true" if value else "false"
        case str():
            expression = _EXPRESSION.fullmatch(value)
            return expression[1] if expression else quoted(value)
        case list():
            return "{ " + ", ".join(map(literal, value)) + " }" if value else "{ }"
        case dict():
            return "[ " + "; ".join(f"{name} = {literal(item)}" for name, item in value.items()) + " ]"
        case _:
            return repr(value)


def quoted(text: str) -> str:
    """A string as ClassAd text; what could drive a terminal is escaped."""
    escaped = "".join(_ESCAPES.get(character, character) for character in text)
    return '"' + _CONTROL.sub(lambda found: f"\\{ord(found[0]):03o}", escaped) + '"'


def shown(value: Any) -> str:
    """A value as people read it: a string without its quotes."""
    if isinstance(value, str) and not _EXPRESSION.fullmatch(value):
        return value
    return literal(value)


def plain(text: str, width: int = 0) -> str:
    """`text` for a table: one line, nothing that could drive a terminal, at most `width` characters."""
    clean = _CONTROL.sub("?", text)
    return clean[: width - 1] + "…" if 0 < width < len(clean) else clean


def get(ad: Mapping[str, Any], name: str, missing: Any = None) -> Any:
    """The attribute `name`, whatever its letters' case."""
    if name in ad:
        return ad[name]
    wanted = name.lower()
    return next((value for key, value in ad.items() if key.lower() == wanted), missing)


def long_form(ads: Iterable[Ad]) -> str:
    """Whole ads, one attribute a line, an empty line between two ads."""
    return "\n\n".join(
        "\n".join(f"{name} = {literal(ad[name])}" for name in sorted(ad, key=str.lower)) for ad in ads)


def autoformat(ads: Sequence[Ad], expressions: Sequence[str], letters: str = "") -> str:
    """The values of `expressions` for each ad, one ad a line unless `letters` say otherwise."""
    how = Autoformat.of_letters(letters)
    rows = [_row(ad, expressions, how) for ad in ads]
    if how.heading:
        rows.insert(0, ([" ID"] if how.job_id else []) + list(expressions))
        if how.between == " ":
            rows = _aligned(rows)
    return "\n".join(how.between.join(row).rstrip(" ") + how.after_each_ad for row in rows)


def _row(ad: Ad, expressions: Sequence[str], how: Autoformat) -> list[str]:
    row = [f"{get(ad, 'ClusterId', '?')}.{get(ad, 'ProcId', '?')}"] if how.job_id else []
    for expression in expressions:
        value = _value(ad, expression, how.raw)
        text = literal(value) if how.quoted else shown(value)
        row.append(f"{expression} = {text}" if how.labels else text)
    return row


def _value(ad: Ad, expression: str, raw: bool) -> Any:
    if is_name(expression):
        value = get(ad, expression)
        if raw or not (isinstance(value, str) and _EXPRESSION.fullmatch(value)):
            return value
    from cli.evaluate import evaluate

    return evaluate(expression, ad)


def _aligned(rows: list[list[str]]) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
