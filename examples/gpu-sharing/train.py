"""Fits a line by steps down the slope; on its share of a GPU where PyTorch is installed."""

import argparse
import os
import pathlib
import random

parser = argparse.ArgumentParser()
parser.add_argument("--rank", type=int)
parser.add_argument("--output_dir", type=pathlib.Path)
told, _ = parser.parse_known_args()

# CUDA_VISIBLE_DEVICES names the granted GPU and no other: for the program it is number 0.
device = os.environ["CUDA_VISIBLE_DEVICES"]
try:
    import torch

    xs = torch.linspace(0.0, 1.0, 1000, device="cuda" if torch.cuda.is_available() else "cpu")
except ImportError:
    torch, xs = None, [number / 999 for number in range(1000)]

random.seed(told.rank)
slope, wanted = random.uniform(-5.0, 5.0), 3.0
for _ in range(200):
    if torch is not None:
        step = float((2 * (slope - wanted) * xs * xs).mean())
    else:
        step = sum(2 * (slope - wanted) * x * x for x in xs) / len(xs)
    slope -= 0.5 * step
(told.output_dir / "output.txt").write_text(f"rank {told.rank} on {device}: slope {slope:.3f}\n")
