"""Where columns are easily wrong: each of these once was, here or in a prototype."""

from __future__ import annotations

import pytest

from dsl.classad import ERROR, UNDEFINED, Ad, Value, literal, parse
from dsl.classad.columns import Columns
from tests.dsl.classad.columns.fuzz import identity

MAX, MIN = (1 << 63) - 1, -(1 << 63)
VALUES = [
    0, 1, 2, -1, 3, MAX, MIN, 1 << 53, (1 << 53) + 1, True, False, 0.0, -0.0, 1.0, 2.5, float("nan"), float("inf"),
    float("-inf"), 2.0**53, 2.0**63, 1e300, "", "a", "A", "abc", "é", "É", UNDEFINED, ERROR,
]


def pool_of(*ads: str | Ad) -> Columns[int]:
    columns: Columns[int] = Columns()
    for key, ad in enumerate(ads):
        columns.update(key, Ad.parse(ad) if isinstance(ad, str) else ad)
    return columns


def of_values(values: list[Value]) -> Columns[int]:
    return pool_of(*(Ad.from_values({"X": value}) for value in values), "[]")


def job(requirements: str, **attributes: Value) -> Ad:
    ad = Ad.from_values(attributes)
    ad["Requirements"] = requirements
    return ad


def accepting(*ads: str) -> Columns[int]:
    return pool_of(*(ad.replace("[", "[ Requirements = true; ", 1) for ad in ads))


@pytest.mark.parametrize(
    "expression",
    [f"TARGET.X {operator} Y" for operator in
     "+ - * / % & | ^ << >> >>> == != < <= > >= =?= =!= && ||".split()]
    + [f"Y {operator} TARGET.X" for operator in "- / % << < =?= && ||".split()]
    + ["-TARGET.X", "+TARGET.X", "!TARGET.X", "~TARGET.X", "TARGET.X ?: Y", "TARGET.X ? Y : 7",
       "ifThenElse(Y, TARGET.X, 0)", "isUndefined(TARGET.X)", "isError(TARGET.X)", "TARGET.X || (Y && TARGET.X) || Y"],
)
def test_every_operator_agrees_on_every_pair_of_values(expression: str) -> None:
    columns = of_values(VALUES)
    for value in VALUES:
        my = Ad.from_values({"Y": value})
        ours = columns.evaluate(parse(expression), my)
        theirs = {key: parse(expression).evaluate(my, columns[key]) for key in columns}
        assert {key: identity(it) for key, it in ours.items()} == {key: identity(it) for key, it in theirs.items()}


def test_jobs_that_python_takes_for_equal_are_told_apart() -> None:
    columns = accepting("[ X = 1 ]", "[ X = 1.0 ]", "[ X = true ]")
    for value, matches in ((1, {0}), (1.0, {1}), (True, {2}), (1, {0})):
        assert set(columns.matching(job("TARGET.X =?= Y", Y=value))) == matches


def test_zero_and_negative_zero_are_told_apart() -> None:
    columns = accepting("[ X = -1.0 ]")
    requirements = "TARGET.X / Y < 0 && !isError(TARGET.X / Y)"
    assert set(columns.matching(job(requirements, Y=0.0))) == {0}
    assert set(columns.matching(job(requirements, Y=-0.0))) == set()
    assert set(columns.matching(job(requirements, Y=0.0))) == {0}


def test_a_machines_zero_that_becomes_negative_is_a_change() -> None:
    columns = accepting("[ X = 0.0 ]")
    assert set(columns.matching(job("-1.0 / TARGET.X < 0"))) == {0}
    columns.update(0, Ad.parse("[ Requirements = true; X = -0.0 ]"))
    assert set(columns.matching(job("-1.0 / TARGET.X < 0"))) == set()


