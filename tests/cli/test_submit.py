"""pesc_submit, as far as it goes without a pool, and what it says to one."""

import io
import json
import os
import signal
import sys
import zipfile

import msgspec
import pytest

from cli.submit import main
from contract.requests import Batch, Submission, Submitted, Totals


@pytest.fixture
def here(tmp_path, call):
    """The folder that commands are called in, with a program in it."""
    (tmp_path / "a.py").write_text("print(1)\n")
    return tmp_path


@pytest.fixture
def taking(pool):
    """A pool that has every content already and takes every cluster."""
    pool.says("GET", "/v1/version", {})
    pool.says("POST", "/v1/blobs/missing", [])
    pool.says("POST", "/v1/clusters", Submitted(12, 3, 40))
    return pool


def posted(pool):
    """The submissions that reached the pool."""
    return [msgspec.json.decode(asked.body, type=Submission) for asked in pool.asked_for("/v1/clusters")]


# --- without a pool -------------------------------------------------------------------


def test_a_dry_run_shows_the_jobs_and_asks_no_pool(here, call, pool):
    (here / "job.pesc").write_text("process = a.py\nrepetitions = 3\noutput = o.$(Process)\nlog = all.log\n")
    shown = call(main, "--dry-run", "--json", "--limit", "2", "job.pesc")
    answer = json.loads(shown.out)
    assert (shown.code, shown.err, pool.asked) == (0, "", [])
    assert (answer["ok"], answer["nprocs"], answer["errors"], answer["unused"]) == (True, 3, [], [])
    assert [job["Out"] for job in answer["procs"]] == ["o.0", "o.1"]
    first = answer["procs"][0]
    assert first.keys() == {"ProcId", "Cmd", "Iwd", "Log", "In", "Out", "Err", "argv", "env", "attrs", "held"}
    assert (first["Cmd"], first["Log"]) == (f"{here}/a.py", f"{here}/all.log")


def test_a_dry_run_says_how_arguments_and_environment_come_out(here, call):
    (here / "job.sub").write_text("executable = a.py\narguments = \"a 'b c'\"\nenvironment = X=1;Y=two words\n"
                                  "hold = true\nqueue\n")
    job = json.loads(call(main, "job.sub", "--dry-run", "--json").out)["procs"][0]
    assert (job["argv"], job["env"], job["held"]) == (["a", "b c"], {"X": "1", "Y": "two words"}, True)


def test_a_dry_run_warns_of_missing_input_files(here, call):
    (here / "job.pesc").write_text("process = a.py\ntransfer_input_files = a.py, nope.txt\n")
    shown = call(main, "job.pesc", "--dry-run")
    assert shown.code == 0
    assert shown.err.startswith(f"job.pesc:2:30: there is no file {here}/nope.txt")


def test_mistakes_are_said_all_at_once_and_the_exit_code_is_1(here, call, pool):
    (here / "job.pesc").write_text("process = b.py\nrepetitions = ten\n")
    shown = call(main, "job.pesc")
    assert (shown.code, shown.out, pool.asked) == (1, "", [])
    assert "job.pesc:1:11: there is no file b.py" in shown.err
    assert "job.pesc:2:15: 'ten' is not a number of repetitions" in shown.err
    assert shown.err.endswith("2 mistakes; nothing was queued.\n")


def test_a_sweep_is_shown_as_a_table_and_not_made(here, call):
    (here / "job.pesc").write_text("process = a.py\nparameters = $(x) $(how)\nsweep x in 0.1..900.0 step 0.1, "
                                   "how in (fast, slow)\n")
    shown = call(main, "job.pesc", "--dry-run")
    assert shown.out.splitlines()[:14] == [
        "18,000 jobs would be queued.", "", "   job      x   how", "     0    0.1  fast", "     1    0.1  slow",
        "     2    0.2  fast", "     3    0.2  slow", "     4    0.3  fast", "     5    0.3  slow",
        "     6    0.4  fast", "     7    0.4  slow", "     …", "17,998  900.0  fast", "17,999  900.0  slow"]


def test_a_cell_with_line_ends_or_commands_to_the_terminal_keeps_to_its_place(here, call):
    (here / "job.pesc").write_text('process = a.py\ntable @=END\nx,y\n1,"a\nb"\n2,\x1b[31mred\n@END\n')
    lines = call(main, "job.pesc", "--dry-run").out.splitlines()[2:5]
    assert lines == ["job  x         y", "  0  1       a\N{REPLACEMENT CHARACTER}b",
                     "  1  2  \N{REPLACEMENT CHARACTER}[31mred"]


