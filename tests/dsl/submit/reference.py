"""Reads submit files with HTCondor's own library: texts as JSON on stdin, each with the number of
jobs that an item is queued for; what it makes of each on a line of stdout.

The answer to one text: null if it is refused, else the items of its queue line, and for each of the first of them
(or for the only job) what the commands of SHOWN are worth.
"""

from __future__ import annotations

import json
import sys

import htcondor2

SHOWN = ("output", "error", "input", "description", "project_name")
MOST_ITEMS = 3


def answer(text: str, steps: int) -> dict[str, object] | str:
    try:
        submit = htcondor2.Submit(text)
        items = [dict(item) for item in submit.itemdata() or []]
        shown = []
        for number, item in enumerate(items[:MOST_ITEMS] or [{}]):
            # A macro of the item's name stands for the item, as it does for the job.
            for name, cell in {**item, "Row": str(number), "ItemIndex": str(number)}.items():
                submit[name] = cell
            submit["Process"] = submit["ProcId"] = str(number * steps)
            shown.append([submit.expand(command).strip() for command in SHOWN])
    except (ValueError, KeyError) as error:
        return f"refused: {error}"
    return {"items": items, "shown": shown}


if __name__ == "__main__":
    for case in json.load(sys.stdin):
        print(json.dumps(answer(*case)), flush=True)
