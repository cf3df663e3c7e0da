"""What a newcomer does first: the main job, and every example."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
ELSEWHERE = ("build", "domain", "editor")
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name not in ELSEWHERE)
"""All that need no containers; `build` and `domain` run in tests/rootless."""

SHOW = '''
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
for name in ("app_dir", "checkpoint_dir", "output_dir", "master_addr"):
    parser.add_argument("--" + name)
for name in ("rank", "world_size", "repetitions", "master_port"):
    parser.add_argument("--" + name, type=int)
parser.add_argument("--parameters", nargs="*")
told = vars(parser.parse_args())
by_file = json.load(open(os.environ["PESC_JOB"]))
assert {name: by_file[name] for name in told} == told, by_file
assert os.environ["PESC_PARAMETERS"].split() == told["parameters"]
for name in set(told) - {"parameters"}:
    assert os.environ["PESC_" + name.upper()] == str(told[name]), name
pathlib.Path(told["output_dir"], "output.txt").write_text(f"rank {told['rank']} of {told['world_size']}")
pathlib.Path(told["output_dir"], "deep", "er").mkdir(parents=True)
pathlib.Path(told["output_dir"], "deep", "er", "own").write_text(str(told["rank"]))
print("hello from", told["rank"], *told["parameters"])
'''


def test_ten_repetitions_run_by_the_contract_and_come_back_as_one_output(pool):
    pool.write("show.py", SHOW)
    pool.write("show.pesc", "process = show.py\nrepetitions = 10\nparameters = alpha 0.5\n")
    answer = pool("submit", "show.pesc", "--wait")
    assert answer.code == 0, answer
    cluster = re.search(r"10 job\(s\) submitted to cluster (\d+)", answer.out)[1]
    assert f"cluster {cluster}: 10 of 10 done" in answer.err

    home = pool.folder / f"pesc-{cluster}"
    assert (home / "output.txt").read_text() == "".join(f"rank {rank} of 10\n" for rank in range(10))
    assert (home / "stdout.txt").read_text() == "".join(f"hello from {rank} alpha 0.5\n" for rank in range(10))
    assert {(home / f"rank-{rank}/deep/er/own").read_text() for rank in range(10)} == set(map(str, range(10)))

    [machine] = pool.ask("status")
    ranks = json.loads((home / "summary.json").read_text())
    assert [(rank["rank"], rank["status"], rank["exit_code"], rank["machine"]) for rank in ranks] == [
        (rank, "completed", 0, machine["Name"]) for rank in range(10)]
    ads = pool.history(cluster)
    assert sorted(ad["PescRank"] for ad in ads) == list(range(10))
    assert all(ad["RemoteWallClockTime"] > 0 and ad["RemoteUserCpu"] > 0 and ad["MemoryUsage"] > 1 for ad in ads)


@pytest.mark.parametrize("name", FOLDERS)
def test_each_example_runs_as_its_readme_says(pool, name):
    listed = re.findall(rf"^\| \[{name}\]\({name}\) \| (?:`(.+?)`)? *\|", (EXAMPLES / "README.md").read_text(), re.M)
    assert len(listed) == 1, f"examples/README.md does not list {name}"
    shutil.copytree(EXAMPLES, pool.folder / f"examples-{name}", ignore=shutil.ignore_patterns("pesc-*"))
    folder = pool.folder / f"examples-{name}" / name
    if not listed[0]:
        demonstration = pool.begin(sys.executable, folder / f"{name}.py", stdout=subprocess.PIPE)
        out, _ = demonstration.communicate()
        assert demonstration.returncode == 0, out
        assert b"Done." in out
        return
    assert {path.name for path in folder.iterdir() if path.suffix in (".pesc", ".sub")} == set(listed)
    answer = pool("submit", listed[0], "--wait", "--json", folder=folder)
    assert answer.code == 0, answer
    said = answer.json
    assert said["over"] and not said["failed"]
    assert len(list((folder / said["folder"]).glob("rank-*"))) == said["jobs"] >= 1
    joined = [path for path in (folder / said["folder"]).glob("*.txt") if path.name != "summary.txt"]
    delivered = [path for path in folder.glob("*.out") if path.stat().st_size]
    assert any(path.stat().st_size for path in joined) or len(delivered) == said["jobs"]


def test_many_ranks_of_knn_answer_what_one_does(pool):
    shutil.copytree(EXAMPLES / "knn", pool.folder / "knn")
    answers = []
    for count in (1, 4):
        said = pool("submit", "knn.pesc", f"ranks={count}", "--wait", "--json", folder=pool.folder / "knn").json
        assert said["jobs"] == count and not said["failed"]
        answers.append((pool.folder / "knn" / said["folder"] / "output.txt").read_text())
    assert answers[0] == answers[1] and answers[0].count("\n") == 240


def test_jobs_share_the_gpus_of_the_example_and_say_which_they_had(pool):
    shutil.copytree(EXAMPLES / "gpu-sharing", pool.folder / "gpu-sharing")
    said = pool("submit", "gpu.pesc", "--wait", "--json", folder=pool.folder / "gpu-sharing").json
    ads = {ad["ProcId"]: ad for ad in pool.history(said["cluster"])}
    assert sorted(ads) == list(range(8))
    cards = {"GPU-11111111-aaaa", "GPU-22222222-bbbb"}
    assert {ad["AssignedGPUs"] for ad in ads.values()} <= cards
    assert (pool.folder / "gpu-sharing" / said["folder"] / "output.txt").read_text() == "".join(
        f"rank {rank} on {ads[rank]['AssignedGPUs']}: slope 3.000\n" for rank in range(8))


def test_where_and_how_jobs_ran_is_told_by_every_command(pool):
    cluster = pool.submit('executable = /bin/sh\narguments = "-c \'exit $(Process)\'"\nqueue 2\n')
    pool.wait(cluster)
    assert sorted((ad["ProcId"], ad["ExitCode"], ad["JobStatus"]) for ad in pool.history(cluster)) == [
        (0, 0, 4), (1, 1, 4)]
    assert "exit 1" in pool.do("history", f"{cluster}.1")
    assert pool.ask("q", cluster)["batches"] == []
    assert pool.do("history", cluster, "-af", "ProcId", "ExitCode").split("\n")[:2] in (["0 0", "1 1"], ["1 1", "0 0"])
    assert json.loads(pool.do("wait", f"{cluster}.0", "--json")) == {"over": [f"{cluster}.0"], "waiting": []}
