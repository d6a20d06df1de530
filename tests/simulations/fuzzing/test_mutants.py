"""Seeded bugs: on while they are asked for, gone afterwards, and found."""

from __future__ import annotations

import pytest

from simulations.errors import BadModel
from simulations.fuzzing.mutants import MUTANTS, switch_on
from simulations.fuzzing.mutation import hunt, score

QUICK = {
    "parents-unchecked": 7,
    "send-before-persist": 7,
    "tell-before-persist": 7,
    "own-not-persisted": 7,
    "relay-charged": 7,
    "waiting-announced": 7,
}
"""Mutants, and a run that finds each soon."""


def read_patched() -> list[object]:
    return [owner.__dict__[name] for one in MUTANTS.values() for owner, name, _ in one.patches]


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_gone_afterwards(name: str):
    before = read_patched()
    with switch_on(name):
        assert read_patched() != before
    assert read_patched() == before


def test_no_name_is_no_mutant_and_a_wrong_one_is_refused():
    before = read_patched()
    with switch_on(""):
        assert read_patched() == before
    with pytest.raises(BadModel, match="gremlin"), switch_on("gremlin"):
        pytest.fail("there is no such mutant")


@pytest.mark.parametrize("name", QUICK)
def test_mutant_is_caught(name: str):
    verdict = hunt(name, QUICK[name], 1)
    assert verdict.caught
    assert verdict.check


def test_scores_in_a_pool_are_those_of_one_process():
    names = ["own-not-persisted", "parents-unchecked"]
    alone = {one.mutant: one for one in score(names, first_seed=7, seeds=1, workers=1)}
    pooled = {one.mutant: one for one in score(names, first_seed=7, seeds=1, workers=2)}
    assert pooled == alone
