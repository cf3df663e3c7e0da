"""Look for a short round trip through some towns, and say how far the search is."""

import math
import os
import pathlib
import random

from pescprogress import progress

STEPS = 60_000

dice = random.Random(int(os.environ.get("PESC_RANK", "0")))
towns = [(math.cos(i * i), math.sin(3 * i)) for i in range(30)]


def length(trip):
    return sum(math.dist(towns[a], towns[b]) for a, b in zip(trip, [*trip[1:], trip[0]], strict=True))


trip = list(range(len(towns)))
shortest = length(trip)
for step in range(STEPS):
    if step % 6000 == 0:
        progress(100 * step / STEPS, f"{shortest:.2f} so far")
    first, last = sorted(dice.sample(range(len(towns)), 2))
    other = trip[:first] + trip[first:last][::-1] + trip[last:]
    warmth = 0.3 * (1 - step / STEPS) + 1e-9
    if dice.random() < math.exp(min(0.0, (length(trip) - length(other)) / warmth)):
        trip = other
        shortest = min(shortest, length(trip))

folder = pathlib.Path(os.environ.get("PESC_OUTPUT_DIR", "."))
(folder / "output.txt").write_text(f"{shortest:.3f}\n")
