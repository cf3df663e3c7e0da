"""pesc_status: the machines of the pool, what they have and what is free."""

import argparse
import time
from collections.abc import Iterable, Sequence
from typing import Any

from cli.adtext import autoformat, get, has_expression, is_name, long_form, plain, quoted, shown
from cli.common import DONE, Parser, connect, count_of, run, say, say_json
from cli.jobs import add_ad_options, both
from contract.client import Client
from contract.requests import Ad

NAME = "pesc_status"
EXAMPLE = """
pesc_status
pesc_status -constraint 'Cpus >= 4' -af Name Cpus Memory
"""
HEADING = ("Name", "OpSys", "Arch", "State", "Activity", "LoadAv", "Mem", "Cpus")
ATTRIBUTES = ("Name OpSys Arch State Activity LoadAvg TotalLoadAvg Memory FreeMemory Cpus FreeCpus "
              "PescOwnerStep PescOwnerWhy PescOwnerSince GPUs FreeGPUs PescGpuProblems PescCdiProblems").split()

OWNER_STEPS = {
    "no_new_work": "no new jobs start there",
    "throttle": "its jobs are slowed down and no new ones start",
    "freeze": "its jobs are suspended and no new ones start",
    "leave": "its jobs leave and no new ones start",
}
"""What it means that a machine's runs give way to its owner, by `PescOwnerStep`."""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _arguments(arguments)
    client = connect(chosen)
    if chosen.autoformat:
        ads = _for_autoformat(client, chosen)
        if ads:
            say(autoformat(ads, chosen.autoformat, chosen.autoformat_options))
    elif chosen.long or chosen.json:
        ads = _machines(client, chosen, ())
        say_json(ads) if chosen.json else say(long_form(ads))
    else:
        ads = _machines(client, chosen, ATTRIBUTES)
        if not chosen.totals:
            say(machines_table(ads))
            say("")
            for notes in (owners_notes(ads, time.time()), gpu_notes(ads)):
                if notes:
                    say(notes + "\n")
        say(totals_line(ads))
    return DONE


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "The machines of the pool, and what is free on them.", EXAMPLE)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these machines")
    parser.add_flag("name", metavar="NAME", action="append", default=[], dest="more_names",
                    help="the same, as HTCondor has it")
    parser.add_flag("constraint", "const", metavar="EXPR", dest="constraint",
                    help="only machines for which this ClassAd expression is true")
    parser.add_flag("totals", help="only the totals")
    add_ad_options(parser)
    parser.add_pool()
    return parser.read(arguments)


def _machines(client: Client, chosen: argparse.Namespace, attributes: Sequence[str]) -> list[Ad]:
    constraint = both(names_constraint([*chosen.names, *chosen.more_names]), chosen.constraint)
    return client.call("GET", "/v1/machines", list[Ad], constraint=constraint, attributes=",".join(attributes))


def names_constraint(names: Iterable[str]) -> str | None:
    """The expression that is true for the machines of these names."""
    return " || ".join(f"Name == {quoted(name)} || Machine == {quoted(name)}" for name in names) or None


def machines_table(ads: Iterable[Ad]) -> str:
    """One line a machine; amounts as free/total."""
    from tabulate import tabulate

    rows = [(_text(ad, "Name"), _text(ad, "OpSys"), _text(ad, "Arch"), _text(ad, "State"), _text(ad, "Activity"),
             _load(ad), _of(ad, "FreeMemory", "Memory"), _of(ad, "FreeCpus", "Cpus"))
            for ad in sorted(ads, key=lambda ad: str(get(ad, "Name", "")))]
    return tabulate(rows, HEADING, tablefmt="plain", disable_numparse=True,
                    colalign=("left",) * 5 + ("right",) * 3 if rows else None)


def owners_notes(ads: Iterable[Ad], now: float) -> str:
    """A line for every machine that gives way to its owner: why, and what follows since when."""
    return "\n".join(
        f"{_text(ad, 'Name')}: {plain(shown(get(ad, 'PescOwnerWhy', '')), 100)}; "
        f"{OWNER_STEPS[step]}, for {_lasting(ad, now)}."
        for ad in sorted(ads, key=lambda ad: str(get(ad, "Name", "")))
        if (step := get(ad, "PescOwnerStep")) in OWNER_STEPS and get(ad, "State") != "Offline")


def gpu_notes(ads: Iterable[Ad]) -> str:
    """A line for every GPU that a machine does not offer, and for what is wrong with its CDI specifications."""
    return "\n".join(
        f"{_text(ad, 'Name')}: {said}: {plain(str(problem), 300)}"
        for ad in sorted(ads, key=lambda ad: str(get(ad, "Name", ""))) if get(ad, "State") != "Offline"
        for name, said in (("PescGpuProblems", "not offered"), ("PescCdiProblems", "not used"))
        if isinstance(problems := get(ad, name), list)
        for problem in problems)


def _lasting(ad: Ad, now: float) -> str:
    since = get(ad, "PescOwnerSince")
    seconds = int(max(0.0, now - since)) if isinstance(since, int | float) else 0
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def totals_line(ads: Sequence[Ad]) -> str:
    """How many machines, and how much is free of those that are there."""
    there = [ad for ad in ads if get(ad, "State") != "Offline"]
    away = f", {len(ads) - len(there):,} of them offline" if len(there) < len(ads) else ""
    free, cpus = _sum(there, "FreeCpus"), _sum(there, "Cpus")
    free_memory, memory = _sum(there, "FreeMemory"), _sum(there, "Memory")
    gpus = _sum(there, "GPUs")
    of_gpus = f", {_sum(there, 'FreeGPUs'):g} of {gpus:g} GPUs" if gpus else ""
    return (f"Total: {count_of(len(ads), 'machine')}{away}; {free:g} of {cpus:g} cpus{of_gpus} and "
            f"{free_memory:,.0f} of {memory:,.0f} MiB of memory free")


def _for_autoformat(client: Client, chosen: argparse.Namespace) -> list[Ad]:
    if all(map(is_name, chosen.autoformat)):
        ads = _machines(client, chosen, chosen.autoformat)
        if "r" in chosen.autoformat_options or not has_expression(ads):
            return ads
    return _machines(client, chosen, ())


def _text(ad: Ad, name: str) -> str:
    return plain(shown(get(ad, name, "-")), 40)


def _load(ad: Ad) -> str:
    load = get(ad, "LoadAvg", get(ad, "TotalLoadAvg"))
    return f"{load:.2f}" if isinstance(load, int | float) else "-"


def _of(ad: Ad, free: str, total: str) -> str:
    there, whole = get(ad, free), get(ad, total)
    if whole is None or there is None:
        return _number(there if whole is None else whole)
    return f"{_number(there)}/{_number(whole)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "-" if value is None else str(value)


def _sum(ads: Iterable[Ad], name: str) -> float:
    values = (get(ad, name) for ad in ads)
    return float(sum(value for value in values if isinstance(value, int | float)))
