"""From a submit file to its jobs: items expanded one by one, a large sweep and a small file looked at."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.meters import median_of, timed
from benchmarks.pools import BIN, scratch
from benchmarks.table import Row
from cli.localfiles import LocalFiles, submit_site
from dsl.submit import Description, read

ROUNDS = 7
ITEMS = 100_000
FIVE_MACROS = """executable = /bin/echo
arguments = --name $(name) --index $(index) --rate $(rate)
output = $(name).$(mode).out
+Tag = "$(tag)"
queue name, index, rate, mode, tag from items.txt
"""
MILLION = """process = train.py
parameters = --alpha $(alpha) --seed $(seed)
sweep alpha in 0.001..1.000 step 0.001, seed in 1..1000
"""
SMALL = "process = train.py\nparameters = $(Process)\nrepetitions = 10\n"

# The kernel counts what a process had before it became another program: a small process must start the command.
WATCHED = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
said = child.stdout.read()
_, status, used = os.wait4(child.pid, 0)
print(json.dumps([time.perf_counter() - start, used.ru_maxrss * 1024 / 1e6, os.waitstatus_to_exitcode(status), said]))
"""


def measure() -> list[Row]:
    with scratch() as folder:
        (folder / "train.py").write_text("")
        (folder / "items.txt").write_text("".join(
            f"n{number} {number} {number / 8} m{number % 7} t{number % 1000}\n" for number in range(ITEMS)))
        items = _items(folder)
        seconds, megabytes = _looked_at(folder, "million.pesc", MILLION, "1,000,000 jobs would be queued.")
        small, _ = _looked_at(folder, "small.pesc", SMALL, "10 jobs would be queued.")
        python = median_of(ROUNDS, lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    return [
        items,
        Row("pesc_submit --dry-run of a sweep of 1,000,000 rows, whole", seconds * 1e3, "ms", at_most=300),
        Row("– its peak memory", megabytes, "MB", at_most=60),
        Row("pesc_submit --dry-run of a small file, whole", small * 1e3, "ms", at_most=150,
            note=f"python -c pass: {python * 1e3:.0f} ms"),
    ]


def _items(folder: Path) -> Row:
    """All attributes of every job of 100,000 items, five macros in each."""
    described: list[Description] = []

    def describe() -> None:
        described.append(read(FIVE_MACROS, name="items.sub", files=LocalFiles(str(folder)), variables={}, appended=[],
                              environ={}, site=submit_site()._replace(iwd=str(folder))))

    reading = timed(describe)
    [description] = described
    expander = description.expander()
    last = expander.attributes(1, ITEMS - 1)
    assert (last["Args"], last["Out"], last["Tag"]) == (
        '"--name n99999 --index 99999 --rate 12499.875"', '"n99999.m4.out"', '"t999"')

    seconds = []
    for _ in range(3):
        start = time.process_time()
        for proc in range(ITEMS):
            expander.attributes(1, proc)
        seconds.append(time.process_time() - start)
    return Row("100,000 items of five macros expanded, CPU", median(seconds), "s", at_most=1,
               note=f"read in {reading:.2f} s")


def _looked_at(folder: Path, name: str, text: str, expected: str) -> tuple[float, float]:
    """Seconds and peak MB of a dry run."""
    (folder / name).write_text(text)
    all_seconds, all_megabytes = [], []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", WATCHED, str(BIN / "pesc_submit"), "--dry-run", name],
                              cwd=folder, capture_output=True, text=True, check=True)
        seconds, megabytes, code, said = json.loads(done.stdout)
        assert code == 0, done.stderr
        assert said.startswith(expected), said
        all_seconds.append(seconds)
        all_megabytes.append(megabytes)
    return median(all_seconds), max(all_megabytes)
