"""pesc_history: jobs that have left the queue, latest first."""

from collections.abc import Iterable

from cli import jobs
from cli.common import DONE, Parser, run
from cli.jobtext import JOB_ATTRIBUTES, command_line, job_id, letter, moment, owner, run_time
from cli.selection import add_selection
from cli.table import table
from contract.requests import Ad

NAME = "pesc_history"
EXAMPLE = """
pesc_history -limit 20
pesc_history 12 -af:jh ExitCode MemoryUsage RemoteWallClockTime
pesc_history -constraint 'ExitCode != 0'
"""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    parser = Parser(NAME, "Jobs that have left the queue, latest first.", EXAMPLE)
    add_selection(parser, "only these")
    jobs.add_limit(parser)
    jobs.add_ad_options(parser)
    parser.add_pool()
    chosen = parser.read(arguments)
    jobs.show(NAME, jobs.HISTORY, chosen, history_table, JOB_ATTRIBUTES)
    return DONE


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
