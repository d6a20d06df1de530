"""Splitting gains nothing: reputation adds up over buyers, and is divided over providers."""

from __future__ import annotations

import pytest

from simulations.scenarios.measures.sybil import Parameters, run


def find_best(**changes: int) -> float:
    return run(Parameters(**changes), 1).metrics["best_bp"]


def test_many_buyers_earn_what_one_earns():
    assert find_best(buyers=1) == find_best(buyers=4) == find_best(buyers=16)


def test_provider_that_splits_stands_lower_the_more_it_splits():
    found = [find_best(providers=parts) for parts in (1, 2, 4, 16)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4


@pytest.mark.parametrize("parts", [1, 2, 8])
def test_reputation_of_a_part_is_that_of_its_share(parts: int):
    burned_ruv = 40_000 // 48 * 48 * 0.0025 / parts
    expected = 10_000 * burned_ruv / (burned_ruv + 50)
    outcome = run(Parameters(providers=parts), 1)
    assert outcome.metrics["best_bp"] == pytest.approx(expected, abs=1)
    assert outcome.metrics["worst_bp"] == outcome.metrics["best_bp"]


def test_stake_that_is_split_bears_less():
    # 100 ruv bear half a reputation; 25 of them a fifth, beside what the offers need.
    whole, part = (find_best(providers=parts, stake_ruv=100) for parts in (1, 4))
    assert part < whole / 1.5
