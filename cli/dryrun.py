"""What `pesc_submit --dry-run` shows: the jobs that a submit file asks for. It asks no pool."""

import sys
from collections.abc import Mapping

from cli.common import DONE, count_of, say, say_json
from cli.culprits import missing
from dsl.submit import Description, plain_text, read_environment, split_arguments
from dsl.submit.mistakes import shown

LIMIT_JSON, LIMIT_TEXT = 1000, 1
FIRST_ROWS, LAST_ROWS, MOST_CHARACTERS = 8, 2, 40
OF_EVERY_ITEM = ("Step", "Row", "ItemIndex")
CLUSTER = 1
"""What `$(Cluster)` stands for where there is no cluster yet."""


def show(description: Description, as_json: bool, limit: int | None) -> int:
    """Print the first jobs; missing files are warnings here, not errors."""
    if limit is None:
        limit = LIMIT_JSON if as_json else LIMIT_TEXT
    refusals = [refusal._replace(cure=f"{refusal.cure}\nA submission with it is refused.")
                for refusal in description.refusals]
    warnings = [*description.warnings, *refusals, *missing(description)]
    expander = description.expander()
    ads = ({**description.template, **expander.attributes(CLUSTER, proc)}
           for proc in range(min(limit, description.count)))
    if as_json:
        say_json({"ok": True, "errors": [], "warnings": [warning.as_json() for warning in warnings],
                  "unused": description.unused, "nprocs": description.count,
                  "procs": [job(proc, ad) for proc, ad in enumerate(ads)]})
        return DONE
    for warning in warnings:
        print(warning, file=sys.stderr)
    say(f"{count_of(description.count, 'job')} would be queued.")
    for line in preview(description):
        say(line)
    for line in copies_with_header(description):
        say(line)
    for proc, ad in enumerate(ads):
        say(f"\nJob {CLUSTER}.{proc}")
        for name, text in sorted(ad.items(), key=lambda pair: pair[0].lower()):
            say(f"  {name} = {text}")
    if description.count > limit > 0:
        say(f"\n… and {description.count - limit:,} more (--limit N shows more).")
    return DONE


def copies_with_header(description: Description) -> list[str]:
    """What becomes of main files that get the header, and why others do not, where that was asked for."""
    if "process" not in description.varying and "PescProcess" not in description.template:
        return []
    from cli.headers import changed, difference, in_words

    found, left = changed(description)
    lines = [line for one in found for line in ("", in_words(one), *difference(one))]
    return [*lines, *(["", *left] if left else [])]


def preview(description: Description) -> list[str]:
    """What differs from job to job, as a table: the first rows and the last."""
    names = [name for axis in description.sweep for name in axis.names] or [
        name for name in description.item_names if name not in OF_EVERY_ITEM]
    if not names or not description.count:
        return []
    procs = [*range(min(FIRST_ROWS, description.count))]
    procs += [proc for proc in range(max(description.count - LAST_ROWS, 0), description.count) if proc not in procs]
    expander = description.expander()
    rows = [["job", *names]]
    for proc in procs:
        values = expander.values(CLUSTER, proc)
        rows.append([f"{proc:,}", *(shown(values.get(name.lower(), ""), MOST_CHARACTERS) for name in names)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    if description.count > len(procs):
        lines.insert(1 + FIRST_ROWS, "…".rjust(widths[0]))
    return ["", *(line.rstrip() for line in lines)]


def job(proc: int, ad: Mapping[str, str]) -> dict[str, object]:
    """One job as `--dry-run --json` prints it."""
    return {
        "ProcId": proc,
        **{name: plain_text(ad.get(attribute, "")) for name, attribute in (
            ("Cmd", "Cmd"), ("Iwd", "Iwd"), ("Log", "UserLog"), ("In", "In"), ("Out", "Out"), ("Err", "Err"))},
        "argv": split_arguments(plain_text(ad["Arguments"])) if "Arguments" in ad
        else plain_text(ad.get("Args", "")).split(),
        "env": read_environment(plain_text(ad.get("Environment", ""))),
        "attrs": dict(ad),
        "held": ad.get("JobStatus") == "5",
    }
