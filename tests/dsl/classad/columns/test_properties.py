"""What holds for every expression over every pool."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.classad import Ad, Expression, symmetric_match
from dsl.classad.columns import Columns
from dsl.classad.tree import RecordTree, Tree
from tests.dsl.classad.columns.fuzz import identity
from tests.dsl.classad.generators import trees

ads = st.lists(
    st.tuples(st.sampled_from(["A", "B", "Memory", "Cpus", "Requirements", "Rank"]), trees), max_size=6
).map(lambda items: Ad.from_trees(RecordTree(tuple({name: (name, tree) for name, tree in items}.values()))))
pools = st.lists(ads, max_size=6)
updates = st.lists(st.tuples(st.integers(0, 6), st.none() | ads), max_size=4)


@given(trees, ads, pools, updates)
def test_columns_answer_as_ad_by_ad_before_and_after_any_update(
    tree: Tree, job: Ad, pool: list[Ad], changes: list[tuple[int, Ad | None]]
) -> None:
    expression = Expression(tree)
    columns: Columns[int] = Columns()
    held: dict[int, Ad] = {}

    def agree() -> None:
        assert set(columns.matching(job)) == {key for key, ad in held.items() if symmetric_match(job, ad)}
        ours = columns.evaluate(expression, job)
        assert ours.keys() == held.keys()
        assert [identity(ours[key]) for key in held] == [identity(expression.evaluate(job, ad)) for ad in held.values()]

    for key, ad in enumerate(pool):
        held[key] = ad
        columns.update(key, ad)
    agree()
    for key, change in changes:
        if change is not None:
            held[key] = change
            columns.update(key, change)
        elif key in held:
            del held[key]
            columns.remove(key)
        agree()


@pytest.mark.parametrize("module", ["dsl.classad", "startd.__main__", "cli.submit", "cli.eval"])
def test_who_does_not_ask_for_columns_does_not_load_numpy(module: str) -> None:
    program = f"import sys, {module}; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
