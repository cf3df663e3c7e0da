"""Jobs end honestly: what they used, how they ended, why they are held."""

import re

import pytest

GREEDY = """
import os, sys
block = bytearray(b"x" * 200 * 2**20)
open(os.environ["PESC_OUTPUT_DIR"] + "/output.txt", "w").write("it was enough\\n")
if len(sys.argv) < 100:
    open(os.environ["GATE"]).readline()
"""


def one(pool, cluster):
    [ad] = pool.history(cluster)
    return ad


def held(pool, cluster):
    pool.until(cluster, "held")
    [ad] = pool.jobs(cluster)
    assert ad["JobStatus"] == 5
    return ad


def test_a_job_that_uses_more_memory_than_it_asked_for_is_held_and_told_what_to_change(pool):
    gate = pool.pipe("greedy-gate")
    pool.write("greedy.py", GREEDY)
    text = f'process = greedy.py\nrepetitions = 1\nenvironment = "GATE={gate.path}"\n'
    cluster = pool.submit(text + "request_memory = 60MB\n")
    ad = held(pool, cluster)
    reason = re.fullmatch(r"Killed for memory: asked for (\d+) MiB, used (\d+) MiB; "
                          r"put request_memory = (\d+) MB in the submit file\.", ad["HoldReason"])
    assert reason, ad["HoldReason"]
    asked, used, advised = map(int, reason.groups())
    assert asked == 60 and used > 60 and advised > used and ad["HoldReasonCode"] == 34
    assert ad["HoldReason"] in pool.do("q", "-hold", cluster)

    assert pool.ask("release", cluster)["changed"] == 1
    pool.until(cluster, "held", number=2)
    assert pool.ask("rm", cluster)["changed"] == 1
    assert one(pool, cluster)["JobStatus"] == 3

    gate.let(1)
    cluster = pool.submit(text + "request_memory = 400MB\n")
    pool.wait(cluster)
    ad = one(pool, cluster)
    assert (ad["JobStatus"], ad["ExitCode"]) == (4, 0) and ad["MemoryUsage"] > 200


@pytest.mark.parametrize(("script", "expected"), [
    ("exit 3", {"ExitBySignal": False, "ExitCode": 3}),
    ("kill -9 $$", {"ExitBySignal": True, "ExitSignal": 9}),
    ("kill -TERM $$", {"ExitBySignal": True, "ExitSignal": 15}),
])
def test_exit_codes_and_signals_are_told_as_they_were(pool, script, expected):
    pool.write("ends.sh", f"#!/bin/sh\necho partial\n{script}\n", executable=True)
    pool.write("ends.sub", "executable = ends.sh\nqueue\n")
    answer = pool("submit", "ends.sub", "--wait", "--json")
    assert answer.code == 1 and answer.json["failed"]
    ad = one(pool, answer.json["cluster"])
    assert {name: ad.get(name) for name in expected} == expected and ad["JobStatus"] == 4
    assert (pool.folder / answer.json["folder"] / "rank-0/stdout").read_text() == "partial\n"


@pytest.mark.parametrize(("content", "cure"), [
    ("#!/no/such/interpreter\n", "the interpreter in its first line"),
    ("echo no first line\n", "Put a line like #!/bin/sh at its top"),
])
def test_a_program_that_no_machine_can_start_is_held_with_the_cure(pool, content, cure):
    pool.write("cannot", content, executable=True)
    pool.write("cannot.sub", "executable = cannot\nqueue\n")
    answer = pool("submit", "cannot.sub", "--wait")
    assert answer.code == 1
    assert cure in answer.err and "Only held jobs remain: 1 job" in answer.err and "pesc_release" in answer.err


def test_an_executable_need_not_be_marked_as_such_as_in_htcondor(pool):
    pool.write("unmarked", "#!/bin/sh\necho ran\n")
    pool.write("unmarked.sub", "executable = unmarked\nqueue\n")
    assert pool("submit", "unmarked.sub", "--wait").code == 0


@pytest.mark.parametrize(("name", "content", "line", "complaint"), [
    ("text.xyz", "no program\n", "process = text.xyz\nrepetitions = 1\n", "chmod +x"),
    ("windows", "#!/bin/sh\r\necho\r\n", "executable = windows\nqueue\n", "end as on Windows"),
])
def test_a_program_that_can_be_seen_not_to_start_is_refused_before_anything_is_queued(
        pool, name, content, line, complaint):
    pool.write(name, content)
    pool.write("unfit.sub", line)
    answer = pool("submit", "unfit.sub")
    assert answer.code == 1 and complaint in answer.err and "nothing was queued" in answer.err
    assert answer.err.startswith("unfit.sub:1:")


def test_a_promised_file_that_is_not_there_is_a_warning_and_no_lost_run(pool):
    pool.write("promise.sub", 'executable = /bin/sh\narguments = "-c \'echo kept > here.txt\'"\n'
                              "transfer_output_files = here.txt, nowhere.txt\nqueue\n")
    answer = pool("submit", "promise.sub", "--wait")
    assert answer.code == 0 and "nowhere.txt was promised" in answer.err
    cluster = int(re.search(r"cluster (\d+)", answer.out)[1])
    assert one(pool, cluster)["PescWarnings"]
    assert (pool.folder / f"pesc-{cluster}/rank-0/here.txt").read_text() == "kept\n"


def test_a_failing_job_is_tried_as_often_as_max_retries_allows(pool):
    cluster = pool.submit('executable = /bin/sh\narguments = "-c \'exit 7\'"\nmax_retries = 2\nqueue\n')
    pool.wait(cluster)
    ad = one(pool, cluster)
    assert (ad["ExitCode"], ad["NumJobStarts"], ad["NumJobCompletions"]) == (7, 3, 3)


def test_a_failed_run_gives_back_all_it_had_written(pool):
    pool.write("fails.py", "import os, sys\n"
               "open(os.environ['PESC_OUTPUT_DIR'] + '/half.txt', 'w').write('half')\n"
               "print('out'); print('err', file=sys.stderr); sys.exit(5)\n")
    pool.write("fails.pesc", "process = fails.py\nrepetitions = 2\n")
    answer = pool("submit", "fails.pesc", "--wait", "--json")
    assert answer.code == 1
    home = pool.folder / answer.json["folder"]
    for rank in (0, 1):
        assert [(home / f"rank-{rank}" / name).read_text() for name in ("half.txt", "stdout", "stderr")] == [
            "half", "out\n", "err\n"]
