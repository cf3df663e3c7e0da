"""What is wrong with a submit file, all of it at once, each where it was written."""

import pytest

from dsl.submit import SubmitErrors


def only(found):
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_a_mistake_reads_like_a_compilers(mistakes):
    assert str(only(mistakes("process = a.py\nrepetitions = ten\n"))) == """\
job.pesc:2:15: 'ten' is not a number of repetitions
     2 | repetitions = ten
       |               ^^^
  It must be a whole number, at least 1.
  Write, say: repetitions = 10"""


def test_carets_are_as_wide_as_what_they_stand_under(mistakes):
    wide, under = "\u65e5\u672c", "^^^^"
    assert str(only(mistakes(f"process = a.py\n{wide} = 1\n"))).splitlines()[1:3] == [
        f"     2 | {wide} = 1", f"       | {under}"]
    found = only(mistakes(f"process = a.py\ndescription = {wide} $(nope)\n"))
    assert (found.column, found.length) == (18, 7)
    assert str(found).splitlines()[2] == "       |" + " " * 20 + "^" * 7


def test_all_mistakes_come_at_once(mistakes):
    text = "proces = a.py\nrepetitions = -1\nrequest_memory = 2 gigs\nfoo bar = 1\nqueue -3\n"
    assert [mistake.line for mistake in mistakes(text)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("line", "column", "what"), [
    ("repetitions = 0", 15, "'0' is not a number of repetitions"),
    ("repetitions = -1", 15, "'-1' is not a number of repetitions"),
    ("repetitions = 1.5", 15, "'1.5' is not a number of repetitions"),
    ("repetitions = $(Process)", 15, "repetitions cannot differ from job to job"),
    ("request_memory = 2 gigs", 18, "'2 gigs' is not an amount of memory"),
    ("request_disk = 1 PB", 16, "'1 PB' is not an amount of disk space"),
    ("priority = high", 12, "'high' is not a whole number"),
    ("hold = maybe", 8, "'maybe' is neither true nor false"),
    ("queue -3", 7, "cannot queue -3 jobs"),
    ("queue 99999999999", 7, "cannot queue 99,999,999,999 jobs"),
    ("queue=3", 1, 'queue takes no "="'),
    ("queue = 3", 7, "this queue line is not understood"),
    ("queue ten", 10, "this queue line is not understood"),
    ("queue x in", 7, 'nothing follows "in"'),
    ("queue x in [::0] (a b)", 12, "a slice cannot step by 0"),
    ("queue x in (a b", 12, "the list that begins here is not closed"),
    ("queue x from (\na", 14, "the table that begins on line 2 is not closed"),
    ("queue x from nope.txt", 14, "cannot read nope.txt: No such file or directory"),
    ("queue x from ls |", 14, "the command 'ls' is not run"),
    ("parameters = \"a", 14, "this double quote is never closed"),
    ("parameters = \"a\" b", 16, "something follows the closing double quote"),
    ("parameters = 'a", 14, "this single quote is never closed"),
    ("request_memory = -5", 18, "'-5' is not an amount of memory"),
    ("request_memory = lots", 18, "'lots' is not an amount of memory"),
    ("request_cpus = 2 cores", 16, "'2 cores' is not a number of cores"),
    ("request_cpus = -2", 16, "'-2' is not a number of cores"),
    ("parameters = --x 1 $(alhpa) 2", 20, "nothing defines the macro $(alhpa)"),
    ("environment = \"B=1 A\"", 20, "the environment variable 'A' has no \"=\""),
    ("environment = \"A\"", 16, "the environment variable 'A' has no \"=\""),
    ("if 1 == 1\nendif", 4, "'1 == 1' is not a condition"),
    ("if\nendif", 1, "the condition is missing"),
    ("endif", 1, '"endif" without "if"'),
    ("executable run.sh", 1, "this line says nothing that is known here"),
    ("sweep alpha in 1..", 19, "this sweep is not understood"),
    ("sweep alpha in 0.1..1", 16, "the sweep of alpha has no step"),
    ("sweep alpha in 1..9 step -1", 16, "1..9 is never reached in steps of -1"),
    ("sweep a in 1..3, A in 1..2", 7, "A is swept already"),
    ("sweep process in 1..3", 7, "process is a macro that every job has"),
    ("sweep a in 1..99999, b in 1..99999", 7, "the sweep has more than 100,000,000 rows"),
    ("sweep a in 1e-20..1 step 0.1", 12, "these numbers have too many digits"),
    ("table nope.csv", 7, "cannot read nope.csv: No such file or directory"),
    ("include : other.inc", 11, "cannot read other.inc: No such file or directory"),
    ("include command : ls", 19, "the command 'ls' is not run"),
    ("include sometimes : x", 21, "'sometimes' is no way to include something"),
    ("use ROLE : x", 12, "there is no template x"),
    ("$RANDOM_INTEGER(5,1) = 1", 1, '"$RANDOM_INTEGER(5,1)" is not a name'),
    ("error : stop here", 1, "stop here"),
    ("block @=END\nx", 1, 'the block of "block" has no end'),
    ("transfer_output_files = ../x", 25, "../x is outside the folder in which the job runs"),
    ("arguments = x", 13, "arguments are for executable"),
    ("main = x.py", 8, "main is for a folder or a zip"),
    ("initialdir = nowhere", 14, "there is no folder nowhere"),
])
def test_what_is_wrong_is_said_where_it_is_written(mistakes, line, column, what):
    found = only(mistakes(f"process = a.py\n{line}\n"))
    assert (found.line, found.column, found.what) == (2, column, what)


