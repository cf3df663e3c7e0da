"""The queue line: how many jobs, and for which items."""

import re
from dataclasses import dataclass

from dsl.submit.description import Files, Withheld
from dsl.submit.forms import BadLine, QueueArguments
from dsl.submit.including import BadInclude, output_of, text_of
from dsl.submit.items import BadItems, inline, listed, row, sliced, table_row
from dsl.submit.lines import Reader, is_text
from dsl.submit.mistakes import Mistake, shown
from dsl.submit.parse import parse_queue_arguments

MAX_COUNT = 100_000_000
MOST_CELLS = 20_000_000
"""Rows times variables: what is not written takes memory, too."""
NO_ITEMS = "no jobs are queued: there are no items"


@dataclass(frozen=True, slots=True)
class Queued:
    """Job `p` is step `p % steps` of item `p // steps`; without names there are no items."""

    names: list[str]
    items: list[list[str]]
    steps: int
    warnings: list[Mistake]
    names_are_known: bool = True


def queued(expanded: str, written: str, offset: int, reader: Reader, files: Files) -> Queued:
    """What a queue line with these arguments asks for; its table is read from `reader`."""
    start = reader.line_number
    try:
        arguments = parse_queue_arguments(expanded)
        steps, warnings = _steps(arguments, reader, start)
        if arguments.source is None:
            return Queued([], [], steps, warnings)
        part = arguments.slice
        if arguments.source == "from" and (of_table := _TABLE.match(arguments.list.strip())):
            part = of_table["slice"] or part
            names, rows = _named_rows(of_table["source"], arguments, reader, files, warnings)
        else:
            names = list(arguments.names) or ["Item"]
            rows = _rows(arguments, len(names), reader, files, warnings)
        rows, numbers = sliced(rows, part)
    except Withheld as left:
        return Queued(list(arguments.names) or ["Item"], [], steps,
                      [*warnings, reader.mistake(start, 1, left.what, "So its items are not known.")],
                      names_are_known=_TABLE.match(arguments.list.strip()) is None)
    except BadLine as bad:
        exact = expanded == written
        raise BadLine(offset + bad.offset if exact else offset, bad.length if exact else len(written),
                      bad.what, bad.why if exact else f"{bad.why}\nAfter expansion: queue {shown(expanded, 80)}",
                      bad.cure) from None
    except BadItems as bad:
        at = written.find(bad.part)
        raise BadLine(offset + max(at, 0), len(bad.part) if at >= 0 else len(written), bad.what, bad.why,
                      bad.cure) from None
    if numbers is not None:
        # A slice keeps the numbers that its rows had: they become cells.
        names += ["Row", "ItemIndex"]
        rows = [[*cells, str(number), str(number)] for cells, number in zip(rows, numbers, strict=True)]
    if not rows:
        warnings.append(reader.mistake(start, 1, NO_ITEMS))
    return Queued(names, rows, steps, warnings)


_TABLE = re.compile(r"table(?:\s+|(?=[(\[]))(?P<slice>\[[^\]]*\])?\s*(?!\|)(?P<source>\S.*)\Z",
                    re.IGNORECASE | re.DOTALL)


def _named_rows(source: str, arguments: QueueArguments, reader: Reader, files: Files,
                warnings: list[Mistake]) -> tuple[list[str], list[list[str]]]:
    """`from table FILE`, or rows that follow: the first row names the columns."""
    start = reader.line_number
    lines = _table(reader) if source.strip() == "(" else _lines_of(source.strip(), reader, files, warnings)
    lines = [line for line in lines if line.strip()]
    names = [name.strip() for name in lines[0].split(",")] if lines else []
    if not names or not all(_COLUMN.match(name) for name in names):
        raise BadItems(source, f"the first row of {shown(source)} does not name its columns", "",
                       "Write, say: alpha,seed")
    if arguments.names and [name.lower() for name in arguments.names] != [name.lower() for name in names]:
        warnings.append(reader.mistake(start, 1, f"the columns are called {', '.join(names)}, as the first row says",
                                       f"{', '.join(arguments.names)} is not looked at, as in HTCondor."))
    _check_size(len(names), len(lines) - 1)
    return names, [table_row(line, len(names)) for line in lines[1:]]


def _check_size(width: int, rows: int) -> None:
    if width * rows > MOST_CELLS:
        raise BadItems("", f"{rows:,} items of {width:,} variables are too many",
                       f"At most {MOST_CELLS:,} cells are kept.", "Submit fewer items at a time.")


