"""A pool as comparable values: what a pool rebuilt from the disk must have too (INV-5).

Left out is what a restart may forget: connections, when machines were last heard, their
faults, ads that the next Hello brings again, and usage too small to be saved.
"""

from typing import Any

import msgspec

from schedd.core.pool import Pool

Name = tuple[str, tuple[Any, ...]]


def picture(pool: Pool, now: float) -> dict[Name, Any]:
    seen: dict[Name, Any] = {("the next cluster", ()): pool.next_cluster, ("the next event", ()): pool.next_event}
    for cluster in pool.clusters.values():
        seen["the state of a cluster", (cluster.id,)] = msgspec.to_builtins(cluster.state_to_save())
        for job in cluster.jobs.values():
            seen["a job", (job.cluster, job.proc)] = msgspec.to_builtins(
                msgspec.structs.replace(job, memory_mib=0.0, disk_kib=0))
    for build in pool.builds.values():
        seen["an image", (build.key,)] = msgspec.to_builtins(build)
    for machine in pool.machines.values():
        record = machine.record
        seen["a machine", (machine.name,)] = (
            record.identity, record.amounts, record.drain, machine.claims, machine.ahead)
    for account in pool.accounts.values():
        if account.cpu_seconds or account.in_use:
            account = msgspec.structs.replace(account)
            account.settle(now)
            seen["an account", (account.owner,)] = (
                round(account.priority, 4), round(account.in_use, 6), round(account.cpu_seconds, 2))
    for (owner, request), tickets in waiting(pool).items():
        seen["who waits", (owner, request)] = sorted(tickets)
    return seen


def waiting(pool: Pool) -> dict[tuple[Any, ...], list[tuple[int, int, int]]]:
    """Who waits for what, as the matchmaker would see it."""
    found: dict[tuple[Any, ...], list[tuple[int, int, int]]] = {}
    filing = pool.filing
    for line in filing.waiting.lines():
        tickets = [tuple(ticket[:3]) for ticket in filing.waiting.first(line, 1_000_000)]
        found.setdefault((line.owner, line.kind.request), []).extend(tickets)
    return {key: tickets for key, tickets in found.items() if tickets}
