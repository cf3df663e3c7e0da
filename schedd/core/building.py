"""Builds are handed to machines, and what comes of them is told to the jobs that wait.

Nobody is charged for a build. One machine builds one image at a time; the same recipe is
built once, whoever asks for it, and however often. Messages may be lost, doubled or late, as
with runs: what a machine lists in `Hello` and `Beat` is compared with what it should have.
"""

from collections.abc import Sequence

from contract.messages import (
    AcknowledgeBuild,
    Build,
    BuildEnded,
    BuildProgressed,
    CancelBuild,
    HeldBuild,
    Image,
    Recipe,
)
from contract.vocabulary import HoldCode, JobStatus
from schedd.core.cluster import Cluster
from schedd.core.domains import ImageBuild, Live, State, Turn, can, turned
from schedd.core.job import Move
from schedd.core.machine import Machine
from schedd.core.pool import Pool, heard, move, say

BUILDER_PATIENCE_SECONDS = 60.0
"""A builder that is away for so long has lost its build: building twice costs less than waiting."""

GRACE_SECONDS = 10.0
"""A build that was handed out is not missed before."""

MOST_FAULTS = 3
"""So many machines in a row could not do their part: the build has failed."""

MOST_LOG_BYTES = 1 << 20
MOST_LINES = 30


def want(pool: Pool, key: str, recipe: Recipe, name: str, owner: str, now: float) -> ImageBuild:
    """Somebody needs the image of `recipe`: let it be built if it is not, or if that failed."""
    build = pool.builds.get(key)
    if build is None:
        build = pool.builds[key] = ImageBuild(key, recipe, name, owner, now)
    elif can(build, Turn.AGAIN):
        turned(build, Turn.AGAIN, now)
        build.faults, build.failed_step, build.message, build.lines = 0, "", "", []
    else:
        return build
    pool.outcome.builds.add(key)
    hand_out(pool, now)
    return build


def may_be_matched(pool: Pool, cluster: Cluster, now: float) -> bool:
    """Whether the image of the cluster's domain is there; if not, it is wanted from now on."""
    if not cluster.domain_key:
        return True
    asked = cluster.record.submission.domain
    assert asked is not None and asked.recipe is not None
    build = want(pool, cluster.domain_key, asked.recipe, asked.name, cluster.owner, now)
    return build.state is State.READY


def waits_for(pool: Pool, cluster: Cluster) -> str:
    """What keeps the cluster's idle jobs from being matched, in words; "" for nothing of this kind."""
    build = pool.builds.get(cluster.domain_key) if cluster.domain_key else None
    if build is None or not cluster.state.counts.idle:
        return ""
    if build.state is State.BUILDING:
        live = pool.live.get(build.key)
        step = f" (step {live.step}/{live.steps})" if live is not None and live.steps else ""
        return f"building domain {build.label} on {build.machine}{step}"
    if build.state is State.WANTED:
        able = any(_can_build(machine) for machine in pool.machines.values())
        return f"domain {build.label} " + ("waits to be built" if able else "waits for a machine that can build")
    return ""


def hand_out(pool: Pool, now: float) -> None:
    """Give wanted builds to machines: the longest wanted first, to the machine that comes first by name."""
    wanted = sorted((build for build in pool.builds.values() if build.state is State.WANTED),
                    key=lambda build: (build.since, build.key))
    if not wanted:
        return
    busy = {build.machine for build in pool.builds.values() if build.state is State.BUILDING}
    free = [machine for _, machine in sorted(pool.machines.items())
            if machine.link is not None and machine.name not in busy and _can_build(machine)]
    for build in wanted:
        # A machine that could not do its part is asked last.
        chosen = min(free, key=lambda machine: (machine.name == build.machine, machine.name), default=None)
        if chosen is None:
            return
        free.remove(chosen)
        turned(build, Turn.BEGIN, now)
        build.machine = chosen.name
        build.attempt += 1
        pool.live[build.key] = Live(build.attempt, heard_at=now)
        pool.outcome.builds.add(build.key)
        pool.outcome.send(chosen.link, _instruction(pool, build))
        _tell_waiting(pool, build)


def on_build_progressed(pool: Pool, now: float, link: int, said: BuildProgressed) -> None:
    """A build came to another step, or printed something."""
    build = _current(pool, now, link, said.key, said.attempt)
    if build is None:
        return
    live = pool.live.setdefault(build.key, Live(build.attempt))
    live.heard_at = now
    if said.offset <= len(live.log) < said.offset + len(said.log) and len(live.log) < MOST_LOG_BYTES:
        live.log += said.log[len(live.log) - said.offset:][: MOST_LOG_BYTES - len(live.log)]
    if (said.step, said.steps) != (live.step, live.steps):
        live.step, live.steps, live.instruction = said.step, said.steps, said.instruction[:200]
        _tell_waiting(pool, build)


def on_build_ended(pool: Pool, now: float, link: int, ended: BuildEnded) -> None:
    """A build is over; a late or second report changes nothing."""
    pool.outcome.send(link, AcknowledgeBuild(ended.key, ended.attempt))
    build = _current(pool, now, link, ended.key, ended.attempt)
    if build is None:
        return
    pool.outcome.contents.update(ended.blobs)
    build.log = ended.log
    if ended.image is not None:
        _finish(pool, build, ended.image, now)
    elif ended.blames_machine and build.faults + 1 < MOST_FAULTS:
        build.faults += 1
        build.message = ended.message
        lose(pool, build, now)
    else:
        _fail(pool, build, ended, now)
    hand_out(pool, now)


