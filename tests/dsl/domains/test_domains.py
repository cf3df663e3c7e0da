"""Recipes, their keys, and the ready entries."""

from pathlib import Path

import pytest

from dsl.dockerfile import check
from dsl.domains import BadPackage, entry_of, key_of, with_packages

STORE = Path(__file__).parents[3] / "dsl" / "domains" / "store"
ENTRIES = [entry_of(about.stem, about.read_text(), about.with_suffix(".Dockerfile").read_text())
           for about in sorted(STORE.glob("*.toml"))]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_ready_domain_has_no_mistake_and_says_what_its_parameters_are_for(entry):
    found = check(entry.dockerfile, entry.name)
    assert (found.mistakes, found.warnings) == ([], [])
    assert entry.parameters.keys() == entry.defaults.keys()
    assert entry.description
    with_packages(entry.dockerfile, ["x"], entry.packages)


def test_the_store_has_what_laboratories_ask_for():
    assert {entry.name for entry in ENTRIES} == {
        "base", "base-debian", "python", "scipy", "r", "java", "c", "julia", "octave", "pytorch", "rust"}


def test_the_same_content_has_the_same_key_however_it_is_written():
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert key_of("FROM base\r\nRUN x \n", one, "") == key_of("FROM base\nRUN x", other, "")


@pytest.mark.parametrize("other", [
    ("FROM base\nRUN y", {}, ""), ("FROM base", {"a": "1"}, ""), ("FROM base", {}, "0" * 64)])
def test_another_content_has_another_key(other):
    assert key_of(*other) != key_of("FROM base", {}, "")


def test_packages_become_lines_sorted_so_that_their_order_makes_no_other_image():
    one = with_packages("FROM base\n", ["scipy", "apt:graphviz", "numpy>=2"])
    assert one == with_packages("FROM base\n", ["numpy>=2", "scipy", "apt:graphviz"])
    assert one.startswith("FROM base\nRUN apt-get update")
    assert one.endswith("'numpy>=2' scipy\n")
    assert check(one).mistakes == []


def test_plain_names_are_what_the_domain_has():
    assert "apt-get install -y --no-install-recommends jq" in with_packages("", ["jq"], "apt")
    assert "Rscript" in with_packages("", ["dplyr"], "r")
    assert "Pkg.add" in with_packages("", ["DataFrames"], "julia")
    assert "octave-signal" in with_packages("", ["signal"], "octave")


@pytest.mark.parametrize("package", [";rm", "a b", "$(x)", "x'y", "npm:x", "apt:x>=2", "r:x==1", "-x", ""])
def test_what_is_no_package_is_refused(package):
    with pytest.raises(BadPackage):
        with_packages("FROM base", [package])
