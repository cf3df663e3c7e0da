"""What startds say, and what follows.

Messages may be lost, doubled, late or out of order, and either end may have been killed
in between. Three rules mend all of it:

* reports are keyed by run: one of an attempt that is not the current one is acknowledged
  and changes nothing (`ends`);
* `Hello` and `Beat` list what the startd holds: what should not be there is stopped, what
  should be there and is not is granted again or given up (`reconcile`);
* a machine's lease runs on the schedd's clock: when it ends, its runs end as `lapsed`, and
  their results still count until somebody else is granted the job (`leases`).
"""

import re

from contract.messages import AdChanged, Beat, Hello, Progressed, Refused, Used, Welcome
from contract.vocabulary import MAX_NAME_CHARACTERS, PROTOCOL
from schedd.core.building import hand_out, lose_builds, reconcile_builds
from schedd.core.gpus import are_possible
from schedd.core.leases import lose_all
from schedd.core.machine import Machine, MachineRecord
from schedd.core.matching import heed_machine
from schedd.core.phases import advance, is_later
from schedd.core.pool import Pool, heard, say
from schedd.core.reconcile import reconcile, started_runs

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
MOST_AD_ATTRIBUTES = 5_000


def on_hello(pool: Pool, now: float, link: int, hello: Hello) -> bool:
    """A startd introduces itself; return whether it is taken."""
    refusal = _refusal(pool, hello)
    if refusal is not None:
        pool.outcome.send(link, refusal)
        return False
    machine = pool.machines.get(hello.name)
    if machine is None:
        machine = Machine(MachineRecord(hello.name, hello.identity, hello.amounts, hello.ad), now)
        pool.machines[hello.name] = machine
    if machine.record.identity != hello.identity:
        lose_all(pool, machine, "the machine came back without any memory of it", now)
        lose_builds(pool, machine.name, now)
        machine.record.identity = hello.identity
    if machine.link is not None:
        pool.links.pop(machine.link, None)
    machine.link, machine.last_heard_at = link, now
    machine.checkpoints.clear()
    pool.links[link] = hello.name
    machine.describe(hello.amounts, _with_requirements(hello.ad))
    pool.outcome.machines.add(hello.name)
    settings = pool.settings
    pool.outcome.send(link, Welcome(pool.name, settings.beat_seconds, settings.lease_seconds))
    if machine.out_of_touch:
        machine.out_of_touch = False
        for cluster, job in started_runs(pool, machine):
            say(pool, cluster, job.proc, "reconnected", now, machine.name)
    reconcile(pool, machine, hello.runs, now, fresh=True)
    reconcile_builds(pool, machine, hello.builds, now, fresh=True)
    heed_machine(pool, machine, now)
    return True


def on_gone(pool: Pool, now: float, link: int) -> None:
    """A connection broke. The machine's lease goes on."""
    name = pool.links.pop(link, None)
    machine = pool.machines.get(name) if name else None
    if machine is None or machine.link != link:
        return
    machine.link, machine.last_heard_at, machine.out_of_touch = None, now, True
    for cluster, job in started_runs(pool, machine):
        say(pool, cluster, job.proc, "disconnected", now, machine.name,
            reason="The connection to its machine broke; the run goes on there.")


def on_beat(pool: Pool, now: float, link: int, beat: Beat) -> None:
    machine = heard(pool, link, now)
    if machine is not None:
        reconcile(pool, machine, beat.runs, now, fresh=False)
        reconcile_builds(pool, machine, beat.builds, now, fresh=False)


def on_ad(pool: Pool, now: float, link: int, change: AdChanged) -> None:
    machine = heard(pool, link, now)
    possible = change.gpus is None or are_possible(change.gpus)
    if machine is not None and possible and len(machine.record.ad) + len(change.changes) <= MOST_AD_ATTRIBUTES:
        machine.change_ad(change.changes, change.gpus)
        if change.gpus is not None:
            pool.outcome.machines.add(machine.name)
        heed_machine(pool, machine, now)
        hand_out(pool, now)


def on_progressed(pool: Pool, now: float, link: int, progress: Progressed) -> None:
    """A run came to another phase."""
    machine = heard(pool, link, now)
    found = pool.run(progress.run) if machine is not None else None
    if machine is None or found is None:
        return
    cluster, job = found
    run = job.run
    if run is not None and run.machine == machine.name and is_later(run, progress.phase, progress.halts):
        advance(pool, cluster, job, run, progress.phase, progress.halts, progress.why, now)


def on_used(pool: Pool, now: float, link: int, used: Used) -> None:
    """What a run has used so far; said aloud when it grew noticeably."""
    machine = heard(pool, link, now)
    found = pool.run(used.run) if machine is not None else None
    if machine is None or found is None:
        return
    cluster, job = found
    if job.run is None or job.run.machine != machine.name:
        return
    grew = (used.memory_mib > 1.1 * job.memory_mib or used.disk_kib > 1.1 * job.disk_kib + 1024
            or used.gpu_memory_mib > 1.1 * job.gpu_memory_mib)
    if grew:
        job.gpu_memory_mib = max(job.gpu_memory_mib, used.gpu_memory_mib)
        job.memory_mib, job.disk_kib = max(job.memory_mib, used.memory_mib), max(job.disk_kib, used.disk_kib)
        pool.outcome.touch(job)
        say(pool, cluster, job.proc, "usage", now, machine.name, memory_mib=round(used.memory_mib, 1),
            disk_kib=used.disk_kib, cpu_seconds=round(used.cpu_seconds, 3))


def _refusal(pool: Pool, hello: Hello) -> Refused | None:
    if hello.protocol != PROTOCOL:
        return Refused("other_version", f"The schedd speaks protocol {PROTOCOL}, the startd {hello.protocol}.")
    if not NAME.fullmatch(hello.name) or len(hello.name) > MAX_NAME_CHARACTERS:
        return Refused("bad_request", f"{hello.name[:80]!r} is not a name for a machine.")
    if len(hello.ad) > MOST_AD_ATTRIBUTES:
        return Refused("too_large", f"The machine's ad has {len(hello.ad)} attributes.")
    amounts = hello.amounts
    if not (0 <= amounts.cpus <= 100_000 and 0 <= amounts.memory_mib <= 2**40 and 0 <= amounts.disk_kib <= 2**50
            and are_possible(amounts.gpus)):
        return Refused("bad_request", "The machine advertises amounts that no machine has.")
    known = pool.machines.get(hello.name)
    if known is not None and known.link is not None and known.record.identity != hello.identity:
        return Refused("name_taken", f"Another startd named {hello.name} is connected. "
                       "Give this one a --name of its own.")
    return None


def _with_requirements(ad: dict[str, str]) -> dict[str, str]:
    """A machine matches when its START says so, unless it says more in Requirements."""
    names = {name.lower() for name in ad}
    if "start" not in names:
        ad = {**ad, "START": "true"}
    return ad if "requirements" in names else {**ad, "Requirements": "START"}
