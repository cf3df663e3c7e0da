"""Tell how far a program is: one file without dependencies, to be copied beside your program.

    from pescprogress import progress
    progress(40, "fitting")

Under PESC it is shown by pesc_q, pesc_submit --wait and whoever listens; else it goes to stderr.
"""

import os
import sys


def progress(percent, message=""):
    """Say that `percent` of the work is done."""
    line = f"{float(percent):.2f} {message}".replace("\n", " ").replace("\r", " ")
    path = os.environ.get("PESC_PROGRESS_FILE")
    if path is None:
        print(f"{line}", file=sys.stderr, flush=True)
        return
    # Renamed into its place, so that nobody reads half a line.
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(line + "\n")
    os.replace(f"{path}.new", path)
