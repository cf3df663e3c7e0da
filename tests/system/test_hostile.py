"""Bad input, by command: every refusal names the culprit and the cure, and leaves nothing behind."""

import os
import zipfile

import pytest


def evil_zip(pool):
    with zipfile.ZipFile(pool.folder / "evil.zip", "w") as archive:
        archive.writestr("main.py", "print(1)")
        archive.writestr("../../evil.py", "print(2)")


def leaving_link(pool):
    folder = pool.folder / "linked"
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text("print(1)")
    (folder / "out").unlink(missing_ok=True)
    (folder / "out").symlink_to("/etc/passwd")


def fifo(pool):
    if not (pool.folder / "fifo").exists():
        os.mkfifo(pool.folder / "fifo")


@pytest.mark.parametrize(("prepare", "text", "place", "culprit", "cure"), [
    (None, "executable = /bin/true\nrequest_cpu = 2\nqueue\n", "2:1", '"request_cpu"', '"request_cpus"'),
    (None, "process = nowhere.py\nrepetitions = 2\n", "1:11", "nowhere.py", ""),
    (None, "executable = /bin/true\ntransfer_input_files = nope.dat\nqueue\n", "2:24", "nope.dat", ""),
    (None, "executable = /bin/true\nqueue -5\n", "2:7", "-5", "queue 10"),
    (None, "process = /bin/true\nrepetitions = -5\n", "2:15", "-5", "repetitions = 10"),
    (None, "process = /bin/true\nrepetitions = 99999999999\n", "2:15", "99,999,999,999", "100,000,000"),
    (None, f"process = /bin/true\narguments = {10_000_000 * 'x'}\n", "2:1", "10,000,012", "queue … from"),
    (None, "executable = /bin/true\nrequirements = (1 +\nqueue\n", "2", "", ""),
    (None, "process = \0\n", "1:11", "NUL byte", "plain text"),
    (None, b"process = \xff\xfe\nrepetitions = 1\n", "1:", "UTF-8", ""),
    (None, "", "", "nothing says what to run", "process ="),
    (evil_zip, "process = evil.zip\nmain = main.py\nrepetitions = 1\n", "1:11", "'../../evil.py'", "relative paths"),
    (leaving_link, "process = linked\nmain = main.py\nrepetitions = 1\n", "1:11", "linked/out is a link", "Copy"),
    (fifo, "executable = /bin/true\ntransfer_input_files = fifo\nqueue\n", "2:24", "fifo", ""),
], ids=["unknown command", "no program", "no input", "negative count", "negative repetitions", "too many", "long line",
        "broken expression", "NUL", "not UTF-8", "empty", "zip with ..", "link out of the folder", "pipe as input"])
def test_a_submit_file_that_cannot_be_meant_is_refused_with_place_culprit_and_cure(
        pool, prepare, text, place, culprit, cure):
    if prepare:
        prepare(pool)
    before = pool.ask("q")
    pool.write("bad.sub", text)
    answer = pool("submit", "bad.sub")
    assert answer.code == 1 and not answer.out
    assert f"bad.sub:{place}" in answer.err and culprit in answer.err and cure in answer.err, answer
    assert "nothing was queued" in answer.err
    assert len(answer.err) < 4000
    assert pool.ask("q") == before


@pytest.mark.parametrize(("call", "said"), [
    (("rm", "4711"), "There is no job 4711"),
    (("hold", "4711.5"), "There is no job 4711.5"),
    (("fetch", "4711"), "There is no cluster 4711"),
    (("tail", "4711.0"), "There is no cluster 4711"),
    (("wait", "4711"), "There is no cluster 4711"),
    (("wait", "99999999999999"), "is neither a cluster"),
    (("q", "-constraint", "JobStatus =="), "expression ends too early"),
    (("rm", "-constraint", "((" * 5000), "constraint"),
    (("submit", "there-is-none.pesc"), "Cannot read the submit file there-is-none.pesc"),
    (("submit", "."), "it is a folder"),
    (("q", "--pool", "http://127.0.0.1:1"), "does not answer"),
    (("q", "--pool", "nonsense"), "is not the address of a pool"),
])
def test_a_command_that_cannot_be_done_says_why_and_fails(pool, call, said):
    answer = pool(*call)
    assert answer.code in (1, 2) and said in answer.err and not answer.out, answer
    assert len(answer.err) < 4000


def test_a_pool_that_is_stopped_or_was_never_there_is_told_with_the_command_that_starts_it(house):
    house.write("ok.sub", "executable = /bin/true\nqueue\n")
    for call in (("q",), ("submit", "ok.sub"), ("rm", "1"), ("wait", "1"), ("status",), ("fetch", "1")):
        answer = house(*call)
        assert answer.code == 1 and "There is no pool" in answer.err and "pesc_pool start" in answer.err, answer
    house.start()
    house.stop()
    for call in (("q",), ("submit", "ok.sub"), ("rm", "1"), ("wait", "1"), ("tail", "1")):
        answer = house(*call)
        assert answer.code == 1 and "does not answer" in answer.err and "pesc_pool start" in answer.err, answer


def test_names_and_outputs_of_a_hostile_job_stay_in_their_folder_and_out_of_the_terminal(pool):
    pool.write("evil.py", "import os\n"
               "out = os.environ['PESC_OUTPUT_DIR']\n"
               "os.symlink('/etc/passwd', out + '/passwd')\n"
               "open(out + '/\\x1b[31mred', 'w').write('x')\n"
               "open(out + '/stdout', 'w').write('mine')\n"
               "os.mkfifo(out + '/pipe')\n"
               "os.chmod(out, 0o500)\n")
    pool.write("evil.pesc", "process = evil.py\nrepetitions = 1\nbatch_name = \x1b[31mred\n")
    answer = pool("submit", "evil.pesc", "--wait")
    said = answer.out + answer.err + pool.do("q") + pool.do("history")
    assert "\x1b" not in said
    assert answer.code == 0, answer
    [home] = [path for path in pool.folder.glob("pesc-*") if (path / "rank-0/stdout.file").exists()]
    assert not (home / "rank-0/passwd").exists() and not (home / "rank-0/pipe").exists()
    assert "passwd is a link that leaves" in answer.err and "pipe is neither a file nor a folder" in answer.err
    assert all(path.is_file() or path.is_dir() for path in home.rglob("*"))
