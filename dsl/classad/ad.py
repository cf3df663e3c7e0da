"""Ads: named expressions, such as the description of a job or of a machine.

An ad may be made from texts without reading them: a text becomes an expression
when it is first looked at. One that cannot be read is worth ERROR, and `check`
says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from dsl.classad.errors import ClassAdSyntaxError
from dsl.classad.expression import Expression
from dsl.classad.parser import parse_tree
from dsl.classad.text import record_text
from dsl.classad.tree import ListTree, Literal, RecordTree, Tree
from dsl.classad.values import UNDEFINED, AbsTime, Nothing, RelTime, Value, wrap

MAX_REMEMBERED = 4096
"""Characters of a text that is remembered with its expression: the memory of `parse` stays below 100 MB."""


def parse(text: str) -> Expression:
    """Read an expression in new syntax; raise ClassAdSyntaxError if `text` is none."""
    return _remembered(text) if len(text) <= MAX_REMEMBERED else Expression(parse_tree(text))


@lru_cache(maxsize=8192)
def _remembered(text: str) -> Expression:
    return Expression(parse_tree(text))


class Ad:
    """A mapping of names to expressions: case is ignored, spelling and order are kept.

    With a `parent`, names that are absent here are found there; writing stays here.
    """

    __slots__ = ("_items", "_names", "_parent")

    def __init__(self, parent: Ad | None = None) -> None:
        self._items: dict[str, Expression | str] = {}
        self._names: dict[str, str] = {}
        self._parent = parent

    @classmethod
    def parse(cls, text: str) -> Ad:
        """Read an ad in new syntax, `[ A = 1; B = A + 1 ]`."""
        tree = parse(text).tree
        if not isinstance(tree, RecordTree):
            raise ClassAdSyntaxError(text, 0, "this is an expression and not an ad", "Write [ Name = value; … ].")
        return cls.from_trees(tree)

    @classmethod
    def from_trees(cls, record: RecordTree) -> Ad:
        ad = cls()
        for name, tree in record.items:
            key = name.lower()
            ad._names[key] = name
            ad._items[key] = Expression(tree)
        return ad

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], parent: Ad | None = None) -> Ad:
        """Take texts in new syntax as they are; nothing is read until it is looked at."""
        ad = cls(parent)
        ad._items = {name.lower(): text for name, text in texts.items()}
        ad._names = dict(zip(map(str.lower, texts), texts, strict=True))
        return ad

    @classmethod
    def from_values(cls, values: Mapping[str, object], parent: Ad | None = None) -> Ad:
        ad = cls(parent)
        for name, value in values.items():
            ad[name] = literal(value)
        return ad

    @staticmethod
    def none() -> Ad:
        """Return the ad that stands in where there is none."""
        return _NONE

    def find(self, key: str) -> Expression | None:
        """Return the expression of the attribute whose name in lower case is `key`; a text is read now."""
        found = self._items.get(key)
        if found.__class__ is Expression:
            return found
        if isinstance(found, str):
            return self._read(key, found)
        return None if self._parent is None else self._parent.find(key)

    def _read(self, key: str, text: str) -> Expression:
        try:
            expression = parse(text)
        except ClassAdSyntaxError as fault:
            expression = Expression.broken(text, fault)
        self._items[key] = expression
        return expression

    def check(self) -> None:
        """Read every text; raise the ClassAdSyntaxError of the first that is wrong."""
        for name in self:
            expression = self[name]
            if expression.fault is not None:
                raise expression.fault

    def get(self, name: str) -> Expression | None:
        return self.find(name.lower())

    def __getitem__(self, name: str) -> Expression:
        expression = self.find(name.lower())
        if expression is None:
            raise KeyError(name)
        return expression

    def __setitem__(self, name: str, value: Expression | str) -> None:
        key = name.lower()
        self._items[key] = parse(value) if isinstance(value, str) else value
        self._names.setdefault(key, name)

    def __delitem__(self, name: str) -> None:
        """Remove an attribute of this ad; one of its parent comes to light again."""
        key = name.lower()
        if key not in self._items:
            raise KeyError(name)
        del self._items[key]
        del self._names[key]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._has(name.lower())

    def _has(self, key: str) -> bool:
        return key in self._items or (self._parent is not None and self._parent._has(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._all_names().values())

    def __len__(self) -> int:
        return len(self._all_names())

    def _all_names(self) -> dict[str, str]:
        return self._names if self._parent is None else {**self._parent._all_names(), **self._names}

    def evaluate(
        self, name: str, target: Ad | None = None, *, now: float | None = None, seed: int | None = None
    ) -> Value:
        """Return what the attribute is worth, UNDEFINED if it is absent."""
        expression = self.find(name.lower())
        return UNDEFINED if expression is None else expression.evaluate(self, target, now=now, seed=seed)

    def text(self, name: str) -> str:
        """Return the attribute's canonical text; raise KeyError if it is absent."""
        return str(self[name])

    def copy(self) -> Ad:
        twin = Ad(self._parent)
        twin._items = self._items.copy()
        twin._names = self._names.copy()
        return twin

    def to_json(self) -> dict[str, object]:
        """Return HTCondor's JSON form: literals as themselves, other expressions as `/Expr(text)/`."""
        return {name: _json(self[name].tree) for name in self}

    def __str__(self) -> str:
        return record_text((name, str(self[name])) for name in self)

    def __repr__(self) -> str:
        return f"Ad.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ad):
            return NotImplemented
        mine, theirs = self._all_names(), other._all_names()
        return mine.keys() == theirs.keys() and all(self.find(key) == other.find(key) for key in mine)

    __hash__ = None  # type: ignore[assignment]


_NONE = Ad()


def literal(value: object) -> Expression:
    """Make the expression that is worth `value`: a scalar, a list, a mapping, an ad; None is undefined."""
    return value if isinstance(value, Expression) else Expression(_literal_tree(value))


def _literal_tree(value: object) -> Tree:
    match value:
        case bool() | float() | str() | Nothing() | AbsTime() | RelTime():
            return Literal(value)
        case int():
            return Literal(wrap(value))
        case None:
            return Literal(UNDEFINED)
        case Expression():
            return value.tree
        case Ad():
            return RecordTree(tuple((name, value[name].tree) for name in value))
        case Mapping():
            return _literal_tree(Ad.from_values(value))
        case list() | tuple():
            return ListTree(tuple(_literal_tree(item) for item in value))
        case _:
            raise TypeError(f"no ClassAd value stands for {value!r}")


def _json(tree: Tree) -> object:
    match tree:
        case Literal(Nothing.UNDEFINED):
            return None
        case Literal(bool() | int() | str() as value):
            return value
        case Literal(float() as value) if abs(value) < float("inf"):
            return value
        case ListTree(items):
            return [_json(item) for item in items]
        case RecordTree(named):
            return {name: _json(item) for name, item in named}
        case _:
            return f"/Expr({Expression(tree)})/"