@pytest.mark.parametrize(("line", "column", "what"), [
    ("container_image = x", 1, '"container_image" is not carried out by this version'),
    ("request_widgets = 1", 1, '"request_widgets" is not carried out by this version'),
    ("universe = local", 1, "universe = local is not carried out by this version"),
    ("should_transfer_files = NO", 1, "should_transfer_files = NO is not carried out by this version"),
    ("transfer_executable = false", 1, "transfer_executable = false is not carried out by this version"),
    ("periodic_remove = $(Process) > 3", 1, '"periodic_remove" is not carried out by this version'),
    ("rooms = lab1", 1, '"rooms" is not carried out by this version'),
    ("transfer_input_files = http://example.org/x", 24,
     "http://example.org/x is an address; fetching from addresses is not carried out by this version"),
])
def test_what_is_read_and_not_carried_out_keeps_the_jobs_from_being_queued(described, line, column, what):
    found = described(f"process = a.py\n{line}\n")
    assert [(said.line, said.column, said.what) for said in found.refusals] == [(2, column, what)]


@pytest.mark.parametrize("line", [
    "gpus = 0", "request_gpus = 0", "universe = vanilla", "universe = 5", "should_transfer_files = IF_NEEDED",
    "language = python", "periodic_hold = false", "header = none", "transfer_executable = true", "getenv = true",
    "header = auto",
    "on_exit_hold = ExitCode == 3", "description = a text", "gpus = 2", "request_gpus = 2",
    "gpus = 1\ngpu_sharing = true\ngpu_memory = 2 GB", "gpus = 1\ngpu_capability = 8.0",
    "request_gpus = 1\nrequire_gpus = DeviceName =!= undefined\ngpus_minimum_runtime = 12.1",
])
def test_what_asks_for_nothing_more_is_taken_without_a_word(described, line):
    found = described(f"process = a.py\n{line}\n")
    assert (found.refusals, found.warnings) == ([], [])


@pytest.mark.parametrize("line", [
    "notification = always", "stream_output = true", "accounting_group = physics", "job_lease_duration = 100",
    "nice_user = true", "max_materialize = 10",
])
def test_what_a_job_can_do_without_is_passed_over_with_a_warning(described, line):
    found = described(f"process = a.py\n{line}\n")
    assert found.refusals == []
    assert ["not carried out" in warning.what for warning in found.warnings] == [True]


