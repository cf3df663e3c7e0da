"""A machine as the schedd knows it: amounts, claims and a lease.

    INV-3: what a machine has, less what its runs hold, is what it has free; never below zero
           by a grant.
"""

import msgspec

from contract.messages import Amounts
from contract.vocabulary import RunId
from dsl.classad import Ad

NOTHING = Amounts(0, 0, 0)


class MachineRecord(msgspec.Struct, omit_defaults=True):
    """What is saved of a machine, so that its runs are waited for after a restart."""

    name: str
    identity: str
    amounts: Amounts
    ad: dict[str, str]


class Machine:
    """The record and what lives only in memory."""

    __slots__ = ("ad", "avoid_until", "claims", "faults", "last_heard_at", "link", "out_of_touch", "record", "version")

    def __init__(self, record: MachineRecord, now: float) -> None:
        self.record = record
        self.ad = Ad.from_texts(record.ad)
        self.version = 0
        """Raised whenever the ad changes: matches worked out for another version are void."""
        self.claims: dict[RunId, Amounts] = {}
        self.link: int | None = None
        """The connection it speaks through now; None while it is away."""
        self.last_heard_at = now
        self.out_of_touch = False
        """Whether its connection broke since it was last greeted."""
        self.faults = 0
        """Runs in a row that it failed to carry out."""
        self.avoid_until = 0.0

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def free(self) -> Amounts:
        held = self.claims.values()
        total = self.record.amounts
        return Amounts(
            total.cpus - sum(claim.cpus for claim in held),
            total.memory_mib - sum(claim.memory_mib for claim in held),
            total.disk_kib - sum(claim.disk_kib for claim in held),
        )

    def may_take(self, now: float) -> bool:
        return self.link is not None and self.avoid_until <= now

    def describe(self, amounts: Amounts, ad: dict[str, str]) -> None:
        """Take over what the startd says of itself."""
        self.record.amounts = amounts
        self.record.ad = ad
        self.ad = Ad.from_texts(ad)
        self.version += 1

    def change_ad(self, changes: dict[str, str | None]) -> None:
        for name, text in changes.items():
            if text is None:
                self.record.ad.pop(name, None)
            else:
                self.record.ad[name] = text
        self.describe(self.record.amounts, self.record.ad)


def fits(request: Amounts, free: Amounts) -> bool:
    return request.cpus <= free.cpus and request.memory_mib <= free.memory_mib and request.disk_kib <= free.disk_kib


def less(free: Amounts, request: Amounts) -> Amounts:
    return Amounts(free.cpus - request.cpus, free.memory_mib - request.memory_mib, free.disk_kib - request.disk_kib)