def test_an_attribute_that_is_an_expression_counts_with_all_it_reads() -> None:
    columns = accepting("[ Memory = 8 ]", "[ Memory = 2 ]")
    requirements = "TARGET.Memory >= RequestMemory"
    for base, matches in ((1, {0, 1}), (2, {0}), (5, set())):
        asking = job(requirements, Base=base)
        asking["RequestMemory"] = "Base * 2"
        assert set(columns.matching(asking)) == matches
    assert set(columns.matching(job(requirements, RequestMemory=2))) == {0, 1}


def test_two_expressions_of_the_same_value_do_not_share_an_answer() -> None:
    columns = accepting("[ X = 4 ]")
    for text, matches in (("A + 2", {0}), ("A * 2", {0}), ("A - 2", set())):
        asking = job("TARGET.X == Y", A=2)
        asking["Y"] = text
        assert set(columns.matching(asking)) == matches
    asking["A"] = "6"
    assert set(columns.matching(asking)) == {0}


def test_integers_and_reals_are_compared_as_reals() -> None:
    columns = accepting(f"[ X = {(1 << 53) + 1} ]")
    assert set(columns.matching(job("TARGET.X == Y", Y=2.0**53))) == {0}
    assert set(columns.matching(job("TARGET.X == Y", Y=1 << 53))) == set()


def test_a_string_beside_a_logical_operator_is_an_error_unless_the_left_side_decides() -> None:
    columns = pool_of('[ X = "s" ]', "[ X = true ]", "[ X = false ]", "[ X = error ]", "[]")
    values = {text: columns.evaluate(parse(text)) for text in
              ("TARGET.X && true", "false && TARGET.X", "TARGET.X || true", "true || TARGET.X", "TARGET.X && false")}
    assert list(values["TARGET.X && true"].values()) == [ERROR, True, False, ERROR, UNDEFINED]
    assert list(values["false && TARGET.X"].values()) == [False] * 5
    assert list(values["TARGET.X || true"].values()) == [ERROR, True, True, ERROR, True]
    assert list(values["true || TARGET.X"].values()) == [True] * 5
    assert list(values["TARGET.X && false"].values()) == [ERROR, False, False, ERROR, False]


def test_an_absent_attribute_falls_through_and_an_undefined_one_does_not() -> None:
    columns = pool_of("[ Requirements = Y == 1 ]", "[ Requirements = Y == 1; Y = undefined ]")
    assert set(columns.matching(job("true", Y=1))) == {0}
    assert set(columns.matching(job("true", Y=2))) == set()


def test_the_order_of_strings_ignores_case() -> None:
    columns = accepting('[ X = "apple" ]', '[ X = "Banana" ]', '[ X = "cherry" ]', "[ X = 1 ]")
    assert set(columns.matching(job('TARGET.X < "BANANA"'))) == {0}
    assert set(columns.matching(job('TARGET.X >= "bananA"'))) == {1, 2}


def test_an_answer_that_depends_on_the_time_is_asked_again() -> None:
    columns = accepting("[ Until = 100 ]")
    for requirements in ("time() < TARGET.Until", "CurrentTime < TARGET.Until", 'formatTime() != "x" && time() < 100'):
        for now, matches in ((50, {0}), (150, set()), (99.5, {0}), (None, set())):
            assert set(columns.matching(job(requirements), now=now)) == matches


def test_expressions_that_lead_to_one_another_are_undefined() -> None:
    columns = pool_of("[ Requirements = TARGET.Requirements ]", "[ Requirements = A; A = B; B = A ]",
                      "[ Requirements = Start; Start = TARGET.Rank; Rank = MY.Start ]")
    asking = job("TARGET.Requirements =?= undefined", Rank=True)
    asking["Rank"] = "TARGET.Start"
    expected = {key for key in columns if asking.evaluate("Requirements", columns[key]) is True
                and columns[key].evaluate("Requirements", asking) is True}
    assert set(columns.matching(asking)) == expected


