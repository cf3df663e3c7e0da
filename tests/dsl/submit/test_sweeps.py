"""Sweeps and tables: rows that are computed, typed, and told with the job."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl import classad
from dsl.submit import Expander, SubmitErrors
from dsl.submit.sweeps import Axis, Rows, decimal


def values(description, attribute):
    expander = description.expander()
    return [expander.attributes(1, proc)[attribute] for proc in range(description.count)]


def test_a_sweep_is_the_product_of_its_axes_in_written_order(described):
    found = described("process = a.py\nparameters = $(alpha) $(seed)\nsweep alpha in 0.1..0.2 step 0.1, seed in 1..3\n")
    assert found.count == 6
    assert values(found, "PescParameters") == [
        '{ "0.1", "1" }', '{ "0.1", "2" }', '{ "0.1", "3" }', '{ "0.2", "1" }', '{ "0.2", "2" }', '{ "0.2", "3" }']


def test_steps_are_exact(described):
    found = described("process = a.py\nparameters = $(x)\nsweep x in 0.1..1.0 step 0.1\n")
    assert [text.split('"')[1] for text in values(found, "PescParameters")] == [
        "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]


@pytest.mark.parametrize(("axis", "cells"), [
    ("x in 3..1", ["3", "2", "1"]), ("x in -1..1", ["-1", "0", "1"]), ("x in 1..7 step 3", ["1", "4", "7"]),
    ("x in 1e-3..3e-3 step 1e-3", ["0.001", "0.002", "0.003"]), ("x in (adam, \"a, b\", 3)", ["adam", "a, b", "3"]),
    ("x in 0.5..-0.5 step -0.5", ["0.5", "0.0", "-0.5"]),
])
def test_ranges_and_lists(described, axis, cells):
    found = described(f"process = a.py\nparameters = $(x)\nsweep {axis}\n")
    assert [row[0] for row in Rows(found.sweep)] == cells


def test_an_end_that_is_not_reached_is_said(described):
    found = described("process = a.py\nparameters = $(x)\nsweep x in 1..2 step 0.3\n")
    assert [said.what for said in found.warnings] == ["2 is not reached; the last x is 1.9"]


def test_a_value_beside_a_sweep_of_the_name_is_said_to_be_unused(described):
    found = described("process = a.py\nx = 9\nparameters = $(x)\nsweep x in 1..2\n")
    assert [(said.line, said.what) for said in found.warnings] == [(2, '"x" is swept, and this value is not used')]


def test_repetitions_go_round_within_a_row(described):
    found = described("process = a.py\nrepetitions = 2\nparameters = $(x) $(Step)\nsweep x in 1..2\n")
    assert values(found, "PescParameters") == ['{ "1", "0" }', '{ "1", "1" }', '{ "2", "0" }', '{ "2", "1" }']


def test_every_job_knows_its_row(described):
    found = described("process = a.py\nsweep alpha in 0.5..1.0 step 0.5, how in (fast, slow)\n")
    assert values(found, "PescRow") == [
        '[ alpha = 0.5; how = "fast" ]', '[ alpha = 0.5; how = "slow" ]',
        '[ alpha = 1.0; how = "fast" ]', '[ alpha = 1.0; how = "slow" ]']


def test_a_row_is_json_with_numbers_as_they_are_written(described):
    found = described("process = a.py\nrepetitions = 2\nsweep x in 0.10..0.20 step 0.10, ok in (true, False)\n"
                      'table @=END\nname,code\n"an ""ä"", with a comma",007\n@END\n')
    rows = [found.expander().row(proc) for proc in range(found.count)]
    ends = '"name": "an \\"ä\\", with a comma", "code": "007"}'
    assert rows == [(f'{{"x": {x}, "ok": {ok}, {ends}', step)
                    for x in ("0.10", "0.20") for ok in ("true", "false") for step in (0, 1)]
    assert json.loads(rows[0][0]) == {"x": 0.1, "ok": True, "name": 'an "ä", with a comma', "code": "007"}


def test_a_job_of_no_sweep_has_no_row(described):
    assert described("process = a.py\nrepetitions = 2\n").expander().row(1) == ("", 0)


@pytest.mark.parametrize(("cell", "kind", "value"), [
    ("+5", "number", 5), ("-0.5e-3", "number", -0.0005), ("007", "number", "007"), ("1e999", "number", "1e999"),
    ("NaN", "number", "NaN"), ("TRUE", "truth", True), ("yes", "truth", "yes"), ("1", "text", "1"),
    ("a\nb\0", "text", "a\nb\0"),
])
def test_whatever_stands_in_a_cell_its_row_is_json_on_one_line(cell, kind, value):
    text = Rows([Axis(["x"], [kind], 1, rows=[[cell]])]).json(0)
    assert json.loads(text) == {"x": value}
    assert "\n" not in text


def test_macros_make_a_sweep(described):
    assert described("process = a.py\nn = 4\nsweep x in 1..$(n)\nparameters = $(x)\n").count == 4


def test_a_table_is_typed_by_its_columns(described):
    table = 'name,n,x,ok,code\n"a, ""b""",1,0.5,true,007\nc,2,1,False,008\n'
    found = described("process = a.py\nparameters = $(name)\ntable t.csv\n", files={"t.csv": table})
    row = classad.parse(values(found, "PescRow")[0])
    assert str(row) == str(classad.parse('[ name = "a, \\"b\\""; n = 1; x = 0.5; ok = true; code = "007" ]'))


