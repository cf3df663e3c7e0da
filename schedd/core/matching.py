"""Who is filed where, and the step from the matchmaker's answer to granted runs."""

from collections.abc import Sequence
from itertools import islice

import msgspec

from contract.messages import Amounts, Grant
from contract.vocabulary import HoldCode
from dsl.classad import Ad, literal, references
from dsl.submit import SubmitErrors
from schedd.core import gpus
from schedd.core.ads import devices_text, job_ad, job_texts
from schedd.core.building import NOWHERE, built_for, with_built
from schedd.core.cluster import DYNAMIC, Cluster
from schedd.core.job import Job, Move, Run
from schedd.core.machine import Machine, fits
from schedd.core.matchmaker import Demand, Match, Offer, Share, negotiate
from schedd.core.phases import under_way
from schedd.core.pool import Pool, move, say, take_claim
from schedd.core.program import program_of
from schedd.core.waiting import Kind, Ticket

SIGNIFICANT = ("Requirements", "Rank", "RequestCpus", "RequestMemory", "RequestDisk", "RequestGPUs", "RequireGPUs",
               "GPUsMinMemory", "PescGpuSharing", "PescGpuPeak")

WINDOW = 1_000
"""Of a cluster whose jobs are of several kinds, so many of the rest are kept as rows."""

MOST_AT_ONCE = 10_000
"""Jobs of one line looked at in one cycle."""

Signature = tuple[tuple[str, str], ...]


def file_rest(pool: Pool, cluster: Cluster, now: float) -> None:
    """Let the rest of `cluster` wait, if it is idle."""
    filing, state = pool.filing, cluster.state
    filing.rest_tickets.pop(cluster.id, None)
    if cluster.rest == 0 or state.rest_status != 1 or (built := built_for(pool, cluster, now)) == NOWHERE:
        return
    try:
        ad = job_ad(cluster, next(cluster.rest_procs()), None)
    except SubmitErrors:
        ad = None                  # one by one: only those are held that cannot be described
    if ad is None or cluster.id in filing.windowed or _differs_by_job(pool, cluster, ad):
        _open_window(pool, cluster, now)
        _fill_window(pool, cluster, now)
    else:
        kind = filing.kinds.get(cluster.id)
        if kind is None:
            kind = filing.kinds[cluster.id] = _kind(pool, ad, built, now)
        ticket = Ticket(-state.priority, cluster.id, state.next_proc, rest=True)
        filing.rest_tickets[cluster.id] = ticket
        filing.waiting.add(cluster.owner, kind, ticket)
    filing.wanted = True


def file_job(pool: Pool, cluster: Cluster, job: Job, now: float) -> None:
    """Let `job` wait, if it is idle and has no run."""
    if not job.waits or (built := built_for(pool, cluster, now)) == NOWHERE:
        return
    filing = pool.filing
    kind = filing.kinds.get(cluster.id)
    if kind is None:
        try:
            ad = job_ad(cluster, job.proc, job)
        except SubmitErrors as errors:
            hold(pool, cluster, job, str(errors), HoldCode.BROKEN_DESCRIPTION, now)
            return
        if (problem := problem_of(ad, now)) is not None:
            hold(pool, cluster, job, problem, HoldCode.BROKEN_DESCRIPTION, now)
            return
        kind = _kind(pool, ad, built, now)
        if cluster.id in filing.windowed or _differs_by_job(pool, cluster, ad):
            filing.windowed.add(cluster.id)
            filing.filed[job.cluster, job.proc] = kind.number
        else:
            filing.kinds[cluster.id] = kind
    filing.waiting.add(cluster.owner, kind, Ticket(-job.priority, cluster.id, job.proc))
    filing.wanted = True


def refile_everything(pool: Pool, now: float) -> None:
    """What matters to matching has changed: file every waiting job anew."""
    filing = pool.filing
    filing.processors = frozenset(machine.processor for machine in pool.machines.values())
    filing.waiting.forget_kinds()
    filing.kinds.clear()
    filing.filed.clear()
    filing.windowed.clear()
    filing.verdicts.clear()
    for cluster in list(pool.clusters.values()):
        for job in list(cluster.jobs.values()):
            file_job(pool, cluster, job, now)
        file_rest(pool, cluster, now)


def refile(pool: Pool, cluster: Cluster, now: float) -> None:
    """What matters to matching has changed for one cluster."""
    pool.filing.kinds.pop(cluster.id, None)
    for job in list(cluster.jobs.values()):
        file_job(pool, cluster, job, now)
    file_rest(pool, cluster, now)


