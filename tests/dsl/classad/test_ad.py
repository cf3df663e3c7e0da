"""Ads as mappings: names without case, order kept, texts read late, parents behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dsl.classad import (
    ERROR,
    UNDEFINED,
    AbsTime,
    Ad,
    ClassAdSyntaxError,
    Expression,
    RelTime,
    is_true,
    literal,
    parse,
    parse_old,
    quote,
    symmetric_match,
)


def test_the_language_needs_lark_never_and_tables_and_functions_only_for_expressions() -> None:
    program = """
import sys
from dsl.classad import Ad, parse
Ad.from_texts({"A": "1", "B": '"x"', "C": "true"}).evaluate("A")
assert not {"dsl.classad.tables", "dsl.classad.functions"} & set(sys.modules)
parse("A + 1")
assert "dsl.classad.tables" in sys.modules
assert "lark" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_names_ignore_case_and_keep_spelling_and_order() -> None:
    ad = Ad.from_values({"Zeta": 1, "Alpha": 2})
    ad["ZETA"] = "3"
    ad["beta"] = parse("zeta + alpha")
    assert list(ad) == ["Zeta", "Alpha", "beta"]
    assert ad.evaluate("BETA") == 5
    assert "alpha" in ad and "gamma" not in ad
    del ad["ALPHA"]
    assert (list(ad), len(ad), ad.get("Alpha")) == (["Zeta", "beta"], 2, None)


def test_a_name_that_is_absent_is_undefined_to_evaluate_and_a_key_error_to_take() -> None:
    ad = Ad()
    assert ad.evaluate("Nothing") is UNDEFINED
    for take in (ad.__getitem__, ad.__delitem__, ad.text):
        with pytest.raises(KeyError):
            take("Nothing")


def test_an_ad_with_a_parent_shows_both_and_writes_to_itself() -> None:
    cluster = Ad.from_texts({"Owner": '"dana"', "RequestMemory": "Base * 2", "Base": "100"})
    job = Ad(parent=cluster)
    job["Base"] = "7"
    job["ProcId"] = "3"
    assert job.evaluate("RequestMemory") == 14
    assert cluster.evaluate("RequestMemory") == 200
    assert list(job) == ["Owner", "RequestMemory", "Base", "ProcId"]
    del job["Base"]
    assert job.evaluate("Base") == 100


def test_a_copy_lives_its_own_life() -> None:
    ad = Ad.from_values({"A": 1})
    twin = ad.copy()
    twin["A"] = "2"
    assert (ad.evaluate("A"), twin.evaluate("A")) == (1, 2)


def test_values_of_every_kind_come_back_as_they_went_in() -> None:
    values = {
        "Flag": True,
        "Count": -5,
        "Load": 0.1 + 0.2,
        "Name": 'quo"te\\ é\n',
        "List": [1, [2.5, "x"], UNDEFINED],
        "Start": AbsTime(1_700_000_000, 3600),
        "Idle": RelTime(90.0),
        "Broken": ERROR,
    }
    for ad in (Ad.from_values(values), Ad.parse(str(Ad.from_values(values)))):
        assert {name: ad.evaluate(name) for name in ad} == values


def test_a_record_is_worth_an_ad_of_values() -> None:
    ad = Ad.parse("[ A = 2; R = [ x = A + 1; y = { x, Nope } ] ]")
    record = ad.evaluate("R")
    assert isinstance(record, Ad)
    assert (record.evaluate("x"), record.evaluate("Y")) == (3, [3, UNDEFINED])


def test_a_value_without_a_text_is_refused() -> None:
    with pytest.raises(TypeError):
        literal(object())


def test_an_ad_is_read_as_one_or_refused() -> None:
    with pytest.raises(ClassAdSyntaxError):
        Ad.parse("1 + 1")


def test_quoted_text_is_read_back() -> None:
    assert parse(quote('a"b\\c\té')).evaluate() == 'a"b\\c\té'


def test_equal_expressions_have_equal_texts_and_hashes() -> None:
    assert parse("a+b") == parse(" a  +  b ")
    assert len({parse("a+b"), parse("a + b"), parse("a + (b)")}) == 2
    assert parse("a+b") != "a + b"


def test_parsing_the_same_text_again_gives_the_same_expression() -> None:
    assert parse("Cpus > 3") is parse("Cpus > 3")


def test_time_and_chance_come_from_outside() -> None:
    assert parse("time()").evaluate() is UNDEFINED
    assert parse("random()").evaluate() is UNDEFINED
    assert parse("time() - 10").evaluate(now=1000.9) == 990
    assert parse("CurrentTime").evaluate(Ad(), now=1000.0) == 1000
    drawn = [parse("random(1000)").evaluate(seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_match_needs_both_sides() -> None:
    job = Ad.parse("[ RequestCpus = 2; Requirements = TARGET.Cpus >= RequestCpus ]")
    machine = Ad.parse("[ Cpus = 4; Start = TARGET.RequestCpus < 3; Requirements = Start ]")
    assert symmetric_match(job, machine) and symmetric_match(machine, job)
    job["RequestCpus"] = "3"
    assert not symmetric_match(job, machine)
    assert not symmetric_match(job, Ad.from_values({"Cpus": 4}))


@pytest.mark.parametrize(
    ("value", "grants"),
    [
        (True, True),
        (False, False),
        (2, True),
        (0, False),
        (0.5, True),
        ("true", False),
        (UNDEFINED, False),
        (ERROR, False),
    ],
)
def test_only_true_and_numbers_other_than_zero_grant(value: object, grants: bool) -> None:
    assert is_true(value) is grants


def test_evaluating_leaves_the_ad_as_it_was() -> None:
    ad = Ad.parse("[ A = B; B = 1; L = { A } ]")
    before = str(ad)
    assert (ad.evaluate("A"), ad.evaluate("L")) == (1, [1])
    assert str(ad) == before


def test_an_expression_is_told_from_its_value() -> None:
    assert literal(5).is_literal and not parse("2 + 3").is_literal
    assert isinstance(parse("2 + 3"), Expression)


@pytest.mark.parametrize(("written", "read"), [
    ("1K", "1"), ("1 + 2K", "1 + 2"), ("-1KB * 2", "-1"), ("1.5G", "1.500000000000000E+00"), ("x.1K", "x"),
    ("1E5x", "1.000000000000000E+05"), ("1.5.5", "1.500000000000000E+00"), ("0K", "0"),
    ("1e", None), ("0x1F", None), ("1.", None), ("00K", None), ("(1K)", None),
])
def test_a_word_that_follows_a_number_in_old_syntax_is_left_out(written: str, read: str | None) -> None:
    ad = parse_old(f"A = {written}\nB = 2")
    assert (str(ad["A"]) if "A" in ad else None) == read
    assert "B" in ad
