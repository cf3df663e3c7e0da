"""Submissions, queue, history, actions, machines."""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from sanic import Request
from sanic.response import HTTPResponse

from contract.problems import Problem
from contract.requests import Action, Batch, ClusterOutputs, DrainOrder, Queue, Selection, Submission
from contract.tokens import Claims
from contract.vocabulary import JobStatus
from dsl.classad import Ad, Expression, is_true, literal
from schedd.api.context import Context
from schedd.api.domains import asked_contents
from schedd.api.gate import answer, is_local_owner
from schedd.core import gpus
from schedd.core.actions import act
from schedd.core.ads import job_json, shown_ad
from schedd.core.building import waits_for
from schedd.core.cluster import Cluster
from schedd.core.draining import drain
from schedd.core.job import Job
from schedd.core.machine import Machine
from schedd.core.peaks import told
from schedd.core.pool import Pool
from schedd.core.selection import (
    Wanted,
    check_bounds,
    jobs_meant,
    parse_constraint,
    parse_ids,
    tells_apart,
    wanted,
    whole_rest,
)
from schedd.core.submission import submit
from schedd.store.store import HistoryRow

log = logging.getLogger("schedd.api")

MOST_LISTED = 10_000
HISTORY_PAGE = 500
PIECE_BYTES = 256 * 1024
AT_A_STRETCH_SECONDS = 0.005
"""How long a long search works before others have their turn."""

T = TypeVar("T")
PROGRAMS_LISTED = 100


