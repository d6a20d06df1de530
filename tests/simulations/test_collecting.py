"""The garbage collector while worlds run."""

from __future__ import annotations

import gc

import pytest

from simulations import World
from simulations.collecting import YOUNG_MAX, collect_rarely


def test_the_collector_is_patient_while_a_world_runs_and_as_before_afterwards():
    before = gc.get_threshold()
    world = World(1)
    seen = []
    world.at(5, lambda: seen.append(gc.get_threshold()[0]))
    world.run_for(10)
    assert seen == [YOUNG_MAX]
    assert gc.get_threshold() == before


def test_the_collector_is_as_before_when_a_world_fails():
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), collect_rarely():
        1 / 0  # noqa: B018 (for what it raises)
    assert gc.get_threshold() == before


def test_who_has_switched_the_collector_off_keeps_it_off():
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with collect_rarely():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