def heed_machine(pool: Pool, machine: Machine, now: float) -> None:
    """A machine's ad is new: see whether its expressions read job attributes that mattered to nobody before."""
    machine.note_owner_step(now)
    reads: set[str] = set()
    for name in ("Requirements", "START", "RANK"):
        expression = machine.ad.get(name)
        if expression is not None:
            internal, external = references(expression, machine.ad)
            reads |= {_bare(reference) for reference in internal | external if _bare(reference) not in machine.ad}
    if not reads <= pool.filing.machine_reads:
        pool.filing.machine_reads |= reads
        refile_everything(pool, now)
    if machine.processor not in pool.filing.processors:
        pool.filing.processors |= {machine.processor}
        for cluster in list(pool.clusters.values()):
            if cluster.needs is not None and cluster.needs.by_processor:
                refile(pool, cluster, now)
    pool.filing.wanted = True


def match(pool: Pool, now: float) -> None:
    """Hand out what is free to those who wait."""
    pool.filing.wanted = False
    _file_ripe(pool, now)
    machines = [machine for _, machine in sorted(pool.machines.items()) if machine.may_take(now)]
    for machine in machines:
        _promote(pool, machine, now)
    for number in list(pool.filing.windowed):
        if (cluster := pool.clusters.get(number)) is not None:
            _fill_window(pool, cluster, now)
    _hand_out(pool, [_offer(machine, machine.free) for machine in machines if not machine.ahead], False, now)
    _hand_out(pool, [_offer(machine, machine.room_ahead) for machine in machines if machine.is_quick], True, now)


def _file_ripe(pool: Pool, now: float) -> None:
    """Let the jobs wait for which something that they need has become ready."""
    ripe, pool.filing.ripe = pool.filing.ripe, set()
    for number in sorted(ripe & pool.clusters.keys()):
        refile(pool, pool.clusters[number], now)
    pool.filing.wanted = False


def _offer(machine: Machine, free: Amounts) -> Offer:
    return Offer(machine.name, machine.version, machine.ad, free, machine.devices, machine.processor)


def _promote(pool: Pool, machine: Machine, now: float) -> None:
    """Runs that lie ready take the room that ended ones left, oldest first, as their machine does."""
    for run_id, claim in list(machine.ahead.items()):
        job = pool.job(run_id.cluster, run_id.proc)
        if job is None or job.run is None or job.run.stopping:
            continue
        if not fits(claim, machine.free):
            return
        take_claim(pool, machine, job, job.run, now)
        under_way(pool, pool.clusters[run_id.cluster], job, job.run, now)


def _hand_out(pool: Pool, offers: Sequence[Offer], queued: bool, now: float) -> None:
    offers = [offer for offer in offers if offer.free.cpus > 0]
    if not offers:
        return
    filing = pool.filing
    demands = []
    for line in filing.waiting.lines():
        most = _room(line.kind.request, offers)
        if most and (jobs := filing.waiting.first(line, most)):
            demands.append(Demand(line.owner, line.kind, jobs))
    if demands:
        matches = negotiate(demands, offers, _shares(pool, demands, now), filing.verdicts, now)
        for found in matches:
            _grant(pool, found, queued, now)


def hold(pool: Pool, cluster: Cluster, job: Job, reason: str, code: int, now: float, subcode: int = 0) -> None:
    """Hold a job that has no run."""
    job.hold_reason, job.hold_code, job.hold_subcode = reason, code, subcode
    move(pool, cluster, job, Move.HOLD, now)
    say(pool, cluster, job.proc, "held", now, reason=reason, code=int(code), subcode=subcode)


