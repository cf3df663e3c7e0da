"""A machine's disk: the startd's journal, and the sandboxes of its runs.

All of it survives kills. Nothing is forced to the platter (as in `startd.files.journal`),
so a loss of power takes the latest lines away; and a full disk takes no new ones.
"""

from contract.vocabulary import RunId
from startd.core.events import Entry


class Disk:
    def __init__(self) -> None:
        self.full = False
        self.sandboxes: dict[RunId, bytes] = {}
        self.forgot_something = False
        """Whether a restart may know less than the startd did."""
        self._journal: list[Entry] = []

    def append(self, entries: list[Entry]) -> None:
        if self.full:
            self.forgot_something = True
        else:
            self._journal += entries

    def tear(self, entries: list[Entry]) -> None:
        """The startd dies while it writes: a part of it is there."""
        self.append(entries[: len(entries) // 2])

    def lose_power(self, lines: int) -> None:
        if lines:
            del self._journal[-lines:]
            self.forgot_something = True

    def read(self) -> list[Entry]:
        return list(self._journal)

    def rewrite(self, entries: list[Entry]) -> None:
        if not self.full:
            self._journal = list(entries)

    def wipe(self) -> None:
        self._journal.clear()
        self.sandboxes.clear()
