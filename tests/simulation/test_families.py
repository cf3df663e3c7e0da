"""Whole histories of a pool, by family and seed. `PESC_SEEDS=1000 pytest tests/simulation` runs more of them."""

import os

import pytest

from tests.simulation.scenarios import FAMILIES, play

SEEDS = int(os.environ.get("PESC_SEEDS", "12"))


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_job_ends_once_the_faults_stop(family, seed):
    world = play(family, seed)
    assert world.ledger.acknowledged, "nobody submitted anything"
