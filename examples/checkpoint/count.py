"""Count, a step at a time; killed and started again, anywhere, go on where the last checkpoint was."""

import argparse
import json
import os
import pathlib
import time

parser = argparse.ArgumentParser()
parser.add_argument("--checkpoint_dir", type=pathlib.Path, default=pathlib.Path("."))
parser.add_argument("--output_dir", type=pathlib.Path, default=pathlib.Path("."))
parser.add_argument("--parameters", type=int, nargs="*", default=[100])
job, _ = parser.parse_known_args()

[steps] = job.parameters
checkpoint = job.checkpoint_dir / "count.json"


def save(state):
    """Write beside the file, then rename: whoever copies or kills, the file is whole."""
    beside = checkpoint.with_suffix(".tmp")
    beside.write_text(json.dumps(state))
    os.replace(beside, checkpoint)


state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"count": 0, "began_at": []}
state["began_at"].append(state["count"])
print(f"begins at {state['count']}", flush=True)
while state["count"] < steps:
    time.sleep(0.05)  # the work of a step
    state["count"] += 1
    save(state)

(job.output_dir / "output.txt").write_text(f"counted to {state['count']}, runs began at {state['began_at']}\n")
