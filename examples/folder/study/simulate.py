"""The file that is started; it finds the rest of its folder beside it."""

import json
import os
import pathlib

from model import growth

settings = json.loads((pathlib.Path(__file__).parent / "settings.json").read_text())
rank = int(os.environ["PESC_RANK"])
rate = settings["rates"][rank]

population = growth(settings["start"], rate, settings["years"])
output = pathlib.Path(os.environ["PESC_OUTPUT_DIR"], "output.txt")
output.write_text(f"at {rate:.0%} a year: {population:.0f} after {settings['years']} years\n")
