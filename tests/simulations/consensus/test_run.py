"""Runs of committees: clean ones, broken ones, and what is said of either."""

from __future__ import annotations

import msgspec
import pytest

from simulations.consensus.spec import ROUNDS_MIN, Fault, Spec, draw_spec
from simulations.fuzzing.order import run

QUICK = (1, 4, 9, 11, 12, 14, 18, 19, 20, 22, 23, 25, 27, 30, 32, 33)
"""Small committees."""


@pytest.mark.parametrize("seed", QUICK)
def test_drawn_run_is_clean(seed: int):
    result = run(draw_spec(seed))
    assert result.is_clean, result.message
    assert result.rounds >= ROUNDS_MIN
    assert result.commits > 0
    assert result.settled_ms >= 0


def test_equal_specs_give_equal_results():
    spec = draw_spec(23)
    assert run(spec) == run(spec)
    assert run(spec).digest != run(msgspec.structs.replace(spec, seed=24)).digest


@pytest.mark.parametrize("kind", ["silent", "withhold", "garble", "forge", "twins"])
def test_one_liar_of_four_stops_nobody(kind: str):
    faults = (Fault(kind, node=2), Fault("loss", 200, 500, 0, 20), Fault("crash", 300, 400, 1, 2))
    result = run(Spec(seed=3, stakes=(1, 1, 1, 1), safety_ms=1_200, faults=faults))
    assert result.is_clean, result.message


def test_nothing_goes_wrong_where_there_are_no_faults():
    result = run(Spec(seed=1, stakes=(2, 1, 1), profile="cft", safety_ms=500, write_ms=3))
    assert (result.is_clean, result.kinds, result.members) == (True, (), 3)


def test_order_that_never_comes_is_told_with_the_state_of_all():
    faults = (Fault("silent", node=0), Fault("silent", node=1))
    result = run(Spec(seed=1, stakes=(1,) * 4, safety_ms=300, heal_ms=1_000, faults=faults))
    assert result.check == "liveness"
    assert "recovering False" in result.message


def test_crash_of_a_liar_changes_nothing():
    faults = (Fault("twins", node=0), Fault("crash", 200, 100, 0), Fault("clock", 200, 100, 1, 9))
    assert run(Spec(seed=1, stakes=(1,) * 4, safety_ms=500, faults=faults)).is_clean


def test_broken_promise_is_named():
    assert run(draw_spec(0, mutant="never-quiet")).check == "quiet"
