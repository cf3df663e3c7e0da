"""Expressions over an ad that came as JSON, by the language's own evaluator (imported only when needed)."""
from typing import Any


def evaluate(expression: str, ad: dict[str, Any]) -> Any:
    raise NotImplementedError
