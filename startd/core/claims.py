"""The amounts of the machine, and who holds how much of them.

Kept as running totals, because every grant asks what is free; cpus are counted in
millionths, so that a hundred tenths are exactly ten.
"""

from contract.messages import Amounts
from contract.vocabulary import RunId

MILLION = 1_000_000


class Claims:
    """INV-S2: what is held fits into the machine, if nothing is taken that does not fit."""

    def __init__(self, whole: Amounts) -> None:
        self._held: dict[RunId, tuple[int, int, int]] = {}
        self._microcpus = round(whole.cpus * MILLION)
        self._memory_mib = whole.memory_mib
        self._disk_kib = whole.disk_kib

    def free(self) -> Amounts:
        return Amounts(self._microcpus / MILLION, self._memory_mib, self._disk_kib)

    def fits(self, claim: Amounts) -> bool:
        return (round(claim.cpus * MILLION) <= self._microcpus and claim.memory_mib <= self._memory_mib
                and claim.disk_kib <= self._disk_kib)

    def take(self, run: RunId, claim: Amounts) -> None:
        """Give `run` its claim; a run holds one claim, however often it is given."""
        if run not in self._held:
            held = self._held[run] = (round(claim.cpus * MILLION), claim.memory_mib, claim.disk_kib)
            self._count(held, -1)

    def let_go(self, run: RunId) -> None:
        """Take back what `run` holds, if anything."""
        held = self._held.pop(run, None)
        if held is not None:
            self._count(held, 1)

    def _count(self, held: tuple[int, int, int], sign: int) -> None:
        self._microcpus += sign * held[0]
        self._memory_mib += sign * held[1]
        self._disk_kib += sign * held[2]
