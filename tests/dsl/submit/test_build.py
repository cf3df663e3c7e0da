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
