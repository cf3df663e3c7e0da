"""What one end encodes the other end decodes to the same, and nothing else passes."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import messages
from contract.messages import FromSchedd, FromStartd
from contract.requests import Event, Submission
from contract.vocabulary import JobId, RunId
from tests.builders import a_grant, a_hello, an_ended

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)

# Clocks, counts and sizes: what a 64-bit reader at the other end can hold.
WHOLE = st.integers(-(2**63), 2**63 - 1)


def strategy_of(kind) -> st.SearchStrategy:
    """A strategy for any type of the contract, by its annotations."""
    for simple, values in {float: NUMBERS, int: WHOLE, str: st.text(max_size=8), bytes: st.binary(max_size=8)}.items():
        if kind is simple:
            return values
    origin, inner = getattr(kind, "__origin__", None), getattr(kind, "__args__", ())
    if origin is list:
        return st.lists(strategy_of(inner[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(strategy_of(inner[0]), strategy_of(inner[1]), max_size=2)
    if origin is tuple:
        return st.lists(strategy_of(inner[0]), max_size=2).map(tuple)
    if inner:
        return st.one_of(*(strategy_of(one) for one in inner))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return st.builds(kind, **{field.name: strategy_of(field.type) for field in fields})
    if kind is RunId:
        return st.builds(RunId, WHOLE, WHOLE, WHOLE)
    return st.from_type(kind)


@given(st.lists(strategy_of(FromStartd), max_size=3))
def test_what_a_startd_says_comes_through_whole(said):
    assert messages.decode_from_startd(messages.encode(said)) == said


@given(st.lists(strategy_of(FromSchedd), max_size=3))
def test_what_the_schedd_says_comes_through_whole(said):
    assert messages.decode_from_schedd(messages.encode(said)) == said


@given(strategy_of(Submission))
def test_a_submission_comes_through_whole(submission):
    assert msgspec.json.decode(msgspec.json.encode(submission), type=Submission) == submission


@given(st.binary(max_size=100))
def test_garbage_is_refused_by_one_kind_of_error(garbage):
    for decode in (messages.decode_from_startd, messages.decode_from_schedd):
        try:
            decode(garbage)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            assert isinstance(error, ValueError)


def test_a_startd_cannot_speak_as_the_schedd():
    with pytest.raises(msgspec.ValidationError):
        messages.decode_from_startd(messages.encode([a_grant()]))
    with pytest.raises(msgspec.ValidationError):
        messages.decode_from_schedd(messages.encode([a_hello(), an_ended()]))


def test_a_field_of_a_newer_version_is_passed_over():
    [beat] = messages.decode_from_startd(b'[{"type":"beat","runs":[],"mood":"fine"}]')
    assert beat == messages.Beat([])


def test_a_measure_that_is_no_number_is_refused():
    nonsense = messages.encode([messages.Used(RunId(1, 0, 1), math.nan, 0.0, 0)])
    with pytest.raises(msgspec.ValidationError):
        messages.decode_from_startd(nonsense)


def test_a_run_is_three_numbers_on_the_wire_and_one_word_for_people():
    run = RunId(12, 3, 2)
    assert msgspec.json.encode(run) == b"[12,3,2]"
    assert (str(run), run.job, str(run.job)) == ("12.3#2", JobId(12, 3), "12.3")


def test_what_is_left_out_stays_small():
    assert len(messages.encode([messages.Beat([])])) < 30
    assert msgspec.json.encode(Event(1, 2.0, 3, 4, "held")) == b'{"id":1,"at":2.0,"cluster":3,"proc":4,"kind":"held"}'