@pytest.mark.parametrize(("line", "what"), [
    ("universe = nope", "there is no universe 'nope'"),
    ("universe = parallel", "a job of the parallel universe needs a machine_count"),
    ("should_transfer_files = MAYBE", "'MAYBE' does not say whether files travel"),
    ("when_to_transfer_output = later", "'LATER' does not say when outputs come back"),
    ("concurrency_limits = 1a", "'1a' is not a limit"),
    ("kill_sig = SIGNOPE", "'SIGNOPE' is not a signal"),
    ("notification = often", "'often' is not a time for mail"),
    ("checkpoint_exit_code = x", "'x' is not a whole number"),
    ("accounting_group = two words", "'two words' is not a name"),
    ("request_gpu_memory = 3G", '"request_gpu_memory" is not a command'),
    ("gpus = two", "'two' is not a number of gpus"),
    ("gpus = 1\ngpu_memory = 2 gigs", "'2 gigs' is not an amount of memory"),
    ("gpus = 1\ngpu_capability = high", "'high' is not a capability"),
    ("gpus = 1\nrequest_gpus = 1", "both gpus and request_gpus are given"),
    ("gpu_memory = 2G", '"gpu_memory" says nothing without gpus or request_gpus'),
    ("gpu_sharing = true", '"gpu_sharing" says nothing without gpus or request_gpus'),
    ("language = pyhton", "'pyhton' is not a language that is known here"),
    ("header = maybe", "'maybe' is neither auto nor none"),
    ("checkpoint_every = often", "'often' is not a time"),
    ("checkpoint_every = 0", "'0' is not a time"),
    ("packages = numpy, ;rm", "';rm' is not a package"),
    ("rooms = lab1, a/b", "'a/b' is not the name of a room"),
    ("join = ../x", "'../x' is outside the folder in which the job runs"),
    ("parallel = perhaps", "'perhaps' is neither true nor false"),
    ("domain = a\ndockerfile = b", "both domain and dockerfile are given"),
    ("repetitions = 1 TB", "'1 TB' is not a number of repetitions"),
    ("max_retries = 1 TB", "'1 TB' is not a whole number"),
    ("pids_limit = many", "'many' is not a number of pids_limit"),
    ("pids_limit = 1000000", "'1000000' is more than a machine has"),
    ("enforce = memroy", "'memroy' is nothing that a machine could enforce"),
    ("enforce = memory", "'memory' cannot be enforced without request_memory"),
    ("request_memory = 2G\nenforce = memory, disk", "'disk' cannot be enforced without request_disk"),
    ("want_job_networking = true\nenforce = network", "'network' cannot be both closed and granted"),
])
def test_values_are_checked_where_they_are_written(mistakes, line, what):
    assert only(mistakes(f"process = a.py\n{line}\n")).what == what


def test_a_bad_expression_is_shown_at_its_place(mistakes):
    found = only(mistakes("process = a.py\nrequirements = Cpus >= 4 &&\n"))
    assert found.line == 2
    assert found.column > len("requirements = Cpus >=")


def test_a_bad_expression_on_a_continued_line_is_shown_on_that_line(mistakes):
    found = only(mistakes("process = a.py\nrequirements = Cpus >= 4 && \\\n    Memory >\n"))
    assert found.line == 3
    assert found.source == "    Memory >"


@pytest.mark.parametrize(("line", "column", "what"), [
    ("arguments = \"a", 13, "this double quote is never closed"),
    ("arguments = a \"b\" c", 15, "a double quote cannot stand bare in the old syntax"),
])
def test_wrong_quotes_are_pointed_at(mistakes, line, column, what):
    found = only(mistakes(f"executable = run.sh\n{line}\n"))
    assert (found.line, found.column, found.what) == (2, column, what)


