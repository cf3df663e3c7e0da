"""A sweep from its file to the table that comes home."""

import csv
import json
import os
import pathlib
import subprocess
import sys

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "sweep" / "descend.py"

TELL = '''
import json, os, pathlib
row = json.loads(os.environ["PESC_ROW"])
job = json.loads(pathlib.Path(os.environ["PESC_JOB"]).read_text())
assert job["row"] == row and job["repetition"] == int(os.environ["PESC_REPETITION"]), job
pathlib.Path(job["output_dir"], "output.txt").write_text(f"{row['alpha'] * 10 + row['seed']:g}")
'''


def test_each_program_of_a_sweep_knows_its_row_and_it_comes_home_beside_the_result(pool):
    pool.write("tell.py", TELL)
    pool.write("sweep.pesc", "process = tell.py\nrepetitions = 2\nsweep alpha in 0.5..1.0 step 0.5, seed in 1..2\n")
    answer = pool("submit", "sweep.pesc", "--wait", "--json")
    assert answer.code == 0, answer
    home = pool.folder / answer.json["folder"]

    rows = [(alpha, seed, repetition) for alpha in ("0.5", "1.0") for seed in ("1", "2") for repetition in "01"]
    with open(home / "rows.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(line["alpha"], line["seed"], line["repetition"]) for line in table] == rows
    assert [line["rank"] for line in table] == list(map(str, range(8)))
    assert [line["output"] for line in table] == [f"{float(alpha) * 10 + int(seed):g}" for alpha, seed, _ in rows]
    assert {(line["status"], line["exit_code"]) for line in table} == {("completed", "0")}
    assert all(float(line["wall_seconds"]) > 0 for line in table)
    assert [(rank["row"], rank["repetition"]) for rank in json.loads((home / "summary.json").read_text())] == [
        ({"alpha": float(alpha), "seed": int(seed)}, int(repetition)) for alpha, seed, repetition in rows]
    said = pool.do("history", answer.json["cluster"], "-af", "ProcId", "PescRow").splitlines()
    assert sorted(said) == [f"{number} [ alpha = {alpha}; seed = {seed} ]"
                            for number, (alpha, seed, _) in enumerate(rows)]


def test_the_example_of_a_sweep_runs_without_pesc(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PESC_")}
    subprocess.run([sys.executable, EXAMPLE], cwd=tmp_path, env=environment, check=True)
    assert float((tmp_path / "output.txt").read_text()) > 0


def test_a_plain_program_of_a_table_knows_its_row(pool):
    pool.write("runs.csv", 'name,code\n"a, b",007\nc,008\n')
    cluster = pool.submit('executable = /bin/sh\narguments = "-c \'echo $PESC_ROW\'"\noutput = said.$(Process)\n'
                          "table runs.csv\nqueue\n")
    pool.wait(cluster)
    assert [json.loads((pool.folder / f"said.{proc}").read_text()) for proc in (0, 1)] == [
        {"name": "a, b", "code": "007"}, {"name": "c", "code": "008"}]
