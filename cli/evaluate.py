"""Expressions over an ad that came as JSON, by the language's own evaluator.

Imported only when an expression must be evaluated: reading the grammar takes a moment.
"""

import time
from functools import lru_cache
from typing import Any

from cli.adtext import literal
from contract.problems import Problem
from contract.requests import Ad as JsonAd
from dsl.classad.ad import Ad, parse
from dsl.classad.errors import ClassAdSyntaxError
from dsl.classad.expression import Expression


def evaluate(expression: str, ad: JsonAd) -> Any:
    """What `expression` is worth in `ad`, as JSON writes it."""
    value = _read(expression).evaluate(Ad.from_texts({name: literal(item) for name, item in ad.items()}),
                                       now=time.time())
    return Ad.from_values({"value": value}).to_json()["value"]


@lru_cache(maxsize=256)
def _read(text: str) -> Expression:
    try:
        return parse(text)
    except ClassAdSyntaxError as error:
        raise Problem("bad_request", f"{text!r} is not an expression.\n{error}",
                      "-af takes attributes and expressions, such as: -af Owner 'RequestMemory * 2'.") from None
