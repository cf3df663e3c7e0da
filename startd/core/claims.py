"""The amounts of the machine, and who holds how much of them.

Kept as running totals, because every grant asks what is free; cpus are counted in
millionths, so that a hundred tenths are exactly ten.
"""

from collections.abc import Sequence

from contract.messages import Amounts, GpuPart
from contract.vocabulary import RunId

MILLION = 1_000_000


class Claims:
    """INV-S2: what is held fits into the machine, if nothing is taken that does not fit."""

    def __init__(self, whole: Amounts) -> None:
        self._held: dict[RunId, tuple[int, int, int]] = {}
        self._microcpus = round(whole.cpus * MILLION)
        self._memory_mib = whole.memory_mib
        self._disk_kib = whole.disk_kib
        self._gpus = whole.gpus
        self._parts: dict[RunId, Sequence[GpuPart]] = {}

    def free(self) -> Amounts:
        return Amounts(self._microcpus / MILLION, self._memory_mib, self._disk_kib, self._free_gpus())

    def fits(self, claim: Amounts) -> bool:
        return (round(claim.cpus * MILLION) <= self._microcpus and claim.memory_mib <= self._memory_mib
                and claim.disk_kib <= self._disk_kib and (not claim.gpus or self._fit(claim.gpus)))

    def take(self, run: RunId, claim: Amounts) -> None:
        """Give `run` its claim; a run holds one claim, however often it is given."""
        if run not in self._held:
            held = self._held[run] = (round(claim.cpus * MILLION), claim.memory_mib, claim.disk_kib)
            self._count(held, -1)
            if claim.gpus:
                self._parts[run] = claim.gpus

    def let_go(self, run: RunId) -> None:
        """Take back what `run` holds, if anything."""
        held = self._held.pop(run, None)
        if held is not None:
            self._count(held, 1)
            self._parts.pop(run, None)

    def offer_gpus(self, gpus: tuple[GpuPart, ...]) -> None:
        """These are the machine's GPUs from now on; what runs hold of others stays theirs."""
        self._gpus = gpus

    def _count(self, held: tuple[int, int, int], sign: int) -> None:
        self._microcpus += sign * held[0]
        self._memory_mib += sign * held[1]
        self._disk_kib += sign * held[2]

    def _free_gpus(self) -> tuple[GpuPart, ...]:
        """Few runs have GPUs, so these are counted anew; `shared` where somebody has a part."""
        if not self._gpus:
            return ()
        taken: dict[str, int] = {}
        whole = {part.device: part.memory_mib for part in self._gpus}
        for parts in self._parts.values():
            for part in parts:
                takes = part.memory_mib if part.shared else whole.get(part.device, 0)
                taken[part.device] = taken.get(part.device, 0) + takes
        return tuple(GpuPart(part.device, part.memory_mib - taken.get(part.device, 0), part.device in taken)
                     for part in self._gpus)

    def _fit(self, parts: Sequence[GpuPart]) -> bool:
        free = {part.device: part for part in self._free_gpus()}
        return all(
            (left := free.get(part.device)) is not None
            and (part.memory_mib <= left.memory_mib if part.shared else not left.shared)
            for part in parts
        )
