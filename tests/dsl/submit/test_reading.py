"""What a submit file asks for."""

import pytest

from dsl.submit import SubmitErrors


def jobs(description):
    expander = description.expander()
    return [{**description.template, **expander.attributes(7, proc)} for proc in range(description.count)]


def values(description, attribute):
    return [job.get(attribute) for job in jobs(description)]


def test_a_pesc_file_needs_no_queue(described):
    found = described("process = a.py\nrepetitions = 3\n")
    assert (found.count, found.steps, found.items) == (3, 3, [])
    assert found.template["PescRepetitions"] == "3"


def test_repetitions_and_queue_multiply(described):
    found = described("process = a.py\nrepetitions = 3\nparameters = $(x) $(Step)\nqueue 2 x in (a b)\n")
    assert (found.count, found.steps) == (12, 6)
    assert values(found, "PescParameters")[5:7] == ['{ "a", "5" }', '{ "b", "0" }']


def test_a_process_says_what_it_is(described):
    template = described("process = a.py\nparameters = --alpha 0.1 'two words'\n").template
    assert template["PescProcess"] == template["Cmd"] == '"/here/a.py"'
    assert template["PescLanguage"] == '"python"'
    assert template["PescParameters"] == '{ "--alpha", "0.1", "two words" }'


@pytest.mark.parametrize(("name", "language", "wants"), [
    ("a.py", "python", ["HasPython"]), ("a.R", "r", ["HasR"]), ("a.jl", "julia", ["HasJulia"]),
    ("a.m", "octave", ["HasOctave"]),
    ("a.jar", "java", ["HasJava"]), ("a.sh", "shell", []), ("a.out", "native", ["Arch"]),
])
def test_a_language_asks_for_its_interpreter(described, name, language, wants):
    template = described(f"process = {name}\n", files={name: ""}).template
    assert template["PescLanguage"] == f'"{language}"'
    named = ("Arch", "HasPython", "HasR", "HasJulia", "HasOctave", "HasJava")
    assert [word for word in named if f"TARGET.{word}" in template["Requirements"]] == wants


def test_only_a_program_in_machine_code_asks_for_an_architecture(described):
    assert "TARGET.Arch" in described("executable = run.sh\n").template["Requirements"]
    assert "TARGET.Arch" not in described("process = run.sh\n").template["Requirements"]


def test_the_main_file_of_a_folder_is_named_or_found(described):
    files = {"code/main.py": "", "code/other.py": ""}
    assert described("process = code\n", files=files).template["PescMain"] == '"main.py"'
    assert described("process = code\nmain = other.py\n", files=files).template["PescMain"] == '"other.py"'
    assert described("process = one\n", files={"one/x.R": "", "one/data.csv": ""}).template["PescLanguage"] == '"r"'


def test_limits_are_said_only_when_the_user_asked_for_an_amount(described):
    plain = described("process = a.py\n").template
    assert (plain["RequestMemory"], plain["RequestDisk"]) == ("128", "1048576")
    assert {"PescMemoryLimit", "PescDiskLimit"}.isdisjoint(plain)
    asked = described("process = a.py\nrequest_memory = 2G\nrequest_disk = 1.5 GB\n").template
    assert (asked["RequestMemory"], asked["PescMemoryLimit"]) == ("2048", "true")
    assert (asked["RequestDisk"], asked["PescDiskLimit"]) == ("1572864", "true")


def test_requirements_follow_an_amount_that_differs_from_job_to_job(described):
    found = described("executable = run.sh\nrequest_memory = $(m)\nqueue m in (0 512)\n")
    assert "Requirements" not in found.template
    assert ["TARGET.Memory" in text for text in values(found, "Requirements")] == [False, True]


def test_what_is_the_same_for_every_job_stays_in_the_template(described):
    found = described("process = a.py\noutput = out.$(Process).$(tag)\ntag = x\nrepetitions = 2\n")
    assert found.varying == {"output": "out.$(Process).$(tag)"}
    assert found.macros["tag"] == "x"
    assert values(found, "Out") == ['"out.0.x"', '"out.1.x"']


def test_the_cluster_is_known_only_when_a_job_is_looked_at(described):
    found = described("process = a.py\nlog = $(Cluster).log\n")
    assert found.expander().attributes(7, 0)["UserLog"] == '"/here/7.log"'


def test_an_own_attribute_goes_over_what_a_command_made(described):
    found = described("process = a.py\n+RequestMemory = 99\nrequest_memory = 5\nMY.Tag = \"x\"\n")
    assert (found.template["RequestMemory"], found.template["Tag"]) == ("99", '"x"')