def test_a_name_looked_up_by_its_text_is_found() -> None:
    columns = accepting("[ A = 1; N = \"A\" ]", "[ A = 2; N = \"A\" ]")
    for requirements in ('eval("TARGET.A") == 1', 'TARGET["A"] == 1', "TARGET[TARGET.N] == 1"):
        assert set(columns.matching(job(requirements))) == {0}
        columns.update(1, Ad.parse('[ Requirements = true; A = 1; N = "A" ]'))
        assert set(columns.matching(job(requirements))) == {0, 1}
        columns.update(1, Ad.parse('[ Requirements = true; A = 2; N = "A" ]'))


def test_what_takes_the_ads_out_of_sight_does_so_for_the_conjuncts_after_it() -> None:
    columns = accepting("[ Memory = 8; GPUs = {[ A = 1 ]} ]", "[ Memory = 8; GPUs = {[ A = 1 ]}; Wanted = true ]")
    asking = job("countMatches(Wanted, TARGET.GPUs) >= 0 && TARGET.Memory > 4")
    assert set(columns.matching(asking)) == {
        key for key in columns if asking.evaluate("Requirements", columns[key]) is True}


def test_policies_differ_from_machine_to_machine() -> None:
    texts = ["Start", "true", "Start && Memory > 4", "RequestMemory <= Memory", "false", "1", "Nope"]
    starts = ["true", "RequestMemory < 5", "Owner == \"dana\"", "false"]
    ads = [f"[ Requirements = {text}; Start = {start}; Memory = {memory} ]"
           for text in texts for start in starts for memory in (2, 8)]
    columns = pool_of(*ads, *(f"[ Requirements = Memory > {number}; Memory = 20 ]" for number in range(40)))
    for owner, memory in (("dana", 1), ("lee", 3), ("lee", 6)):
        asking = job("true", Owner=owner, RequestMemory=memory)
        assert set(columns.matching(asking)) == {
            key for key in columns if columns[key].evaluate("Requirements", asking) in (True, 1)}


def test_a_part_that_costs_much_is_not_given_a_budget_of_its_own() -> None:
    columns = accepting('[ Names = "' + "a," * 500 + '" ]')
    clause = "size(split(TARGET.Names)) > 1 && "
    for count in (1, 30, 300):
        asking = job(clause * count + "true")
        assert bool(columns.matching(asking)) is (asking.evaluate("Requirements", columns[0]) is True)


def test_ties_of_rank_go_to_who_came_first() -> None:
    columns = accepting("[ N = 1 ]", "[ N = 2 ]", "[ N = 1 ]", '[ N = "x" ]', "[]", "[ N = -1 ]", "[ N = 2 ]")
    asking = job("true")
    asking["Rank"] = "TARGET.N"
    assert columns.ranked(asking) == [1, 6, 0, 2, 3, 4, 5]
    columns.remove(1)
    columns.update(9, Ad.parse("[ Requirements = true; N = 2 ]"))
    assert columns.ranked(asking) == [6, 9, 0, 2, 3, 4, 5]


def test_a_pool_that_grows_past_a_block_answers_for_all() -> None:
    columns: Columns[int] = Columns()
    asking = job("Y == 1", Y=1)
    for key in range(300):
        columns.update(key, Ad.parse("[ Requirements = true ]"))
        assert len(columns.matching(asking)) == key + 1
    for key in range(0, 300, 2):
        columns.remove(key)
    assert set(columns.matching(asking)) == set(range(1, 300, 2))
    assert (0 in columns.matching(asking), 1 in columns.matching(asking)) == (False, True)


def test_an_empty_pool_and_a_job_without_requirements_match_nothing() -> None:
    columns: Columns[int] = Columns()
    assert set(columns.matching(job("true"))) == set()
    columns.update(1, Ad.parse("[ Requirements = true ]"))
    assert (set(columns.matching(Ad())), columns.ranked(Ad())) == (set(), [])
    assert literal(columns.evaluate(parse("1 + 1"))[1]) == literal(2)
    with pytest.raises(KeyError):
        columns.remove(2)
