"""The axes that the lines of a file give: `sweep …`, `table FILE`, `table @=…`, in their written order."""

from collections.abc import Collection

from dsl.submit.csvtables import read_table
from dsl.submit.description import Files
from dsl.submit.forms import BadLine
from dsl.submit.including import BadInclude, text_of
from dsl.submit.lines import Reader, Written
from dsl.submit.macros import JOB_NAMES
from dsl.submit.mistakes import Mistake, shown
from dsl.submit.sweeps import Axis, read_sweep

MOST_AXES = 500


class Sweeping:
    """Collects axes; `mistakes` and `warnings` take what is said about them."""

    def __init__(self, files: Files, mistakes: list[Mistake], warnings: list[Mistake]) -> None:
        self.axes: list[Axis] = []
        self.line: Written | None = None
        """Where the first was written."""
        self.has_faults = False
        self._files, self._mistakes, self._warnings = files, mistakes, warnings

    def add_sweep(self, written: Written, text: str, expanded: str, names: list[str]) -> None:
        """The axes of `sweep text`; `names` are those in use, and get the new ones."""
        try:
            axes, warnings = read_sweep(expanded)
        except BadLine as bad:
            if expanded == text.strip():
                bad.offset += written.value_offset
                raise
            why = f"{bad.why}\nAfter expansion: sweep {shown(expanded, 80)}".lstrip()
            raise written.bad(bad.what, why, bad.cure) from None
        self._warnings += [written.mistake(said) for said in warnings]
        for axis in axes:
            self._add(axis, written, names)

    def add_file(self, written: Written, _text: str, path: str, names: list[str]) -> None:
        """The table in a CSV file."""
        try:
            text = text_of(path, self._files)
        except BadInclude as bad:
            raise written.bad(bad.what, bad.why, bad.cure) from None
        line = written.line.place(written.value_offset)[0]
        source = Reader(path, text, ((written.reader.name, line), *written.reader.included))
        self.add_table(written, text, source, 1, names)

    def add_table(self, written: Written, text: str, source: Reader, first: int, names: list[str]) -> None:
        """A table whose first row is line `first` of `source`."""
        axis, faults = read_table(text)
        self.has_faults = self.has_faults or bool(faults)
        for fault in faults:
            line = first + fault.line - 1
            length = len(source.raw[line - 1]) if line <= len(source.raw) else 1
            self._mistakes.append(source.mistake(line, 1, fault.what, fault.why, fault.cure, length))
        if axis is not None:
            self._add(axis, written, names)

    def _add(self, axis: Axis, written: Written, names: list[str]) -> None:
        if len(self.axes) >= MOST_AXES:
            raise written.bad(f"there are more than {MOST_AXES} sweeps and tables", "",
                              "Put the names into the columns of one table.")
        known = {name.lower() for name in names}
        for name in axis.names:
            _check_name(name, known, written)
            known.add(name.lower())
        self.line = self.line or written
        names += axis.names
        self.axes.append(axis)


def _check_name(name: str, known: Collection[str], written: Written) -> None:
    if name.lower() in JOB_NAMES:
        raise written.bad(f"{shown(name)} is a macro that every job has", "", "Give it another name.")
    if name.lower() in known:
        raise written.bad(f"{shown(name)} is swept already", "", "Give it another name.")
