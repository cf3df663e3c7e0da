"""Answers of the ClassAd language to records, one JSON object a line: `pesc_eval --jsonl`.

A record has an `id`, a `kind` and what that kind needs; its answer is
`{"id", "result"}`, or `{"id", "error"}` where the record cannot be answered.
The kinds and the encoding of values are those of the recorded results of
HTCondor in the tests. An expression that cannot be read is a result, not an error.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from dsl.classad import (
    AbsTime,
    Ad,
    ClassAdSyntaxError,
    Expression,
    RelTime,
    Value,
    flatten,
    old_text,
    parse,
    parse_old,
    references,
    symmetric_match,
)

Record = Mapping[str, Any]
PARSE_ERROR = {"t": "parse-error"}


class BadRecord(Exception):
    """A record that has no answer; says why."""


def answered(line: bytes | str, now: float, seed: int) -> str:
    """Return the line that answers `line`; whatever the line is, there is one."""
    identity: Any = None
    try:
        record = _record(line)
        identity = record.get("id")
        answer = {"id": identity, "result": result_of(record, now, seed)}
    except BadRecord as error:
        answer = {"id": identity, "error": str(error)}
    except RecursionError:
        answer = {"id": identity, "error": "the record is nested too deeply"}
    except Exception as error:
        # A fault of ours in one record must not cost the answers to those after it.
        answer = {"id": identity, "error": f"a fault in pesc_eval: {type(error).__name__}: {error}"}
    try:
        return json.dumps(answer, allow_nan=False)
    except ValueError:  # an id such as 1e999: what was read as infinity has no JSON
        return json.dumps({**answer, "id": repr(identity)})


def result_of(record: Record, now: float, seed: int) -> Any:
    """Answer one record; raise BadRecord if that is impossible."""
    kind = record.get("kind")
    answer = _KINDS.get(kind) if isinstance(kind, str) else None
    if answer is None:
        raise BadRecord(f"the kind is {kind!r}; there are: {', '.join(_KINDS)}")
    return answer(record, now, seed)


def encoded(value: Value) -> dict[str, Any]:
    """Write a value as `{"t": its type, "v": itself}`."""
    match value:
        case bool():
            return {"t": "bool", "v": value}
        case int():
            return {"t": "int", "v": value}
        case float():
            return {"t": "real", "v": repr(value)}
        case str():
            return {"t": "string", "v": value}
        case list():
            return {"t": "list", "v": [encoded(item) for item in value]}
        case Ad():
            return {"t": "record", "v": {name: encoded(value.evaluate(name)) for name in value}}
        case AbsTime(seconds, offset):
            return {"t": "abstime", "v": seconds, "off": offset}
        case RelTime(seconds):
            return {"t": "reltime", "v": repr(seconds)}
        case _:
            return {"t": value.value}


def _record(line: bytes | str) -> Record:
    try:
        record = json.loads(line, parse_constant=_no_number)
    except ValueError as error:
        raise BadRecord(f"the line is no JSON: {error}") from None
    if not isinstance(record, dict):
        raise BadRecord("the line is JSON, and no object")
    return record


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _eval(record: Record, now: float, seed: int) -> Any:
    my, target = _ad(record, "my", optional=True), _ad(record, "target", optional=True)
    expression = _expression(record)
    return PARSE_ERROR if expression is None else encoded(expression.evaluate(my, target, now=now, seed=seed))


def _match(record: Record, now: float, seed: int) -> Any:
    left, right = _ad(record, "left"), _ad(record, "right")

    def worth(name: str, my: Ad | None, target: Ad | None) -> Any:
        return encoded(parse(name).evaluate(my, target, now=now, seed=seed))

    return {
        "match": symmetric_match(left or Ad(), right or Ad(), now=now),
        "left": worth("Requirements", left, right),
        "right": worth("Requirements", right, left),
        "rank": worth("Rank", left, right),
    }


def _unparse(record: Record, now: float, seed: int) -> Any:
    expression = _expression(record)
    return PARSE_ERROR if expression is None else str(expression)


def _flatten(record: Record, now: float, seed: int) -> Any:
    my, expression = _ad(record, "my", optional=True), _expression(record)
    if expression is None:
        return PARSE_ERROR
    flat = flatten(expression, my or Ad())
    return {"value": encoded(flat.constant)} if flat.is_literal else {"tree": str(flat)}


def _refs(record: Record, now: float, seed: int) -> Any:
    my, expression = _ad(record, "my", optional=True), _expression(record)
    if expression is None:
        return PARSE_ERROR
    internal, external = references(expression, my or Ad())
    return {"internal": sorted(internal, key=str.lower), "external": sorted(external, key=str.lower)}


def _parse_old(record: Record, now: float, seed: int) -> Any:
    return {"ad": str(parse_old(_text(record, "text")))}


def _print(record: Record, now: float, seed: int) -> Any:
    ad = _ad(record, "my") or Ad()
    # A string may contain a line's end; an ad without attributes has no lines.
    old = old_text(ad)
    return {"new": str(ad), "old": old.split("\n") if old else [], "json": ad.to_json()}


_KINDS: dict[str, Callable[[Record, float, int], Any]] = {
    "eval": _eval,
    "match": _match,
    "unparse": _unparse,
    "flatten": _flatten,
    "refs": _refs,
    "parse-old": _parse_old,
    "print": _print,
}


def _text(record: Record, field: str) -> str:
    text = record.get(field)
    if not isinstance(text, str):
        raise BadRecord(f"a record of the kind {record['kind']!r} needs the text {field!r}")
    return text


def _expression(record: Record) -> Expression | None:
    """Read `expr`; None if it is no expression."""
    try:
        return parse(_text(record, "expr"))
    except ClassAdSyntaxError:
        return None


def _ad(record: Record, field: str, optional: bool = False) -> Ad | None:
    if optional and record.get(field) is None:
        return None
    try:
        return Ad.parse(_text(record, field))
    except ClassAdSyntaxError as error:
        raise BadRecord(f"{field!r} cannot be read: {error}") from None
