"""Which jobs a command means.

Ids name clusters (`12`) or jobs (`12.3`), owners name users; a constraint narrows both.
The rest of a cluster is one thing as long as the constraint cannot tell its jobs apart;
then it is looked at job by job, up to a bound.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from contract.problems import Problem
from contract.requests import Selection
from contract.vocabulary import JobId
from dsl.classad import ClassAdSyntaxError, Expression, is_true, parse, references
from dsl.submit import SubmitErrors
from schedd.core.ads import shown_ad, template_ad
from schedd.core.cluster import DYNAMIC, Cluster
from schedd.core.job import Job

MOST_LOOKED_AT = 200_000
"""Jobs of the rest that one constraint is evaluated on."""

PER_JOB = (DYNAMIC - {"clusterid", "jobstatus", "enteredcurrentstatus", "jobprio", "numjobstarts", "numjobcompletions"})
"""Of the dynamic attributes those in which jobs of one rest differ, or may when they run."""

NUMBERED = frozenset({"procid", "pescrank", "globaljobid"})
"""Those in which jobs differ that never ran and that the same was done to."""


class Wanted(NamedTuple):
    """What a selection says of one cluster: all of it, or these procs; those that satisfy `constraint`."""

    cluster: Cluster
    procs: list[int] | None
    constraint: Expression | None


def parse_ids(texts: Iterable[str]) -> list[tuple[int, int | None]]:
    """`"12"` → (12, None), `"12.3"` → (12, 3)."""
    ids: list[tuple[int, int | None]] = []
    for text in texts:
        cluster, dot, proc = text.partition(".")
        if not _is_number(cluster) or (dot and not _is_number(proc)):
            raise Problem("bad_request", f"{text[:80]!r} is neither a cluster (12) nor a job (12.3).",
                          "See the numbers with: pesc_q -nobatch.")
        ids.append((int(cluster), int(proc) if dot else None))
    return ids


def parse_constraint(text: str | None) -> Expression | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ClassAdSyntaxError as error:
        raise Problem("bad_constraint", f"The constraint is not an expression.\n{error}",
                      'A constraint looks like: JobStatus == 5 && Owner == "lee".') from None


def wanted(clusters: dict[int, Cluster], selection: Selection) -> tuple[list[Wanted], list[str]]:
    """What `selection` names among the live clusters, and the ids that name nothing."""
    constraint = parse_constraint(selection.constraint)
    ids = parse_ids(selection.ids)
    missing: list[str] = []
    if not ids:
        chosen = [c for c in clusters.values() if not selection.owners or c.owner in selection.owners]
        return [Wanted(c, None, constraint) for c in chosen], missing
    found: dict[int, set[int] | None] = {}
    for cluster_id, proc in ids:
        cluster = clusters.get(cluster_id)
        if cluster is None:
            missing.append(str(cluster_id) if proc is None else f"{cluster_id}.{proc}")
        elif proc is None:
            found[cluster_id] = None
        elif proc not in cluster.jobs and not cluster.in_rest(proc):
            missing.append(f"{cluster_id}.{proc}")
        elif (procs := found.setdefault(cluster_id, set())) is not None:
            procs.add(proc)
    return [
        Wanted(clusters[number], None if procs is None else sorted(procs), constraint)
        for number, procs in sorted(found.items())
        if not selection.owners or clusters[number].owner in selection.owners
    ], missing


def rows(want: Wanted, now: float) -> list[Job]:
    """The jobs meant that are rows."""
    jobs = want.cluster.jobs
    chosen = list(jobs.values()) if want.procs is None else [jobs[p] for p in want.procs if p in jobs]
    chosen.sort(key=lambda job: job.proc)
    if want.constraint is None:
        return chosen
    return [job for job in chosen if _holds(want, job.proc, job, now)]


def whole_rest(want: Wanted, now: float) -> bool | None:
    """Whether the rest is meant as a whole (True), not at all (False), or job by job (None)."""
    cluster = want.cluster
    if cluster.rest == 0:
        return False
    if want.procs is not None:
        return None
    if want.constraint is None:
        return True
    if tells_apart(want.constraint, cluster, cluster.state.next_proc, PER_JOB):
        return None
    return _holds(want, next(cluster.rest_procs()), None, now)


def tells_apart(constraint: Expression, cluster: Cluster, proc: int, differing: frozenset[str] = NUMBERED) -> bool:
    """Whether `constraint` may be true for one and false for the next of jobs that differ, from `proc` on, in what
    varies and in `differing` alone."""
    try:
        varying = {name.lower() for name in cluster.varying(proc)}
    except SubmitErrors:
        return True
    # A command may make no attribute of the first job, and one of the next.
    varying |= {name[1:].lower() if name.startswith("+") else name.replace("_", "").lower()
                for name in cluster.record.submission.varying}
    return not {name.lower() for name in _names(constraint, cluster)}.isdisjoint(differing | varying)


def rest_procs(want: Wanted, now: float) -> Iterator[int]:
    """The procs of the rest that are meant, job by job."""
    cluster = want.cluster
    if want.procs is not None:
        candidates: Iterable[int] = [proc for proc in want.procs if cluster.in_rest(proc)]
    else:
        check_bounds(want, now)
        candidates = list(cluster.rest_procs())
    return (proc for proc in candidates if want.constraint is None or _holds(want, proc, None, now))


def check_bounds(want: Wanted, now: float) -> None:
    """Refuse a constraint that would have to be evaluated too often."""
    cluster = want.cluster
    if want.procs is None and cluster.rest > MOST_LOOKED_AT and whole_rest(want, now) is None:
        raise Problem(
            "too_large",
            f"The constraint tells the {cluster.rest} waiting jobs of cluster {cluster.id} apart; "
            f"at most {MOST_LOOKED_AT} are looked at one by one.",
            f"Name the cluster ({cluster.id}) without a constraint, or its jobs by number.",
        )


def jobs_meant(want: Wanted, now: float, rest: bool = True) -> Iterator[tuple[JobId, Job | None] | None]:
    """Every job meant, rows and (unless not `rest`) rest, in order of proc; nothing is made a row.

    For a job that is looked at and not meant there is a None, so that whoever reads can pause anywhere:
    a job is told as it is when its turn comes, and not at all when it has left the queue by then.
    """
    cluster = want.cluster
    whole = whole_rest(want, now)
    if want.procs is not None:
        procs: Iterable[int] = want.procs
    elif whole is False or not rest:
        procs = sorted(cluster.jobs)
    else:
        check_bounds(want, now)
        first = cluster.state.next_proc
        procs = itertools.chain(sorted(proc for proc in cluster.jobs if proc < first), range(first, cluster.count))
    for proc in procs:
        job = cluster.jobs.get(proc)
        if job is None and not cluster.in_rest(proc):
            yield None
        elif want.constraint is None or (job is None and whole) or _holds(want, proc, job, now):
            yield JobId(cluster.id, proc), job
        else:
            yield None


def _holds(want: Wanted, proc: int, job: Job | None, now: float) -> bool:
    assert want.constraint is not None
    return is_true(want.constraint.evaluate(shown_ad(want.cluster, proc, job), now=now))


def _names(constraint: Expression, cluster: Cluster) -> set[str]:
    """Every attribute that `constraint` may read, through the template's expressions too."""
    ad = template_ad(cluster)
    seen: set[str] = set()
    queue = [constraint]
    while queue:
        internal, external = references(queue.pop(), ad)
        for reference in internal | external:
            # What is selected of a record (PescRow.seed) reads the whole of it.
            name = reference.lower().split(".", 1)[0]
            if name not in seen:
                seen.add(name)
                expression = ad.get(name)
                if expression is not None:
                    queue.append(expression)
    return seen


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
