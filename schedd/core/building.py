"""Builds are handed to machines, and what comes of them is told to the jobs that wait.

Nobody is charged for a build. One machine builds one image at a time; the same recipe is
built once, whoever asks for it, and however often. Messages may be lost, doubled or late, as
with runs: what a machine lists in `Hello` and `Beat` is compared with what it should have.
"""

from collections.abc import Sequence

import msgspec

from contract.messages import AcknowledgeBuild, Build, BuildEnded, BuildProgressed, CancelBuild, HeldBuild, Program
from contract.vocabulary import HoldCode, JobStatus
from dsl.dockerfile.processors import runs
from schedd.core.cluster import Cluster
from schedd.core.domains import ImageBuild, Live, State, Turn, can, turned
from schedd.core.job import Move
from schedd.core.machine import Machine
from schedd.core.needs import ANY, Needs, Part
from schedd.core.pool import Pool, heard, move, say

NOWHERE: frozenset[str] = frozenset()
"""Of the kinds of processors for which all is built: none yet."""

BUILDER_PATIENCE_SECONDS = 60.0
"""A builder that is away for so long has lost its build: building twice costs less than waiting."""

GRACE_SECONDS = 10.0
"""A build that was handed out is not missed before."""

MOST_FAULTS = 3
"""So many machines in a row could not do their part: the build has failed."""

NOTE_SECONDS = 86_400.0
"""That what was built is needed is noted no more often than this."""

MOST_LOG_BYTES = 1 << 20
MOST_LINES = 30


def want(pool: Pool, part: Part, name: str, owner: str, now: float) -> ImageBuild:
    """Somebody needs `part`: let it be built if it is not, or if that failed."""
    key = part.key
    build = pool.builds.get(key)
    if build is None:
        build = pool.builds[key] = ImageBuild(key, part.recipe, name, owner, now, processor=part.processor,
                                              making=part.making, on=part.on)
    elif can(build, Turn.AGAIN):
        turned(build, Turn.AGAIN, now)
        build.faults, build.failed_step, build.message, build.lines = 0, "", "", []
    else:
        if now - build.used_at >= NOTE_SECONDS:
            build.used_at = now
            pool.outcome.builds.add(key)
        return build
    build.used_at = now
    pool.outcome.builds.add(key)
    hand_out(pool, now)
    return build


def built_for(pool: Pool, cluster: Cluster, now: float) -> frozenset[str] | None:
    """The kinds of processors for which all is there that the cluster's jobs need; None: for any.

    What is not there is wanted from now on.
    """
    needs = cluster.needs
    if needs is None:
        return None
    if not needs.by_processor:
        return None if _are_built(pool, cluster, needs.parts(ANY), now) else NOWHERE
    return frozenset(kind for kind in sorted(pool.filing.processors)
                     if _are_built(pool, cluster, needs.parts(kind), now))


def _are_built(pool: Pool, cluster: Cluster, parts: Sequence[Part], now: float) -> bool:
    """Whether all of them are ready; a program is wanted when its image is."""
    asked = cluster.record.submission.domain
    domain = asked.name if asked is not None else ""
    return bool(parts) and all(
        want(pool, part, part.making.main if part.making else domain, cluster.owner, now).state is State.READY
        for part in parts)


def is_built_for(pool: Pool, cluster: Cluster, machine: Machine) -> bool:
    """Whether all is there that the cluster's jobs need on a machine like this; its processor may be another by now."""
    if cluster.needs is None:
        return True
    parts = cluster.needs.parts(machine.processor if cluster.needs.by_processor else ANY)
    builds = [pool.builds.get(part.key) for part in parts]
    return bool(builds) and all(build is not None and build.state is State.READY for build in builds)


def with_built(pool: Pool, needs: Needs, machine: Machine, program: Program) -> Program:
    """`program` with what was built of it for a machine like this."""
    parts = needs.parts(machine.processor if needs.by_processor else ANY)
    image = pool.builds[parts[0].key].image
    program = msgspec.structs.replace(program, built=image, image=image.id if image is not None else None)
    if needs.making is None:
        return program
    return msgspec.structs.replace(program, content=pool.builds[parts[1].key].product)


