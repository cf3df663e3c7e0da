"""pesc_history: jobs that have left the queue, latest first; or what programs used."""

import argparse
from collections.abc import Iterable

from cli import jobs
from cli.adtext import plain
from cli.common import DONE, Parser, connect, run, say, say_json
from cli.jobtext import JOB_ATTRIBUTES, command_line, duration, job_id, letter, moment, owner, run_time
from cli.selection import add_selection, split_names
from cli.table import table
from contract.requests import Ad, ProgramPeaks, Spread

NAME = "pesc_history"
EXAMPLE = """
pesc_history -limit 20
pesc_history 12 -af:jh ExitCode MemoryUsage RemoteWallClockTime
pesc_history -constraint 'ExitCode != 0'
pesc_history -peaks
pesc_history -peaks -program train.py dana
"""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    parser = Parser(NAME, "Jobs that have left the queue, latest first.", EXAMPLE)
    add_selection(parser, "only these")
    jobs.add_limit(parser)
    jobs.add_ad_options(parser)
    parser.add_flag("peaks", help="what the runs of each program used at most, in place of jobs")
    parser.add_flag("program", metavar="NAME", help="with -peaks: only this program, by name, path or SHA-256")
    parser.add_flag("domain", metavar="NAME", help="with -peaks: only in this domain")
    parser.add_pool()
    chosen = parser.read(arguments)
    if not chosen.peaks and (chosen.program is not None or chosen.domain is not None):
        parser.error("-program and -domain belong to -peaks")
    if chosen.peaks:
        return peaks(parser, chosen)
    jobs.show(NAME, jobs.HISTORY, chosen, history_table, JOB_ATTRIBUTES)
    return DONE


def peaks(parser: Parser, chosen: argparse.Namespace) -> int:
    """What programs used, the one that ran last first."""
    ids, owners = split_names(chosen.which)
    if ids or len(owners) > 1 or chosen.constraint or chosen.autoformat or chosen.long:
        parser.error("-peaks is about programs: it takes one user's name, -program, -domain, -limit and --json")
    found = connect(chosen).call("GET", "/v1/peaks", list[ProgramPeaks], owner=owners or None,
                                 program=chosen.program, domain=chosen.domain, limit=str(chosen.limit))
    if chosen.json:
        say_json(found)
    else:
        say(peaks_table(found))
    return DONE


def peaks_table(found: Iterable[ProgramPeaks]) -> str:
    """One line a program: what was enough for 95 of 100 of its runs, and the most that one used."""
    return table(
        ("PROGRAM", "DOMAIN", "OWNER", "RUNS", "CPUS", "MEMORY_MB", "GPU_MB", "DISK_MB", "TIME", "LAST"),
        [(plain(one.name or one.program, 30), plain(one.domain or "-", 20), plain(one.owner, 14), f"{one.runs:,}",
          _both(one.cpus, 1), _both(one.memory_mib), _both(one.gpu_memory_mib),
          _both(Spread(0.0, one.disk_kib.p95 / 1024, one.disk_kib.most / 1024)), duration(one.wall_seconds.p95),
          moment(one.at)) for one in found],
        right="RUNS CPUS MEMORY_MB GPU_MB DISK_MB TIME")


def _both(spread: Spread, places: int = 0) -> str:
    """`310/480`: enough for nearly all, and the most; `-` where there was nothing."""
    return f"{spread.p95:.{places}f}/{spread.most:.{places}f}" if spread.most else "-"


def history_table(ads: Iterable[Ad]) -> str:
    """One line a job: when and how it ended."""
    return table(
        ("ID", "OWNER", "SUBMITTED", "RUN_TIME", "ST", "ENDED", "HOW", "CMD"),
        [(job_id(ad), owner(ad), moment(ad.get("QDate")), run_time(ad, 0.0), letter(ad),
          moment(ad.get("CompletionDate") or ad.get("EndDate")), how(ad), command_line(ad)) for ad in ads],
        right="RUN_TIME")


def how(ad: Ad) -> str:
    """`exit 0`, `signal 9`, or `-` for a job that ended without having run to its end."""
    if ad.get("ExitSignal") is not None:
        return f"signal {ad['ExitSignal']}"
    return f"exit {ad['ExitCode']}" if ad.get("ExitCode") is not None else "-"
