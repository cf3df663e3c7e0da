"""The ClassAd language: expressions, ads, and whether two ads match.

Pure: no clock, no chance, no I/O. Read `tree.py` for what an expression is,
`scope.py` for how names are found, `functions/` for what can be called.
Importing this package is cheap; Lark is loaded by the first text that needs it.
"""

from dsl import DslError
from dsl.classad.ad import Ad, literal, parse
from dsl.classad.errors import ClassAdSyntaxError
from dsl.classad.expression import Expression
from dsl.classad.external import references
from dsl.classad.literals import quote
from dsl.classad.match import symmetric_match
from dsl.classad.old import old_text, parse_old
from dsl.classad.partial import flatten
from dsl.classad.values import ERROR, UNDEFINED, AbsTime, RelTime, Value, is_true

__all__ = [
    "ERROR",
    "UNDEFINED",
    "AbsTime",
    "Ad",
    "ClassAdSyntaxError",
    "DslError",
    "Expression",
    "RelTime",
    "Value",
    "flatten",
    "is_true",
    "literal",
    "old_text",
    "parse",
    "parse_old",
    "quote",
    "references",
    "symmetric_match",
]