def waits_for(pool: Pool, cluster: Cluster) -> str:
    """What keeps the cluster's idle jobs from being matched, in words; "" for nothing of this kind."""
    needs = cluster.needs
    if needs is None or not cluster.state.counts.idle:
        return ""
    kinds = sorted(pool.filing.processors) if needs.by_processor else [ANY]
    by_kind = [[pool.builds.get(part.key) for part in parts] for kind in kinds if (parts := needs.parts(kind))]
    if any(all(build is not None and build.state is State.READY for build in builds) for builds in by_kind):
        return ""
    builds = [build for some in by_kind for build in some if build is not None]
    for build in sorted(builds, key=lambda build: build.state is not State.BUILDING):
        if build.state is State.BUILDING:
            live = pool.live.get(build.key)
            step = f" (step {live.step}/{live.steps})" if live is not None and live.steps else ""
            return f"building {build.what} on {build.machine}{step}"
        if build.state is State.WANTED:
            able = any(_can_build(machine, build) for machine in pool.machines.values())
            return f"{build.what} " + ("waits to be built" if able else "waits for a machine that can build")
    if kinds and not by_kind:
        return f"its domain is made for {' and '.join(needs.variants or ())}, and no machine has such a processor"
    return ""


def hand_out(pool: Pool, now: float) -> None:
    """Give wanted builds to machines: the longest wanted first, to the machine that comes first by name."""
    wanted = sorted((build for build in pool.builds.values() if build.state is State.WANTED),
                    key=lambda build: (build.since, build.key))
    if not wanted:
        return
    busy = {build.machine for build in pool.builds.values() if build.state is State.BUILDING}
    free = [machine for _, machine in sorted(pool.machines.items())
            if machine.link is not None and machine.name not in busy]
    for build in wanted:
        # A machine that could not do its part is asked last; one for whose kind it is made comes first.
        chosen = min((machine for machine in free if _can_build(machine, build)), default=None,
                     key=lambda machine: (machine.name == build.machine, machine.processor != build.processor,
                                          machine.name))
        if chosen is None:
            continue
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
    if (ended.product if build.making is not None else ended.image) is not None:
        _finish(pool, build, ended, now)
    elif ended.blames_machine and build.faults + 1 < MOST_FAULTS:
        build.faults += 1
        build.message = ended.message
        lose(pool, build, now)
    else:
        _fail(pool, build, ended, now)
    hand_out(pool, now)


def _finish(pool: Pool, build: ImageBuild, ended: BuildEnded, now: float) -> None:
    turned(build, Turn.FINISH, now)
    build.image, build.product = (None, ended.product) if build.making is not None else (ended.image, None)
    build.faults, build.message, build.lines, build.failed_step = 0, "", [], ""
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
    last = " | ".join(line.strip() for line in build.lines[-6:])
    return (f"The {build.what} could not be built{at}: {build.message}. Its last lines: {last} (all of it: "
            f"pesc_domain log {build.handle}; to try again, release the jobs)")


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
    """The clusters whose jobs need what has this key."""
    return [cluster for cluster in pool.clusters.values() if cluster.needs is not None
            and any(part.key == key for part in cluster.needs.all_parts(pool.filing.processors))]


def _current(pool: Pool, now: float, link: int, key: str, attempt: int) -> ImageBuild | None:
    """The build that the machine behind `link` speaks of, if it is still its to build."""
    machine = heard(pool, link, now)
    build = pool.builds.get(key)
    if machine is None or build is None or build.state is not State.BUILDING:
        return None
    return build if (build.machine, build.attempt) == (machine.name, attempt) else None


def _instruction(pool: Pool, build: ImageBuild) -> Build:
    on = pool.builds.get(build.on)
    return Build(build.key, build.attempt, build.label, build.recipe, pool.settings.build_network, build.processor,
                 build.making, on.image if on is not None else None)


def _tell_waiting(pool: Pool, build: ImageBuild) -> None:
    """Whoever follows the jobs is to see it."""
    pool.outcome.clusters.update(cluster.id for cluster in users_of(pool, build.key))


def _can_build(machine: Machine, build: ImageBuild) -> bool:
    """Programs may be made for the very processor that makes them (-march=native): there, no other will do."""
    fits = (build.processor == machine.processor if build.making is not None
            else not build.processor or runs(machine.processor, build.processor))
    if machine.record.drain is not None or not fits:
        return False
    return "HasContainerBuild" in machine.ad and machine.ad.evaluate("HasContainerBuild") is True
