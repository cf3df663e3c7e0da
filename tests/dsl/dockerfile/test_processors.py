"""Kinds of processors, and which build of a domain is best for each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.dockerfile import check
from dsl.dockerfile.processors import X86, BadProcessor, asked_variants, best, processor_of, runs, variants


@pytest.mark.parametrize(("microarch", "arch", "processor"), [
    ("x86_64-v3", "X86_64", "x86-64-v3"),
    ("x86_64-v1", "X86_64", "x86-64"),
    (None, "X86_64", "x86-64"),
    (None, "AARCH64", "aarch64"),
    ("neoverse", "AARCH64", "aarch64"),
    (None, None, "unknown"),
    (3, "not a\nname", "unknown"),
])
def test_the_kind_of_a_processor_is_named_as_compilers_do(microarch, arch, processor):
    assert processor_of(microarch, arch) == processor


@pytest.mark.parametrize(("named", "processor", "chosen"), [
    (("x86-64-v2", "x86-64-v3"), "x86-64-v4", "x86-64-v3"),
    (("x86-64-v3", "x86-64-v2"), "x86-64-v2", "x86-64-v2"),
    (("x86-64-v3",), "x86-64-v2", None),
    (("x86-64", "aarch64"), "aarch64", "aarch64"),
    (("x86-64",), "aarch64", None),
    ((), "x86-64", None),
])
def test_a_machine_has_the_best_that_its_processor_can_run(named, processor, chosen):
    assert best(named, processor) == chosen


@given(st.sets(st.sampled_from(X86)), st.sampled_from(X86))
def test_the_best_runs_and_nothing_better_of_them_does(named, processor):
    chosen = best(named, processor)
    assert chosen is None or (chosen in named and runs(processor, chosen))
    assert not [other for other in named if runs(processor, other) and (chosen is None or not runs(chosen, other))]


def test_what_names_no_processor_is_said_with_the_word():
    assert variants("x86_64-v3, x86-64-v2 x86-64-v3") == ("x86-64-v3", "x86-64-v2")
    with pytest.raises(BadProcessor) as bad:
        variants("x86-64-v2,&v3")
    assert bad.value.word == "&v3"
    with pytest.raises(BadProcessor, match="x86_64-v9"):
        variants("x86-64-v2, x86_64-v9")


def test_only_a_dockerfile_with_the_argument_has_variants():
    assert asked_variants({"version": "1"}, {}) is None
    assert asked_variants({"PESC_MICROARCH": None}, {}) == ()
    assert asked_variants({"PESC_MICROARCH": "x86-64-v2"}, {}) == ("x86-64-v2",)
    assert asked_variants({"PESC_MICROARCH": "x86-64-v2"}, {"PESC_MICROARCH": "x86-64-v3"}) == ("x86-64-v3",)


def test_a_word_that_is_no_processor_is_a_mistake_in_its_line():
    found = check("FROM base\nARG PESC_MICROARCH=v2/v3\nRUN make\n")
    assert [(said.line, said.column, said.what) for said in found.mistakes] == [
        (2, 5, "'v2/v3' is not a kind of processor")]
    assert check("FROM base\nARG PESC_MICROARCH=x86-64-v2,x86-64-v3\n").mistakes == []
    assert check('FROM base\nARG PESC_MICROARCH="x86-64-v2 x86-64-v3"\n').mistakes == []
    given = check("FROM base\nARG PESC_MICROARCH\n", arguments={"PESC_MICROARCH": "x86-64-v5"}).mistakes
    assert [(said.line, said.what, said.why) for said in given] == [
        (2, "'x86-64-v5' is not a kind of processor", "It was given: PESC_MICROARCH=x86-64-v5")]
    many = ",".join(f"k{number}" for number in range(9))
    assert [said.what for said in check(f"FROM base\nARG PESC_MICROARCH={many}\n").mistakes] == [
        "it names 9 kinds of processors"]
