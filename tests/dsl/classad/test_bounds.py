"""Evaluation is bounded in time, memory and depth, whatever the ad says."""

from __future__ import annotations

import time

import pytest

from dsl.classad import ERROR, UNDEFINED, Ad, ClassAdSyntaxError, Expression, flatten, literal, parse
from dsl.classad.tree import Literal, Parenthesis, Tree


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000 + "1" + ")" * 100_000,
        "{" * 100_000,
        "!" * 100_000 + "true",
        "- " * 100_000 + "1",
        "a" + ".b" * 10_000,
        "1" + " + 1" * 10_000,
        "a ? b : " * 10_000 + "c",
        "f(" * 1_000 + ")" * 1_000,
        "x ?: " * 10_000 + "y",
        "1" * 100_000,
        '"' + "a" * (1 << 21) + '" + 1',
    ],
    ids=lambda text: text[:10],
)
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(ClassAdSyntaxError):
        parse(text)


def test_a_policy_of_ten_thousand_clauses_is_no_deep_one() -> None:
    clauses = " || ".join(f'Machine == "n{number}"' for number in range(10_000))
    assert parse(clauses).evaluate(Ad.parse('[Machine = "n9999"]')) is True


@pytest.mark.parametrize("text", [
    "{" + "1," * 500_000 + "1}", "[" + "a = 1; " * 140_000 + "]", "a && " * 200_000 + "b",
    "f(" + "1, " * 300_000 + "1)",
], ids=lambda text: text[:10])
def test_long_lists_are_read_in_linear_time(text: str) -> None:
    before = time.process_time()
    parse(text)
    # Copying what was read for every element would take minutes; this is no measurement.
    assert time.process_time() - before < 20


def test_a_text_of_more_than_a_megabyte_is_refused_whatever_it_holds() -> None:
    with pytest.raises(ClassAdSyntaxError, match="longer than"):
        parse('"' + "a" * (1 << 20) + '"')


def test_nesting_as_deep_as_htcondor_allows_is_evaluated() -> None:
    assert parse("(" * 150 + "1" + ")" * 150).evaluate() == 1
    assert parse("1" + " + 1" * 150).evaluate() == 151


def test_circular_references_are_undefined() -> None:
    ad = Ad.parse("[ a = b; b = c + 1; c = a; l = { l }; r = [ s = r ]; d = d ?: 5 ]")
    assert ad.evaluate("a") is UNDEFINED
    assert ad.evaluate("d") == 5
    assert ad.evaluate("l") == [UNDEFINED]


def test_a_circle_through_the_elements_of_a_list_ends() -> None:
    assert Ad.parse("[ v = evalInEachContext(v > 1, {[ v = 2 ]}) ]").evaluate("v") == [True]
    assert isinstance(Ad.parse("[ v = countMatches(v, {[ w = v ]}) ]").evaluate("v"), int)
    assert Ad.parse('[ v = eval("v") ]').evaluate("v") is UNDEFINED


def test_a_long_chain_of_attributes_is_an_error_and_not_a_crash() -> None:
    ad = Ad.from_texts({f"a{number}": f"a{number + 1} + 1" for number in range(5_000)} | {"a5000": "1"})
    assert ad.evaluate("a0") is ERROR
    assert ad.evaluate("a4990") == 11


def test_exponential_work_runs_out_of_steps() -> None:
    ad = Ad.from_texts({f"a{number}": f"a{number + 1} + a{number + 1}" for number in range(64)} | {"a64": "B + 1"})
    assert ad.evaluate("a0") is ERROR


def test_exponential_lists_run_out_of_steps() -> None:
    ad = Ad.from_texts({f"a{number}": f"{{ a{number + 1}, a{number + 1} }}" for number in range(64)} | {"a64": "1"})
    assert isinstance(ad.evaluate("a0"), list)


def test_strings_do_not_grow_beyond_a_megabyte() -> None:
    ad = Ad.from_texts(
        {f"s{number}": f"strcat(s{number + 1}, s{number + 1})" for number in range(40)} | {"s40": '"ab"'}
    )
    assert ad.evaluate("s30") == "ab" * 1024
    assert ad.evaluate("s0") is ERROR


def test_long_strings_cannot_be_read_without_end() -> None:
    elements = ", ".join(f"[ n = {number} ]" for number in range(2_000))
    ad = Ad.parse(f"[ all = {{ {elements} }} ]")
    ad["s"] = literal("a" * 1_000_000)
    assert parse("countMatches(s == s, all)").evaluate(ad) in range(2_000)
    assert parse("countMatches(size(toUpper(s)) > n, all)").evaluate(ad) in range(2_000)


def test_flattening_follows_no_chain_without_end() -> None:
    chain = Ad.from_texts({f"a{number}": f"a{number + 1} + a{number + 1}" for number in range(2_000)} | {"a2000": "1"})
    assert str(flatten(parse("a0 + x"), chain)) == "a0 + x"


def test_a_string_of_a_megabyte_is_worked_on() -> None:
    ad = Ad.from_values({"s": "a," * 500_000})
    assert ad.evaluate("s") == "a," * 500_000
    assert parse("size(toUpper(s))").evaluate(ad) == 1_000_000
    assert parse('stringListMember("b", s)').evaluate(ad) is False


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("(a+)+$", False),
        ("(a*)*b$", True),
        ("(a|aa)+$", False),
        ("(a|a?)+c", False),
        ("a*a*a*a*a*a*c", False),
        ("(.*)(.*)(.*)(.*)(.*)[^ab]", False),
        ("((a{1,9}){1,9}){1,9}b", ERROR),
        (r"(a+)+\1c", ERROR),
    ],
)
def test_catastrophic_patterns_are_answered_or_refused_at_once(pattern: str, found: object) -> None:
    assert parse("regexp(p, t)").evaluate(Ad.from_values({"p": pattern, "t": "a" * 5_000 + "b"})) is found


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^slot[0-9]+@(n[0-9]+)\.example\.org$", "slot1@n12.example.org", True),
        (r"^([a-z0-9-]+\.)*example\.org$", "a.b.c.example.org", True),
        (r".*gpu.*", "my-gpu-node" * 100, True),
        (r"(linux|darwin|windows)-\w+", "x-linux-y", True),
        (r"^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$", "192.168.17.250", True),
    ],
)
def test_patterns_of_real_policies_are_run(pattern: str, text: str, found: bool) -> None:
    assert parse("regexp(p, t)").evaluate(Ad.from_values({"p": pattern, "t": text})) is found


def test_a_tree_made_by_hand_may_be_too_deep_but_does_not_raise() -> None:
    tree: Tree = Literal(1)
    for _ in range(400):
        tree = Parenthesis(tree)
    assert Expression(tree).evaluate() in (1, ERROR)


def test_a_broken_text_is_an_error_where_it_is_used_and_nowhere_else() -> None:
    ad = Ad.from_texts({"Good": "1 + 1", "Bad": "1 +", "UsesBad": "Good + Bad"})
    assert (ad.evaluate("Good"), ad.evaluate("Bad"), ad.evaluate("UsesBad")) == (2, ERROR, ERROR)
    assert ad.text("Bad") == "1 +"
    with pytest.raises(ClassAdSyntaxError) as caught:
        ad.check()
    assert caught.value.text == "1 +"
