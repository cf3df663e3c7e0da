"""How long pesc_lint takes for the submit files of a laboratory, its own start included."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row

FILES = 300
ROUNDS = 3
TEXTS = (
    # a sweep of a million rows
    "process = run.py\nparameters = --alpha $(alpha) --seed $(seed) --how $(how)\nrequest_memory = {n} MB\n"
    "repetitions = 3\nsweep alpha in 0.001..1.000 step 0.001, seed in 1..500\nsweep how in (adam, sgd)\n",
    # rows in the file, an expression, an attribute, a condition
    "executable = run.py\narguments = \"--name '$(name)' $(value)\"\noutput = out.$(Process)\nerror = err.$(Process)\n"
    "request_cpus = 2\nrequirements = (TARGET.Memory >= 1000 + {n}) && TARGET.OpSys == \"LINUX\"\n+Study = \"{n}\"\n"
    "if defined quick\n  arguments = 1\nendif\nqueue name, value from (\n"
    + "".join(f"  row{row}, {row}.5\n" for row in range(40)) + ")\n",
    # mistakes
    "process = runn.py\nrepetitons = {n}\nparameters = $(alhpa)\nalpha = 3\nrequest_memory = lots\n",
)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        seconds = min(_seconds(folder) for _ in range(ROUNDS))
    return [Row(f"pesc_lint of {FILES} files, a third with mistakes", seconds, "s", at_most=3,
                note=f"{seconds / FILES * 1000:.1f} ms a file, start included")]


def write(folder: Path) -> None:
    (folder / "run.py").write_text("print(1)\n")
    for number in range(FILES):
        ending = ".sub" if number % len(TEXTS) == 1 else ".pesc"
        (folder / f"{number:03}{ending}").write_text(TEXTS[number % len(TEXTS)].format(n=number))


def _seconds(folder: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import sys; from cli.lint import main; sys.exit(main())", folder, "--json"],
                   stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - start
