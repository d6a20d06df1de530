"""Short histories: how they are drawn, and that a run in which nodes forget keeps every promise."""

from __future__ import annotations

import random

import msgspec
import pytest

import consensus.floor
from simulations.faults import Crash
from simulations.fuzzing.pruning import draw_absence, draw_pruning, keep_rounds
from simulations.fuzzing.run import run
from simulations.fuzzing.spec import draw_spec


def test_somebody_forgets_and_somebody_is_away_in_most_runs():
    for seed in range(100):
        pruning = draw_pruning(random.Random(seed), 4)
        assert pruning.hosts
        assert set(pruning.hosts) <= set(range(4))
    absences = [draw_absence(random.Random(seed), 4, 20_000, 7) for seed in range(100)]
    assert 50 < sum(map(len, absences)) < 100
    for (crash,) in filter(None, absences):
        assert isinstance(crash, Crash)
        assert crash.at_ms + crash.down_ms < 20_000


def test_as_many_rounds_are_kept_as_a_run_says_and_afterwards_as_ever():
    shipped = consensus.floor.RETAINED_ROUNDS
    with keep_rounds(3):
        assert vars(consensus.floor)["RETAINED_ROUNDS"] == 3
    with keep_rounds(0):
        assert shipped == consensus.floor.RETAINED_ROUNDS
    with pytest.raises(ZeroDivisionError), keep_rounds(3):
        raise ZeroDivisionError
    assert shipped == consensus.floor.RETAINED_ROUNDS


def test_a_run_with_a_short_history_is_another_run_of_the_same_seed():
    spec, pruned = draw_spec(5), draw_spec(5, prune=True)
    assert pruned.order
    assert pruned.pruning is not None
    assert pruned.faults[: len(spec.faults)] == spec.faults
    assert draw_spec(5).pruning is None


def test_promises_hold_where_nodes_forget_and_join_from_snapshots():
    result = run(draw_spec(29, prune=True))
    assert result.message == ""
    assert {"history forgotten", "joined from a snapshot", "said again"} <= set(result.reached)


def test_nothing_is_forgotten_where_history_is_kept():
    spec = msgspec.structs.replace(draw_spec(7), safety_ms=500, publications=4, faults=())
    assert "history forgotten" not in run(spec).reached