def test_an_own_attribute_goes_over_one_that_differs_from_job_to_job(described):
    found = described("process = a.py\n+Out = \"fixed\"\noutput = o.$(Process)\n")
    assert values(found, "Out") == ['"fixed"']


def test_the_case_of_an_own_attribute_makes_no_second_one(described):
    found = described("process = a.py\n+requestmemory = $(Process)\n+jobPRIO = 3\n+oUt = \"x\"\noutput = $(Process)\n")
    [job] = jobs(found)
    assert (job["RequestMemory"], job["JobPrio"], job["Out"]) == ("0", "3", '"x"')
    assert len({name.lower() for name in job}) == len(job)


def test_environment_of_the_submitter_goes_along_where_it_is_named(described):
    found = described("process = a.py\nparameters = $ENV(COLOR) $(Process)\n", environ={"COLOR": "red", "SECRET": "x"})
    assert values(found, "PescParameters") == ['{ "red", "0" }']
    assert "SECRET" not in str(found.macros)


def test_what_the_jobs_need_goes_along_and_nothing_else(described):
    text = ("executable = run.sh\nwhich = infile\ninfile = /data/a.txt\nother = 1\n"
            "arguments = $Fn($(which)) $(Process) $(deep)\ndeep = $(deeper:x)\ndeeper = $INT(n)\nn = 1 + 1\n")
    found = described(text + "output = $(other)\nqueue 1\n", name="job.sub")
    assert values(found, "Args") == ['"a 0 2"']
    assert found.macros.keys() == {"which", "infile", "deep", "deeper", "n", "factory.iwd", "arch", "opsys"}


def test_a_block_is_a_value_of_several_lines(described):
    found = described("process = a.py\nparameters @=END\n--alpha 1\n  --beta 2\n@END\n")
    assert found.template["PescParameters"] == '{ "--alpha", "1", "--beta", "2" }'


def test_variables_of_the_command_line_come_before_the_file_and_appended_lines_after(described):
    text = "process = a.py\nparameters = $(x) $(y)\ny = 2\nrepetitions = 1\n"
    found = described(text, variables={"x": "1", "y": "9"}, appended=["repetitions = 4"])
    assert found.template["PescParameters"] == '{ "1", "2" }'
    assert found.count == 4


def test_paths_are_absolute_and_of_all_jobs(described):
    found = described("process = a.py\nrepetitions = 2\ninitialdir = d\ninput = in.$(Process)\n"
                      "transfer_input_files = x, sub/\nshared_files = s.bin\n", files={"d/s.bin": ""})
    assert found.paths() == ["/here/a.py", "/here/d/in.0", "/here/d/x", "/here/d/sub", "/here/d/s.bin",
                             "/here/d/in.1"]
    assert found.travelling()["/here/a.py"] == "process"


def test_a_slice_keeps_the_numbers_of_its_items(described):
    found = described("process = a.py\nparameters = $(x) $(ItemIndex)\nqueue x in [1::2] (a b c d)\n")
    assert values(found, "PescParameters") == ['{ "b", "1" }', '{ "d", "3" }']


def test_hold_means_held_from_the_start(described):
    template = described("process = a.py\nhold = true\n").template
    assert (template["JobStatus"], template["HoldReasonCode"]) == ("5", "15")
    assert "JobStatus" not in described("process = a.py\n").template


def test_a_million_repetitions_are_as_small_as_one(described):
    found = described("process = a.py\nrepetitions = 1000000\noutput = o.$(Process)\n")
    assert found.count == 1_000_000
    assert found.expander().attributes(1, 999_999)["Out"] == '"o.999999"'
    assert sum(map(len, [*found.varying.values(), *found.macros.values()])) < 200


def test_jobs_that_are_not_there_are_refused(described):
    expander = described("process = a.py\noutput = $(x)\nqueue x in (a b)\n").expander()
    with pytest.raises(SubmitErrors, match="no job 2"):
        expander.attributes(1, 2)


def test_no_items_are_no_jobs_and_a_warning(described):
    found = described("executable = run.sh\narguments = $(x)\nqueue x in ()\n", name="job.sub")
    assert found.count == 0
    assert ["no items" in warning.what for warning in found.warnings] == [True]


def test_a_word_of_ours_may_be_a_macro_in_a_file_of_htcondor(described):
    found = described("executable = run.sh\nrepetitions = 5\nparameters = --a b\narguments = $(parameters)\n"
                      "queue $(repetitions)\n", name="job.sub")
    assert found.count == 5
    assert values(found, "Args") == ['"--a b"'] * 5


