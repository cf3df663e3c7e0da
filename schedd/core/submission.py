"""A new cluster comes in: it is checked again (the schedd trusts nobody), numbered, filed."""

import math
import posixpath
import re

import msgspec

from contract.problems import Problem
from contract.requests import Submission, Submitted, Totals
from contract.vocabulary import MAX_BLOB_BYTES, MAX_KEY_CHARACTERS, MAX_REPETITIONS, HoldCode, JobStatus
from dsl.classad import UNDEFINED, Ad, ClassAdSyntaxError
from dsl.submit import SubmitErrors
from schedd.core.ads import job_ad
from schedd.core.cluster import Cluster, ClusterRecord, ClusterState
from schedd.core.matching import file_job, file_rest, hold, problem_of, request_of
from schedd.core.naming import resolved
from schedd.core.pool import Pool, say
from schedd.core.program import program_of

MOST_EAGER = 100_000
"""Jobs that are made rows at once when priority or hold differ from job to job."""

MOST_ATTRIBUTES = 5_000
MOST_COMMAND_CHARACTERS = 20_000
REMEMBERED_KEYS = 10_000
MOST_REASONS = 3
SHA256 = re.compile(r"[0-9a-f]{64}")
CURE = "Submit it with the pesc_submit of this version; see pesc_submit --dry-run."


def submit(pool: Pool, now: float, owner: str, host: str, delivers: bool, submission: Submission) -> Submitted:
    """Queue one cluster; one that was queued before under the same key is answered as then."""
    check_shape(submission)
    known = pool.submitted.get((owner, submission.key)) if submission.key else None
    if known is not None:
        return known
    if submission.domain is not None:
        # What the name means now counts, whatever it will mean later.
        submission = msgspec.structs.replace(submission, domain=resolved(pool, owner, submission.domain))
    record = ClusterRecord(pool.next_cluster, owner, now, host, delivers, submission)
    state = ClusterState(record.id, Totals(idle=submission.count), rest_entered_at=now)
    cluster = Cluster(record, state)
    check_meaning(pool, cluster, now)
    pool.next_cluster += 1
    pool.outcome.next_ids = True
    pool.clusters[cluster.id] = cluster
    pool.outcome.new_clusters.append(cluster.id)
    pool.outcome.clusters.add(cluster.id)
    first_event = pool.next_event - 1
    say(pool, cluster, -1, "submitted", now, host=host, jobs=submission.count)
    if _is_told_apart(submission):
        _enter_one_by_one(pool, cluster, now)
    else:
        _enter_as_one(pool, cluster, now)
    submitted = Submitted(cluster.id, submission.count, first_event)
    if submission.key:
        pool.submitted[owner, submission.key] = submitted
        pool.outcome.submitted.append((owner, submission.key))
        if len(pool.submitted) > REMEMBERED_KEYS:
            del pool.submitted[next(iter(pool.submitted))]
    return submitted


def _enter_as_one(pool: Pool, cluster: Cluster, now: float) -> None:
    state = cluster.state
    submitted = Ad.from_texts(cluster.record.submission.template)
    priority = submitted.evaluate("JobPrio", now=now)
    state.priority = priority if type(priority) is int else 0
    if submitted.evaluate("JobStatus", now=now) == JobStatus.HELD:
        state.rest_status = JobStatus.HELD
        state.rest_reason, state.rest_code = "submitted on hold at user's request", HoldCode.SUBMITTED_ON_HOLD
        cluster.recount(JobStatus.IDLE, JobStatus.HELD, cluster.count)
        say(pool, cluster, -1, "held", now, reason=state.rest_reason, code=int(state.rest_code))
    file_rest(pool, cluster, now)


def _enter_one_by_one(pool: Pool, cluster: Cluster, now: float) -> None:
    for proc in range(cluster.count):
        job = cluster.materialize(proc)
        pool.outcome.touch(job)
        try:
            own = Ad.from_texts({**cluster.record.submission.template, **cluster.varying(proc)})
        except SubmitErrors as errors:
            hold(pool, cluster, job, str(errors), HoldCode.BROKEN_DESCRIPTION, now)
            continue
        priority = own.evaluate("JobPrio", now=now)
        job.priority = priority if type(priority) is int else 0
        if own.evaluate("JobStatus", now=now) == JobStatus.HELD:
            job.status, job.hold_reason = JobStatus.HELD, "submitted on hold at user's request"
            job.hold_code = HoldCode.SUBMITTED_ON_HOLD
            cluster.recount(JobStatus.IDLE, JobStatus.HELD)
            say(pool, cluster, proc, "held", now, reason=job.hold_reason, code=job.hold_code)
        file_job(pool, cluster, job, now)


def _is_told_apart(submission: Submission) -> bool:
    return not {"priority", "hold"}.isdisjoint(submission.varying)