def test_what_is_not_carried_out_is_shown_by_a_dry_run_and_refused_otherwise(here, call, pool):
    (here / "job.pesc").write_text("process = a.py\nrequest_widgets = 2\n")
    shown = call(main, "job.pesc", "--dry-run", "--json")
    answer = json.loads(shown.out)
    assert (shown.code, answer["ok"], answer["procs"][0]["attrs"]["Requestwidgets"]) == (0, True, "2")
    assert [said["line"] for said in answer["warnings"]] == [2]
    refused = call(main, "job.pesc")
    assert (refused.code, refused.out, pool.asked) == (1, "", [])
    assert refused.err.startswith('job.pesc:2:1: "request_widgets" is not carried out by this version')


def test_whether_unknown_words_are_mistakes_can_be_chosen(here, call):
    (here / "job.pesc").write_text("process = a.py\nfoo = 1\n")
    (here / "job.sub").write_text("executable = a.py\nfoo = 1\nqueue\n")
    assert [call(main, "--dry-run", *given).code for given in (
        ["job.pesc"], ["job.pesc", "--lenient"], ["job.sub"], ["job.sub", "--strict"])] == [1, 0, 0, 1]
    assert call(main, "--strict", "--lenient", "job.sub").code == 2


def test_every_command_has_its_help(call):
    shown = call(main, "--help-commands", "Request_GPUs")
    assert shown.out.splitlines()[0] == "request_gpus: How many GPUs a job needs."
    assert "carried out" in shown.out
    assert "refused on submission" in call(main, "--help-commands=concurrency_limits").out
    assert len(call(main, "--help-commands").out.splitlines()) > 270
    assert json.loads(call(main, "--help-commands", "hold", "--json").out)["value"] == "true or false"
    like = call(main, "--help-commands", "request_gpuss").out.splitlines()
    assert (like[0], like[-1].split()) == (
        "request_gpuss: A resource that only some pools know.", ["like", "request_gpus"])
    wrong = call(main, "--help-commands", "repetitons")
    assert (wrong.code, "Did you mean repetitions?" in wrong.err) == (1, True)


def test_items_come_from_a_command_that_is_run_where_the_file_is_submitted(here, call):
    (here / "gen.sh").write_text("#!/bin/sh\necho a 1\necho b 2\nexit 3\n")
    (here / "gen.sh").chmod(0o755)
    (here / "job.pesc").write_text("process = a.py\nparameters = $(x) $(y)\nqueue x, y from ./gen.sh |\n")
    shown = call(main, "job.pesc", "--dry-run", "--json")
    assert json.loads(shown.out)["nprocs"] == 2
    assert "ended with exit code 3" in json.loads(shown.out)["warnings"][0]["what"]


def test_mistakes_are_said_to_programs_too(here, call):
    (here / "job.pesc").write_text("process = a.py\nrepetitions = ten\n")
    answer = json.loads(call(main, "job.pesc", "--json").out)
    assert (answer["ok"], answer["nprocs"]) == (False, 0)
    assert [(error["line"], error["column"]) for error in answer["errors"]] == [(2, 15)]


def test_a_file_of_htcondors_warns_of_words_that_nobody_used(here, call):
    (here / "job.sub").write_text("executable = a.py\nrequst_memory = 1\nqueue\n")
    shown = call(main, "job.sub", "--dry-run", "--json")
    assert json.loads(shown.out)["unused"] == ["requst_memory"]


def test_variables_and_appended_lines_come_from_the_command_line(here, call):
    (here / "job.pesc").write_text("process = a.py\nparameters = $(x)\n")
    shown = call(main, "job.pesc", "x=5", "-append", "repetitions = 2", "-append", "+Tag = 1", "--dry-run", "--json")
    answer = json.loads(shown.out)
    assert (answer["nprocs"], answer["procs"][0]["attrs"]["Tag"]) == (2, "1")
    assert answer["procs"][0]["attrs"]["PescParameters"] == '{ "5" }'


def test_a_file_may_come_from_standard_input(here, call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"process = a.py\n")))
    assert json.loads(call(main, "-", "--dry-run", "--json").out)["nprocs"] == 1


@pytest.mark.parametrize(("content", "what"), [
    (b"process = a.py\n\xff\xfe\n", "job.pesc:2:1: a byte that is not UTF-8"),
    (b"process = a.py\nx = \x00\n", "job.pesc:2:5: a NUL byte"),
    (b"process = " + b"a" * (10 << 20), "job.pesc:1:1: this line is 10,485,770 characters long"),
])
def test_what_is_no_text_is_refused(here, call, content, what):
    (here / "job.pesc").write_bytes(content)
    shown = call(main, "job.pesc")
    assert (shown.code, shown.err.startswith(what)) == (1, True)
    assert len(shown.err) < 1000


