"""Work that was checkpointed goes on elsewhere, whatever is killed or emptied."""

import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

from tests.system.house import Living

CLIENT_LOSS = pathlib.Path(__file__).parents[2] / "examples" / "client-loss"
STEPS_OF_A_RANK = 240
"""Twelve seconds: time enough for a first checkpoint, and for a machine to be lost after it, also on a busy machine."""

COUNT = pathlib.Path(__file__).parents[2] / "examples" / "checkpoint" / "count.py"

STEPS = '''
import json, os, pathlib
place = pathlib.Path(os.environ["PESC_CHECKPOINT_DIR"], "steps.json")
steps = json.loads(place.read_text()) if place.exists() else []
said, gate = open(os.environ["SAID"], "w"), open(os.environ["GATE"])
print("begins", len(steps), os.getpid(), file=said, flush=True)
while (word := gate.readline().strip()) != "end":
    steps.append(word)
    place.with_suffix(".tmp").write_text(json.dumps(steps))
    os.replace(place.with_suffix(".tmp"), place)
    print("saved", len(steps), file=said, flush=True)
pathlib.Path(os.environ["PESC_OUTPUT_DIR"], "output.txt").write_text(" ".join(steps))
'''


class Steps:
    """A job that takes a step, and saves it, for every word that it is given."""

    def __init__(self, house, extra=""):
        self.house = house
        self.said, self.gate = house.pipe("said"), house.pipe("gate")
        house.write("steps.py", STEPS)
        self.cluster = house.submit(f'process = steps.py\nenvironment = "SAID={self.said.path} GATE={self.gate.path}"\n'
                                    f"request_memory = 64M\n{extra}\n")

    def begins(self):
        """Wait for a run to begin; return with how many steps it does, and its process."""
        word, steps, pid = self.said.line().split()
        assert word == "begins"
        return int(steps), int(pid)

    def take(self, *words):
        for word in words:
            os.write(self.gate._descriptor, f"{word}\n".encode())
            assert self.said.line().startswith("saved ")

    def end(self):
        os.write(self.gate._descriptor, b"end\n")
        self.house.wait(self.cluster)
        self.house.do("fetch", self.cluster, "-o", "home")
        return (self.house.folder / "home/output.txt").read_text().strip()

    @property
    def ad(self):
        [ad] = self.house.jobs(self.cluster)
        return ad

    @property
    def machine(self):
        return self.ad["RemoteHost"]


@pytest.fixture
def two(house):
    """A pool with two machines of one cpu each."""
    house.start("--cpus", "1", "--startds", "2")
    return house


def machine(house, name):
    [ad] = [ad for ad in house.ask("status") if ad["Name"] == name]
    return ad


def test_a_drained_machine_is_emptied_and_its_job_goes_on_elsewhere_from_its_last_step(two):
    job = Steps(two)
    assert job.begins()[0] == 0
    first = job.machine
    job.take("one", "two", "three")
    [answer] = two.ask("drain", first, "--reason", "new memory")
    assert (answer["machine"], answer["draining"]) == (first, True)
    assert job.begins()[0] == 3
    assert job.machine != first
    [evicted] = two.until(job.cluster, "evicted")
    assert "being emptied" in evicted.detail["reason"] and "new memory" in evicted.detail["reason"]
    two.until(job.cluster, "executing", number=2)
    ad = job.ad
    assert (ad["NumCkpts"], ad["NumJobStarts"], ad["NumRestarts"]) == (1, 2, 1)
    assert ad["CheckpointSize"] == 1 and ad["LastCkptTime"] >= ad["QDate"]
    assert 0 <= ad["PescLostTime"] <= ad["RemoteWallClockTime"]
    drained = machine(two, first)
    assert (drained["State"], drained["Activity"], drained["Draining"], drained["PescDrainReason"]) == (
        "Drained", "Idle", True, "new memory")
    job.take("four")
    assert job.end() == "one two three four"
    assert "takes jobs again" in two.do("drain", first, "--back")
    assert "Draining" not in machine(two, first)


