"""What must hold after every step, of the living pool and of every living startd.

What concerns disks, results and promises is checked where it happens (`ledger`).
"""

from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from contract.messages import Amounts, GpuPart
from contract.vocabulary import JobStatus, Phase
from schedd.core.cluster import COUNTER, Cluster
from schedd.core.domains import State
from schedd.core.job import FINAL, IDLE, REMOVED, SUSPENDED, UNDER_WAY, Job
from schedd.core.machine import Machine
from schedd.core.needs import ANY
from schedd.core.pool import Pool
from startd.core.startd import StartdCore
from tests.simulation.picture import waiting
from tests.simulation.startd import Startd

if TYPE_CHECKING:
    from tests.simulation.world import World


def every_job_is_in_one_place(world: "World", pool: Pool) -> None:
    """INV-1 and INV-2: the rest, the rows and what is over make the count, and the counts say so."""
    for cluster in pool.clusters.values():
        gone = world.ledger.gone.get(cluster.id, {})
        if cluster.rest + len(cluster.jobs) + len(gone) != cluster.count:
            raise world.story.violated(
                f"of {cluster.count} jobs {cluster.rest} are the rest, {len(cluster.jobs)} rows, {len(gone)} over",
                (cluster.id,))
        for proc in cluster.jobs:
            if proc in gone or cluster.in_rest(proc):
                raise world.story.violated("a job is in two places", (cluster.id, proc))
        _check_counts(world, cluster, Counter(gone.values()))


def _check_counts(world: "World", cluster: Cluster, by_status: Counter[JobStatus]) -> None:
    by_status.update(job.status for job in cluster.jobs.values())
    by_status[cluster.state.rest_status] += cluster.rest
    for status, name in COUNTER.items():
        if getattr(cluster.state.counts, name) != by_status[status]:
            raise world.story.violated(
                f"{by_status[status]} jobs are {name}; counted are {cluster.state.counts}", (cluster.id,))


def states_and_runs_agree(world: "World", pool: Pool) -> None:
    for cluster in pool.clusters.values():
        for job in cluster.jobs.values():
            if problem := _contradiction(job):
                raise world.story.violated(f"{problem}: {job}", (job.cluster, job.proc))
            key = job.cluster, job.proc
            if key in world.ledger.removed and job.status != REMOVED:
                raise world.story.violated(f"a removed job is {job.status!r} again", key)


def _contradiction(job: Job) -> str:
    if job.status in UNDER_WAY and job.run is None:
        return "it is running without a run"
    if job.run is not None and job.status in UNDER_WAY and (
            (job.status == SUSPENDED) is not (job.run.phase is Phase.SUSPENDED)):
        return "it is suspended and its run is not, or the other way round"
    if job.status == IDLE and job.run is not None and not (job.run.stopping or job.run.queued):
        return "it waits with a run that is neither queued nor stopped"
    if job.status in UNDER_WAY and job.run is not None and job.run.queued:
        return "it is running and only queued"
    if job.status in FINAL and job.run is None:
        return "it is over and still in the queue"
    if job.status in FINAL and job.status != REMOVED:
        return "it is completed and still in the queue"
    if job.lapsed is not None and (job.run is not None or job.status != IDLE):
        return "a lapsed run would still count, and must not"
    return ""


def nothing_is_carved_twice(world: "World", pool: Pool) -> None:
    """INV-3: claims are what the runs hold, and fit. INV-6: what lies ready is at most MOST_AHEAD machinefuls."""
    held: dict[str, dict] = {name: {} for name in pool.machines}
    ready: dict[str, dict] = {name: {} for name in pool.machines}
    in_use: Counter[str] = Counter()
    for cluster in pool.clusters.values():
        for job in cluster.jobs.values():
            if job.run is not None:
                (ready if job.run.queued else held).setdefault(job.run.machine, {})[job.run_id] = job.run.claim
                in_use[cluster.owner] += 0.0 if job.run.queued else job.run.claim.cpus
    for name in held.keys() | ready.keys():
        machine = pool.machines.get(name)
        if machine is None or machine.claims != held.get(name) or machine.ahead != ready.get(name):
            raise world.story.violated(f"runs on {name} hold {held.get(name)}, and {ready.get(name)} lie ready; it has "
                                       f"{machine and machine.claims} and {machine and machine.ahead}")
        for what, left in (("free", machine.free), ("room for what lies ready", machine.free_ahead)):
            if is_below_zero(left):
                raise world.story.violated(f"{name} has less than nothing {what}: {left}")
    for account in pool.accounts.values():
        if abs(account.in_use - in_use[account.owner]) > 1e-6:
            raise world.story.violated(f"{account.owner} uses {in_use[account.owner]}; booked is {account.in_use}")


def is_below_zero(left: Amounts) -> bool:
    return (left.cpus < -1e-6 or left.memory_mib < 0 or left.disk_kib < 0
            or any(part.memory_mib < 0 for part in left.gpus))


