"""Hold, release, remove: what people do to jobs, and what it leaves behind."""

import json

from tests.system.house import Living
from tests.system.load import Load

ESCAPES = """
import os, subprocess, sys, time
output = os.environ["PESC_OUTPUT_DIR"]
open(output + "/partial.txt", "w").write("so far\\n")
print("begun", flush=True)

def say(what):
    with open(os.environ["SAID"], "w") as pipe:
        pipe.write(f"{what} {os.getpid()}\\n")

def wait():
    open(os.environ["GATE"]).read()

if os.fork() == 0:                       # a double fork into a session of its own, its marks washed off
    os.setsid()
    if os.fork() == 0:
        say("daemon")
        os.execve("/bin/sh", ["sh", "-c", "read x < " + os.environ["GATE"]], {})
    os._exit(0)
subprocess.Popen(["sh", "-c", "echo child $$ > $SAID; trap '' TERM; read x < $GATE"])
say("main")
wait()
"""


def statuses(house, cluster):
    return {ad["ProcId"]: ad["JobStatus"] for ad in house.jobs(cluster)}


def test_running_idle_and_unmaterialized_jobs_are_held_released_and_removed(house):
    house.start("--cpus", "2")
    load = Load(house, 100)
    first = {rank: Living(pid) for rank, pid in load.begun(2)}
    assert set(first) == {0, 1}

    # One running, one idle, one that is no row yet.
    assert house.ask("hold", f"{load.cluster}.0", f"{load.cluster}.9", f"{load.cluster}.99") == {
        "changed": 3, "refused": []}
    first[0].ended()
    assert dict(load.begun(1)).keys() == {2}
    held = house.do("q", "-hold", load.cluster)
    assert held.count("via pesc_hold (by user ") == 3
    batch = house.ask("q", load.cluster)["batches"][0]["jobs"]
    assert (batch["held"], batch["running"], batch["idle"]) == (3, 2, 95)

    assert house.ask("rm", f"{load.cluster}.1", f"{load.cluster}.9", f"{load.cluster}.98")["changed"] == 3
    first[1].ended()
    assert house.ask("release", load.cluster)["changed"] == 2
    assert house.ask("rm", load.cluster, "-constraint", "ProcId >= 10")["changed"] == 89
    load.finish()
    ends = {ad["ProcId"]: ad["JobStatus"] for ad in house.history(load.cluster)}
    assert ends == {rank: 4 if rank in {0, *range(2, 9)} else 3 for rank in range(100)}
    assert load.runs() == dict.fromkeys({0, *range(2, 9)}, 1)


def test_what_cannot_be_done_to_a_job_is_refused_with_the_reason(house):
    house.start("--cpus", "1")
    load = Load(house, 2)
    load.begun(1)
    answer = house("release", f"{load.cluster}.0")
    assert answer.code == 1 and "is running, not held; there is nothing to release" in answer.err
    answer = house("rm", "4711", f"{load.cluster}.7", "4711.3")
    assert answer.code == 1 and answer.err.count("There is no job") == 3 and "pesc_history 4711" in answer.err
    assert house("hold", f"{load.cluster}.0", f"{load.cluster}.0").code in (0, 1)
    answer = house("hold", f"{load.cluster}.0")
    assert answer.code == 1 and "is held; only idle and running jobs can be held" in answer.err
    answer = house("rm", "-constraint", "ProcId = 1")
    assert answer.code == 1 and "ProcId = 1" in answer.err
    assert house("rm").code == 2
    assert house.ask("rm", "-constraint", "ProcId > 50") == {"changed": 0, "refused": []}
    assert house.ask("q", load.cluster)["batches"][0]["jobs"]["removed"] == 0


def test_a_removed_job_leaves_no_process_behind_and_its_partial_outputs_are_fetched(house):
    house.start("--cpus", "2")
    house.write("escapes.py", ESCAPES)
    said, gate = house.pipe("said"), house.pipe("gate")
    cluster = house.submit(f'process = escapes.py\nrepetitions = 1\n'
                           f'environment = "SAID={said.path} GATE={gate.path}"\n')
    processes = {what: Living(int(pid)) for what, pid in (line.split() for line in said.lines(3))}
    assert processes.keys() == {"main", "child", "daemon"}
    assert house.ask("rm", cluster, "-reason", "changed my mind")["changed"] == 1
    house.wait(cluster)
    assert {what: process.is_over for what, process in processes.items()} == dict.fromkeys(processes, True)

    [ad] = house.history(cluster)
    assert (ad["JobStatus"], ad["RemoveReason"]) == (3, "changed my mind")
    fetched = house.ask("fetch", cluster)
    home = house.folder / fetched["folder"]
    assert (home / "rank-0/partial.txt").read_text() == "so far\n"
    assert (home / "rank-0/stdout").read_text() == "begun\n"
    [rank] = json.loads((home / "summary.json").read_text())
    assert rank["status"] == "removed"


def test_a_million_repetitions_are_queued_shown_held_released_and_removed_as_one_thing(house):
    house.start("--cpus", "1")
    schedd = house.daemon("schedd")
    before = resident_mib(schedd.pid)
    cluster = house.submit("executable = /bin/true\nrequirements = TARGET.Cpus > 100000\nqueue 1000000\n")
    for expected, verb in (("idle", "hold"), ("held", "release"), ("idle", "rm")):
        answer = house.ask("q")
        [batch] = answer["batches"]
        assert batch["total"] == 1_000_000 and batch["jobs"][expected] == 1_000_000
        assert answer["totals"][expected] == 1_000_000
        assert house.ask(verb, cluster) == {"changed": 1_000_000, "refused": []}
    assert house.ask("q")["batches"] == []
    assert [ad["JobStatus"] for ad in house.history(f"{cluster}.999999")] == [3]
    assert len(house.history(cluster, "-limit", "3")) == 3
    assert resident_mib(schedd.pid) < max(150, before + 100)
    # All of it is on disk in a few rows.
    assert sum(path.stat().st_size for path in (house.state / "schedd").glob("pesc.db*")) < 10 * 2**20


def resident_mib(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
