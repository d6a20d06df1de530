"""Seeded bugs: on while they are asked for, gone afterwards."""

from __future__ import annotations

import pytest

from simulations.errors import BadModel
from simulations.fuzzing.mutants import MUTANTS, switch_on


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


def test_bugs_are_many_and_said_in_few_words():
    assert len(MUTANTS) >= 24
    assert max(len(mutant.name) for mutant in MUTANTS.values()) <= 20
    assert max(len(mutant.says) for mutant in MUTANTS.values()) <= 30
