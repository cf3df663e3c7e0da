"""Evaluates with HTCondor's own library: cases as JSON on stdin, encoded values on stdout; null for no answer."""

from __future__ import annotations

import json
import sys
from typing import Any

import htcondor2  # noqa: F401  (switches classad2 to the mode of HTCondor's daemons)
from classad2 import ClassAd, ClassAdException, ExprTree, Value


def encoded(value: Any, expression: str, my: ClassAd, target: ClassAd) -> Any:
    match value:
        case Value.Undefined:
            return {"t": "undefined"}
        case Value.Error:
            return {"t": "error"}
        case bool():
            return {"t": "bool", "v": value}
        case int():
            return {"t": "int", "v": value}
        case float():
            return {"t": "real", "v": repr(value)}
        case str():
            return {"t": "string", "v": value}
        case list():
            return {"t": "list", "v": [asked(f"({expression})[{index}]", my, target) for index in range(len(value))]}
        case _:
            return None


def asked(expression: str, my: ClassAd, target: ClassAd) -> Any:
    try:
        tree = ExprTree(expression)
    except ClassAdException:
        return {"t": "parse-error"}
    try:
        return encoded(tree.eval(my, target), expression, my, target)
    except ClassAdException:
        return None


cases = json.load(sys.stdin)
json.dump([asked(expression, ClassAd(my), ClassAd(target)) for expression, my, target in cases], sys.stdout)
