"""Work out pi as the area below a curve, a rank a part of it; the loss of a machine costs a rank a few steps.

What a rank has so far is its checkpoint. A run that finds one goes on from there, so that the result
is the same, digit for digit, however often its machine was lost. It runs without PESC too: python3 area.py
"""

import argparse
import json
import os
import pathlib
import time

parser = argparse.ArgumentParser()
parser.add_argument("--rank", type=int, default=0)
parser.add_argument("--world_size", type=int, default=1)
parser.add_argument("--checkpoint_dir", type=pathlib.Path, default=pathlib.Path("."))
parser.add_argument("--output_dir", type=pathlib.Path, default=pathlib.Path("."))
parser.add_argument("--parameters", type=int, nargs="*", default=[40])
job, _ = parser.parse_known_args()

[steps] = job.parameters
STRIPS = 1_000
"""In each step, so many strips of the area."""

checkpoint = job.checkpoint_dir / f"rank-{job.rank}.json"
if checkpoint.exists():
    so_far = json.loads(checkpoint.read_text())
    print(f"rank {job.rank} goes on at step {so_far['step']}", flush=True)
else:
    so_far = {"step": 0, "area": 0.0}
    print(f"rank {job.rank} begins", flush=True)

width = 1.0 / (steps * STRIPS * job.world_size)
while so_far["step"] < steps:
    first = (job.rank * steps + so_far["step"]) * STRIPS
    so_far["area"] += sum(4.0 / (1.0 + ((first + strip + 0.5) * width) ** 2) for strip in range(STRIPS)) * width
    so_far["step"] += 1
    time.sleep(0.05)  # a longer computation
    # Write beside the file, then rename: whoever copies or kills, the file is whole.
    beside = checkpoint.with_suffix(".tmp")
    beside.write_text(json.dumps(so_far))
    os.replace(beside, checkpoint)

(job.output_dir / "output.txt").write_text(f"{job.rank},{so_far['area']!r}\n")