@pytest.mark.parametrize(("arguments", "code", "said"), [
    ((), 2, "FILE"),
    (("a.pesc", "b.pesc"), 2, "'b.pesc' is neither NAME=VALUE nor an option"),
    (("a.pesc", "--frobnicate"), 2, "--frobnicate"),
    (("a.pesc", "-o", "x"), 2, "--output is for --wait"),
    (("nope.pesc",), 1, "Cannot read the submit file nope.pesc: No such file or directory."),
    ((".",), 1, "Cannot read the submit file .: it is a folder."),
])
def test_a_wrong_call_is_told_from_a_refusal(here, call, arguments, code, said):
    shown = call(main, *arguments)
    assert (shown.code, said in shown.err) == (code, True), shown.err


def test_help_has_an_example(call):
    assert "pesc_submit sweep.pesc --wait" in call(main, "--help").out


# --- with a pool ----------------------------------------------------------------------


def test_one_cluster_is_posted_whatever_the_number_of_jobs(here, call, taking):
    (here / "job.pesc").write_text("process = a.py\nrepetitions = 1000000\noutput = o.$(Process)\n")
    shown = call(main, "job.pesc")
    assert (shown.code, shown.out.splitlines()[0]) == (0, "3 job(s) submitted to cluster 12.")
    assert "pesc_q 12" in shown.out
    [sent] = posted(taking)
    assert (sent.count, sent.steps, sent.varying) == (1_000_000, 1_000_000, {"output": "o.$(Process)"})
    assert list(sent.files) == [f"{here}/a.py"]
    assert sent.source == (here / "job.pesc").read_text()


def test_the_answer_for_programs_is_the_cluster_and_the_number_of_jobs(here, call, taking):
    (here / "job.pesc").write_text("process = a.py\n")
    assert json.loads(call(main, "job.pesc", "--json").out) == {"cluster": 12, "jobs": 3}


def test_hold_queues_the_jobs_on_hold(here, call, taking):
    (here / "job.pesc").write_text("process = a.py\n")
    call(main, "job.pesc", "--hold")
    assert posted(taking)[0].template["JobStatus"] == "5"


def test_the_files_of_all_jobs_travel(here, call, taking):
    for number in range(3):
        (here / f"in.{number}").write_text(str(number))
    (here / "job.pesc").write_text("process = a.py\nrepetitions = 3\ntransfer_input_files = in.$(Process)\n")
    assert call(main, "job.pesc").code == 0
    assert sorted(posted(taking)[0].files) == [f"{here}/a.py", *(f"{here}/in.{number}" for number in range(3))]


def test_a_missing_input_file_is_said_where_it_is_named_and_nothing_is_sent(here, call, taking):
    (here / "job.pesc").write_text("process = a.py\ninput = nope.txt\nshared_files = neither.bin\n")
    shown = call(main, "job.pesc")
    assert shown.code == 1
    assert f"job.pesc:2:9: there is no file {here}/nope.txt" in shown.err
    assert f"job.pesc:3:16: there is no file {here}/neither.bin" in shown.err
    assert taking.asked == []


def test_a_missing_input_file_of_one_job_is_said(here, call, taking):
    (here / "in.0").write_text("0")
    (here / "job.pesc").write_text("process = a.py\nrepetitions = 2\ninput = in.$(Process)\n")
    shown = call(main, "job.pesc")
    assert (shown.code, f"job.pesc:3:9: there is no file {here}/in.1" in shown.err) == (1, True)


def test_a_log_in_a_folder_that_is_not_there_is_refused(here, call, taking):
    (here / "job.pesc").write_text("process = a.py\nlog = logs/$(Cluster).log\n")
    shown = call(main, "job.pesc")
    assert (shown.code, taking.asked) == (1, [])
    assert f"job.pesc:2:7: there is no folder {here}/logs for the log" in shown.err


def test_a_zip_that_reaches_out_of_its_folder_is_refused_where_it_is_named(here, call, taking):
    with zipfile.ZipFile(here / "code.zip", "w") as archive:
        archive.writestr("main.py", "")
        archive.writestr("../evil.py", "")
    (here / "job.pesc").write_text("process = code.zip\n")
    shown = call(main, "job.pesc")
    assert (shown.code, taking.asked) == (1, [])
    assert shown.err.startswith(f"job.pesc:1:11: {here}/code.zip holds '../evil.py', which would leave its folder")


