"""A machine is emptied with notice: nothing new is granted there, and at the deadline its runs must leave.

What an administrator ordered is part of the machine's record, so it outlives the schedd, and
the machine: a machine that is being emptied is remembered however long it is away.
"""

import math

import msgspec

from contract.messages import Stop
from contract.problems import Problem
from contract.requests import DrainAnswer, DrainOrder
from schedd.core.machine import Drain, Machine
from schedd.core.pool import Pool

LONGEST_NOTICE_SECONDS = 90 * 86_400
MOST_REASON_CHARACTERS = 500


def drain(pool: Pool, now: float, user: str, order: DrainOrder) -> DrainAnswer:
    """Begin to empty a machine, give it another deadline, or take it back into service."""
    machine = pool.machines.get(order.machine)
    if machine is None:
        raise Problem("not_found", f"There is no machine {order.machine[:80]!r} in this pool.",
                      "See their names with: pesc_status")
    if not (math.isfinite(order.seconds) and 0 <= order.seconds <= LONGEST_NOTICE_SECONDS):
        raise Problem("bad_request", f"A notice of {order.seconds:g} seconds cannot be given.",
                      f"Between 0 and {LONGEST_NOTICE_SECONDS} seconds can.")
    if order.back:
        machine.record.drain = None
        pool.filing.wanted = True
    else:
        machine.record.drain = Drain(user, now, now + order.seconds, order.reason[:MOST_REASON_CHARACTERS])
        _recall_ahead(pool, machine)
        vacate_if_due(pool, machine, now)
    pool.outcome.machines.add(machine.name)
    left = machine.record.drain.at - now if machine.record.drain is not None else 0.0
    return DrainAnswer(machine.name, machine.record.drain is not None, left, len(machine.claims))


def vacate_if_due(pool: Pool, machine: Machine, now: float) -> None:
    """Ask the runs of a machine to leave when its notice is over; whoever was asked is not asked again here."""
    order = machine.record.drain
    if order is None or order.at > now:
        return
    why = f"its machine is being emptied by {order.by}" + (f": {order.reason}" if order.reason else "")
    for run_id in machine.claims:
        job = pool.job(run_id.cluster, run_id.proc)
        if job is None or job.run is None or job.run.stopping:
            continue
        job.run.stopping, job.run.evict = why, True
        pool.outcome.touch(job)
        pool.outcome.send(machine.link, Stop(run_id, why, evict=True))


def move_deadline(machine: Machine, jump: float) -> None:
    """The wall clock jumped; the notice is as long as before."""
    order = machine.record.drain
    if order is not None:
        machine.record.drain = msgspec.structs.replace(order, since=order.since + jump, at=order.at + jump)


def _recall_ahead(pool: Pool, machine: Machine) -> None:
    """What lies ready there has not begun, and can begin elsewhere."""
    for run_id in machine.ahead:
        job = pool.job(run_id.cluster, run_id.proc)
        if job is not None and job.run is not None and not job.run.stopping:
            job.run.stopping = "its machine is being emptied"
            pool.outcome.touch(job)
            pool.outcome.send(machine.link, Stop(run_id, job.run.stopping))
