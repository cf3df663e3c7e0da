"""Several queue statements in one file, as one table of items.

What a name stands for may differ from one statement to the next. Such names become
columns of the items, beside the statements' own variables; so a cluster has one table,
however many statements made it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dsl.submit.queue import Queued

MOST_CELLS = 4_000_000
FORGOTTEN = "<Queue_item>"
"""What HTCondor leaves in the variables of an earlier statement."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One queue statement, and what was set between the one before and it."""

    queued: Queued
    changes: Mapping[str, str]


def joined(statements: list[Statement], at_first: Mapping[str, str | None]) -> tuple[list[str], list[str],
                                                                                    list[list[str]]] | None:
    """Columns, those that are names set between statements, and the rows; None if there are too many cells.

    `at_first`: what the names that change stood for at the first statement.
    """
    changing = [name for name in dict.fromkeys(name for statement in statements[1:] for name in statement.changes)
                if not name.startswith("+")]
    variables = list(dict.fromkeys(name for statement in statements for name in statement.queued.names))
    columns = list(dict.fromkeys(["Step", "Row", "ItemIndex", *variables, *changing]))
    total = sum(_rows_of(statement.queued) for statement in statements)
    if total * len(columns) > MOST_CELLS:
        return None
    values: dict[str, str] = {name: at_first.get(name) or "" for name in changing}
    rows: list[list[str]] = []
    known: dict[str, str] = {}
    for number, statement in enumerate(statements):
        if number:
            values.update((name, text) for name, text in statement.changes.items() if name in values)
        for cells in _cells(statement.queued):
            row = {**known, **values, **cells}
            rows.append([row.get(name, "") for name in columns])
        known.update(dict.fromkeys(statement.queued.names, FORGOTTEN))
    return columns, changing, rows


def _rows_of(queued: Queued) -> int:
    return queued.steps * (len(queued.items) if queued.names else 1)


def _cells(queued: Queued) -> Iterator[dict[str, str]]:
    for number, row in enumerate(queued.items if queued.names else [[]]):
        index = str(number)
        for step in range(queued.steps):
            yield {"Step": str(step), "Row": index, "ItemIndex": index, **dict(zip(queued.names, row, strict=False))}