def test_several_queue_lines_make_one_cluster(described):
    text = ("executable = run.sh\narguments = $(x) $(y) $(Process)\ny = 1\nqueue 2 x in (a b)\ny = 2\n+Tag = \"t\"\n"
            "output = o.$(Process)\nqueue 2\nz = 9\n")
    found = described(text, name="job.sub")
    assert found.count == 6
    assert values(found, "Args") == [
        '"a 1 0"', '"a 1 1"', '"b 1 2"', '"b 1 3"', '"<Queue_item> 2 4"', '"<Queue_item> 2 5"']
    assert values(found, "Out") == ['"/dev/null"'] * 4 + ['"o.4"', '"o.5"']
    assert values(found, "Tag") == [None] * 4 + ['"t"'] * 2
    assert found.unused == ["z"]


def test_chance_is_the_same_whenever_a_job_is_looked_at(described):
    text = "process = a.py\nrepetitions = 200\nparameters = $RANDOM_INTEGER(1,1000000) $RANDOM_CHOICE(a,b)\n"
    found = described(text)
    drawn = values(found, "PescParameters")
    assert drawn == values(found, "PescParameters")
    assert len(set(drawn)) > 190
    assert {text.split('"')[3] for text in drawn} == {"a", "b"}


def test_random_numbers_stay_within_their_bounds(described):
    found = described("process = a.py\nrepetitions = 300\nn = $RANDOM_INTEGER(3,9,3)\nparameters = $(n)\n")
    assert {text.split('"')[1] for text in values(found, "PescParameters")} == {"3", "6", "9"}


def test_the_submitters_variables_travel_when_they_are_asked_for(described):
    environ = {"COLOR": "red", "COLD": "yes", "HOME": "/home/u"}
    text = 'executable = run.sh\ngetenv = CO*, !COLD\nenvironment = "A=$(Process)"\nqueue 2\n'
    found = described(text, name="job.sub", environ=environ)
    assert values(found, "Environment") == ['"A=0 COLOR=red"', '"A=1 COLOR=red"']


@pytest.mark.parametrize(("wanted", "names"), [
    ("true", ["A", "B"]), ("false", []), ("A", ["A"]), ("*, !A", ["B"]), ("yes", []), ("a", ["A"]),
])
def test_getenv_takes_all_or_some_variables(described, wanted, names):
    found = described(f"process = a.py\ngetenv = {wanted}\n", environ={"A": "1", "B": "2"})
    assert found.template["Environment"].strip('"').split() == [f"{name}={'AB'.index(name) + 1}" for name in names]


def test_a_word_that_means_nothing_is_a_mistake_where_it_is_asked_for(described):
    assert described("process = a.py\nfoo = 1\n", strict=False).unused == ["foo"]
    with pytest.raises(SubmitErrors, match='unknown command "foo"'):
        described("process = a.py\nfoo = 1\nqueue\n", name="job.sub", strict=True)


@pytest.mark.parametrize(("line", "count"), [
    ("iterate", 1), ("iterate 3", 3), ("Iterate x in (a b)", 2), ("iterate = 2\nqueue $(iterate)", 2),
    ("queue iterate in (a b)", 2),
])
def test_iterate_is_another_word_for_queue(described, line, count):
    assert described(f"executable = run.sh\n{line}\n", name="job.sub").count == count


@pytest.mark.parametrize(("line", "parameters"), [
    ("queue from table t.csv", ["1 2", "3 4 5", "5 6"]),
    ("queue x, y from table t.csv", ["1 2", "3 4 5", "5 6"]),
    ("queue from table [1:] t.csv", ["3 4 5", "5 6"]),
    ("queue from [::2] table t.csv", ["1 2", "5 6"]),
    ("queue from table (\na,b\n7,8\n)", ["7 8"]),
    ("queue from table (\na, b\n 1 2 , 3 ,4\n5\n)", ["1 2 3 ,4", "5"]),
])
def test_the_first_row_of_a_table_names_the_columns(described, line, parameters):
    found = described(f"executable = run.sh\narguments = $(a) $(b)\n{line}\n", name="job.sub",
                      files={"t.csv": "a,b\n1,2\n3,4 5\n5,6\n"})
    assert values(found, "Args") == [f'"{words}"' for words in parameters]


def test_a_list_over_several_lines_is_split_like_one_on_the_queue_line(described):
    found = described("executable = run.sh\narguments = $(x)\nqueue x in (\na\n  # not this\n b c, d\n\n)\n",
                      name="job.sub")
    assert values(found, "Args") == ['"a"', '"b"', '"c"', '"d"']


