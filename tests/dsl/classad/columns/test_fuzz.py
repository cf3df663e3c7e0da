"""Columns answer as the scalar evaluator does, for random pools and jobs, also after random updates."""

from __future__ import annotations

import os

import pytest

from dsl.classad import Ad, parse, symmetric_match
from dsl.classad.columns import Columns
from dsl.classad.columns.ranking import rank_of
from tests.dsl.classad.columns.fuzz import STEADY, PoolWriter, identity

SEEDS = [*range(12), pytest.param(int.from_bytes(os.urandom(4)), id="fresh")]


def check(columns: Columns[int], ads: dict[int, Ad], job: Ad, expressions: list[str], now: float | None) -> None:
    expected = {key for key, ad in ads.items() if symmetric_match(job, ad, now=now)}
    assert set(columns.matching(job, now=now)) == expected, f"job {job}"
    ranks = {key: rank_of(job.evaluate("Rank", ads[key], now=now)) for key in expected}
    ordered = columns.ranked(job, now=now)
    assert [ranks[key] for key in ordered] == sorted(ranks.values(), reverse=True), f"job {job}"
    assert set(ordered) == expected
    for text in expressions:
        ours = columns.evaluate(parse(text), job, now=now)
        wrong = [
            (text, str(job), str(ad), ours[key])
            for key, ad in ads.items()
            if identity(ours[key]) != identity(parse(text).evaluate(job, ad, now=now))
        ]
        assert wrong == []


@pytest.mark.parametrize("seed", SEEDS)
def test_random_pools_are_answered_as_ad_by_ad(seed: int) -> None:
    writer = PoolWriter(seed)
    columns: Columns[int] = Columns()
    ads = {key: writer.ad() for key in range(40)}
    for key, ad in ads.items():
        columns.update(key, ad)
    jobs = [writer.ad() for _ in range(12)]
    expressions = [writer.expression(3) for _ in range(6)]
    for moment in range(4):
        for job in jobs:
            check(columns, ads, job, expressions, STEADY + moment if moment else None)
        for key in writer.random.sample(sorted(ads), 8):
            ads[key] = writer.changed(ads[key])
            columns.update(key, ads[key])
        for key in writer.random.sample(sorted(ads), 3):
            del ads[key]
            columns.remove(key)
        for key in range(100 * moment, 100 * moment + 30 * (moment == 1) + 2):
            ads[key] = writer.ad()
            columns.update(key, ads[key])
        jobs = [writer.changed(job) if writer.random.random() < 0.5 else job for job in jobs]
