"""The items of a queue line: one row for each, one cell for each variable."""

import re

from dsl.submit.forms import QueueArguments

_WORD = re.compile(r"[^\s,]*")
_SEPARATOR = re.compile(r",\s*|\s+")
"""One comma or blanks: a comma after a blank ends the next, empty, cell."""
_SLICE_PART = re.compile(r"\s*-?[0-9]{1,9}\s*\Z")
UNIT_SEPARATOR = "\x1f"


class BadItems(Exception):
    """The items cannot be taken; `part` is the text at fault."""

    def __init__(self, part: str, what: str, why: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.part, self.what, self.why, self.cure = part, what, why, cure


def listed(text: str) -> list[str]:
    """The items of `in a, b c`: separated by commas and blanks."""
    return [item for item in re.split(r"[\s,]+", text) if item]


def inline(queue: QueueArguments) -> str | None:
    """What stands between `(` and `)` on the queue line; None if the list begins there and goes on below."""
    text = queue.list.strip()
    if text == "(":
        return None
    if text.startswith("("):
        if not text.endswith(")"):
            raise BadItems(text, "the list that begins here is not closed",
                           "Something follows the \")\"." if ")" in text else "",
                           "Either all on one line, (a, b), or \"(\" ends this line and \")\" stands alone below.")
        return text[1:-1]
    return text


def row(text: str, width: int) -> list[str]:
    """The cells of one row: a word for each variable, the last takes the rest."""
    text = text.strip(" \t\r\f\v")
    if UNIT_SEPARATOR in text:
        cells = [cell.strip() for cell in text.split(UNIT_SEPARATOR)][:width]
        return cells + [""] * (width - len(cells))
    if "," not in text:
        cells = text.split(None, width - 1)
        return cells + [""] * (width - len(cells))
    cells = []
    position = 0
    while len(cells) < width - 1:
        found = _WORD.match(text, position)
        cells.append(found[0] if found else "")
        position = found.end() if found else position
        if separator := _SEPARATOR.match(text, position):
            position = separator.end()
    return [*cells, text[position:]]


def table_row(text: str, width: int) -> list[str]:
    """The cells of one row of a table: between commas, the last takes the rest."""
    if UNIT_SEPARATOR in text:
        return row(text, width)
    cells = [cell.strip() for cell in text.split(",", width - 1)]
    return cells + [""] * (width - len(cells))


def sliced(rows: list[list[str]], slice_text: str | None) -> tuple[list[list[str]], list[int] | None]:
    """The rows that `[start:stop:step]` keeps, and the numbers they had; None if it keeps them all in place."""
    if slice_text is None or not slice_text.strip("[]: \t"):
        return rows, None
    parts = slice_text.strip()[1:-1].split(":")
    if len(parts) > 3 or not all(not part.strip() or _SLICE_PART.match(part) for part in parts):
        raise BadItems(slice_text, f"{slice_text} is not a slice", "", "Write [start:stop:step], as in Python.")
    bounds = [int(part.strip()) if part.strip() else None for part in parts]
    # As in HTCondor, [2] is [2:].
    start, stop, step = (*bounds, None, None)[:3]
    if step is not None and step < 1:
        raise BadItems(slice_text, f"a slice cannot step by {step}", "", "Steps are at least 1.")
    numbers = list(range(len(rows)))[start:stop:step]
    return [rows[number] for number in numbers], numbers