def test_no_items_are_refused(here, call, taking):
    (here / "job.pesc").write_text("process = a.py\nparameters = $(x)\nqueue x matching *.nope\n")
    shown = call(main, "job.pesc")
    assert (shown.code, "queues no jobs" in shown.err, taking.asked) == (1, True, [])


def test_a_content_that_went_missing_meanwhile_is_sent_again(here, call, taking, pool):
    pool.says("POST", "/v1/clusters", (409, b'{"code": "missing_content", "message": "It is gone."}'),
              msgspec.json.encode(Submitted(12, 1, 0)))
    (here / "job.pesc").write_text("process = a.py\n")
    assert call(main, "job.pesc").code == 0
    assert len(pool.asked_for("/v1/blobs/missing")) == 2


def test_a_refusal_of_the_pool_is_passed_on(here, call, taking, pool):
    pool.says("POST", "/v1/clusters", (400, b'{"code": "bad_submission", "message": "No.", "cure": "Ask."}'))
    (here / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc")
    assert (shown.code, shown.err) == (1, "pesc_submit: No.\n  Ask.\n")


# --- waiting --------------------------------------------------------------------------


def test_ctrl_c_while_submitting_says_that_the_jobs_may_be_there(here, call, taking):
    def interrupted(asked):
        os.kill(os.getpid(), signal.SIGINT)
        return msgspec.json.encode(Submitted(12, 3, 40))

    taking.says("POST", "/v1/clusters", interrupted)
    (here / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc")
    assert (shown.code, "may be queued" in shown.err) == (130, True)


def a_batch(**counts):
    return Batch(12, "lee", "ID: 12", 0.0, 3, Totals(**counts))


@pytest.fixture
def ending(taking):
    """A pool where the cluster is over at once."""
    taking.events("/v1/events", [("counts", 41, a_batch(running=3)), ("counts", 42, a_batch(completed=3))])
    taking.says("GET", "/v1/clusters/12", a_batch(completed=3))
    taking.says("GET", "/v1/clusters/12/outputs", b"")
    taking.says("GET", "/v1/history", [])
    return taking


def test_wait_follows_the_jobs_and_fetches_what_they_leave(here, call, ending):
    (here / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc", "--wait")
    assert (shown.code, (here / "pesc-12").is_dir()) == (0, True)
    assert ending.asked_for("/v1/events")[0].query["since"] == ["40"]


def test_wait_fetches_into_the_folder_that_is_named(here, call, ending):
    (here / "job.pesc").write_text("process = a.py\n")
    assert call(main, "job.pesc", "--wait", "-o", "there").code == 0
    assert (here / "there").is_dir()


def test_wait_fails_if_a_job_did_not_end_well(here, call, ending):
    ending.says("GET", "/v1/history", [{"ProcId": 1, "JobStatus": 4, "ExitCode": 3}])
    (here / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc", "--wait")
    assert (shown.code, "12.1: exit code 3" in shown.err) == (1, True)


def test_wait_fails_when_only_held_jobs_remain(here, call, ending):
    ending.events("/v1/events", [("counts", 41, a_batch(completed=2, held=1))])
    ending.says("GET", "/v1/jobs", [{"ClusterId": 12, "ProcId": 2, "HoldReason": "too much memory"}])
    (here / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc", "--wait")
    assert (shown.code, "12.2: too much memory" in shown.err) == (1, True)


def test_ctrl_c_leaves_the_jobs_running_and_says_how_to_come_back(here, call, taking):
    def interrupt(asked):
        import _thread

        _thread.interrupt_main()
        return b""

    taking.says("GET", "/v1/events", interrupt)
    (here / "job.pesc").write_text("process = a.py\n")
    shown = call(main, "job.pesc", "--wait")
    assert shown.code == 130
    assert "go on without you" in shown.err
    assert "pesc_wait 12" in shown.err
    assert "pesc_fetch 12" in shown.err


def test_a_sweep_travels_as_its_description(here, call, taking):
    (here / "job.pesc").write_text("process = a.py\nparameters = $(x)\nsweep x in 1..1000, y in 0.5..1.0 step 0.1\n"
                                   "repetitions = 2\n+Y = $(y)\n")
    assert call(main, "job.pesc").code == 0
    sent = posted(taking)[0]
    assert (sent.count, sent.steps, sent.items) == (12_000, 2, [])
    assert [(axis.names, axis.count, axis.start, axis.step, axis.places) for axis in sent.sweep] == [
        (["x"], 1000, 1, 1, 0), (["y"], 6, 5, 1, 1)]