def test_a_drain_outlives_the_schedd_and_gives_the_notice_that_was_asked_for(two):
    job = Steps(two)
    job.begins()
    first = job.machine
    two.do("drain", first, "--in", "1h")
    two.daemon("schedd").kill()
    two.start()
    ad = machine(two, first)
    assert ad["Draining"] and ad["Activity"] == "Retiring"
    job.take("one")
    assert job.end() == "one"
    assert two.history(job.cluster)[0]["NumJobStarts"] == 1


def test_only_administrators_may_drain_and_a_machine_must_be_there(two):
    answer = two("drain", "nowhere")
    assert answer.code == 1 and "There is no machine 'nowhere'" in answer.err and "pesc_status" in answer.err
    [name, _] = [ad["Name"] for ad in two.ask("status")]
    token = two.ask("token", "create", "--user", "lee", "--role", "user")["token"]
    refused = two("drain", name, PESC_TOKEN=token)
    assert refused.code == 1, refused
    assert not any("Draining" in ad for ad in two.ask("status"))


def test_a_startd_that_is_told_to_leave_sends_the_last_checkpoint_before_it_goes(two):
    job = Steps(two)
    job.begins()
    first = job.machine
    job.take("one", "two")
    two.daemon(first).send(signal.SIGTERM)
    assert job.begins()[0] == 2
    assert job.machine != first
    assert job.end() == "one two"


def test_what_was_checkpointed_is_not_lost_when_all_of_its_machine_is_killed(house):
    house.start("--cpus", "1")
    job = Steps(house, "checkpoint_every = 1 s")
    _, pid = job.begins()
    job.take("one", "two")
    house.until(job.cluster, "checkpointed")
    startd, keeper, program = house.daemon("startd"), house.keeper(), Living(pid)
    for process in (startd, keeper, program):
        process.kill()
    house.start()
    steps, _ = job.begins()
    assert steps in (1, 2)       # the checkpoint may have been taken between the two
    house.until(job.cluster, "executing", number=2)
    ad = job.ad
    assert ad["NumJobStarts"] == 2 and ad["NumCkpts"] >= 1
    assert job.end() == ("one two" if steps == 2 else "one")


def test_a_machine_is_lost_and_what_its_ranks_had_is_not(house):
    """The example: its joined result is that of four ranks which nothing ever happened to."""
    shutil.copytree(CLIENT_LOSS, house.folder, dirs_exist_ok=True)
    places = [house.write(f"alone-{rank}/none", "").parent for rank in range(4)]
    alone = [house.begin(sys.executable, CLIENT_LOSS / "area.py", f"--rank={rank}", "--world_size=4",
                         f"--checkpoint_dir={place}", f"--output_dir={place}", "--parameters", STEPS_OF_A_RANK)
             for rank, place in enumerate(places)]
    house.start_schedd("--lease", "2", "--beat", "0.5")
    house.start("--cpus", "4", "--startds", "2")
    cluster = house.ask("submit", "client-loss.pesc", f"steps={STEPS_OF_A_RANK}")["cluster"]
    [first] = house.until(cluster, "checkpointed")
    before = {ad["ProcId"]: ad["RemoteHost"] for ad in house.jobs(cluster)}
    lost = before[first.proc]
    house.lose(lost)
    house.wait(cluster)
    after = {ad["ProcId"]: ad for ad in house.history(cluster)}
    again = {rank for rank, machine in before.items() if machine == lost}
    assert {rank for rank, ad in after.items() if ad["NumJobStarts"] == 2} == again
    assert all(ad["ExitCode"] == 0 for ad in after.values())
    assert all(after[rank]["LastRemoteHost"] != lost for rank in again)
    house.do("fetch", cluster, "-o", "home")
    said = (house.folder / "home/stdout.txt").read_text()
    assert int(re.search(rf"rank {first.proc} goes on at step (\d+)", said)[1]) > 0
    assert [process.wait() for process in alone] == [0] * 4
    undisturbed = [(place / "output.txt").read_text() for place in places]
    assert (house.folder / "home/output.txt").read_text() == "".join(undisturbed)
    assert round(sum(float(line.split(",")[1]) for line in undisturbed), 9) == 3.141592654


