"""Walk down a noisy slope in steps of size alpha: how near to the ground depends on alpha.

It runs without PESC too, with the row that is written below: python3 descend.py
"""

import json
import os
import pathlib
import random

row = json.loads(os.environ.get("PESC_ROW", '{"alpha": 0.1, "seed": 1}'))
folder = pathlib.Path(os.environ.get("PESC_OUTPUT_DIR", "."))

dice = random.Random(row["seed"])
place = 10.0
for _ in range(20):
    slope = 2 * place + dice.gauss(0, 1)
    place -= row["alpha"] * slope

# One short line: it becomes the column "output" of rows.csv.
(folder / "output.txt").write_text(f"{place**2:.6f}\n")
