"""Programs in every language: how they are called, and the header that they get."""

import os
import subprocess
import sys

import pytest

from tests.system.house import COMMANDS

STAND_IN = '#!/bin/sh\nprintf "%s" "${0##*/}"; printf " [%s]" "$@"; echo\n'

USES = '''"""Says what it is told, and was told nothing."""

with open(f"{output_dir}/output.txt", "w") as output:
    output.write(f"{rank} of {world_size}: {' '.join(parameters)}; {row['alpha']}\\n")
'''


def test_each_language_is_called_by_its_interpreter(house):
    for name in ("Rscript", "julia", "octave-cli", "java"):
        house.write(f"bin/{name}", STAND_IN, executable=True)
    house.environment["PATH"] = f"{house.folder / 'bin'}:{house.environment['PATH']}"
    house.start("--cpus", "2")
    [machine] = house.ask("status")
    assert [machine[name] for name in ("HasR", "HasJulia", "HasOctave", "HasJava")] == [True] * 4
    for name, before in {"fit.R": "Rscript", "fit.jl": "julia", "fit.jar": "java [-jar]",
                         "fit.m": "octave-cli [--quiet] [--no-history]"}.items():
        house.write(name, "program\n")
        house.write("test.pesc", f"process = {name}\nparameters = 0.5 'two words'\n")
        answer = house.ask("submit", "test.pesc", "--wait")
        said = (house.folder / answer["folder"] / "stdout.txt").read_text()
        words, _, parameters = said.partition(" [--parameters]")
        assert words.startswith(f"{before} ["), said
        assert f"/{name}] [--app_dir] [" in words
        assert parameters == " [0.5] [two words]\n"


def test_a_language_is_said_where_the_name_does_not(pool):
    pool.write("sayer", "import sys\nprint('python', sys.version_info.major)\n")
    pool.write("sayer.pesc", "process = sayer\nlanguage = python\n")
    answer = pool.ask("submit", "sayer.pesc", "--wait")
    assert (pool.folder / answer["folder"] / "stdout.txt").read_text() == "python 3\n"


def test_a_program_without_header_and_arguments_has_its_variables(pool):
    pool.write("uses.py", USES)
    pool.write("uses.pesc", "process = uses.py\nparameters = a 'b c'\nsweep alpha in 1..2\n")
    home = pool.folder / pool.ask("submit", "uses.pesc", "--wait")["folder"]
    assert (home / "output.txt").read_text() == "0 of 2: a b c; 1\n1 of 2: a b c; 2\n"
    assert (pool.folder / "uses.py").read_text() == USES


def test_an_error_in_a_copy_is_told_with_the_line_of_the_file(pool):
    pool.write("fails.py", USES + "\n\n1 / 0\n")
    pool.write("fails.pesc", "process = fails.py\ntable rows.csv\n")
    pool.write("rows.csv", "alpha\n1\n")
    answer = pool.ask("submit", "fails.pesc")
    pool.wait(answer["cluster"])
    pool.do("fetch", answer["cluster"], "-o", "fails-home")
    said = (pool.folder / "fails-home" / "rank-0" / "stderr").read_text()
    assert f"line {len(USES.splitlines()) + 3}, in <module>" in said


@pytest.mark.parametrize("words", [["1000"], []])
def test_the_example_of_the_header_runs_without_pesc(tmp_path, words):
    from tests.system.test_main_job import EXAMPLES

    environment = {name: value for name, value in os.environ.items() if not name.startswith("PESC_")}
    subprocess.run([sys.executable, EXAMPLES / "header" / "darts.py", *words], cwd=tmp_path, env=environment,
                   check=True)
    assert (tmp_path / "output.txt").read_text().startswith("rank 0 of 1: 0.7")


def test_the_example_has_the_header_of_this_version():
    from tests.system.test_main_job import EXAMPLES

    printed = subprocess.run([COMMANDS / "pesc_submit", "--header", "python"], capture_output=True, text=True,
                             check=True).stdout
    assert printed in (EXAMPLES / "header" / "darts.py").read_text()