def test_the_exit_code_85_means_checkpointed_run_me_again(house):
    house.start("--cpus", "1")
    house.write("again.py", '''
import os, pathlib, sys
place = pathlib.Path(os.environ["PESC_CHECKPOINT_DIR"], "count")
count = int(place.read_text()) + 1 if place.exists() else 1
place.write_text(str(count))
pathlib.Path(os.environ["PESC_OUTPUT_DIR"], "output.txt").write_text(f"run {count}")
sys.exit(85 if count < 4 else 7)
''')
    cluster = house.submit("process = again.py\nlog = again.log\n")
    house.wait(cluster)
    [ad] = house.history(cluster)
    assert (ad["JobStatus"], ad["ExitCode"], ad["NumJobStarts"], ad["NumCkpts"]) == (4, 7, 4, 3)
    assert (ad["NumJobCompletions"], ad["NumRestarts"]) == (1, 0)
    house.do("fetch", cluster, "-o", "home")
    assert (house.folder / "home/output.txt").read_text() == "run 4\n"
    log = (house.folder / "again.log").read_text()
    assert log.count("Job was checkpointed.") == 3 and log.count("Job terminated.") == 1


def test_an_executable_is_checkpointed_as_in_htcondor(house):
    house.start("--cpus", "1")
    house.write("again.sh", '#!/bin/sh\necho x >> state; mkdir -p more; cp state more/copy; echo junk > junk\n'
                'lines=$(wc -l < more/copy); [ "$lines" -lt 3 ] && exit 77\n[ -e junk2 ] && exit 9\ncp state result\n',
                executable=True)
    cluster = house.submit("executable = again.sh\ncheckpoint_exit_code = 77\n"
                           "transfer_checkpoint_files = state, more\ntransfer_output_files = result\nqueue\n")
    house.wait(cluster)
    [ad] = house.history(cluster)
    assert (ad["JobStatus"], ad["ExitCode"], ad["NumJobStarts"], ad["NumCkpts"]) == (4, 0, 3, 2)
    assert (house.folder / "result").read_text() == "x\nx\nx\n"


def test_a_job_that_checkpoints_for_ever_without_getting_anywhere_is_held(house):
    house.start("--cpus", "1")
    cluster = house.submit('executable = /bin/sh\narguments = "-c \'exit 85\'"\ncheckpoint_exit_code = 85\nqueue\n')
    [held] = house.until(cluster, "held")
    assert "5 runs in a row ended with exit code 85" in held.detail["reason"]
    assert held.detail["code"] == 108


def test_a_checkpoint_that_is_too_large_is_told_and_costs_no_run(house):
    house.start("--cpus", "1")
    house.stop()
    house.start_schedd()
    startd = house.begin("pesc_startd", "--runtime", "process", "--cpus", "1", "--max-checkpoint", "1")
    house.write("large.py", '''
import os, pathlib, sys
folder = pathlib.Path(os.environ["PESC_CHECKPOINT_DIR"])
again = (folder / "small").exists()
(folder / "small").write_text("x")
if again:
    (folder / "large").write_bytes(bytes(2 << 20))
    sys.exit(85 if not (folder / "large.seen").exists() else 0)
sys.exit(85)
''')
    cluster = house.submit("process = large.py\n")
    [held] = house.until(cluster, "held")
    assert "at most 1 MiB" in held.detail["reason"]
    [ad] = house.jobs(cluster)
    assert (ad["NumCkpts"], ad["CheckpointSize"]) == (1, 1)
    assert "--max-checkpoint" in ad["PescCheckpointTrouble"]
    startd.terminate()


def test_the_example_goes_on_where_it_was_though_its_startd_is_killed_and_its_machine_emptied(two):
    two.write("count.py", COUNT.read_text())
    cluster = two.submit("process = count.py\nparameters = 1000000\ncheckpoint_every = 1 s\nrequest_memory = 64M\n")
    two.until(cluster, "checkpointed")
    [ad] = two.jobs(cluster)
    two.daemon(ad["RemoteHost"]).kill()
    two.start("--cpus", "1", "--startds", "2")
    two.do("drain", ad["RemoteHost"])
    two.until(cluster, "executing", number=2)
    # What it has said is there once its next checkpoint is.
    checkpoints = two.jobs(cluster)[0]["NumCkpts"]
    two.until(cluster, "checkpointed", number=checkpoints + 1)
    said = two.do("tail", f"{cluster}.0")
    assert re.fullmatch(r"begins at [1-9][0-9]*\n", said), said
    two.do("rm", cluster)
