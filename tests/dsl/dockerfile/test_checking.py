"""What is said of a Dockerfile before it is built."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.dockerfile import check, is_allowed, is_reference


def said(text, **how):
    return [mistake.what for mistake in check(text, **how).mistakes]


@pytest.mark.parametrize(("text", "what"), [
    ("", "there is no FROM"),
    ("RUN x\n", "RUN comes before any FROM"),
    ("FROM base\nRNU x\n", "unknown instruction RNU"),
    ("FROM\n", "FROM says nothing"),
    ("FROM a b\n", "FROM is not understood"),
    ("FROM Base\n", "'Base' is not the name of an image"),
    ("FROM ${v}\n", "nothing says what v is"),
    ("FROM base AS 1\n", "'1' cannot be the name of a stage"),
    ("FROM base\nCOPY a\n", "COPY needs what to copy and where to"),
    ("FROM base\nCOPY ../a /a\n", "../a is outside the folder of the Dockerfile"),
    ("FROM base\nCOPY a/../../b /a\n", "a/../../b is outside the folder of the Dockerfile"),
    ("FROM base\nADD https://example.org/x /x\n", "ADD of the address https://example.org/x"),
    ("FROM base\nCOPY --form=x a /a\n", "COPY has no flag --form"),
    ("FROM base\nCOPY --from=3 a /a\n", "there is no stage 3 before this one"),
    ("FROM base\nRUN --security=insecure x\n", "RUN --security is not allowed"),
    ("FROM base\nRUN --network=host x\n", "RUN --network=host is not allowed"),
    ("FROM base\nENV A\n", "ENV A has no value"),
    ("FROM base\nENV PESC_RANK=1\n", "PESC_RANK is PESC's own"),
    ("FROM base\nRUN <<END\nx\n", "no line END ends the text that begins here"),
    ("FROM base\nSHELL /bin/sh\n", "SHELL takes a list"),
    ("FROM base\nARG 1=2\n", "'1=2' is not an argument"),
    ("FROM base\nONBUILD FROM x\n", "ONBUILD FROM cannot be"),
])
def test_what_is_wrong_is_said(text, what):
    assert said(text) == [what]


def test_a_mistake_shows_its_place_and_the_cure():
    (mistake,) = check("FROM base\nRUN a && \\\n    b\nCOPPY x /x\n", "study/Dockerfile").mistakes
    assert str(mistake) == ("study/Dockerfile:4:1: unknown instruction COPPY\n"
                            "     4 | COPPY x /x\n"
                            "       | ^^^^^\n"
                            '  Did you mean "COPY"?')


def test_lines_count_from_where_the_text_begins_in_its_file():
    (mistake,) = check("FROM base\nRNU x", "job.pesc", first_line=7).mistakes
    assert mistake.line == 8


def test_a_base_that_the_policy_does_not_name_is_refused():
    text = "ARG v=12\nFROM debian:${v}\n"
    assert said(text, allowed=["docker.io/library/python"]) == ["the pool does not allow the base image debian:12"]
    assert said(text, allowed=["docker.io/library/*"]) == []
    assert said(text, allowed=None) == []


def test_no_image_comes_in_through_a_back_door():
    for line in ("COPY --from=evil/image /a /a", "RUN --mount=type=bind,from=evil/image x"):
        assert said(f"FROM base\n{line}\n", allowed=[]) == ["the pool does not allow the base image evil/image"]


def test_what_machines_make_themselves_and_earlier_stages_are_always_allowed():
    text = "FROM base AS one\nFROM base-debian\nCOPY --from=one /a /a\nCOPY --from=0 /b /b\nFROM one\n"
    assert said(text, allowed=[]) == []


def test_values_from_outside_replace_defaults():
    found = check("ARG v=1\nFROM debian:${v}\n", arguments={"v": "2"})
    assert (found.bases, found.arguments) == (["debian:2"], {"v": "1"})


def test_an_argument_that_is_not_there_is_a_mistake_with_the_nearest_one():
    (mistake,) = check("ARG version=1\nFROM base\n", arguments={"versoin": "2"}).mistakes
    assert (mistake.what, mistake.cure) == ("it has no argument 'versoin'", 'Did you mean "version"?')


def test_arguments_have_defaults_as_in_a_shell():
    assert check("ARG a\nFROM debian:${a:-12}\n").bases == ["debian:12"]
    assert check("ARG a=1\nFROM debian${a:+:13}\n").bases == ["debian:13"]


def test_files_that_are_not_there_are_said():
    assert said("FROM base\nCOPY a b /x/\n", has={"a"}.__contains__) == ["there is no b to copy"]


def test_what_it_copies_from_its_folder_is_known():
    found = check('FROM base\nCOPY a ./b/ /x/\nADD ["c d", "/x/"]\nCOPY --from=debian /e /e\nCOPY <<E /f\nE\n')
    assert (found.sources, found.mistakes) == (["a", "b", "c d"], [])


@pytest.mark.parametrize("name", ["CMD", "ENTRYPOINT", "USER", "EXPOSE", "VOLUME", "HEALTHCHECK", "STOPSIGNAL"])
def test_what_has_no_effect_in_a_run_is_a_warning(name):
    found = check(f"FROM base\n{name} x\n")
    assert (found.mistakes, [warning.what for warning in found.warnings]) == ([], [f"{name} has no effect in a run"])


def test_too_long_a_file_is_refused():
    assert said("FROM base\n" + "RUN x\n" * 1000) == ["it is too long"]


@pytest.mark.parametrize("name", ["a", "a/b:c", "localhost/x", "ghcr.io/a/b:1@sha256:" + "0" * 64, "host:5000/a"])
def test_names_of_images(name):
    assert is_reference(name)


@pytest.mark.parametrize("name", ["", "A", "a b", "-x", "a:", "a//b", "../a", "a@sha256:12", "x" * 600])
def test_no_names_of_images(name):
    assert not is_reference(name)


def test_patterns_cover_short_and_whole_names_and_all_tags():
    assert is_allowed("python:3.12", ["python"])
    assert is_allowed("python:3.12", ["docker.io/library/*"])
    assert is_allowed("python:3.12@sha256:" + "0" * 64, ["python:3.12"])
    assert not is_allowed("python:3.11", ["python:3.12"])
    assert not is_allowed("ghcr.io/python", ["python"])
    assert not is_allowed("evil/python", ["python"])


def test_the_default_of_an_argument_may_hold_blanks():
    found = check("FROM base\nARG A=\"hello \\\" world\" B='x  y' C=a\\ b D\n")
    assert found.mistakes == []
    assert found.arguments == {"A": 'hello \\" world', "B": "x  y", "C": "a\\ b", "D": None}
    (mistake,) = check('FROM base\nARG A="open 1\n').mistakes
    assert (mistake.line, mistake.column, mistake.what) == (2, 13, "'1' is not an argument")


@given(st.text(alphabet=st.sampled_from("FROM base\nCOPY --from=a ARG${}:-+x1 [\"]/.\\"), max_size=200))
def test_no_text_is_too_strange_to_be_checked(text):
    check("FROM base\n" + text, allowed=[])
