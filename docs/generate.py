"""Writes the pages of docs/reference that are drawn from the code.

    python docs/generate.py          write them
    python docs/generate.py --check  say which are out of date, exit status 1 if any is

`tests/test_docs.py` checks them with every test run.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contract.endpoints import ENDPOINTS  # noqa: E402
from contract.problems import STATUS  # noqa: E402
from contract.vocabulary import EndReason, HoldCode, JobStatus, Phase  # noqa: E402
from dsl.submit.table import COMMANDS, Command, Status  # noqa: E402
from schedd.core import job, judge  # noqa: E402
from startd.core import jobrun  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Made by docs/generate.py from the code; change it there. -->\n"


def commands() -> str:
    """Every command's own --help."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    parts = ["# Commands\n", NOTE,
             "Results go to stdout, complaints to stderr. Exit status: 0 done, 1 refused or failed, 2 wrongly called. "
             "`--json` is there wherever a table is; [its shapes](json.md).\n"]
    for name, target in sorted(scripts.items()):
        module, function = target.split(":")
        code = f"import sys; sys.argv[0] = {name!r}; from {module} import {function}; {function}()"
        said = subprocess.run(
            [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True, cwd=ROOT,
            env={**os.environ, "COLUMNS": "100"},
        ).stdout
        parts.append(f"## {name}\n\n```\n{said.strip()}\n```\n")
    return "\n".join(parts)


def endpoints() -> str:
    """The HTTP API."""
    lines = ["# The HTTP API\n", NOTE,
             "The same as an OpenAPI document: `GET /v1/openapi.json`. A token goes into `Authorization: Bearer …`; "
             "`Pesc-Protocol` names the protocol that the caller speaks.\n",
             "| Method | Path | For | Query | Who |", "|---|---|---|---|---|"]
    for e in ENDPOINTS:
        who = ", ".join(sorted(e.roles)) or "anyone"
        query = ", ".join(f"`{name}`" for name in e.query)
        lines.append(f"| {e.method} | `{e.path}` | {e.summary.replace('|', '/')} | {query} | {who} |")
    lines += ["\n## Refusals\n", 'A refusal is `{"code", "message", "cure"}` with the status of its code.\n',
              "| Code | Status |", "|---|---|"]
    lines += [f"| `{code}` | {status or 'said by the command itself'} |" for code, status in STATUS.items()]
    return "\n".join(lines) + "\n"


def states() -> str:
    """States, phases, codes: the tables of the two cores."""
    lines = ["# States\n", NOTE, "## A job, in the queue\n",
             "`JobStatus` has HTCondor's numbers. The whole machine (`schedd/core/job.py`):\n",
             "```mermaid", "stateDiagram-v2", "    [*] --> IDLE"]
    lines += [f"    {before.name} --> {after.name}: {move}" for (before, move), after in job.TRANSITIONS.items()]
    lines += ["    COMPLETED --> [*]", "    REMOVED --> [*]", "```\n", "| Number | State |", "|---|---|"]
    lines += [f"| {status.value} | {status.name} |" for status in JobStatus]
    lines += ["\n## A run, on its machine\n",
              "One attempt at a job; its phase is `PescPhase` (`startd/core/jobrun.py`):\n",
              "```mermaid", "stateDiagram-v2", "    [*] --> granted"]
    lines += [f"    {before} --> {after}: {turn.name.lower()}" for (before, turn), after in jobrun.TRANSITIONS.items()
              if before != after]
    lines += ["    ended --> [*]", "```\n", f"The phases: {', '.join(f'`{phase}`' for phase in Phase)}.\n",
              "## How a run ends\n", "| Reason | What becomes of the job |", "|---|---|"]
    fates = {
        EndReason.EXITED: "completed, unless `on_exit_hold`, `on_exit_remove` or `max_retries` say otherwise; with its "
                          "checkpoint exit code back to the queue",
        EndReason.STOPPED: "it was held or removed; that stands",
        EndReason.EVICTED: "back to the queue",
        EndReason.MEMORY: "held, with what was asked and what was used",
        EndReason.DISK: "held, with what was asked and what was used",
        EndReason.GPU_MEMORY: "held, with its share and what was used; where `gpu_memory` does not say the share, "
                              "back to the queue with a larger one",
        EndReason.LOST: f"back to the queue; held after {judge.MOST_FAULTS} such runs in a row",
        EndReason.REFUSED: "held, with what is wrong with it",
        EndReason.MACHINE_FAULT: f"back to the queue, the machine is left alone for a while; held after "
                                 f"{judge.MOST_FAULTS} such runs in a row",
    }
    lines += [f"| {reason} | {fates[reason]} |" for reason in EndReason]
    lines += ["\n## Why a job is held\n", "`HoldReasonCode`, HTCondor's where it has one:\n",
              "| Code | Meaning |", "|---|---|"]
    lines += [f"| {code.value} | {code.name.lower().replace('_', ' ')} |" for code in HoldCode]
    return "\n".join(lines) + "\n"


DEVIATIONS = (
    "A function that fails, such as `$INT(abc)`, is an error; HTCondor complains and submits the job with an "
    "empty text.",
    "Macros that name each other, and slices that step by 0 or backwards, are errors; HTCondor hangs or crashes.",
    "A machine whose disk is too small never matches; HTCondor lets machines of 25.12 and later find out for "
    "themselves.",
    "Blank rows of an item file are passed over, with a warning; HTCondor repeats the row above each.",
    "`$RANDOM_…` is drawn from a seed of the submission: a job is the same whenever it is looked at. So a queue line "
    "or a condition cannot depend on it.",
    "Several queue lines make one cluster, of at most a few million items together; HTCondor 25.14 refuses them.",
    "`include` goes at most 20 files deep, and a command whose output is read may take ten minutes. Its exit code is a "
    "warning; HTCondor does not look at it.",
    "`use` finds no templates: a pool has none.",
    "`else if …` and `elseif …` are errors: write `elif`. HTCondor takes the one for `else`, whatever the condition, "
    "and passes over the other.",
    "What a file may ask of its reader is bounded: macros come to 64 Mi characters, all values together, a queue line "
    "to 20 million cells, a sweep to 500 axes. An expression in `$INT(…)` looks at 1,000 elements at most.",
    "In a `.pesc` file a word that nothing uses, a macro that nothing defines, and a `requirements` that no machine "
    "can meet are errors; elsewhere warnings. `--strict` and `--lenient` decide otherwise.",
)
"""What differs on purpose; tests/dsl/submit/test_vectors.py has the vectors concerned."""


def submit() -> str:
    """The commands of submit files, by what becomes of them."""
    lines = ["# Submit commands\n", NOTE,
             "Every word that a submit file may use. All are read, checked and expanded, as `pesc_submit --dry-run` "
             "shows; what becomes of each in a submission is said here. `pesc_submit --help-commands WORD` tells the "
             "same about one.\n"]
    heads = {
        Status.CARRIED_OUT: "Carried out",
        Status.ACCEPTED: "Accepted and not carried out, with a warning",
        Status.REFUSED: "Refused on submission",
    }
    notes = {
        Status.CARRIED_OUT: "",
        Status.ACCEPTED: "The jobs are the same without them.\n",
        Status.REFUSED: "Without them the jobs would not be what was asked for, so a submission that has one is "
                        "refused, with its line and column. Values after \"only\" are carried out.\n",
    }
    for status, head in heads.items():
        lines += [f"\n## {head}\n", *filter(None, [notes[status]]),
                  "| Command | Value | Default | Attribute | |", "|---|---|---|---|---|"]
        lines += [_row(command) for command in COMMANDS if command.status is status]
    lines += ["\nAny other `request_NAME` asks for a resource that only some pools know; it is refused on submission."]
    lines += ["\n## Where PESC differs from HTCondor\n", *(f"* {text}" for text in DEVIATIONS)]
    return "\n".join(lines) + "\n"


def _row(command: Command) -> str:
    names = ", ".join(f"`{name}`" for name in command.words)
    only = f" Only: {', '.join(command.accepts)}." if command.accepts else ""
    text = (command.help + only).replace("|", "/")
    default = f"`{command.default}`" if command.default else ""
    attribute = f"`{command.attribute}`" if command.attribute else ""
    return f"| {names} | {command.kind} | {default} | {attribute} | {text} |"


PAGES = {"commands.md": commands, "http.md": endpoints, "states.md": states, "submit.md": submit}


def main() -> int:
    """Write the pages, or check them."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, make in PAGES.items():
        if check and make is commands and sys.version_info[:2] != (3, 11):
            continue               # argparse words its help otherwise in later versions
        path, text = REFERENCE / name, make()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    for name in stale:
        print(f"docs/reference/{name}: {'out of date; run python docs/generate.py' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
