"""Greet somebody with what is in the image of the domain."""

import os
import pathlib

import greetings

names = pathlib.Path("/usr/share/greetings/names.txt").read_text().split()
line = greetings.greet(names[int(os.environ["PESC_RANK"])])
pathlib.Path(os.environ["PESC_OUTPUT_DIR"], "output.txt").write_text(line + "\n")
