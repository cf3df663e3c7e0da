"""Tables of a sweep: CSV with the names of its columns in the first row.

Cells may be quoted as CSV quotes; a comma separates them, or a semicolon or a tab
where the first row has no comma.
"""

import csv
import re
from typing import NamedTuple

from dsl.submit.lines import is_text
from dsl.submit.mistakes import shown
from dsl.submit.sweeps import Axis, kind_of

MOST_TOLD = 5
MOST_COLUMNS = 1000
_LINES = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
"""Not `splitlines`: a cell may hold other ends of lines, such as U+2028."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")


class Fault(NamedTuple):
    """What is wrong on a line (from 1) of the table."""

    line: int
    what: str
    why: str = ""
    cure: str = ""


def read_table(text: str) -> tuple[Axis | None, list[Fault]]:
    """The table as an axis, or what is wrong with it."""
    text = text.removeprefix("\ufeff")
    if not is_text(text):
        return None, [Fault(1, "the table is not text", "It holds NUL bytes or is not UTF-8.")]
    first = text.partition("\n")[0]
    separator = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(_LINES.findall(text), delimiter=separator, skipinitialspace=True, strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            if row:
                rows.append((line, [cell.strip() for cell in row]))
            line = reader.line_num + 1
    except csv.Error as error:
        return None, [Fault(line, f"this row is not CSV: {error}", "", 'Quotes stand around a whole cell; write "" for '
                            "one inside.")]
    if not rows:
        return None, [Fault(1, "the table is empty", "", "Its first row names the columns.")]
    (line, names), *body = rows
    faults = _check_names(line, names)
    faults += [Fault(line, f"this row has {_number(len(row), 'cell')}, and there {'is' if len(names) == 1 else 'are'} "
                     f"{_number(len(names), 'column')}", "",
                     "Put a cell that holds the separator into quotes.")
               for line, row in body if len(row) != len(names)][:MOST_TOLD]
    if not body and not faults:
        faults.append(Fault(line, "the table has no rows", "Only the names of its columns.", "Add rows below."))
    if faults:
        return None, faults
    cells = [row for _, row in body]
    return Axis(names, [kind_of(row[number] for row in cells) for number in range(len(names))], len(cells),
                rows=cells), []


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _check_names(line: int, names: list[str]) -> list[Fault]:
    if len(names) > MOST_COLUMNS:
        return [Fault(line, f"the table has {len(names):,} columns", f"At most {MOST_COLUMNS:,}.")]
    faults = []
    seen: list[str] = []
    for name in names:
        if not _NAME.match(name):
            fixed = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "x"
            faults.append(Fault(line, f"{shown(name)!r} is not a name for a column", "It is the name of a macro: "
                                'letters, digits and "_".', f"Write: {shown(fixed)}"))
        elif name.lower() in seen:
            faults.append(Fault(line, f"two columns are called {shown(name)}", "", "Give them two names."))
        seen.append(name.lower())
    return faults[:MOST_TOLD]
