"""The table of the HTTP API can be served as it stands: every call means one row."""

import re
from itertools import combinations

import pytest

from contract.endpoints import ANYONE, ENDPOINTS, Role


def test_every_row_has_a_name_of_its_own():
    names = [endpoint.name for endpoint in ENDPOINTS]
    assert len(set(names)) == len(names)


def could_be_the_same_call(one, other):
    pattern = re.sub(r"\{\w+\}", "[^/]+", one.path)
    return one.method == other.method and re.fullmatch(pattern, re.sub(r"\{\w+\}", "x", other.path))


def test_no_call_means_two_rows():
    assert [(one.name, other.name) for one, other in combinations(ENDPOINTS, 2)
            if could_be_the_same_call(one, other) or could_be_the_same_call(other, one)] == []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_row_is_versioned_and_explained(endpoint):
    assert endpoint.path.startswith("/v1/") or endpoint.path == "/metrics"
    assert endpoint.method in {"GET", "HEAD", "POST", "PUT", "DELETE"}
    assert len(endpoint.summary) > 10
    assert len(set(endpoint.query)) == len(endpoint.query)


def test_without_a_token_one_learns_only_who_answers():
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.roles == ANYONE} == {"version", "openapi"}


def test_every_row_that_asks_for_a_token_lets_administrators_in():
    assert [endpoint.name for endpoint in ENDPOINTS if endpoint.roles and Role.ADMIN not in endpoint.roles] == []
