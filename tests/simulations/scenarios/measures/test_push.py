"""The published curve, and what leads away from it."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from pydantic import ValidationError

from simulations.scenarios.measures.push import Parameters, run


@pytest.mark.parametrize(("fanout", "share"), [(2, 0.7968), (3, 0.9405), (5, 0.9930)])
def test_reach_is_the_final_size_of_an_epidemic(fanout: int, share: float):
    parameters = Parameters(nodes=2_000, fanout=fanout)
    reached = fmean(run(parameters, seed).metrics["coverage"] for seed in range(5))
    assert reached == pytest.approx(share, abs=0.01)


def test_every_node_that_hears_tells_so_many():
    metrics = run(Parameters(nodes=200, fanout=4), 1).metrics
    assert metrics["copies_per_node"] == pytest.approx(4 * metrics["coverage"])
    assert metrics["last_ms"] % 20 == 0


def test_loss_of_datagrams_lowers_the_reach():
    outcome = run(Parameters(nodes=2_000, fanout=3, network="hostile"), 1)
    row: dict = outcome.world
    # What is doubled reaches nobody else.
    rate = 3 * (row["messages_delivered"] - row["messages_duplicated"]) / row["messages_sent"]
    share = 1.0
    for _ in range(200):
        share = 1 - math.exp(-rate * share)
    assert rate < 2.9
    assert outcome.metrics["coverage"] == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("changes", [{"fanout": 50}, {"origins": 50}])
def test_there_are_more_nodes_than_are_told(changes: dict):
    with pytest.raises(ValidationError, match=r"below nodes \(50\)"):
        Parameters(nodes=50, **changes)