def test_an_unknown_word_names_the_nearest_known_one(mistakes):
    found = only(mistakes("process = a.py\nrepetitons = 5\n"))
    assert (found.line, found.column, found.length) == (2, 1, len("repetitons"))
    assert 'Did you mean "repetitions"?' in found.cure


def test_warnings_come_in_the_order_of_their_lines(described):
    text = "notification = always\nnonsense = 1\nnice_user = true\narguments = $(nobody)\naccounting_group = a\n"
    found = described(f"executable = run.sh\n{text}", name="job.sub")
    assert [said.line for said in found.warnings] == [2, 3, 4, 5, 6]


def test_a_misspelt_request_names_the_known_one_even_if_its_value_is_no_expression(mistakes):
    found = only(mistakes("process = a.py\nrequest_memry = 2G\n"))
    assert (found.line, found.cure) == (2, 'Did you mean "request_memory"?')


def test_a_resource_that_looks_like_a_known_one_names_it(described):
    found = only(described("process = a.py\nrequest_memroy = 5\n").refusals)
    assert 'Did you mean "request_memory"?' in found.cure


def test_an_unknown_word_in_a_file_of_htcondor_is_a_warning(described):
    found = described("executable = run.sh\nrequst_memory = 5\nqueue\n", name="job.sub")
    assert found.unused == ["requst_memory"]
    assert [warning.what for warning in found.warnings] == ['"requst_memory" was not used']


def test_a_macro_that_nothing_defines_names_the_nearest(mistakes):
    found = mistakes("process = a.py\nalpha = 1\nparameters = $(alpha) $(alhpa)\noutput = out.$(Rank)\n")
    assert [mistake.cure for mistake in found] == ["Did you mean $(alpha)?", "Did you mean $(process)?"]


def test_a_macro_with_a_default_need_not_be_defined(described):
    assert described("process = a.py\nparameters = $(alpha:1)\n").template["PescParameters"] == '{ "1" }'


def test_a_macro_that_nothing_defines_is_a_warning_in_a_file_of_htcondor(described):
    found = described("executable = run.sh\narguments = $(nope)\nqueue\n", name="job.sub")
    assert [warning.what for warning in found.warnings] == ["nothing defines the macro $(nope)"]


def test_a_comment_after_a_value_is_explained(mistakes):
    assert "comments stand on lines of their own" in only(mistakes("process = a.py\nrepetitions = 3 # three\n")).cure


def test_quotes_around_a_name_are_explained(mistakes):
    assert only(mistakes('process = "a.py"\n')).cure == "Write it without: process = a.py"


def test_a_word_used_as_a_macro_is_no_mistake(described):
    assert described("process = a.py\nalpha = 1\nparameters = $(alpha)\n").unused == []


def test_what_to_run_must_be_said_once(mistakes):
    assert only(mistakes("repetitions = 2\n")).what == "nothing says what to run"
    assert only(mistakes("process = a.py\nexecutable = run.sh\n")).what == "both executable and process are given"
    assert only(mistakes("executable = run.sh\nparameters = x\n")).what == "parameters are for process"


def test_a_missing_program_names_one_that_is_there(mistakes):
    found = only(mistakes("process = simulation.py\n", files={"simulatoin.py": ""}))
    assert found.what == "there is no file simulation.py"
    assert found.cure == 'Did you mean "simulatoin.py"?'


def test_a_folder_without_a_clear_main_file_asks_for_one(mistakes):
    found = only(mistakes("process = code\n", files={"code/a.py": "", "code/b.py": ""}))
    assert "a.py, b.py" in found.why
    assert "main =" in found.cure


@pytest.mark.parametrize("text", [
    "x = $(y)\ny = $(x)\nparameters = $(x)\n",
    "x = $(y)\ny = $(z:$(x))\nparameters = $(x) $(Process)\n",
])
def test_macros_that_need_each_other_are_a_mistake(mistakes, text):
    assert {"needs itself" in mistake.what for mistake in mistakes("process = a.py\n" + text)} == {True}


