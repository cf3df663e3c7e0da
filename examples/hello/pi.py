"""Estimate pi by throwing darts. Every repetition throws its own; together they know more digits."""

import argparse
import pathlib
import platform
import random

parser = argparse.ArgumentParser()
parser.add_argument("--rank", type=int, default=0)
parser.add_argument("--world_size", type=int, default=1)
parser.add_argument("--output_dir", type=pathlib.Path, default=pathlib.Path("."))
parser.add_argument("--parameters", type=int, nargs="*", default=[100_000])
job, _ = parser.parse_known_args()

[darts] = job.parameters
dice = random.Random(job.rank)
inside = sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(darts))

print(f"rank {job.rank} of {job.world_size} on {platform.node()}")
estimate = f"{inside} of {darts} inside, pi is about {4 * inside / darts:.5f}"
(job.output_dir / "output.txt").write_text(f"rank {job.rank}: {estimate}\n")