_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}\Z")


def _steps(arguments: QueueArguments, reader: Reader, line: int) -> tuple[int, list[Mistake]]:
    count = 1 if arguments.count is None else arguments.count
    if not 0 <= count <= MAX_COUNT:
        raise BadItems(str(count) if count < 0 else "", f"cannot queue {count:,} jobs",
                       f"The count goes from 1 to {MAX_COUNT:,}.", "Write, say: queue 10")
    if count == 0:
        return 1, [reader.mistake(line, 1, "queue 0 queues one job, as in HTCondor", "", "Write queue 1.")]
    return count, []


def _rows(arguments: QueueArguments, width: int, reader: Reader, files: Files,
          warnings: list[Mistake]) -> list[list[str]]:
    if not arguments.list.strip():
        raise BadItems("", f'nothing follows "{arguments.source}"', "",
                       f"Write, say: queue x {_EXAMPLES[arguments.source or 'in']}")
    if arguments.list.strip().startswith("[") and arguments.slice is None:
        raise BadItems(arguments.list, "this slice is not closed", "", "Write [start:stop:step], as in Python.")
    if arguments.source == "matching":
        items = _matching(arguments, files)
        _check_size(width, len(items))
        return [[name] + [""] * (width - 1) for name in items]
    written = inline(arguments)
    if arguments.source == "in":
        items = listed(written) if written is not None else [
            item for line in _table(reader) if not line.startswith("#") for item in listed(line)]
        _check_size(width, len(items))
        return [[item] + [""] * (width - 1) for item in items]
    if arguments.list.strip().startswith("("):
        lines = [written] if written is not None else _table(reader)
        lines = [line for line in lines if line.strip()]
    else:
        lines = _lines_of(arguments.list.strip(), reader, files, warnings)
    _check_size(width, len(lines))
    return [row(line, width) for line in lines]


_EXAMPLES = {"in": "in (a, b, c)", "from": "from items.txt", "matching": "matching *.dat"}


def _table(reader: Reader) -> list[str]:
    """The lines up to the one that says `)`; a `\\` at the end of a row continues it."""
    start = reader.line_number
    lines: list[str] = []
    continued = False
    while (raw := reader.raw_line()) is not None:
        text = raw.strip()
        if text.startswith(")") and not continued:
            return lines
        body = text.removesuffix("\\")
        if continued:
            lines[-1] += body
        else:
            lines.append(body)
        continued = text.endswith("\\")
    raise BadItems("(", f"the table that begins on line {start} is not closed", "",
                   "End it with a line that says \")\".")


def _lines_of(source: str, reader: Reader, files: Files, warnings: list[Mistake]) -> list[str]:
    """The rows in a file, on standard input, or from a command."""
    try:
        if source == "-":
            text = _standard_input(files)
        elif source.endswith("|"):
            text, warning = output_of(source[:-1].strip(), files)
            if warning:
                warnings.append(reader.mistake(reader.line_number, 1, warning))
        else:
            text = text_of(source, files)
    except BadInclude as bad:
        raise BadItems(source, bad.what, bad.why, bad.cure) from None
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    kept = [line for line in lines if line.strip()]
    if blank := len(lines) - len(kept):
        what = "a blank line" if blank == 1 else f"{blank:,} blank lines"
        warnings.append(reader.mistake(reader.line_number, 1, f"{what} of {shown(source)} "
                                       f"{'is' if blank == 1 else 'are'} passed over", "HTCondor would repeat the line "
                                       "above instead."))
    return kept


def _standard_input(files: Files) -> str:
    try:
        text = files.standard_input()
    except (OSError, UnicodeError) as error:
        raise BadInclude(f"cannot read standard input: {getattr(error, 'strerror', None) or error}") from None
    if not is_text(text):
        raise BadInclude("standard input is not text")
    return text


def _matching(arguments: QueueArguments, files: Files) -> list[str]:
    """The files of each pattern, sorted; folders end in `/`."""
    kind = arguments.kind or "any"
    found: list[str] = []
    for pattern in listed(inline(arguments) or ""):
        for path in files.glob(pattern):
            if not is_text(path):
                raise BadItems(pattern, f"{shown(path)} has a name that is not UTF-8", "", "Rename it.")
            is_dir = files.is_dir(path)
            if kind == "any" or (kind == "dirs") == is_dir:
                found.append(path.rstrip("/") + "/" if is_dir else path)
    return list(dict.fromkeys(found))