def _finish(pool: Pool, build: ImageBuild, image: Image, now: float) -> None:
    turned(build, Turn.FINISH, now)
    build.image, build.faults, build.message, build.lines, build.failed_step = image, 0, "", [], ""
    pool.live.pop(build.key, None)
    pool.outcome.builds.add(build.key)
    for cluster in users_of(pool, build.key):
        pool.filing.ripe.add(cluster.id)
        pool.filing.wanted = True


def _fail(pool: Pool, build: ImageBuild, ended: BuildEnded, now: float) -> None:
    turned(build, Turn.FAIL, now)
    build.failed_step, build.message = ended.step[:500], ended.message[:2000]
    build.lines = [line[:500] for line in ended.lines[-MOST_LINES:]]
    pool.live.pop(build.key, None)
    pool.outcome.builds.add(build.key)
    for cluster in users_of(pool, build.key):
        hold_waiting(pool, cluster, why_failed(build), now)


def why_failed(build: ImageBuild) -> str:
    """For people: which step failed, and its last lines."""
    at = f" at the step {build.failed_step}" if build.failed_step else ""
    last = " | ".join(line.strip() for line in build.lines[-4:])
    return (f"The domain {build.label} could not be built{at}: {build.message}. Its last lines: {last} (all of it: "
            f"pesc_domain log {build.label}; to try again, release the jobs)")


def hold_waiting(pool: Pool, cluster: Cluster, reason: str, now: float) -> None:
    """Hold all jobs of `cluster` that are idle and have no run."""
    state, code = cluster.state, int(HoldCode.DOMAIN_FAILED)
    if cluster.rest and state.rest_status == JobStatus.IDLE:
        state.rest_status, state.rest_entered_at = JobStatus.HELD, now
        state.rest_reason, state.rest_code = reason, code
        cluster.recount(JobStatus.IDLE, JobStatus.HELD, cluster.rest)
        pool.outcome.clusters.add(cluster.id)
        pool.filing.rest_tickets.pop(cluster.id, None)
        say(pool, cluster, -1, "held", now, reason=reason, code=code, jobs=cluster.rest, procs=cluster.rest_ranges())
    for job in list(cluster.jobs.values()):
        if job.waits:
            job.hold_reason, job.hold_code, job.hold_subcode = reason, code, 0
            move(pool, cluster, job, Move.HOLD, now)
            say(pool, cluster, job.proc, "held", now, reason=reason, code=code)


def lose(pool: Pool, build: ImageBuild, now: float) -> None:
    """Its machine will not finish it: it is wanted again."""
    turned(build, Turn.LOSE, now)
    pool.live.pop(build.key, None)
    pool.outcome.builds.add(build.key)
    _tell_waiting(pool, build)


def lose_builds(pool: Pool, machine: str, now: float) -> None:
    """All builds of a machine that is given up."""
    for build in list(pool.builds.values()):
        if build.state is State.BUILDING and build.machine == machine:
            lose(pool, build, now)


def reconcile_builds(pool: Pool, machine: Machine, held: Sequence[HeldBuild], now: float, fresh: bool) -> None:
    """Compare what the startd builds with what it should build, and mend the difference."""
    listed = {(one.key, one.attempt) for one in held}
    mine = {(build.key, build.attempt): build for build in pool.builds.values()
            if build.state is State.BUILDING and build.machine == machine.name}
    for key, attempt in listed - mine.keys():
        pool.outcome.send(machine.link, CancelBuild(key, attempt))
    for which, build in mine.items():
        if which in listed:
            pool.live.setdefault(build.key, Live(build.attempt)).heard_at = now
        elif fresh or now - build.since > GRACE_SECONDS:
            pool.outcome.send(machine.link, _instruction(pool, build))
    hand_out(pool, now)


def tick_builds(pool: Pool, now: float) -> None:
    """A builder that has been away for too long has lost its build."""
    for build in list(pool.builds.values()):
        if build.state is not State.BUILDING:
            continue
        machine = pool.machines.get(build.machine)
        if machine is None or (machine.link is None and now - machine.last_heard_at > BUILDER_PATIENCE_SECONDS):
            lose(pool, build, now)
    hand_out(pool, now)


def users_of(pool: Pool, key: str) -> list[Cluster]:
    return [cluster for cluster in pool.clusters.values() if cluster.domain_key == key]


def _current(pool: Pool, now: float, link: int, key: str, attempt: int) -> ImageBuild | None:
    """The build that the machine behind `link` speaks of, if it is still its to build."""
    machine = heard(pool, link, now)
    build = pool.builds.get(key)
    if machine is None or build is None or build.state is not State.BUILDING:
        return None
    return build if (build.machine, build.attempt) == (machine.name, attempt) else None


def _instruction(pool: Pool, build: ImageBuild) -> Build:
    return Build(build.key, build.attempt, build.label, build.recipe, pool.settings.build_network)


def _tell_waiting(pool: Pool, build: ImageBuild) -> None:
    """Whoever follows the jobs is to see it."""
    pool.outcome.clusters.update(cluster.id for cluster in users_of(pool, build.key))


def _can_build(machine: Machine) -> bool:
    if machine.record.drain is not None:
        return False
    return "HasContainerBuild" in machine.ad and machine.ad.evaluate("HasContainerBuild") is True
