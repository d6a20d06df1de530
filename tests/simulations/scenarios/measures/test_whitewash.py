"""A new name begins below every old one, and what it saves is bounded."""

from __future__ import annotations

import pytest

from simulations.errors import CheckFailed
from simulations.scenarios.measures.whitewash import Parameters, _Life, run

AT_ONCE = {"interval_min": 0, "deal_ruv": 100, "stake_ruv": 1_000_000}


@pytest.mark.parametrize("faults", [0, 1, 40])
def test_new_name_never_stands_above_the_old_one_when_it_begins(faults: int):
    metrics = run(Parameters(faults=faults, history=10), 1).metrics
    assert metrics["start_bp"] == 0 <= metrics["after_bp"] <= metrics["before_bp"]


@pytest.mark.parametrize(("history", "faults"), [(0, 10), (40, 30), (200, 60)])
def test_fees_to_come_back_are_those_of_the_formula(history: int, faults: int):
    shared = {**AT_ONCE, "history": history, "faults": faults, "goal_bp": 2_000, "deals_max": 2_000}
    stays = run(Parameters(reaction="stays", **shared), 1).metrics
    leaves = run(Parameters(reaction="leaves", **shared), 1).metrics
    good, bad = history * 0.25, faults * 8 * 0.25  # ruv of burned fees
    # good / (good + bad + 50) is a fifth once good is a fourth of all the rest.
    assert stays["burned_again_ruv"] == pytest.approx(max(0, (bad + 50) / 4 - good), abs=0.25)
    assert leaves["burned_again_ruv"] == pytest.approx(50 / 4, abs=0.25)
    assert stays["burned_again_ruv"] - leaves["burned_again_ruv"] <= bad / 4 + 0.25
    assert stays["reached"] == leaves["reached"] == 1


def test_good_history_is_left_behind_with_the_bad():
    shared = {**AT_ONCE, "history": 60, "faults": 2, "goal_bp": 1_000}
    stays = run(Parameters(reaction="stays", **shared), 1).metrics
    leaves = run(Parameters(reaction="leaves", **shared), 1).metrics
    assert stays["deals_again"] == 0 < leaves["deals_again"]


def test_reputation_that_is_not_reached_in_time_is_said_so():
    metrics = run(Parameters(goal_bp=9_000, history=0, faults=0, deals_max=2), 1).metrics
    assert (metrics["reached"], metrics["deals_again"]) == (0, 2)


def test_reputation_fades_from_hour_to_hour():
    fresh = run(Parameters(**AT_ONCE, history=20, faults=0, reaction="stays"), 1).metrics
    slow = run(
        Parameters(**{**AT_ONCE, "interval_min": 120}, history=20, faults=0, reaction="stays"), 1
    ).metrics
    assert slow["before_bp"] < fresh["before_bp"]


def test_new_name_that_stands_above_the_old_one_is_told(monkeypatch: pytest.MonkeyPatch):
    looks = iter((50, 40, 60))
    monkeypatch.setattr(_Life, "look", lambda _self: next(looks))
    with pytest.raises(CheckFailed, match="a new name stands at 60, the old one at 40"):
        run(Parameters(history=0, faults=0), 1)
