"""Honest hosts keep hearing from each other, whatever a share of the mesh sends."""

from __future__ import annotations

from typing import Any

import pytest

from simulations.faults import BEHAVIOURS, Behaviour
from simulations.scenarios.measures.byzantine import Parameters, draw_liars, run

QUICK: dict[str, Any] = {"nodes": 6, "vertices": 12, "settle_ms": 15_000}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_honest_hosts_hear_from_each_other(behaviour: Behaviour):
    metrics = run(Parameters(**QUICK, liars_percent=34, behaviour=behaviour), 1).metrics
    assert metrics["liars"] == 2
    assert metrics["coverage"] == 1


def test_what_is_withheld_comes_late():
    metrics = run(Parameters(**QUICK, liars_percent=34, behaviour="withhold"), 2).metrics
    assert metrics["coverage_of_liars"] == 1
    assert metrics["liars_p50_ms"] > 5 * metrics["p50_ms"]


def test_garbled_vertices_are_offences_and_not_stored():
    metrics = run(Parameters(**QUICK, liars_percent=34, behaviour="garble"), 2).metrics
    assert metrics["offences"] > 0
    assert metrics["coverage_of_liars"] < 1


def test_without_liars_nobody_offends():
    metrics = run(Parameters(**QUICK, liars_percent=0), 1).metrics
    assert metrics["liars"] == metrics["offences"] == 0
    assert metrics["coverage_of_liars"] == 1
    assert "liars_p50_ms" not in metrics


def test_more_liars_are_the_same_and_some_more():
    few, many = (draw_liars(Parameters(**QUICK, liars_percent=share), 5) for share in (34, 67))
    assert len(few) == 2
    assert len(many) == 4
    assert set(few) < set(many)
    assert draw_liars(Parameters(**QUICK, liars_percent=16), 5) == ()
