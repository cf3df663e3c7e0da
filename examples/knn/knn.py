"""Say of every flower which kind it is, by the kinds of its nearest neighbours (k-NN).

A rank takes its share of the flowers; joined by rank, the shares read like the
output of one rank that did all the work. It runs without PESC too: python3 knn.py
"""

import argparse
import math
import pathlib
import random
from collections import Counter

parser = argparse.ArgumentParser()
parser.add_argument("--rank", type=int, default=0)
parser.add_argument("--world_size", type=int, default=1)
parser.add_argument("--output_dir", type=pathlib.Path, default=pathlib.Path("."))
parser.add_argument("--parameters", type=int, nargs="*", default=[7])
job, _ = parser.parse_known_args()

[neighbours] = job.parameters
KINDS = {"aurea": (1.4, 0.2), "rubra": (4.2, 1.3), "alba": (5.5, 2.0)}


def flowers(count, dice):
    """So many flowers of each kind: petal length, petal width, kind."""
    return [(dice.gauss(length, 0.5), dice.gauss(width, 0.3), kind)
            for kind, (length, width) in KINDS.items() for _ in range(count)]


def kind_of(length, width, known):
    nearest = sorted(known, key=lambda flower: math.dist(flower[:2], (length, width)))[:neighbours]
    return Counter(kind for _, _, kind in nearest).most_common(1)[0][0]


dice = random.Random(2026)
known, asked = flowers(400, dice), flowers(80, dice)
dice.shuffle(asked)
first, beyond = (len(asked) * rank // job.world_size for rank in (job.rank, job.rank + 1))

right = 0
with open(job.output_dir / "output.txt", "w") as answers:
    for number in range(first, beyond):
        length, width, kind = asked[number]
        guess = kind_of(length, width, known)
        right += guess == kind
        answers.write(f"{number},{length:.2f},{width:.2f},{guess}\n")
print(f"rank {job.rank} of {job.world_size}: {right} of {beyond - first} right")
