"""Nobody gets in with a token that this pool did not sign, or that is over."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import tokens
from contract.endpoints import BY_NAME, Role
from contract.problems import Problem
from tests.builders import NOON, claims

SECRET = b"thirty-two bytes of this pool's."
TOKEN = tokens.sign(claims(), SECRET)


def refusal(token, secret=SECRET, pool="lab", now=NOON):
    with pytest.raises(Problem) as caught:
        tokens.check(token, secret, pool, now)
    return caught.value


@given(st.builds(
    tokens.Claims, user=st.text(), pool=st.just("lab"), roles=st.lists(st.sampled_from(Role)),
    expires_at=st.floats(min_value=NOON + 1, max_value=1e12),
))
def test_what_was_signed_is_what_is_proved(signed):
    assert tokens.check(tokens.sign(signed, SECRET), SECRET, "lab", NOON) == signed


def is_accepted(token):
    try:
        tokens.check(token, SECRET, "lab", NOON)
    except Problem as problem:
        assert problem.code == "bad_token"
        return False
    return True


@pytest.mark.parametrize("kept", [0, 1], ids=["changed", "added"])
def test_no_single_character_can_be_changed_or_added(kept):
    """All of them are tried: base64 has several spellings of the same bytes."""
    others = [TOKEN[:position] + character + TOKEN[position + 1 - kept:]
              for position in range(len(TOKEN) + 1) for character in string.printable + "é\ud800"]
    assert [token for token in others if token != TOKEN and is_accepted(token)] == []


@given(st.text(max_size=200))
def test_no_text_at_all_makes_more_than_a_refusal(text):
    assert refusal(text).code == "bad_token"
    assert refusal(f"pesc1.{text}.{text}").code == "bad_token"


def test_another_secret_proves_nothing():
    assert refusal(TOKEN, secret=b"another").code == "bad_token"


def test_the_token_of_another_pool_is_refused_by_name():
    problem = refusal(TOKEN, pool="other")
    assert problem.code == "bad_token"
    assert "'lab'" in problem.message


@pytest.mark.parametrize(("now", "minutes"), [(NOON + 3600, "1 min"), (NOON + 7200, "60 min")])
def test_a_token_ends_when_it_says_and_the_refusal_says_how_long_ago(now, minutes):
    problem = refusal(TOKEN, now=now)
    assert (problem.code, problem.status) == ("expired_token", 401)
    assert minutes in problem.message
    assert problem.cure


def test_a_token_is_good_until_the_instant_before_its_end():
    assert tokens.check(TOKEN, SECRET, "lab", NOON + 3599.9) == claims()


def test_a_user_may_submit_but_not_be_a_machine_or_make_tokens():
    asked = ("version", "submit", "get_blob", "startd", "make_token")
    assert {name: claims().may_call(BY_NAME[name]) for name in asked} == {
        "version": True, "submit": True, "get_blob": True, "startd": False, "make_token": False}


def test_a_startd_fetches_contents_but_sees_no_queue():
    machine = claims(roles=[Role.STARTD])
    assert {name: machine.may_call(BY_NAME[name]) for name in ("startd", "get_blob", "queue", "act")} == {
        "startd": True, "get_blob": True, "queue": False, "act": False}


def test_an_administrator_may_call_everything():
    admin = claims(roles=[Role.ADMIN])
    assert all(admin.may_call(endpoint) for endpoint in BY_NAME.values())


@pytest.mark.parametrize(("role", "may"), [(Role.USER, False), (Role.STARTD, False), (Role.OPERATOR, True),
                                           (Role.ADMIN, True)])
def test_only_operators_and_administrators_touch_the_jobs_of_others(role, may):
    assert claims(roles=[role]).may_touch_all_jobs is may


def test_a_token_without_roles_may_call_only_what_anyone_may():
    nobody = claims(roles=[])
    assert {name for name, endpoint in BY_NAME.items() if nobody.may_call(endpoint)} == {"version", "openapi"}
