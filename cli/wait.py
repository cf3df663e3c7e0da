"""pesc_wait: until jobs are over. It listens; it never asks twice."""

import argparse
import re
import time
from collections.abc import Callable

import msgspec

from cli.common import DONE, FAILED, Parser, complain, connect, count_of, positive_int, run, say, say_json
from cli.progress import TimeIsUp, alarm, ended, follow, is_over, resumed
from contract.client import Client
from contract.problems import Problem
from contract.requests import Ad, Batch, Event
from contract.vocabulary import JobStatus

NAME = "pesc_wait"
EXAMPLE = """
pesc_wait 12                    until all jobs of cluster 12 are over
pesc_wait 12 -num 3             until 3 of them are
pesc_wait 12.3 --timeout 60     one job, at most a minute
"""



def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _arguments(arguments)
    client = connect(chosen)
    end = None if chosen.timeout is None else time.monotonic() + chosen.timeout
    waiting: list[str] = []
    for name in chosen.jobs:
        left = None if end is None else end - time.monotonic()
        if not _wait_for(client, name, chosen, left):
            waiting.append(name)
    if chosen.json:
        say_json({"over": [name for name in chosen.jobs if name not in waiting], "waiting": waiting})
    if waiting:
        complain(NAME, f"After {chosen.timeout:g} s not over yet: {', '.join(waiting)}.\n"
                       f"  See pesc_q {waiting[0]}; wait on with: pesc_wait {' '.join(waiting)}.")
        return FAILED
    return DONE


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "Wait until jobs are over (completed or removed); held ones are waited for.", EXAMPLE)
    parser.add_argument("jobs", nargs="+", metavar="CLUSTER[.PROC]")
    parser.add_flag("timeout", "wait", metavar="SECONDS", type=_seconds, dest="timeout",
                    help="give up after so long, with exit code 1")
    parser.add_flag("num", metavar="N", type=positive_int, help="until so many jobs of the cluster are over")
    parser.add_flag("quiet", "q", help="show no progress")
    parser.add_pool()
    parser.add_json()
    chosen = parser.read(arguments)
    for name in chosen.jobs:
        if not re.fullmatch(r"\d{1,12}(\.\d{1,12})?", name):
            parser.error(f"{name[:80]!r} is neither a cluster (12) nor a job (12.3)")
    if chosen.num == 0:
        parser.error("-num 0 waits for nothing; say how many jobs are to be over")
    if chosen.num is not None and (len(chosen.jobs) > 1 or "." in chosen.jobs[0]):
        parser.error("-num counts the jobs of one cluster; name that one alone")
    return chosen


def _wait_for(client: Client, name: str, chosen: argparse.Namespace, seconds: float | None) -> bool:
    """Whether the jobs meant by `name` are over within `seconds`."""
    cluster, _, proc = name.partition(".")
    quiet = chosen.quiet or chosen.json
    # A cluster that does not exist, or a pool that does not answer, is said at once.
    batch = client.call("GET", f"/v1/clusters/{int(cluster)}", Batch)
    if proc:
        return _wait_for_job(client, int(cluster), int(proc), seconds, quiet)
    until = _so_many(min(chosen.num, batch.total)) if chosen.num else is_over
    if not until(batch):
        batch = follow(client, [int(cluster)], None, timeout=seconds, quiet=quiet, until=until).get(
            int(cluster), batch)
    if until(batch) and not quiet:
        jobs = batch.jobs
        say(f"{name}: {count_of(jobs.completed, 'job')} completed, {jobs.removed:,} removed of {batch.total:,}.")
    return until(batch)


def _so_many(number: int) -> Callable[[Batch], bool]:
    return lambda batch: ended(batch.jobs) >= number


def _wait_for_job(client: Client, cluster: int, proc: int, seconds: float | None, quiet: bool) -> bool:
    job = f"{cluster}.{proc}"
    try:
        with alarm(seconds):
            # The first counts tell where the stream is now: what happens after that cannot be missed.
            first = next(resumed(client, "/v1/events", None, _note, cluster=cluster, counts=1))
            how = _how_it_is(client, job)
            if how is None:
                how = _how_it_ended(client, cluster, proc, first.id)
    except TimeIsUp:
        return False
    if not quiet:
        say(f"{job}: {how}.")
    return True


def _how_it_is(client: Client, job: str) -> str | None:
    """How a job ended, or None while it is in the queue."""
    try:
        if client.call("GET", "/v1/jobs", list[Ad], id=job, attributes="JobStatus"):
            return None
    except Problem as problem:
        if problem.code != "no_such_job":
            raise
    for ad in client.call("GET", "/v1/history", list[Ad], id=job, attributes="JobStatus", limit="1"):
        return "completed" if ad.get("JobStatus") == JobStatus.COMPLETED else "removed"
    raise Problem("no_such_job", f"There is no job {job}.", "See the numbers with: pesc_q -nobatch, pesc_history.")


def _how_it_ended(client: Client, cluster: int, proc: int, since: str) -> str:
    for message in resumed(client, "/v1/events", since, _note, cluster=cluster):
        try:
            event = msgspec.json.decode(message.data, type=Event)
        except msgspec.MsgspecError:
            continue
        if event.proc in (proc, -1) and event.kind in ("terminated", "removed"):
            how = _how_it_is(client, f"{cluster}.{proc}")
            if how is not None:
                return how
    raise AssertionError("unreachable")


def _note(text: str) -> None:
    complain(NAME, text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
