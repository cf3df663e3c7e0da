"""Evaluation over many ads at once: which machines match a job, and in which order.

    columns = Columns()
    columns.update("slot1@node7", ad)      # add, or replace; remove(key) takes away
    columns.matching(job)                  # both Requirements true: a set of keys
    columns.ranked(job)                    # the same keys, the highest Rank of the job first
    columns.evaluate(expression, job)      # its value for each ad as TARGET

The results are those of the scalar evaluator, ad by ad; only the time differs. An
ad belongs to `Columns` once it is given: to change it, give a changed copy.

Read `question.py` for how an answer is found, `program.py` for how a condition is
taken apart, `part.py` for one conjunct, `operations.py` for what
operators do to columns; `reach.py` says when all this is allowed. NumPy is loaded with this package, and
by nothing else: a startd never imports it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from typing import Generic, TypeVar, cast

import numpy as np

from dsl.classad.ad import Ad
from dsl.classad.columns.kinds import Array
from dsl.classad.columns.program import Parts
from dsl.classad.columns.question import MachinePolicies, Truths
from dsl.classad.columns.ranking import Ranking, Valuation
from dsl.classad.columns.reach import Side
from dsl.classad.columns.store import Store
from dsl.classad.expression import Expression
from dsl.classad.tree import Literal
from dsl.classad.values import Value

__all__ = ["Columns", "Matches"]

Key = TypeVar("Key", bound=Hashable)

MAX_QUESTIONS = 512
_NO_RANK = Expression(Literal(0))


class Matches(Set[Key]):
    """The keys of the ads that match; a bitmap, so that many of them cost little."""

    __slots__ = ("_count", "_store", "bitmap")

    def __init__(self, store: Store, bitmap: Array) -> None:
        self._store = store
        self.bitmap = bitmap
        """A bit for each row, the first row in the highest bit of the first byte. Do not change it."""
        self._count = -1

    def __len__(self) -> int:
        if self._count < 0:
            self._count = int(np.bitwise_count(self.bitmap.view(np.uint64)).sum())
        return self._count

    def __iter__(self) -> Iterator[Key]:
        keys = self._store.keys
        return (cast(Key, keys[row]) for row in self.rows().tolist())

    def __contains__(self, key: object) -> bool:
        row = self._store.row_of.get(cast(Key, key))
        return row is not None and bool(self.bitmap[row >> 3] >> (7 - (row & 7)) & 1)

    def rows(self) -> Array:
        return np.flatnonzero(np.unpackbits(self.bitmap))


class Columns(Generic[Key]):
    """Ads by key, and what they answer to questions asked of all of them."""

    def __init__(self) -> None:
        self._store = Store()
        self.forget()

    def forget(self) -> None:
        """Drop all answers and everything decided about expressions; the ads and their columns stay."""
        self._store.forget()
        self._parts = Parts(self._store)
        self._policies = MachinePolicies(self._parts)
        self._requirements: dict[Expression, Truths] = {}
        self._ranks: dict[Expression, Ranking] = {}
        self._valuations: dict[Expression, Valuation] = {}

    def __len__(self) -> int:
        return len(self._store.row_of)

    def __contains__(self, key: object) -> bool:
        return key in self._store.row_of

    def __iter__(self) -> Iterator[Key]:
        return cast(Iterator[Key], iter(self._store.row_of))

    def __getitem__(self, key: Key) -> Ad:
        return cast(Ad, self._store.ads[self._store.row_of[key]])

    def update(self, key: Key, ad: Ad) -> None:
        """Add `ad`, or put it in the place of the one with the same key."""
        self._store.put(key, ad)

    def remove(self, key: Key) -> None:
        """Take an ad away; raise KeyError if there is none."""
        self._store.remove(key)

    def matching(self, job: Ad, *, now: float | None = None) -> Matches[Key]:
        """Return the ads that `job` matches: the Requirements of both sides are true."""
        return Matches(self._store, self._matching(job, now))

    def ranked(self, job: Ad, *, now: float | None = None) -> list[Key]:
        """Return the keys of the matching ads by the job's Rank, highest first; of equal ones, who came first."""
        keys = self._store.keys
        return [cast(Key, keys[row]) for row in self.ranked_rows(job, now=now).tolist()]

    def ranked_rows(self, job: Ad, *, now: float | None = None) -> Array:
        """Return the same as the numbers of rows, which is faster; `key_of` has their keys."""
        rank = job.find("rank") or _NO_RANK
        question = self._ranks.get(rank)
        if question is None:
            question = _added(self._ranks, rank, Ranking(self._parts, rank, Side.JOB))
        order = question.order(job, now)
        matches = np.unpackbits(self._matching(job, now)).view(np.bool_)
        return order[matches[order]]

    def key_of(self, row: int) -> Key:
        return cast(Key, self._store.keys[row])

    def evaluate(self, expression: Expression, my: Ad | None = None, *, now: float | None = None) -> dict[Key, Value]:
        """Return what `expression` is worth seen from `my`, with each ad as TARGET."""
        question = self._valuations.get(expression)
        if question is None:
            question = _added(self._valuations, expression, Valuation(self._parts, expression, Side.JOB))
        values = question.values(my, now)
        return {cast(Key, key): values[row] for key, row in self._store.row_of.items()}

    def _matching(self, job: Ad, now: float | None) -> Array:
        store = self._store
        requirements = job.find("requirements")
        if requirements is None:
            return np.zeros(store.rows // 8, np.uint8)
        question = self._requirements.get(requirements)
        if question is None:
            question = _added(self._requirements, requirements, Truths(self._parts, requirements, Side.JOB))
        return question.bitmap(job, now) & self._policies.bitmap(job, now) & store.in_use_bits()


_Asked = TypeVar("_Asked")


def _added(questions: dict[Expression, _Asked], expression: Expression, question: _Asked) -> _Asked:
    if len(questions) >= MAX_QUESTIONS:
        questions.clear()
    questions[expression] = question
    return question
