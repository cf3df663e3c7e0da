"""Programs that are made from their sources: build, main and the domain they are made in."""

import pytest

SOURCES = {"sim.c": "", "sim.rs": "", "sim.f90": "", "src/sim.c": "", "src/Makefile": "", "one/solver.cpp": ""}


def only(found):
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_a_single_source_makes_a_program_of_its_name(described):
    found = described("process = sim.c\nbuild = gcc -O2 -march=$PESC_MICROARCH -o sim sim.c\n", files=SOURCES)
    said = found.template
    assert (said["PescProcess"], said["PescMain"], said["PescLanguage"]) == ('"/here/sim.c"', '"sim"', '"native"')
    assert said["PescBuild"] == '"gcc -O2 -march=$PESC_MICROARCH -o sim sim.c"'
    assert found.refusals == []


def test_what_a_folder_makes_is_named_and_need_not_be_there_yet(described):
    said = described("process = src\nbuild = make\nmain = ./bin/sim\n", files=SOURCES).template
    assert said["PescMain"] == '"bin/sim"'


@pytest.mark.parametrize(("process", "more", "name"), [
    ("sim.c", "", "c"), ("sim.f90", "", "c"), ("sim.rs", "", "rust"), ("src", "main = sim", "c"),
    ("src", "main = sim\nlanguage = rust", "rust"),
])
def test_without_a_domain_it_is_made_where_its_language_is(described, process, more, name):
    found = described(f"process = {process}\nbuild = make\n{more}\n", files=SOURCES)
    assert found.domain.name == name
    assert "TARGET.HasContainer" in found.template["Requirements"]


def test_a_domain_that_is_named_is_taken(described):
    assert described("process = sim.c\nbuild = make\ndomain = scipy\n", files=SOURCES).domain.name == "scipy"


def test_what_is_made_may_be_for_an_interpreter(described):
    said = described("process = src\nbuild = make module\nmain = run.py\n", files=SOURCES).template
    assert said["PescLanguage"] == '"python"'


@pytest.mark.parametrize(("text", "line", "what"), [
    ("process = sim.c\n", 1, "sim.c is a source, not a program"),
    ("process = one\n", 1, "solver.cpp is a source, not a program"),
    ("process = src\nmain = sim.c\n", 2, "sim.c is a source, not a program"),
    ("process = src\nbuild = make\n", 2, "what is to be started once it is built is not clear"),
    ("process = src\nbuild = make\nmain = ../sim\n", 3, "../sim is outside the folder in which it is built"),
    ("executable = run.sh\nbuild = make\nqueue\n", 2, "build is for process"),
    ("process = sim.c\nbuild = make $(Process)\nqueue 2\n", 2, "build cannot differ from job to job"),
    ("process = src\nbuild = make\nmain = sim$(Process)\nqueue 2\n", 3,
     "with build, main cannot differ from job to job"),
])
def test_what_cannot_be_built_is_a_mistake_where_it_is_written(mistakes, text, line, what):
    found = only(mistakes(text, files=SOURCES))
    assert (found.line, found.what) == (line, what)


def test_the_cure_for_a_source_alone_is_the_line_that_is_missing(mistakes):
    assert only(mistakes("process = sim.f90\n", files=SOURCES)).cure == (
        "Write, say: build = gfortran -O2 -o sim sim.f90")


def test_in_a_file_of_htcondors_a_build_without_a_process_is_an_unused_word(described):
    found = described("executable = run.sh\nbuild = 17\nparameters = x\nqueue\n", name="job.sub")
    assert found.unused == ["build", "parameters"]
    assert {warning.what for warning in found.warnings} == {'"build" says nothing without process',
                                                            '"parameters" says nothing without process'}


def test_what_is_missing_in_the_name_of_what_is_built_is_said(mistakes):
    found = only(mistakes("process = src\nbuild = make\nmain = sim$(nope)\n", files=SOURCES))
    assert (found.line, found.column, found.what) == (3, 11, "nothing defines the macro $(nope)")


def test_a_name_may_begin_with_two_points(described):
    assert described("process = src\nbuild = make\nmain = ..sim\n", files=SOURCES).template["PescMain"] == '"..sim"'


@pytest.mark.parametrize("language", ["fortran", "c", "native"])
def test_what_is_compiled_runs_on_its_kind_of_machine_whatever_language_it_says(described, language):
    said = described(f"process = src\nbuild = make\nmain = sim\nlanguage = {language}\n", files=SOURCES).template
    assert "TARGET.Arch" in said["Requirements"]
