"""What holds for every expression and every ad."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsl.classad import Ad, ClassAdSyntaxError, Expression, flatten, literal, parse, references, symmetric_match
from dsl.classad.tree import RecordTree, Tree
from tests.dsl.classad.encoding import encoded, same
from tests.dsl.classad.generators import scalars, trees

ads = st.lists(st.tuples(st.sampled_from(["A", "B", "Memory", "Cpus", "Requirements"]), trees), max_size=5).map(
    lambda items: Ad.from_trees(RecordTree(tuple({name: (name, tree) for name, tree in items}.values())))
)


@given(trees)
def test_reading_what_was_written_gives_the_same_expression(tree: Tree) -> None:
    expression = Expression(tree)
    assert parse(str(expression)) == expression


@given(scalars)
def test_a_literal_is_read_back_as_its_value(value: object) -> None:
    assert same(encoded(parse(str(literal(value))).evaluate()), encoded(literal(value).evaluate()))


@given(trees, ads, ads)
def test_evaluation_never_raises_and_always_gives_the_same(tree: Tree, my: Ad, target: Ad) -> None:
    first = Expression(tree).evaluate(my, target, now=1e9, seed=7)
    second = parse(str(Expression(tree))).evaluate(my, target, now=1e9, seed=7)
    assert same(encoded(first), encoded(second))


@given(trees, ads)
def test_what_is_left_after_flattening_is_worth_the_same(tree: Tree, my: Ad) -> None:
    expression = Expression(tree)
    flatten(expression, my)
    references(expression, my)


@given(ads, ads)
def test_matching_does_not_depend_on_who_asks(left: Ad, right: Ad) -> None:
    assert symmetric_match(left, right) == symmetric_match(right, left)


@given(st.text("()[]{}.,;:?!=<>&|^%*/+-~'\"\\ \n\tabMY019eE_é\0", max_size=30))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text: str) -> None:
    try:
        expression = parse(text)
    except ClassAdSyntaxError as fault:
        assert 1 <= fault.column <= len(text) + 1
        assert str(fault).startswith(f"line {fault.line}, column {fault.column}: ")
    else:
        assert str(parse(str(expression))).strip() == str(expression).strip()


@given(ads)
def test_an_ad_made_of_texts_is_the_ad_it_was_written_from(ad: Ad) -> None:
    assert Ad.from_texts({name: ad.text(name) for name in ad}) == ad
    assert Ad.parse(str(ad)) == ad
