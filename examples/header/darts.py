"""The area of a quarter of a disc, by darts; rank is the seed. On a laptop: python3 darts.py 100000"""

# >>> PESC header 1: what PESC tells this program; without PESC the defaults hold
import json as _json, os as _os, sys as _sys
_told = _json.load(open(_os.environ["PESC_JOB"])) if "PESC_JOB" in _os.environ else {}
rank = int(_os.environ.get("PESC_RANK", 0))
world_size = int(_os.environ.get("PESC_WORLD_SIZE", 1))
repetitions = int(_os.environ.get("PESC_REPETITIONS", 1))
parameters = _told.get("parameters", _sys.argv[1:])
output_dir = _os.environ.get("PESC_OUTPUT_DIR", ".")
checkpoint_dir = _os.environ.get("PESC_CHECKPOINT_DIR", ".")
app_dir = _os.environ.get("PESC_APP_DIR", _os.path.dirname(_os.path.abspath(__file__)))
master_addr = _os.environ.get("PESC_MASTER_ADDR", "127.0.0.1")
master_port = int(_os.environ.get("PESC_MASTER_PORT", 0))
row = _told.get("row", _json.loads(_os.environ.get("PESC_ROW", "{}")))
# <<< PESC header 1

import random

darts = int(parameters[0]) if parameters else 10_000
dice = random.Random(rank)
hits = sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(darts))

with open(f"{output_dir}/output.txt", "w") as output:
    output.write(f"rank {rank} of {world_size}: {hits / darts:.4f}\n")
