"""Evaluates with HTCondor's own library: cases as JSON on stdin, encoded values on stdout; null for no answer."""

from __future__ import annotations

import json
import sys
from typing import Any

import htcondor2  # noqa: F401  (switches classad2 to the mode of HTCondor's daemons)
from classad2 import ClassAd, ClassAdException, ExprTree, Value

MAX_NESTING = 4
"""A list that contains itself is endless here: no answer."""


def encoded(value: Any, expression: str, my: ClassAd, target: ClassAd, nesting: int) -> Any:
    match value:
        # The two are integers, equal to 2 and 1: only their type tells.
        case Value():
            return {"t": "undefined" if value is Value.Undefined else "error"}
        case bool():
            return {"t": "bool", "v": value}
        case int():
            return {"t": "int", "v": value}
        case float():
            return {"t": "real", "v": repr(value)}
        case str():
            return {"t": "string", "v": value}
        case list() if nesting < MAX_NESTING:
            items = [asked(f"({expression})[{index}]", my, target, nesting + 1) for index in range(len(value))]
            return None if None in items else {"t": "list", "v": items}
        case _:
            return None


def asked(expression: str, my: ClassAd, target: ClassAd, nesting: int = 0) -> Any:
    try:
        tree = ExprTree(expression)
    except ClassAdException:
        return {"t": "parse-error"}
    try:
        return encoded(tree.eval(my, target), expression, my, target, nesting)
    except ClassAdException:
        return None


cases = json.load(sys.stdin)
json.dump([asked(expression, ClassAd(my), ClassAd(target)) for expression, my, target in cases], sys.stdout)