async def post_cluster(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    submission = msgspec.json.decode(request.body, type=Submission)
    lacking = await context.blobs.missing([content.sha256 for content in (
        *submission.files.values(), *asked_contents(submission.domain))])
    if lacking:
        raise Problem("missing_content", f"{len(lacking)} contents of the submission are not here, first {lacking[0]}.",
                      "Upload them first, then submit again.")
    delivers = is_local_owner(context, request, claims)
    return answer(await context.loop.ask(submit, claims.user, context.host, delivers, submission))


async def get_cluster(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    return answer(await batch_of(context, _number(request.match_info["cluster"])))


async def batch_of(context: Context, number: int) -> Batch:
    """The batch line of a cluster, in the queue or over."""
    return _waiting(context.loop.pool, await find_cluster(context, number))


def _waiting(pool: Pool, cluster: Cluster) -> Batch:
    """The batch line, with what keeps its idle jobs waiting."""
    batch, why = cluster.batch(), waits_for(pool, cluster)
    return msgspec.structs.replace(batch, waits_for=why) if why else batch


async def find_cluster(context: Context, number: int) -> Cluster:
    cluster = context.loop.pool.clusters.get(number) or await context.loop.store.cluster(number)
    if cluster is None:
        raise Problem("no_such_job", f"There is no cluster {number}, and never was.", "See yours with: pesc_q.")
    return cluster


async def get_queue(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    pool = context.loop.pool
    owners = set(request.args.getlist("owner") or [])
    texts = request.args.getlist("id") or []
    _refuse_unheard_of(pool, texts)
    ids = {cluster for cluster, _ in parse_ids(texts)}
    batches = [
        _waiting(pool, cluster)
        for cluster in pool.clusters.values()
        if (not owners or cluster.owner in owners) and (not ids or cluster.id in ids)
    ]
    return answer(Queue(batches, pool.totals(owners), sum(m.link is not None for m in pool.machines.values())))


async def get_jobs(context: Context, request: Request, claims: Claims) -> HTTPResponse | None:
    now = context.loop.clock()
    selection = _selection(request)
    pool = context.loop.pool
    _refuse_unheard_of(pool, selection.ids)
    wants, _ = wanted(pool.clusters, selection)
    limit, attributes = _limit(request, MOST_LISTED), _attributes(request)
    if not limit:
        for want in wants:
            check_bounds(want, now)        # while a refusal can still be said
        await _send_all(request, _job_ads(pool, wants, attributes, now))
        return None
    ads = []
    async for ad in _job_ads(pool, wants, attributes, now):
        ads.append(ad)
        if len(ads) == limit:
            break
    left_off = await _number_meant(wants, now) - len(ads) if len(ads) == limit else 0
    return answer(ads, headers={"Pesc-Left-Off": str(max(0, left_off))})


def _refuse_unheard_of(pool: Pool, ids: list[str]) -> None:
    """Say so if none of the clusters that were named ever was."""
    if ids and not any(0 < cluster < pool.next_cluster for cluster, _ in parse_ids(ids)):
        raise Problem("no_such_job", f"There is no job {', '.join(ids[:10])}, and never was.",
                      "See yours with: pesc_q.")


async def _job_ads(
    pool: Pool, wants: list[Wanted], attributes: frozenset[str], now: float
) -> AsyncIterator[dict[str, Any]]:
    why = _WhyIdle(pool, now)
    for want in wants:
        cluster = want.cluster
        async for job_id, job in _unhurried(jobs_meant(want, now)):
            ad = job_json(cluster, job_id.proc, job)
            if cluster.asks_for_gpus:
                ad |= why(cluster, job_id.proc, job)
            yield _project(ad, attributes)


async def _number_meant(wants: list[Wanted], now: float) -> int:
    number = 0
    for want in wants:
        whole = whole_rest(want, now)
        number += want.cluster.rest if whole else 0
        async for _ in _unhurried(jobs_meant(want, now, rest=not whole)):
            number += 1
    return number


async def _unhurried(found: Iterable[T | None]) -> AsyncIterator[T]:
    """`found` without its Nones; a long search lets everybody else have their turn."""
    since = time.monotonic()
    for one in found:
        if one is not None:
            yield one
        if time.monotonic() - since > AT_A_STRETCH_SECONDS:
            await asyncio.sleep(0)
            since = time.monotonic()


async def _send_all(request: Request, ads: AsyncIterator[dict[str, Any]]) -> None:
    """Answer with a list of any length, piece by piece: a million ads fit in no memory."""
    response = await request.respond(content_type="application/json")
    piece, between = bytearray(b"["), b""
    async for ad in ads:
        piece += between + msgspec.json.encode(ad)
        between = b","
        if len(piece) > PIECE_BYTES:
            await response.send(bytes(piece))
            piece.clear()
    await response.send(bytes(piece) + b"]")
    await response.eof()


class _WhyIdle:
    """What an idle job waits for in vain, worked out once for a cluster whose jobs are all of one kind."""

    def __init__(self, pool: Pool, now: float) -> None:
        self._pool = pool
        self._now = now
        self._known: dict[int, str] = {}

    def __call__(self, cluster: Cluster, proc: int, job: Job | None) -> dict[str, str]:
        status = cluster.state.rest_status if job is None else job.status
        if status != JobStatus.IDLE:
            return {}
        if why := waits_for(self._pool, cluster):
            return {"PescWhyIdle": why}
        kind = self._pool.filing.kinds.get(cluster.id)
        if kind is None:
            why = self._shortage(shown_ad(cluster, proc, job))
        elif (why := self._known.get(kind.number, "?")) == "?":
            why = self._known[kind.number] = self._shortage(kind.ad)
        return {"PescWhyIdle": why} if why else {}

    def _shortage(self, ad: Ad) -> str:
        return gpus.shortage(ad, ((machine.ad, machine.devices) for machine in self._pool.machines.values()), self._now)


async def get_history(context: Context, request: Request, claims: Claims) -> HTTPResponse | None:
    limit, attributes = _limit(request, MOST_LISTED), _attributes(request)
    selection = _selection(request)
    constraint = parse_constraint(selection.constraint)
    _refuse_unheard_of(context.loop.pool, selection.ids)
    found = (_project(job_json(cluster, job.proc, job), attributes)
             async for cluster, job in _history(context, selection, constraint))
    if not limit:
        await _send_all(request, found)
        return None
    ads: list[dict[str, Any]] = []
    async for ad in found:
        ads.append(ad)
        if len(ads) == limit:
            break
    left_off = 0
    if len(ads) == limit and constraint is None:
        left_off = max(0, await _count_history(context, selection) - len(ads))
    return answer(ads, headers={"Pesc-Left-Off": str(left_off)})


async def _count_history(context: Context, selection: Selection) -> int:
    ids: list[tuple[int | None, int | None]] = [*parse_ids(selection.ids)] or [(None, None)]
    owners: list[str | None] = [*selection.owners] or [None]
    counts = [
        await context.loop.store.count_history(cluster, owner) if proc is None else 1
        for (cluster, proc), owner in itertools.product(ids, owners)
    ]
    return sum(counts)


async def get_peaks(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    owner, domain, program = (request.args.get(name) for name in ("owner", "domain", "program"))
    most = min(_limit(request, PROGRAMS_LISTED), MOST_LISTED) or MOST_LISTED
    return answer([told(one) for one in await context.loop.store.measured(owner, domain, program, most)])


async def post_action(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    action = msgspec.json.decode(request.body, type=Action)
    return answer(await context.loop.ask(act, claims.user, claims.may_touch_all_jobs, action))


async def post_drain(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    order = msgspec.json.decode(request.body, type=DrainOrder)
    done = await context.loop.ask(drain, claims.user, order)
    log.info("machine %s is %s", done.machine, "being emptied" if done.draining else "back in service",
             extra={"machine": done.machine, "by": claims.user, "seconds": order.seconds, "reason": order.reason})
    return answer(done)


async def get_outputs(context: Context, request: Request, claims: Claims) -> HTTPResponse | None:
    number = _number(request.match_info["cluster"])
    cluster = await find_cluster(context, number)
    if cluster.owner != claims.user and not claims.may_touch_all_jobs:
        raise Problem("not_yours", f"Cluster {number} belongs to {cluster.owner}; you are signed in as {claims.user}.",
                      "Only its owner or an administrator can fetch its outputs.")
    response = await request.respond(content_type="application/x-ndjson")
    async for row in context.loop.store.outputs(number):
        for proc in range(row.job.proc, row.last + 1):
            await response.send(msgspec.json.encode(_outputs(cluster, proc, row.job)) + b"\n")
    for job in sorted(cluster.jobs.values(), key=lambda job: job.proc):
        if job.stdout or job.stderr or job.files:
            await response.send(msgspec.json.encode(_outputs(cluster, job.proc, job)) + b"\n")
    await response.eof()
    return None


async def get_machines(context: Context, request: Request, claims: Claims) -> HTTPResponse:
    constraint = parse_constraint(request.args.get("constraint"))
    attributes = _attributes(request)
    pool, now = context.loop.pool, context.loop.clock()
    ads = []
    for _, machine in sorted(pool.machines.items()):
        ad = machine_ad(pool, machine, now)
        if constraint is None or is_true(constraint.evaluate(ad, now=now)):
            ads.append(_project({**machine.ad.to_json(), **ad.to_json()}, attributes))
    return answer(ads)


def machine_ad(pool: Pool, machine: Machine, now: float) -> Ad:
    """A machine's own ad and what the schedd knows of it."""
    free, total = machine.free, machine.record.amounts
    own: dict[str, Any] = {
        "Name": machine.name,
        "MyType": "Machine",
        "Cpus": _plain(total.cpus), "Memory": total.memory_mib, "Disk": total.disk_kib,
        "FreeCpus": _plain(free.cpus), "FreeMemory": free.memory_mib, "FreeDisk": free.disk_kib,
        "NumRuns": len(machine.claims),
        **({"FreeGPUs": sum(not part.shared for part in free.gpus)} if free.gpus else {}),
        "State": _state(machine),
        "Activity": _activity(machine),
        "LastHeardFrom": int(machine.last_heard_at),
    }
    if machine.owner_step != "free":
        own["PescOwnerSince"] = int(machine.owner_step_since[1])
    if machine.avoid_until > now:
        own["PescAvoidedUntil"] = int(machine.avoid_until)
    if (order := machine.record.drain) is not None:
        own |= {"Draining": True, "PescDrainDeadline": int(order.at), "PescDrainedBy": order.by}
        if order.reason:
            own["PescDrainReason"] = order.reason
    ad = Ad(parent=machine.ad)
    for name, value in own.items():
        ad[name] = literal(value)
    return ad


def _state(machine: Machine) -> str:
    if machine.link is None:
        return "Offline"
    if machine.record.drain is not None:
        return "Drained"
    if machine.claims:
        return "Claimed"
    return "Unclaimed" if machine.owner_step == "free" else "Owner"


def _activity(machine: Machine) -> str:
    if not machine.claims:
        return "Idle"
    if machine.record.drain is not None:
        return "Retiring"
    return {"freeze": "Suspended", "leave": "Vacating"}.get(machine.owner_step, "Busy")


async def _history(
    context: Context, selection: Selection, constraint: Expression | None
) -> AsyncIterator[tuple[Cluster, Job]]:
    """Jobs that have left the queue, latest first; ranges one by one, from their end."""
    ids: list[tuple[int | None, int | None]] = [*parse_ids(selection.ids)] or [(None, None)]
    owners: list[str | None] = [*selection.owners] or [None]
    clusters: dict[int, Cluster] = {}
    now = context.loop.clock()
    for (number, proc), owner in itertools.product(ids, owners):
        before = None
        while rows := await context.loop.store.history(before, HISTORY_PAGE, number, proc, owner):
            for row in rows:
                cluster = clusters.get(row.job.cluster)
                if cluster is None:
                    cluster = clusters[row.job.cluster] = await find_cluster(context, row.job.cluster)
                async for job in _unhurried(_singles(row, proc, cluster, constraint, now)):
                    yield cluster, job
            before = rows[-1].id


def _singles(
    row: HistoryRow, proc: int | None, cluster: Cluster, constraint: Expression | None, now: float
) -> Iterator[Job | None]:
    """The jobs of a row that are meant, and a None for each that is not."""

    def holds(job: Job) -> bool:
        return constraint is None or is_true(constraint.evaluate(shown_ad(cluster, job.proc, job), now=now))

    if row.last == row.job.proc:
        yield row.job if holds(row.job) else None
        return
    # A range that ended as one is looked at as one, where that is enough.
    alike = constraint is None or not tells_apart(constraint, cluster, row.job.proc)
    if alike and not holds(row.job):
        return
    for number in [proc] if proc is not None else range(row.last, row.job.proc - 1, -1):
        job = msgspec.structs.replace(row.job, proc=number)
        yield job if alike or holds(job) else None


def _outputs(cluster: Cluster, proc: int, job: Job) -> ClusterOutputs:
    ad = shown_ad(cluster, proc, None)
    out, err = ad.evaluate("Out"), ad.evaluate("Err")
    row, repetition = cluster.row(proc)
    return ClusterOutputs(
        proc, int(job.status), job.exit_code, job.exit_signal, job.last_machine, job.stdout, job.stderr, job.files,
        job.warnings, out if isinstance(out, str) else "", err if isinstance(err, str) else "",
        row, repetition, round(job.wall_seconds, 3), round(job.user_seconds + job.system_seconds, 6),
        round(job.memory_mib, 1), _joins(ad.evaluate("PescJoin")),
    )


def _joins(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _selection(request: Request) -> Selection:
    return Selection(request.args.getlist("id") or [], request.args.getlist("owner") or [],
                     constraint=request.args.get("constraint"))


def _attributes(request: Request) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in request.args.get("attributes", "").split(",") if name.strip())


def _project(ad: dict[str, Any], attributes: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in ad.items() if name.lower() in attributes} if attributes else ad


def _limit(request: Request, default: int) -> int:
    text = request.args.get("limit")
    return default if text is None else _number(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Problem("bad_request", f"{text[:80]!r} is not a number.", "Give a whole number.")
    return int(text)


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number

