"""pesc_lint: every mistake of every file, no pool, and nothing is run."""

import io
import json
import os

import pytest

from cli.lint import main
from cli.submit import main as submit


@pytest.fixture
def here(tmp_path):
    """The folder that commands are called in, with a program in it."""
    (tmp_path / "a.py").write_text("print(1)\n")
    return tmp_path


@pytest.fixture
def typed(monkeypatch):
    """What stands on standard input."""

    def stand(text):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return stand


def written(folder, **texts):
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)


def found(shown):
    """File, line, column, severity and what of each finding."""
    return [tuple(said[key] for key in ("file", "line", "column", "severity", "what"))
            for said in json.loads(shown.out)]


def test_a_file_without_mistakes_is_said_to_have_none(here, call, pool):
    written(here, job_pesc="process = a.py\n")
    shown = call(main, "job.pesc")
    assert (shown.code, shown.out, shown.err, pool.asked) == (0, "no mistakes in 1 file\n", "", [])


def test_mistakes_and_warnings_are_said_as_a_compiler_says_them(here, call):
    written(here, job_pesc="process = a.py\nrepetitions = ten\n", other_sub="executable = a.py\nfoo = 1\nqueue\n",
            third_sub="executable = a.py\nqueue\n")
    shown = call(main, "job.pesc", "other.sub", "third.sub")
    assert (shown.code, shown.err) == (1, "")
    assert shown.out == """\
job.pesc:2:15: error: 'ten' is not a number of repetitions
     2 | repetitions = ten
       |               ^^^
  It must be a whole number, at least 1.
  Write, say: repetitions = 10
other.sub:2:1: warning: "foo" was not used
     2 | foo = 1
       | ^^^
  Is it a typo?
1 mistake, 1 warning in 2 of 3 files
"""


def test_json_has_every_finding_in_the_order_of_files_and_lines(here, call):
    written(here, b_pesc="parameters = $(x)\nprocess = b.py\n", a_sub="executable = a.py\nfoo = 1\nqueue\n")
    shown = call(main, "b.pesc", "a.sub", "--json")
    assert found(shown) == [
        ("b.pesc", 1, 14, "error", "nothing defines the macro $(x)"),
        ("b.pesc", 2, 11, "error", "there is no file b.py"),
        ("a.sub", 2, 1, "warning", '"foo" was not used'),
    ]
    first = json.loads(shown.out)[0]
    assert (first["length"], first["submit_file"], first["submit_line"]) == (4, "b.pesc", 1)
    assert first["message"] == ("nothing defines the macro $(x)\nIt would be empty.\n"
                                "Define it: x = …, or give a default: $(x:0)")
    assert found(call(main, "--json", "a.sub", "--quiet")) == []


def test_a_warning_is_said_beside_the_mistakes_of_its_file(here, call):
    written(here, job_pesc="process = a.py\nrepetitions = ten\nnotification = always\n")
    assert [said[3] for said in found(call(main, "--json", "job.pesc"))] == ["error", "warning"]


def test_what_the_pool_would_not_carry_out_and_files_that_are_missing_are_mistakes(here, call):
    text = "process = a.py\nrequest_widgets = 1\ntransfer_input_files = a.py, $(x).csv\nlog = logs/a.log\n" \
           "sweep x in 1..1000\n"
    written(here, job_pesc=text)
    (here / "1.csv").touch()
    said = found(call(main, "job.pesc", "--json"))
    assert [(line, what) for _, line, _, _, what in said] == [
        (2, '"request_widgets" is not carried out by this version'),
        *((3, f"there is no file {here}/{number}.csv") for number in (2, 3, 4, 5)),
        (4, f"there is no folder {here}/logs for the log")]
    assert {severity for *_, severity, _ in said} == {"error"}
    assert call(submit, "job.pesc").code == 1


def test_a_queue_line_without_items_is_a_mistake(here, call):
    written(here, job_sub="executable = a.py\narguments = $(x)\nqueue x in ()\n")
    assert found(call(main, "job.sub", "--json")) == [
        ("job.sub", 3, 7, "error", "no jobs are queued: there are no items")]


def test_what_shows_only_in_a_row_is_found(here, call):
    written(here, job_pesc="process = a.py\npriority = $(p)\nparameters = $(x)\n"
                           "sweep x in 1..1000000, p in (1, high)\n")
    (said,) = json.loads(call(main, "job.pesc", "--json").out)
    assert (said["line"], said["what"], said["why"]) == (2, "'high' is not a whole number", "This is so for job 1.")


def test_folders_stand_for_the_submit_files_below_them(here, call):
    below = here / "deep" / "er"
    below.mkdir(parents=True)
    (here / ".hidden").mkdir()
    written(here, z_pesc="x =\n", notes_txt="x\n")
    written(below, b_submit="x\n", a_sub="x\n", c_PESC="x\n")
    written(here / ".hidden", d_pesc="x\n")
    files = [said["submit_file"] for said in json.loads(call(main, ".", "z.pesc", "--json").out)]
    assert list(dict.fromkeys(files)) == ["deep/er/a.sub", "deep/er/b.submit", "deep/er/c.PESC", "z.pesc"]
    (here / "empty").mkdir()
    shown = call(main, "empty")
    assert (shown.code, shown.out) == (0, "no mistakes in 0 files\n")
    assert shown.err == "pesc_lint: there are no submit files below empty.\n"