def test_an_item_that_needs_itself_is_a_mistake(mistakes):
    found = only(mistakes("process = a.py\nparameters = $(x)\nqueue x in (\n$(x)\n)\n"))
    assert "without end" in found.what


def test_a_bad_item_is_named_with_its_job(mistakes):
    found = only(mistakes("process = a.py\nrequest_memory = $(m)\nqueue m in (1G 2Q 3G)\n"))
    assert (found.line, found.why.splitlines()[-1]) == (2, "This is so for job 1.")


@pytest.mark.parametrize(("lines", "what"), [
    ("request_memory = $(m)\nqueue m in (2G lots)", "'lots' is not an amount of memory"),
    ("request_cpus = $(m)\nsweep m in (1, -2)", "'-2' is not a number of cores"),
])
def test_an_item_that_is_no_amount_is_named_with_its_job(mistakes, lines, what):
    found = only(mistakes(f"process = a.py\n{lines}\n"))
    assert (found.line, found.what, found.why) == (2, what, "This is so for job 1.")


@pytest.mark.parametrize("word", ["request_true", "request_0x", "request_a.b", "request_"])
def test_a_resource_has_a_name_that_machines_can_have(mistakes, word):
    assert only(mistakes(f"process = a.py\n{word} = 1\n")).line == 2


@pytest.mark.parametrize("expression", [
    "false", "undefined", "TARGET.Memory > 5 && false", "RequestCpus > 4", 'strcmp("a", "b") == 0', "5 - 5",
])
def test_requirements_that_no_machine_can_meet_are_a_mistake(mistakes, expression):
    found = only(mistakes(f"process = a.py\nrequirements = {expression}\n"))
    assert (found.line, found.column, found.what) == (2, 16, "this can never be true")


@pytest.mark.parametrize(("expression", "column", "what"), [
    ('TARGET.Memory >= "2G"', 16, 'Memory is a number, and "2G" is a text'),
    ('Cpus > 2 && "8" <= memory', 28, 'memory is a number, and "8" is a text'),
    ("OpSys == LINUX", 16, "OpSys is a text, and LINUX is the name of an attribute"),
    ("(Arch == 86) || Memory > 1", 17, "Arch is a text, and 86 is a number"),
])
def test_an_attribute_compared_with_another_kind_of_value_is_a_mistake_there(mistakes, expression, column, what):
    found = only(mistakes(f"process = a.py\nrequirements = {expression}\n"))
    assert (found.line, found.column, found.what) == (2, column, what)


@pytest.mark.parametrize("expression", [
    'MY.Memory == "x" || Memory > 1', 'Machine != "Memory == \\"8\\"" && Memory < 3', 'Cpus.Memory == "x" || true',
    'f.Arch == 3 || true', 'Memory > 2000 && Arch == "X86_64"', "Memory =?= undefined || Memory > 5",
])
def test_other_comparisons_are_none(described, expression):
    assert described(f"process = a.py\nrequirements = {expression}\n").warnings == []


@pytest.mark.parametrize("expression", [
    "Memory > 10", "JobStatus == 1", 'Machine == "a"', "NumJobStarts > 3", "$(Process) == 3", "true",
])
def test_requirements_that_some_machine_may_meet_are_none(described, expression):
    assert described(f"process = a.py\nrequirements = {expression}\n").warnings == []


def test_a_mistake_on_the_command_line_says_so(mistakes):
    assert only(mistakes("process = a.py\n", variables={"repetitions": "x"})).file == "command line"
    assert only(mistakes("process = a.py\n", appended=["repetitions = x"])).file == "-append"


def test_only_so_many_jobs(mistakes):
    assert "this asks for" in only(mistakes("process = a.py\nrepetitions = 100000000\nqueue 2\n")).what


def test_control_characters_do_not_reach_the_terminal(mistakes):
    with pytest.raises(SubmitErrors) as caught:
        raise SubmitErrors(mistakes("process = a.py\nrepetitions = \x1b[31mred\n"))
    assert "\x1b" not in str(caught.value)
