"""A machine as the schedd knows it: amounts, claims and a lease.

    INV-3: what a machine has, less what its runs hold, is what it has free; never below zero
           by a grant. Of a GPU that a run has to itself nobody else has a part, and shares of
           one never add up to more than its machine offers of it.
    INV-6: what lies ready on a machine holds no claim, and is no more than MOST_AHEAD machinefuls.
"""

import math
from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from contract.messages import Amounts, GpuPart
from contract.vocabulary import RunId
from dsl.classad import Ad
from dsl.dockerfile.processors import processor_of
from schedd.core import gpus

SHORT_RUN_SECONDS = 0.25
"""Below this, the way to the schedd and back costs more than it is worth for every single run."""


AHEAD_SECONDS = 0.05
"""So much work lies ready on a machine whose runs are short: somewhat more than the way to
the schedd's disk and back takes, so that no slot waits for it, and less than anybody notices."""

MOST_AHEAD = 8
"""Machinefuls; without it, runs of a millisecond would pile up by the hundred."""


class Drain(msgspec.Struct, frozen=True, omit_defaults=True):
    """It is to be emptied: who said so, when, and until when its runs may go on."""

    by: str
    since: float
    at: float
    reason: str = ""


class MachineRecord(msgspec.Struct, omit_defaults=True):
    """What is saved of a machine, so that its runs are waited for after a restart."""

    name: str
    identity: str
    amounts: Amounts
    ad: dict[str, str]
    drain: Drain | None = None


class Machine:
    """The record and what lives only in memory."""

    __slots__ = (
        "ad", "ahead", "avoid_until", "checkpoints", "claims", "devices", "faults", "last_heard_at", "link",
        "out_of_touch", "owner_step_since", "processor", "record", "run_seconds", "version",
    )

    def __init__(self, record: MachineRecord, now: float) -> None:
        self.record = record
        self.ad = Ad.from_texts(record.ad)
        self.devices = gpus.devices_of(self.ad, record.amounts.gpus)
        self.processor = _processor(self.ad)
        """Its kind, as compilers name it."""
        self.version = 0
        """Raised whenever the ad changes: matches worked out for another version are void."""
        self.claims: dict[RunId, Amounts] = {}
        self.ahead: dict[RunId, Amounts] = {}
        """Runs that lie ready there, oldest first."""
        self.run_seconds = math.inf
        """How long its runs last of late."""
        self.link: int | None = None
        """The connection it speaks through now; None while it is away."""
        self.last_heard_at = now
        self.out_of_touch = False
        """Whether its connection broke since it was last greeted."""
        self.faults = 0
        """Runs in a row that it failed to carry out."""
        self.avoid_until = 0.0
        self.owner_step_since = self.owner_step, now
        """`owner_step`, as noted last, and since when."""
        self.checkpoints: dict[RunId, int] = {}
        """The number of the last checkpoint that it reported of each run on this connection."""

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def free(self) -> Amounts:
        return _left(self.record.amounts, self.claims.values())

    @property
    def free_ahead(self) -> Amounts:
        """What more could lie ready there at the very most."""
        return self._room_ahead(MOST_AHEAD)

    @property
    def room_ahead(self) -> Amounts:
        """What more should lie ready there: the shorter its runs, the more of them."""
        return self._room_ahead(min(MOST_AHEAD, 1 + int(AHEAD_SECONDS / max(self.run_seconds, 0.001))))

    def _room_ahead(self, fulls: int) -> Amounts:
        """GPUs not `fulls` times: a run that waits for one would keep all behind it waiting."""
        whole = self.record.amounts
        times = Amounts(whole.cpus * fulls, whole.memory_mib * fulls, whole.disk_kib * fulls)
        room = _left(times, self.ahead.values())
        return replace(room, gpus=gpus.left(whole.gpus, [*self.claims.values(), *self.ahead.values()]))

    @property
    def is_quick(self) -> bool:
        """Whether runs there are so short that the next ones should lie ready."""
        return self.run_seconds < SHORT_RUN_SECONDS and bool(self.claims)

    def note_run(self, seconds: float) -> None:
        """Learn from a run that has ended."""
        before = self.run_seconds if self.run_seconds < math.inf else seconds
        self.run_seconds = 0.8 * before + 0.2 * seconds

    @property
    def owner_step(self) -> str:
        """How far its runs have given way to its owner; "free" if they need not."""
        return self.record.ad.get("PescOwnerStep", "free").strip('"')

    def note_owner_step(self, now: float) -> None:
        if self.owner_step != self.owner_step_since[0]:
            self.owner_step_since = self.owner_step, now

    def may_take(self, now: float) -> bool:
        return (self.link is not None and self.avoid_until <= now and self.owner_step == "free"
                and self.record.drain is None)

    def describe(self, amounts: Amounts, ad: dict[str, str]) -> None:
        """Take over what the startd says of itself."""
        self.record.amounts = amounts
        self.record.ad = ad
        self.ad = Ad.from_texts(ad)
        self.devices = gpus.devices_of(self.ad, amounts.gpus)
        self.processor = _processor(self.ad)
        self.version += 1

    def change_ad(self, changes: dict[str, str | None], devices: tuple[GpuPart, ...] | None = None) -> None:
        for name, text in changes.items():
            if text is None:
                self.record.ad.pop(name, None)
            else:
                self.record.ad[name] = text
        amounts = self.record.amounts
        self.describe(amounts if devices is None else replace(amounts, gpus=devices), self.record.ad)


def _processor(ad: Ad) -> str:
    return processor_of(ad.evaluate("Microarch"), ad.evaluate("Arch"))


def _left(total: Amounts, held: Collection[Amounts]) -> Amounts:
    cpus, memory_mib, disk_kib = total.cpus, total.memory_mib, total.disk_kib
    for claim in held:
        cpus, memory_mib, disk_kib = cpus - claim.cpus, memory_mib - claim.memory_mib, disk_kib - claim.disk_kib
    return Amounts(cpus, memory_mib, disk_kib, gpus.left(total.gpus, held) if total.gpus else ())


def fits(request: Amounts, free: Amounts) -> bool:
    return (request.cpus <= free.cpus and request.memory_mib <= free.memory_mib and request.disk_kib <= free.disk_kib
            and (not request.gpus or gpus.fit(request.gpus, free.gpus)))


def less(free: Amounts, request: Amounts) -> Amounts:
    return Amounts(free.cpus - request.cpus, free.memory_mib - request.memory_mib, free.disk_kib - request.disk_kib,
                   gpus.less(free.gpus, request.gpus) if request.gpus else free.gpus)