def images_are_built_once(world: "World", pool: Pool) -> None:
    """INV-7: a machine has one build, a build one machine. INV-8: ready is final. No image, no run."""
    builders = Counter(build.machine for build in pool.builds.values() if build.state is State.BUILDING)
    for machine, number in builders.items():
        if not machine or number > 1:
            raise world.story.violated(f"{machine or 'nobody'} builds {number} images")
    for build in pool.builds.values():
        if (build.image is not None) is not (build.state is State.READY):
            raise world.story.violated(f"an image that is {build.state} is {build.image}")
        if world.ready.setdefault(build.key, build.image) is not None and build.state is not State.READY:
            raise world.story.violated("an image that was ready is not any more")
        if build.image is not None:
            world.ready[build.key] = build.image
    for cluster in pool.clusters.values():
        for job in cluster.jobs.values():
            if job.run is not None and job.run.machine in pool.machines and not _has_its_image(
                    pool, cluster, pool.machines[job.run.machine]):
                raise world.story.violated("a job runs without its image", (cluster.id,))


def _has_its_image(pool: Pool, cluster: Cluster, machine: Machine) -> bool:
    if cluster.needs is None:
        return True
    builds = [pool.builds.get(part.key) for part in cluster.needs.parts(
        machine.processor if cluster.needs.by_processor else ANY)]
    return bool(builds) and all(build is not None and build.state is State.READY for build in builds)


def who_waits_is_in_line_once(world: "World", pool: Pool) -> None:
    """No idle job is forgotten by the matchmaker, none could be granted twice."""
    lines = Counter((cluster, proc) for tickets in waiting(pool).values() for _, cluster, proc in tickets)
    for key, times in lines.items():
        if times > 1:
            raise world.story.violated(f"a job waits in line {times} times", key)
    for cluster in pool.clusters.values():
        if cluster.needs is not None and not any(
                _has_its_image(pool, cluster, machine) for machine in pool.machines.values()):
            continue
        idle = {proc for proc, job in cluster.jobs.items() if job.waits}
        if cluster.state.rest_status == IDLE and cluster.id not in pool.filing.windowed:
            idle.update(cluster.rest_procs())
        for proc in idle:
            if (cluster.id, proc) not in lines:
                raise world.story.violated("a job that waits is in no line", (cluster.id, proc))


def a_machine_is_not_overfilled(world: "World", startd: Startd) -> None:
    """INV-S2. What is over may be counted again where the disk forgot that it had ended."""
    core = startd.core
    returned = [run.grant.claim for run in core.runs.values()
                if startd.machine.disk.forgot_something and run.phase is Phase.RETURNING]
    free = core.free()
    for claim in returned:
        free = Amounts(free.cpus + claim.cpus, free.memory_mib + claim.memory_mib, free.disk_kib + claim.disk_kib,
                       tuple(give_back(part, claim) for part in free.gpus))
    if is_below_zero(free):
        runs = [(str(run.run), str(run.phase), run.grant.claim.cpus) for run in core.runs.values()]
        raise world.story.violated(f"{core.name} took on more than it has: {runs} leave {free}")


def give_back(left: GpuPart, claim: Amounts) -> GpuPart:
    parts = [part.memory_mib for part in claim.gpus if part.device == left.device]
    return replace(left, memory_mib=left.memory_mib + sum(parts))


def no_run_is_living_and_buried(world: "World", startd: Startd) -> None:
    """INV-S1."""
    for run in startd.core.runs.keys() & startd.core.tombs.keys():
        raise world.story.violated(f"{startd.machine.name} has buried a run that it has", run)


def an_end_never_changes(world: "World", startd: Startd) -> None:
    """INV-R1, for one life of the startd."""
    for run in startd.core.runs.values():
        if (run.phase is Phase.ENDED) != (run.end is not None):
            raise world.story.violated("a run has ended without an end, or has one too early", run.run)
        if run.end is not None and startd.ends.setdefault(run.run, run.end) != run.end:
            raise world.story.violated("how a run ended has changed", run.run)


def a_restored_startd_equals_the_living(world: "World", startd: Startd) -> None:
    """Looked at now and then, on machines whose disk forgot nothing."""
    disk = startd.machine.disk
    if disk.forgot_something or world.random.random() > 0.02:
        return
    core, restored = startd.core, StartdCore.restore(disk.read(), startd.core.name, startd.core.identity,
                                                     startd.core.amounts, {})
    if {r: (x.grant, x.ending, x.end, x.halts) for r, x in core.runs.items()} != {
            r: (x.grant, x.ending, x.end, x.halts) for r, x in restored.runs.items()} or core.tombs != restored.tombs:
        raise world.story.violated(f"{startd.machine.name} would not be the same after a restart")


def who_stands_still_is_known(world: "World", startd: Startd) -> None:
    """A run is suspended exactly while its count of halts is odd."""
    for run in startd.core.runs.values():
        if run.alive and run.phase in (Phase.RUNNING, Phase.SUSPENDED) and (
                (run.phase is Phase.SUSPENDED) is not (run.halts % 2 == 1)):
            raise world.story.violated(f"{run.phase} after {run.halts} halts", run.run)


OF_POOL = (every_job_is_in_one_place, states_and_runs_agree, nothing_is_carved_twice, images_are_built_once,
           who_waits_is_in_line_once)
OF_STARTD = (a_machine_is_not_overfilled, no_run_is_living_and_buried, an_end_never_changes,
             a_restored_startd_equals_the_living, who_stands_still_is_known)
