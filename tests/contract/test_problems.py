"""A refusal says what, why and what to do, in words and in a code."""

import msgspec
import pytest

from contract.problems import STATUS, Problem, ProblemBody

SAID_BY_THE_CLIENT = {"no_pool", "pool_stopped", "broken_answer"}


@pytest.mark.parametrize("code", STATUS)
def test_every_code_travels_with_an_error_status_unless_it_never_travels(code):
    status = Problem(code, "No.").status
    assert status == 0 if code in SAID_BY_THE_CLIENT else 400 <= status < 600


def test_a_code_of_a_newer_version_counts_as_our_fault():
    assert Problem("from_the_future", "No.").status == 500


def test_people_read_the_cure_on_a_line_of_its_own():
    assert str(Problem("not_found", "There is no job 12.", "See pesc_q.")) == "There is no job 12.\n  See pesc_q."
    assert str(Problem("not_found", "There is no job 12.")) == "There is no job 12."


def test_a_problem_comes_through_the_wire_whole():
    sent = Problem("not_yours", "job 42.7 belongs to dana; you are lee.", "Ask dana.")
    assert msgspec.json.decode(msgspec.json.encode(sent.body), type=ProblemBody) == sent.body
