"""Ads as text."""

import pytest

from cli.adtext import Autoformat, autoformat, get, literal, long_form, plain, quoted
from contract.problems import Problem

AD = {"ClusterId": 12, "ProcId": 3, "Owner": "lee", "Cmd": "/bin/a b", "Rank": "/Expr(Memory * 2)/", "Load": 1.5,
      "Held": False}


@pytest.mark.parametrize(("value", "text"), [
    (True, "true"), (None, "undefined"), (1, "1"), (1.0, "1.0"), ("a", '"a"'), ("/Expr(A + 1)/", "A + 1"),
    ([1, "b"], '{ 1, "b" }'), ([], "{ }"), ({"A": 1, "B": "x"}, '[ A = 1; B = "x" ]'),
])
def test_a_value_is_written_as_the_language_reads_it(value, text):
    assert literal(value) == text


def test_a_string_cannot_leave_its_quotes_or_drive_a_terminal():
    assert quoted('a"b\\c\n\x1b[2J') == '"a\\"b\\\\c\\n\\033[2J"'


def test_a_table_cell_is_one_line_without_control_characters():
    assert plain("a\nb\x1b[31m") == "a?b?[31m"


def test_a_table_cell_that_is_too_long_says_so():
    assert plain("abcdef", 4) == "abc…"


def test_attributes_are_found_whatever_the_case():
    assert get(AD, "owner") == "lee"
    assert get(AD, "nobody", "-") == "-"


def test_autoformat_prints_values_without_quotes_and_says_undefined():
    assert autoformat([AD], ["Owner", "Load", "Nope", "Held"]) == "lee 1.5 undefined false"


@pytest.mark.parametrize(("letters", "text"), [
    ("j", "12.3 lee 1.5"),
    ("V", '"lee" 1.5'),
    ("l", "Owner = lee Load = 1.5"),
    (",", "lee, 1.5"),
    ("t", "lee\t1.5"),
    ("n", "lee\n1.5"),
    ("jh", " ID  Owner Load\n12.3 lee   1.5"),
    ("th", "Owner\tLoad\nlee\t1.5"),
])
def test_autoformat_letters_do_what_they_do_in_htcondor(letters, text):
    assert autoformat([AD], ["Owner", "Load"], letters) == text


def test_autoformat_shows_an_expression_as_written_when_asked():
    assert autoformat([AD], ["Rank"], "r") == "Memory * 2"


def test_autoformat_evaluates_expressions_in_the_ad():
    assert autoformat([{"Memory": 4, "Rank": "/Expr(Memory * 2)/"}], ["Rank", "Memory + 1", "strcat(\"a\", Memory)"]
                      ) == "8 5 a4"


def test_an_expression_that_cannot_be_read_is_refused_with_its_text():
    with pytest.raises(Problem, match=r"Memory \+' is not an expression"):
        autoformat([AD], ["Memory +"])


def test_an_unknown_autoformat_letter_is_refused_by_name():
    with pytest.raises(Problem, match="'x' is not one of its letters"):
        Autoformat.of_letters("jx")


def test_the_long_form_has_one_attribute_a_line_and_an_empty_line_between_ads():
    assert long_form([{"B": "x", "A": 1}, {"C": "/Expr(A)/"}]) == 'A = 1\nB = "x"\n\nC = A'
