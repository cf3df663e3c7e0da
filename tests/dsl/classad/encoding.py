"""The vectors' encoding of values, and their comparison."""

from __future__ import annotations

import math
from typing import Any

from dsl.classad import ERROR, UNDEFINED, AbsTime, Ad, RelTime, Value


def encoded(value: Value) -> dict[str, Any]:
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
            return {"t": "record", "v": {name.lower(): encoded(value.evaluate(name)) for name in value}}
        case AbsTime(seconds, offset):
            return {"t": "abstime", "v": seconds, "off": offset}
        case RelTime(seconds):
            return {"t": "reltime", "v": repr(seconds)}
        case _:
            return {"t": {UNDEFINED: "undefined", ERROR: "error"}[value]}


def same(left: Any, right: Any) -> bool:
    """Compare encoded values: reals to 1e-12 of their size, names of attributes without regard to case."""
    if left["t"] != right["t"]:
        return False
    match left["t"]:
        case "real" | "reltime":
            a, b = float(left["v"]), float(right["v"])
            return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-12) or a == b
        case "list":
            return len(left["v"]) == len(right["v"]) and all(map(same, left["v"], right["v"]))
        case "record":
            a, b = ({name.lower(): item for name, item in side["v"].items()} for side in (left, right))
            return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
        case _:
            return bool(left == right)