def check_shape(submission: Submission) -> None:
    """Sizes and names: what can be said without reading an expression."""
    s = submission
    if not 1 <= s.count <= MAX_REPETITIONS:
        raise Problem("bad_submission", f"{s.count} repetitions cannot be queued.",
                      f"Between 1 and {MAX_REPETITIONS} can.")
    items = math.prod(axis.count for axis in s.sweep) if s.sweep else len(s.items)
    if s.steps < 1 or (s.sweep and s.items) or (items or 1) * s.steps != s.count:
        raise Problem("bad_submission", f"{items} items of {s.steps} steps do not make {s.count} jobs.", CURE)
    if any(len(row) > len(s.item_names) for row in s.items):
        raise Problem("bad_submission", "An item has more columns than there are names for them.", CURE)
    if _is_told_apart(s) and s.count > MOST_EAGER:
        raise Problem("bad_submission", f"priority or hold differ from job to job, and there are {s.count} jobs; "
                      f"at most {MOST_EAGER} can be told apart this way.",
                      "Give them one priority, or submit them in parts.")
    if len(s.key) > MAX_KEY_CHARACTERS:
        raise Problem("bad_submission", f"A submission's key has at most {MAX_KEY_CHARACTERS} characters.", CURE)
    if len(s.template) + len(s.varying) > MOST_ATTRIBUTES:
        raise Problem("bad_submission", f"A job may have at most {MOST_ATTRIBUTES} attributes.", CURE)
    for path, content in s.files.items():
        if not SHA256.fullmatch(content.sha256):
            raise Problem("bad_submission", f"The content of {path[:200]!r} is not named by a SHA-256.", CURE)
        if not 0 <= content.size <= MAX_BLOB_BYTES:
            raise Problem("bad_submission", f"The content of {path[:200]!r} cannot have {content.size} bytes.",
                          f"At most {MAX_BLOB_BYTES} can be.")


def _why_no_dumps(pool: Pool) -> str:
    """What the machines say, each reason once and with one machine that gives it."""
    reasons: dict[str, str] = {}
    for name, machine in sorted(pool.machines.items()):
        said = machine.ad.evaluate("PescNoProcessCheckpoint") if "PescNoProcessCheckpoint" in machine.ad else None
        if isinstance(said, str):
            reasons.setdefault(said, name)
    told = [f"{name}: {reason[:300]}." for reason, name in list(reasons.items())[:MOST_REASONS]]
    return " ".join(told) or "It needs CRIU and a startd with privileges, and startds have none."


def _check_making(cluster: Cluster, now: float) -> None:
    """A program that is made from its sources is one for all jobs, and all that it takes is known."""
    varying = cluster.record.submission.varying
    if cluster.ad.evaluate("PescBuild", now=now) in ("", UNDEFINED) and "build" not in varying:
        return
    making = cluster.needs.making if cluster.needs is not None else None
    if making is None or not {"build", "process", "main", "initialdir"}.isdisjoint(varying):
        raise Problem("bad_submission", "A build needs sources that travel and a domain, the same for all jobs.", CURE)
    main = posixpath.normpath(making.main)
    if not making.main or posixpath.isabs(main) or main.split("/")[0] in ("..", "."):
        raise Problem("bad_submission", f"The build says that it makes {making.main[:80]!r}, which is no file below "
                      "its folder.", CURE)
    if len(making.command) > MOST_COMMAND_CHARACTERS or "\0" in making.command:
        raise Problem("bad_submission", f"A build is a command of at most {MOST_COMMAND_CHARACTERS} characters.",
                      "Put it into a script beside the sources.")


def check_meaning(pool: Pool, cluster: Cluster, now: float) -> None:
    """Every expression parses, and the first and last jobs can be described."""
    for name, text in cluster.record.submission.template.items():
        try:
            Ad.from_texts({name: text}).check()
        except ClassAdSyntaxError as error:
            raise Problem("bad_submission", f"{name[:100]} is not an expression.\n{error}", CURE) from None
    if str(cluster.ad.evaluate("PescCheckpoint", now=now)).lower() == "process":
        raise Problem("bad_submission", "A dump of its processes (checkpoint = process) cannot be taken: no machine "
                      f"advertises HasProcessCheckpoint. {_why_no_dumps(pool)}",
                      "Let the program write its state to its checkpoint_dir, and take the line out.")
    _check_making(cluster, now)
    for proc in {0, cluster.count - 1}:
        try:
            ad = job_ad(cluster, proc, None)
            request = problem_of(ad, now) or request_of(ad, now)
            if isinstance(request, str):
                raise Problem("bad_submission", request,
                              "Ask for amounts that are numbers, or expressions that give one.")
            program_of(cluster, proc, request)
        except SubmitErrors as errors:
            raise Problem("bad_submission", f"Job {proc} of it cannot be described.\n{errors}", CURE) from None
