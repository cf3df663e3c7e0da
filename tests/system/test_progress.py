"""How far a job says it is, from its program to those who look."""

import os
import subprocess
import sys

import pytest

from tests.system.test_main_job import EXAMPLES

MODULE = EXAMPLES / "progress" / "anneal"

TELL = """
import sys
sys.path.insert(0, {module!r})
from pescprogress import progress
print("PESC_PROGRESS 20 by stdout", flush=True)
open({pipe!r}).readline()
progress(60, "by\\nfile")
open({pipe!r}).readline()
"""


def test_what_a_job_says_is_seen_by_all_who_look_and_gone_when_it_is_over(house):
    house.start("--cpus", "1")
    pipe = house.pipe("go")
    house.write("tell.py", TELL.format(module=str(MODULE), pipe=str(pipe.path)))
    cluster = house.submit("process = tell.py\nlog = all.log\n")

    [said] = house.until(cluster, "progress")
    assert (said.proc, said.detail["percent"], said.detail["message"]) == (0, 20.0, "by stdout")
    assert said.detail["left_seconds"] > 0
    assert ": by stdout" in house.do("q", "-run")
    [job] = house.jobs(cluster)
    assert (job["PescProgress"], job["PescProgressMessage"]) == (20.0, "by stdout")
    assert house.do("q", "-constraint", "PescProgress > 10", "-af", "ProcId") == "0\n"
    [batch] = house.ask("q")["batches"]
    assert (batch["progress"]["jobs"], batch["progress"]["percent"]) == (1, 20.0)

    schedd = house.daemon("schedd")
    schedd.kill()
    schedd.close()
    house.start("--cpus", "1")
    pipe.let(1)
    # What it said before is said again to the new schedd.
    assert (60.0, "by file") in (
        (event.detail["percent"], event.detail.get("message")) for event in house.events(cluster)
        if event.kind == "progress")

    pipe.let(1)
    house.wait(cluster)
    [ad] = house.history(cluster)
    assert ("PescProgress" in ad, ad["ExitCode"]) == (False, 0)
    assert "unknown" not in (house.folder / "all.log").read_text()


@pytest.mark.parametrize("under_pesc", [True, False])
def test_the_module_needs_no_pesc(tmp_path, under_pesc):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PESC_")}
    if under_pesc:
        environment["PESC_PROGRESS_FILE"] = str(tmp_path / "progress")
    program = "from pescprogress import progress; progress(1 / 3, 'a\\nb'); progress(40)"
    said = subprocess.run([sys.executable, "-c", program], cwd=MODULE, env=environment, check=True,
                          capture_output=True, text=True)
    assert said.stdout == ""
    if under_pesc:
        assert said.stderr == ""
        assert (tmp_path / "progress").read_text() == "40.00 \n"
    else:
        assert said.stderr == "0.33 a b\n40.00 \n"
