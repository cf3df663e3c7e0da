"""pesc_q: what is in the queue.

By default one line a batch, as condor_q; jobs with `-nobatch`, `-hold`, `-run` or a way of
printing ads (`-af`, `-l`).
"""

import argparse
import time
from collections.abc import Iterable

from cli import jobs
from cli.adtext import plain
from cli.common import DONE, Parser, complain, connect, count_of, run, say, say_json
from cli.jobtext import (
    JOB_ATTRIBUTES,
    UNDER_WAY,
    command_line,
    host,
    job_id,
    letter,
    moment,
    owner,
    priority,
    progress,
    run_time,
)
from cli.selection import add_selection, split_names
from cli.table import table
from contract.requests import Ad, Batch, Queue, Totals
from contract.vocabulary import JobStatus

NAME = "pesc_q"
EXAMPLE = """
pesc_q                                        one line a batch
pesc_q -nobatch 12                            the jobs of cluster 12
pesc_q -hold                                  what is held, and why
pesc_q -constraint 'JobStatus == 2' -af:jh Owner RemoteHost
"""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _arguments(arguments)
    if chosen.autoformat or chosen.long or chosen.nobatch or chosen.hold or chosen.run:
        return _jobs(chosen)
    if chosen.constraint or any("." in name for name in chosen.which):
        # A batch line counts whole clusters; what is narrower is shown job by job.
        return _jobs(chosen)
    return _batches(chosen)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "What is in the queue: batches, or jobs.", EXAMPLE)
    add_selection(parser, "only these")
    parser.add_flag("nobatch", help="one line a job")
    parser.add_flag("hold", "held", dest="hold", help="held jobs, and why")
    parser.add_flag("run", help="running jobs, and where")
    parser.add_flag("totals", help="only the totals")
    parser.add_flag("allusers", "all", dest="allusers", help="everybody's jobs (as without it)")
    jobs.add_limit(parser)
    jobs.add_ad_options(parser)
    parser.add_pool()
    return parser.read(arguments)


def _batches(chosen: argparse.Namespace) -> int:
    ids, owners = split_names(chosen.which)
    queue = connect(chosen).call("GET", "/v1/queue", Queue, id=ids, owner=owners[0] if len(owners) == 1 else None)
    batches = [batch for batch in queue.batches if not owners or batch.owner in owners]
    totals = sum_of(batch.jobs for batch in batches)
    if chosen.json:
        say_json({"totals": totals, "batches": batches})
        return DONE
    if not chosen.totals:
        say(batches_table(batches) + "\n")
        for batch in batches:
            if batch.waits_for:
                say(f"{batch.cluster}: {plain(batch.waits_for)}")
    say(totals_line(totals))
    if totals.idle and queue.machines == 0:
        complain(NAME, "No machine is connected: nothing can start.\n  See: pesc_pool status; pesc_pool start.")
    return DONE


def _jobs(chosen: argparse.Namespace) -> int:
    now = time.time()
    constraint = None
    if chosen.hold:
        constraint = f"JobStatus == {JobStatus.HELD:d}"
    elif chosen.run:
        constraint = " || ".join(f"JobStatus == {status:d}" for status in UNDER_WAY)

    def as_table(ads: list[Ad]) -> str:
        if chosen.hold:
            return held_table(ads)
        return running_table(ads, now) if chosen.run else jobs_table(ads, now)

    jobs.show(NAME, "/v1/jobs", chosen, as_table, JOB_ATTRIBUTES, constraint)
    return DONE


def batches_table(batches: Iterable[Batch]) -> str:
    """One line a batch; `_` where there is nothing to count, as condor_q has it."""
    return table(
        ("OWNER", "BATCH_NAME", "SUBMITTED", "DONE", "RUN", "IDLE", "HOLD", "TOTAL", "JOB_IDS"),
        [(plain(batch.owner, 14), plain(batch.name, 30), moment(batch.submitted_at), _count(batch.jobs.completed),
          _count(batch.jobs.running + batch.jobs.suspended), _count(batch.jobs.idle), _count(batch.jobs.held),
          str(batch.total), job_ids(batch)) for batch in batches],
        right="DONE RUN IDLE HOLD TOTAL")


def job_ids(batch: Batch) -> str:
    """`12.0` or `12.0-9`: the ids that the cluster was given."""
    return f"{batch.cluster}.0" + (f"-{batch.total - 1}" if batch.total > 1 else "")


def totals_line(totals: Totals) -> str:
    """What batches or jobs come to."""
    live = totals.idle + totals.running + totals.held + totals.suspended
    return (f"Total: {count_of(live, 'job')}; {totals.completed:,} completed, {totals.removed:,} removed, "
            f"{totals.idle:,} idle, {totals.running:,} running, {totals.held:,} held, {totals.suspended:,} suspended")


def jobs_table(ads: Iterable[Ad], now: float) -> str:
    """One line a job, and what they come to."""
    ads = list(ads)
    heading, said = _progress_column(ads, now)
    lines = table(
        ("ID", "OWNER", "SUBMITTED", "RUN_TIME", "ST", "PRI", *heading, "CMD"),
        [(job_id(ad), owner(ad), moment(ad.get("QDate")), run_time(ad, now), letter(ad), priority(ad), *words,
          command_line(ad)) for ad, words in zip(ads, said, strict=True)],
        right="RUN_TIME PRI")
    return f"{lines}\n\n{totals_line(totals_of(ads))}"


def held_table(ads: Iterable[Ad]) -> str:
    """Held jobs, since when and why."""
    return table(
        ("ID", "OWNER", "HELD_SINCE", "HOLD_REASON"),
        [(job_id(ad), owner(ad), moment(ad.get("EnteredCurrentStatus")), plain(str(ad.get("HoldReason", "-"))))
         for ad in ads])


def running_table(ads: Iterable[Ad], now: float) -> str:
    """Running jobs, and where."""
    ads = list(ads)
    heading, said = _progress_column(ads, now)
    return table(
        ("ID", "OWNER", "SUBMITTED", "RUN_TIME", *heading, "HOST"),
        [(job_id(ad), owner(ad), moment(ad.get("QDate")), run_time(ad, now), *words, host(ad))
         for ad, words in zip(ads, said, strict=True)],
        right="RUN_TIME")


def _progress_column(ads: list[Ad], now: float) -> tuple[list[str], list[list[str]]]:
    """A column that is there where any job says how far it is."""
    said = [progress(ad, now) for ad in ads]
    return (["PROGRESS"], [[words] for words in said]) if any(said) else ([], [[] for _ in said])


def totals_of(ads: Iterable[Ad]) -> Totals:
    """The ads counted by state."""
    totals = Totals()
    for ad in ads:
        match ad.get("JobStatus"):
            case JobStatus.IDLE:
                totals.idle += 1
            case JobStatus.RUNNING | JobStatus.TRANSFERRING_OUTPUT:
                totals.running += 1
            case JobStatus.HELD:
                totals.held += 1
            case JobStatus.SUSPENDED:
                totals.suspended += 1
            case JobStatus.COMPLETED:
                totals.completed += 1
            case JobStatus.REMOVED:
                totals.removed += 1
    return totals


def sum_of(several: Iterable[Totals]) -> Totals:
    """All counts added up."""
    total = Totals()
    for one in several:
        for name in Totals.__struct_fields__:
            setattr(total, name, getattr(total, name) + getattr(one, name))
    return total


def _count(number: int) -> str:
    return str(number) if number else "_"
