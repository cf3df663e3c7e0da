"""From text to instructions."""

from hypothesis import given
from hypothesis import strategies as st

from dsl.dockerfile import read


def names(text):
    return [(one.name, one.text) for one in read(text).instructions]


def test_lines_that_go_on_are_joined_and_comments_between_them_dropped():
    text = "FROM base\nRUN one \\\n  # a comment\n\n  && two\n"
    assert names(text) == [("FROM", "base"), ("RUN", "one   && two")]


def test_names_are_known_in_any_case():
    assert names("from base\nRun x\n") == [("FROM", "base"), ("RUN", "x")]


def test_the_escape_character_can_be_another_one():
    text = "# escape=`\nFROM base\nRUN dir c:\\ `\n two\n"
    assert names(text) == [("FROM", "base"), ("RUN", "dir c:\\  two")]


def test_a_directive_after_something_else_is_a_comment():
    assert names("FROM base\n# escape=`\nRUN a \\\n b\n") == [("FROM", "base"), ("RUN", "a  b")]


def test_texts_of_their_own_belong_to_their_instruction():
    found = read("FROM base\nCOPY <<A <<-'B' /x/\none\nA\n\ttwo\n\tB\nRUN y\n").instructions
    assert [one.name for one in found] == ["FROM", "COPY", "RUN"]
    assert found[1].texts == ["one\n", "two\n"]


def test_a_text_without_an_end_is_known_as_such():
    assert read("FROM base\nRUN <<END\necho\n").instructions[1].unended == "END"


def test_every_place_is_that_of_the_file():
    one = read("FROM base\nRUN first \\\n    second\n").instructions[1]
    assert one.place(one.text.index("first")) == (2, 5)
    assert one.place(one.text.index("second")) == (3, 5)


def test_flags_come_before_arguments():
    one = read("COPY --from=build --chown=1:1 a --b\n").instructions[0]
    assert [(flag.name, flag.value) for flag in one.flags] == [("from", "build"), ("chown", "1:1")]
    assert one.arguments == "a --b"


@given(st.text(alphabet=st.sampled_from("FROMRUN base\\\n#<'\"`=-$\t\r\0"), max_size=200))
def test_no_text_is_too_strange_to_be_read(text):
    read(text)