def test_rows_of_a_table_end_where_lines_do_and_nowhere_else(described):
    files = {"t.csv": 'x,y\r\na\u2028b,"c\x0cd"\r\ne,f\n'}
    found = described("process = a.py\nparameters = $(x)\ntable t.csv\n", files=files)
    assert found.count == 2
    assert found.sweep[0].rows == [["a\u2028b", "c\x0cd"], ["e", "f"]]


def test_a_table_may_stand_in_the_file_and_beside_a_sweep(described):
    text = "process = a.py\nparameters = $(k) $(seed)\ntable @=END\nk;v\n1;x\n2;y\n@END\nsweep seed in 1..2\n"
    assert values(described(text), "PescRow") == [
        '[ k = 1; v = "x"; seed = 1 ]', '[ k = 1; v = "x"; seed = 2 ]',
        '[ k = 2; v = "y"; seed = 1 ]', '[ k = 2; v = "y"; seed = 2 ]']


@pytest.mark.parametrize(("table", "line", "what"), [
    ("", 1, "the table is empty"),
    ("a,b\n", 1, "the table has no rows"),
    ("a,b\n1,2\n3\n", 3, "this row has 1 cell, and there are 2 columns"),
    ("a,A\n1,2\n", 1, "two columns are called A"),
    ("learning rate\n1\n", 1, "'learning rate' is not a name for a column"),
    ('a\n"x"y\n', 2, "this row is not CSV: ',' expected after '\"'"),
])
def test_mistakes_in_a_table_are_said_at_their_line(mistakes, table, line, what):
    found = mistakes("process = a.py\ntable t.csv\n", files={"t.csv": table})
    assert [(said.file, said.line, said.what) for said in found] == [("t.csv", line, what)]


def test_mistakes_in_a_table_of_the_file_itself_are_said_at_their_line(mistakes):
    found = mistakes("process = a.py\ntable @=END\na,b\n1\n@END\n")
    assert [(said.file, said.line) for said in found] == [("job.pesc", 4)]


@pytest.mark.parametrize("line", ["sweep x in 1..", "table nope.csv", "table @=E\nx\n@E", "queue x from nope.txt"])
def test_names_of_a_line_that_is_wrong_are_not_missed(mistakes, line):
    assert len(mistakes(f"process = a.py\nparameters = $(x)\n{line}\n")) == 1


def test_items_and_a_sweep_are_too_much(mistakes):
    found = mistakes("process = a.py\nparameters = $(x) $(y)\nsweep x in 1..3\nqueue y in (a b)\n")
    assert [said.what for said in found] == ["a queue line with items beside a sweep or a table"]


def test_a_million_rows_are_not_stored(described):
    found = described("process = a.py\nparameters = $(x) $(y)\nsweep x in 1..1000, y in 0.001..1.000 step 0.001\n")
    assert (found.count, found.items, [axis.rows for axis in found.sweep]) == (1_000_000, [], [[], []])
    assert found.job(1, 999_999)["PescRow"] == "[ x = 1000; y = 1.000 ]"


axes = st.builds(Axis, st.lists(st.text(max_size=3), max_size=2), st.lists(st.text(max_size=6), max_size=2),
                 st.integers(-2, 5), st.integers(), st.integers(), st.integers(-3, 40),
                 st.lists(st.lists(st.text(max_size=3), max_size=2), max_size=3))


@given(st.lists(axes, max_size=3), st.integers(-3, 10))
def test_a_hostile_sweep_is_expanded_or_refused(sweep, proc):
    try:
        expander = Expander({"+A": "$(a)"}, {}, [], [], 1, sweep=sweep)
        made = expander.attributes(1, proc)
    except SubmitErrors:
        return
    row, _ = expander.row(proc)
    assert isinstance(json.loads(row) if sweep else row, dict if sweep else str)
    for text in made.values():
        classad.parse(text)


@given(st.integers(-10**18, 10**18), st.integers(0, 17))
def test_decimals_are_written_exactly(number, places):
    from fractions import Fraction

    assert Fraction(decimal(number, places)) == Fraction(number, 10**places)