@pytest.mark.parametrize(("macro", "text"), [
    ("7 * 2", "7 * 2"), ("abc", "abc"), ("a b", "a b"), ('"quoted"', "quoted"), ('strcat("a", "b")', "ab"),
])
def test_string_is_the_text_itself_unless_that_is_worth_a_string(described, macro, text):
    found = described(f"executable = run.sh\nx = {macro}\narguments = $STRING(x)\n", name="job.sub")
    assert found.template["Args"] == f'"{text}"'


def test_a_block_leaves_out_comments_and_blank_lines_and_joins_what_is_continued(described):
    lines = ["  # large ones", "  Memory > 10 \\", "    && Cpus > 1", "", "  || Disk > 5"]
    found = described("\n".join(["executable = run.sh", "requirements @=END", *lines, "@END"]), name="job.sub")
    assert found.template["Requirements"].startswith("(Memory > 10 && Cpus > 1\n|| Disk > 5)")


def test_a_mistake_in_a_block_is_shown_on_its_own_line(described):
    with pytest.raises(SubmitErrors) as caught:
        described("executable = run.sh\nrequirements @=END\n# large ones\n  Memory > 10 \\\n   && ) 1\n@END\n",
                  name="job.sub")
    assert [(said.line, said.column) for said in caught.value.mistakes] == [(5, 7)]


@pytest.mark.parametrize(("lines", "value"), [
    ("x =", "d"), ("", "d"), ("x = $(y)", ""), ("x = $(y)\ny =", ""), ("x = 1", "1"),
])
def test_a_default_stands_for_what_is_missing_or_empty_as_written(described, lines, value):
    found = described(f"executable = run.sh\n{lines}\ndescription = <$(x:d)>\n", name="job.sub")
    assert found.template["JobDescription"] == f'"<{value}>"'


@pytest.mark.parametrize(("options", "text"), [("n", "b"), ("na", "b"), ("nqa", "'b'"), ("nxq", r'\"b.c\"')])
def test_parts_of_a_path_are_quoted_where_q_asks_for_it(described, options, text):
    found = described(f"executable = run.sh\nx = /a/b.c\ndescription = <$F{options}(x)>\n", name="job.sub")
    assert found.template["JobDescription"] == f'"<{text}>"'


@pytest.mark.parametrize(("lines", "attribute", "text"), [
    ("requirements = Memory > 5 // fast", "Requirements", "(Memory > 5) && "),
    ("requirements = /* or */ a || b", "Requirements", "(a || b) && "),
    ("retry_until = ExitCode > 3 // never\non_exit_remove = x // y", "OnExitRemove", "(ExitCode > 3) || (x)"),
])
def test_a_comment_in_an_expression_does_not_swallow_what_is_added_to_it(described, lines, attribute, text):
    assert text in described(f"executable = run.sh\n{lines}\n", name="job.sub").template[attribute]


def needed(template):
    said = template["Requirements"]
    return [word for word in ("HasMemoryLimit", "HasDiskLimit", "HasPidsLimit", "HasNetworkIsolation")
            if f"(TARGET.{word})" in said]


@pytest.mark.parametrize(("lines", "words"), [
    ("request_memory = 2G\nrequest_disk = 5G\n", []),
    ("pids_limit = 64\n", ["HasPidsLimit"]),
    ("enforce = network, pids\n", ["HasPidsLimit", "HasNetworkIsolation"]),
    ("enforce = pids\npids_limit = 64\n", ["HasPidsLimit"]),
    ("request_memory = 2G\nrequest_disk = 5G\nenforce = Memory disk\n", ["HasMemoryLimit", "HasDiskLimit"]),
    ("requirements = TARGET.HasPidsLimit =!= false\npids_limit = 64\n", []),
])
def test_only_who_says_so_needs_a_machine_that_enforces_limits(described, lines, words):
    assert needed(described(f"process = a.py\n{lines}").template) == words


def test_the_number_of_processes_is_the_jobs(described):
    assert described("process = a.py\npids_limit = 64\n").template["PescPidsLimit"] == "64"
    found = described("process = a.py\npids_limit = $(n)\nqueue n in (10 20)\n")
    assert values(found, "PescPidsLimit") == ["10", "20"]


def test_a_macro_of_htcondors_file_is_no_limit(described):
    found = described("executable = run.sh\nenforce = memory\narguments = $(enforce)\nqueue\n", name="job.sub")
    assert (found.warnings, needed(found.template)) == ([], [])