def test_files_are_looked_for_beside_the_submit_file_or_where_it_is_said(here, call):
    (here / "sub").mkdir()
    written(here / "sub", b_py="", job_pesc="process = b.py\n")
    assert [call(main, *given).code for given in (
        ["sub/job.pesc"], ["sub"], ["sub/job.pesc", "--from", "."], ["sub/job.pesc", "--from", "sub"])] == [0, 0, 1, 0]


def test_mistakes_of_an_included_file_are_named_as_seen_from_here(here, call):
    (here / "sub").mkdir()
    written(here / "sub", job_pesc="process = ../a.py\n\ninclude : one.inc\n", one_inc="include : two.inc\n",
            two_inc="priority = high\n")
    (said,) = json.loads(call(main, "sub", "--json").out)
    assert (said["file"], said["line"], said["included_from"]) == ("sub/two.inc", 1, "sub/one.inc:1, sub/job.pesc:3")
    assert (said["submit_file"], said["submit_line"]) == ("sub/job.pesc", 3)


def test_a_file_that_cannot_be_read_is_a_mistake_of_that_file_alone(here, call):
    written(here, job_pesc="process = b.py\n")
    (here / "bytes.pesc").write_bytes(b"process = a.py\n\xff\xfe\n")
    assert [(file, line) for file, line, *_ in found(call(main, "nope.sub", "bytes.pesc", "job.pesc", "--json"))] == [
        ("nope.sub", 0), ("bytes.pesc", 2), ("job.pesc", 1)]


def test_nothing_that_a_file_names_is_run_or_waited_for(here, call):
    os.mkfifo(here / "pipe")
    (here / "cached.inc").write_text("priority = high\n")
    written(here, job_pesc="include command : touch ran\ninclude : touch ran |\n"
                           "include command into new.inc : touch ran\ninclude command into cached.inc : touch ran\n"
                           "process = a.py\nparameters = $(n) $(k) $(other)\nqueue n, k from touch ran |\n",
            stdin_pesc="process = a.py\nparameters = $(n)\nqueue n from -\n",
            pipe_pesc="process = a.py\ninclude : pipe\n")
    shown = call(main, "--json", "job.pesc", "stdin.pesc", "pipe.pesc")
    not_run = "the command 'touch ran' is not run by pesc_lint"
    assert found(shown) == [
        ("job.pesc", 1, 19, "warning", not_run), ("job.pesc", 2, 11, "warning", not_run),
        ("job.pesc", 3, 32, "warning", not_run), ("cached.inc", 1, 12, "error", "'high' is not a whole number"),
        ("job.pesc", 7, 1, "warning", not_run),
        ("stdin.pesc", 3, 1, "warning", "standard input is not read by pesc_lint"),
        ("pipe.pesc", 2, 11, "error", "cannot read pipe: it is no ordinary file")]
    assert sorted(os.listdir(here)) == ["a.py", "cached.inc", "job.pesc", "pipe", "pipe.pesc", "stdin.pesc"]


def test_standard_input_is_called_as_wished_and_so_read_strictly_or_not(here, call, typed):
    (here / "sub").mkdir()
    (here / "sub" / "b.py").touch()
    outcomes = []
    for given in ([], ["--name", "job.pesc"], ["--name", "sub/x.pesc"], ["--name", "job.sub"], ["--strict"]):
        typed("process = b.py\nfoo = 1\n" if given[-1:] == ["sub/x.pesc"] else "process = a.py\nfoo = 1\n")
        outcomes.append([(said[0], said[3]) for said in found(call(main, "-", "--json", *given))])
    assert outcomes == [[("<stdin>", "warning")], [("job.pesc", "error")], [("sub/x.pesc", "error")],
                        [("job.sub", "warning")], [("<stdin>", "error")]]


def test_macros_are_set_on_the_command_line(here, call):
    written(here, job_pesc="process = a.py\nparameters = $(x)\nrepetitions = $(n)\n")
    assert call(main, "job.pesc").code == 1
    assert call(main, "job.pesc", "x=1", "n=3").code == 0
    (here / "y=1.pesc").write_text("process = a.py\n")
    assert call(main, "y=1.pesc").out == "no mistakes in 1 file\n"


def test_warnings_count_if_that_is_wished(here, call):
    written(here, job_sub="executable = a.py\nfoo = 1\nqueue\n")
    assert [(call(main, "job.sub", *given).code) for given in ([], ["-W"], ["--warnings-as-errors"])] == [0, 1, 1]
    assert call(main, "job.sub", "--quiet").out == ""
    quiet = call(main, "job.sub", "-q", "-W")
    assert (quiet.code, quiet.out.splitlines()[0]) == (1, 'job.sub:2:1: warning: "foo" was not used')
    assert call(main, "job.sub", "--strict").code == 1


@pytest.mark.parametrize("given", [
    [], ["x=1"], ["job.pesc", "--strict", "--lenient"], ["job.pesc", "--name", "x.pesc"], ["job.pesc", "--nonsense"],
    ["job.pesc", "--from", "nowhere"]])
def test_a_wrong_call_is_told_apart_from_mistakes(here, call, given):
    written(here, job_pesc="process = a.py\n")
    shown = call(main, *given)
    assert (shown.code, shown.out) == (2, "")


def test_a_file_of_a_hundred_mistakes_does_not_hide_the_others(here, call):
    written(here, a_pesc="process = a.py\n" + "".join(f"x{number} y\n" for number in range(100)), b_pesc="x = 1\n")
    said = call(main, "a.pesc", "b.pesc").out.splitlines()
    assert sum(line.startswith("a.pesc:") and "error:" in line for line in said) == 50
    assert "a.pesc: … and 50 more." in said
    assert said[-1] == "102 mistakes in 2 of 2 files"