def request_of(ad: Ad, now: float) -> Amounts | str:
    """The amounts that a job asks for, or why they are none."""
    amounts: list[float] = []
    for name, default in (("RequestCpus", 1), ("RequestMemory", 128), ("RequestDisk", 0)):
        value = ad.evaluate(name, now=now) if name in ad else default
        if type(value) not in (int, float) or not 0 <= value <= 2**53:  # type: ignore[operator]
            return f"{name} is not an amount: {ad.text(name)[:200]} gives {value!s:.100}."
        amounts.append(value)  # type: ignore[arg-type]
    cpus, memory, disk = amounts
    return Amounts(float(cpus), int(-(-memory // 1)), int(-(-disk // 1)))


def problem_of(ad: Ad, now: float) -> str | None:
    """Why what a job asks for cannot be understood, if so."""
    for request in (request_of(ad, now), gpus.request_of(ad, now)):
        if isinstance(request, str):
            return request
    return None


def grant_message(pool: Pool, cluster: Cluster, job: Job, run: Run) -> Grant:
    """The instruction to carry out the current run of `job`."""
    program = program_of(cluster, job.proc, run.claim)
    if job.checkpoint is not None:
        program = msgspec.structs.replace(program, checkpoint=job.checkpoint.content)
    if cluster.needs is not None:
        program = with_built(pool, cluster.needs, pool.machines[run.machine], program)
    texts = job_texts(cluster, job.proc, job)
    if run.claim.gpus:
        texts["AssignedGPUs"] = str(literal(devices_text(run.claim)))
    return Grant(job.run_id, run.claim, program, texts, cluster.owner, queued=run.queued)


def _grant(pool: Pool, found: Match, queued: bool, now: float) -> None:
    ticket, name, claim = found
    cluster, machine = pool.clusters[ticket.cluster], pool.machines[name]
    job = cluster.jobs.get(ticket.proc) or cluster.materialize(ticket.proc)
    try:
        run = Run(name, claim, now, queued=queued, order=pool.next_grant)
        job.attempt += 1
        message = grant_message(pool, cluster, job, run)
    except SubmitErrors as errors:
        job.attempt -= 1
        hold(pool, cluster, job, str(errors), HoldCode.BROKEN_DESCRIPTION, now)
        pool.filing.wanted = True  # the room is still there for others
        return
    pool.next_grant += 1
    job.run, job.lapsed = run, None
    if queued:
        machine.ahead[job.run_id] = claim
        pool.outcome.touch(job)
    else:
        take_claim(pool, machine, job, run, now)
        under_way(pool, cluster, job, run, now)
    pool.outcome.send(machine.link, message)


def _shares(pool: Pool, demands: Sequence[Demand], now: float) -> dict[str, Share]:
    shares = {}
    for owner in {demand.owner for demand in demands}:
        account = pool.account(owner)
        account.settle(now)
        shares[owner] = Share(account.in_use, account.priority)
    return shares


def _room(request: Amounts, offers: Sequence[Offer]) -> int:
    """How many such requests would fit if every offer matched."""
    room = 0
    for offer in offers:
        free = offer.free
        pairs = (
            (request.cpus, free.cpus), (request.memory_mib, free.memory_mib), (request.disk_kib, free.disk_kib)
        )
        room += min((max(0, int(there // wanted)) for wanted, there in pairs if wanted > 0), default=MOST_AT_ONCE)
    return min(room, MOST_AT_ONCE)


def _open_window(pool: Pool, cluster: Cluster, now: float) -> None:
    """From now on the jobs of `cluster` are each filed under a kind of their own."""
    if cluster.id not in pool.filing.windowed:
        pool.filing.windowed.add(cluster.id)
        pool.filing.kinds.pop(cluster.id, None)
        for job in list(cluster.jobs.values()):
            file_job(pool, cluster, job, now)


def _fill_window(pool: Pool, cluster: Cluster, now: float) -> None:
    idle_rows = cluster.state.counts.idle - (cluster.rest if cluster.state.rest_status == 1 else 0)
    if cluster.rest == 0 or cluster.state.rest_status != 1 or idle_rows > WINDOW // 2:
        return
    for proc in list(islice(cluster.rest_procs(), WINDOW - idle_rows)):
        job = cluster.materialize(proc)
        pool.outcome.touch(job)
        file_job(pool, cluster, job, now)


def _kind(pool: Pool, ad: Ad, built: frozenset[str] | None, now: float) -> Kind:
    signature = tuple(sorted((name, ad.text(name)) for name in _significant(pool, ad) if name in ad))
    if built is not None:
        signature = (("", " ".join(sorted(built))), *signature)

    def describe(number: int) -> Kind:
        request, asked = request_of(ad, now), gpus.request_of(ad, now)
        return Kind(number, ad, request if isinstance(request, Amounts) else Amounts(1, 0, 0),
                    asked if isinstance(asked, gpus.GpuRequest) else None, built)

    return pool.filing.waiting.kind(signature, describe)


def _differs_by_job(pool: Pool, cluster: Cluster, ad: Ad) -> bool:
    """Whether something that matters to matching may differ between jobs of `cluster`."""
    submission = cluster.record.submission
    if not (submission.varying or submission.sweep) and not (DYNAMIC & pool.filing.machine_reads):
        names = _significant(pool, ad)
        return bool(names & DYNAMIC)
    varying = {name.lower() for name in cluster.varying(0)}
    # A command may make no attribute of the first job, and one of the next: "request_memory = undefined".
    varying |= {name.lstrip("+").replace("_", "").lower() for name in submission.varying}
    return bool(_significant(pool, ad) & (varying | DYNAMIC))


def _significant(pool: Pool, ad: Ad) -> set[str]:
    """Names, in lower case, of the job attributes that matching may read."""
    names = {name.lower() for name in SIGNIFICANT} | set(pool.filing.machine_reads)
    queue = list(names)
    while queue:
        expression = ad.get(queue.pop())
        if expression is None:
            continue
        internal, external = references(expression, ad)
        for reference in internal | external:
            name = _bare(reference)
            # What is known of a job only when it has run matters before it does.
            if name not in names and (name in ad or name in DYNAMIC):
                names.add(name)
                queue.append(name)
    return names


def _bare(reference: str) -> str:
    name = reference.lower()
    for scope in ("target.", "my."):
        name = name.removeprefix(scope)
    return name.split(".", 1)[0]
