"""Lines from other files, and what is said about mistakes in them."""

import pytest

from dsl.submit import Site, SubmitErrors, Withheld, read


def test_an_included_line_stands_where_it_is_included(described):
    files = {"common.inc": "priority = 3\nrequest_cpus = 2\n"}
    found = described("process = a.py\npriority = 1\ninclude : common.inc\nrequest_cpus = 5\n", files=files)
    assert (found.template["JobPrio"], found.template["RequestCpus"]) == ("3", "5")


def test_a_file_that_need_not_be_there_is_passed_over(described):
    assert described("process = a.py\ninclude ifexist : nope.inc\n").count == 1


def test_mistakes_of_an_included_file_name_the_way_to_it_and_come_in_order(mistakes):
    files = {"one.inc": "x = 1\ninclude : two.inc\n", "two.inc": "\npriority = high\n"}
    text = "proces = a.py\ninclude : one.inc\nparameters = $(x)\nrepetitions = ten\n"
    found = mistakes(text, files=files)
    assert [(said.file, said.line) for said in found] == [("job.pesc", 1), ("two.inc", 2), ("job.pesc", 4)]
    assert str(found[1]) == """\
two.inc:2:12: 'high' is not a whole number
     2 | priority = high
       |            ^^^^
  included from one.inc:2
  included from job.pesc:2
  Write, say: priority = 3"""
    assert found[1].as_json()["included_from"] == "one.inc:2, job.pesc:2"


def test_conditions_end_in_the_file_they_begin_in(mistakes):
    files = {"one.inc": "if true\nendif\nendif\n"}
    found = mistakes("process = a.py\nif true\ninclude : one.inc\nendif\n", files=files)
    assert [(said.file, said.line, said.what) for said in found] == [("one.inc", 3, '"endif" without "if"')]


@pytest.mark.parametrize(("files", "what"), [
    ({"a.inc": "include : a.inc\n"}, "files include files without end"),
    ({"a.inc": "queue 3\n"}, "queue cannot be included"),
    ({"a.inc": "\0"}, "a.inc is not text"),
    ({"a.inc": b"\xff"}, "a.inc is not text"),
])
def test_what_cannot_be_included_is_said(mistakes, files, what):
    assert what in [said.what for said in mistakes("process = a.py\ninclude : a.inc\n", files=files)]


def test_files_that_include_each_other_twice_do_not_take_for_ever(mistakes):
    files = {f"f{n}.inc": f"include : f{n + 1}.inc\n" * 2 for n in range(30)}
    found = mistakes("process = a.py\ninclude : f0.inc\n", files=files)
    assert {said.what for said in found} == {"files include files without end"}


class Commands:
    """A world where commands print, and what they print can be kept."""

    def __init__(self, printed, code=0):
        self.printed, self.code, self.kept, self.ran = printed, code, {}, []

    def run(self, command):
        self.ran.append(command)
        return self.printed, self.code

    def write_text(self, path, text):
        self.kept[path] = text

    def read_text(self, path):
        return self.kept[path]

    def standard_input(self):
        return "a\nb\n"

    def exists(self, path):
        return path in self.kept or path.endswith("a.py")

    def is_dir(self, path):
        return False

    def glob(self, pattern):
        return []

    def members(self, path):
        return None


def asked(text, files):
    return read(text, name="job.pesc", files=files, site=Site(iwd="/here"))


@pytest.mark.parametrize("line", ["include command : make list", "include : make list |"])
def test_what_a_command_prints_is_included(line):
    files = Commands("priority = 3\n")
    assert asked(f"process = a.py\n{line}\n", files).template["JobPrio"] == "3"
    assert files.ran == ["make list"]


def test_what_a_command_printed_is_kept(described):
    files = Commands("priority = 3\n")
    text = "process = a.py\ninclude command into Kept.inc : make list\n"
    assert [asked(text, files).template["JobPrio"] for _ in range(2)] == ["3", "3"]
    assert (files.ran, list(files.kept)) == (["make list"], ["Kept.inc"])


def test_a_command_that_fails_is_a_warning():
    found = asked("process = a.py\ninclude command : make list\n", Commands("", code=3))
    assert [said.what for said in found.warnings] == ["'make list' ended with exit code 3; what it printed is taken"]


@pytest.mark.parametrize(("source", "items"), [("make list |", [["1"], ["2"]]), ("-", [["a"], ["b"]])])
def test_items_come_from_commands_and_standard_input(source, items):
    found = asked(f"process = a.py\nparameters = $(x)\nqueue x from {source}\n", Commands("1\n2\n"))
    assert found.items == items


class OnlyLooking(Commands):
    """A world in which nothing is run and nobody is asked."""

    def run(self, command):
        raise Withheld(f"{command} is not run")

    def standard_input(self):
        raise Withheld("standard input is not read")


def looked_at(text, name="job.pesc"):
    """What is said of a text in that world: mistakes, then warnings, each as line and what."""
    try:
        found = read(text, name=name, files=OnlyLooking(""), site=Site(iwd="/here"))
    except SubmitErrors as errors:
        mistakes, warnings = errors.mistakes, errors.warnings
    else:
        mistakes, warnings = [], found.warnings
    return [(said.line, said.what) for said in mistakes], [(said.line, said.what) for said in warnings]


def test_what_a_command_that_is_not_run_may_define_is_no_mistake():
    assert looked_at("include command : ./gen --all\nprocess = $(program).py\nrequest_memory = $(mib) * 2\n"
                     "repetitions = $(n)\nparameters = $INT(k) $(more)\ngetenv = $(names)\n+Tag = $(tag) + \n"
                     "if $(quick)\n  requirements = (((\nelse\n  error : too slow\nendif\n"
                     "if defined base\n  repetitions = x\nelif true\n  repetitions = y\nendif\n"
                     "include : $(base).inc\nsweep x in 1..$(last)\n") == ([], [(1, "./gen --all is not run")])
    assert looked_at("./gen |\n") != ([], [])
    assert looked_at("include : ./gen |\n") == ([], [(1, "./gen is not run")])


def test_what_is_wrong_beside_a_command_that_is_not_run_is_still_said():
    mistakes, warnings = looked_at("include command : ./gen\nprocess = a.py\nrepetitions = ten\npriority = $(p\n"
                                   "parameters = $(x) $(y:1)\nmine = 1\nalpha = $(mine) $(nobody)\n")
    assert mistakes == [(3, "'ten' is not a number of repetitions"),
                        (4, "'$(p' is not a whole number")]
    assert warnings == [(1, "./gen is not run"), (7, 'unknown command "alpha"')]


@pytest.mark.parametrize(("source", "what"), [("./gen |", "./gen is not run"), ("-", "standard input is not read")])
def test_the_names_of_items_that_are_not_known_count(source, what):
    text = f"process = a.py\nparameters = $(x) $(y) $(z)\nrequest_memory = $(x)\nqueue x, y from {source}\n"
    assert looked_at(text) == ([(2, "nothing defines the macro $(z)")], [(4, what)])


def test_a_table_that_is_not_read_may_name_any_column():
    text = "process = a.py\nparameters = $(x)\nqueue from table -\n"
    assert looked_at(text) == ([], [(3, "standard input is not read")])
