"""What holds for every measurement: pure, bounded, and says what it did."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from simulations.results import Outcome
from simulations.scenarios.measures import MEASURES, get_measure
from simulations.scenarios.summary import SAMPLES_MAX, SERIES_MAX

SMALL: dict[str, dict[str, Any]] = {
    "byzantine": {"nodes": 4, "vertices": 6, "liars_percent": 25, "settle_ms": 5_000},
    "call_auction": {"traders": 5, "shading_percent": 20},
    "cheating": {"deals": 6, "cheats_percent": 50, "checked_percent": 50},
    "churn": {"nodes": 4, "duration_ms": 20_000, "hour_ms": 500, "interval_ms": 500},
    "congestion": {"hours": 2, "lots": 5, "load": 1.5},
    "finality": {"one_way_ms": 0, "duration_ms": 1_500, "network": "cloud"},
    "flood": {"nodes": 40, "degree": 4, "network": "cloud"},
    "gossip": {"nodes": 5, "vertices": 5, "network": "cloud"},
    "partition": {"nodes": 4, "partition_ms": 3_000, "network": "home"},
    "push": {"nodes": 60, "network": "hostile"},
    "sybil": {"deals": 16, "providers": 2},
    "wash": {"deals": 3},
    "whitewash": {"history": 2, "faults": 1, "goal_bp": 500},
    "zero_intelligence": {"buyers": 3, "sellers": 3, "units": 2},
}
ECONOMIES = (
    "call_auction",
    "cheating",
    "congestion",
    "sybil",
    "wash",
    "whitewash",
    "zero_intelligence",
)
NETWORKED = tuple(name for name in MEASURES if name not in ECONOMIES)


def measure(name: str, seed: int, **changes: Any) -> Outcome:
    found = get_measure(name)
    return found.run(found.parameters(**{**SMALL[name], **changes}), seed)


@pytest.mark.parametrize("name", MEASURES)
def test_measure_is_a_function_of_parameters_and_seed(name: str):
    first = measure(name, 3)
    assert measure(name, 3) == first
    assert measure(name, 4).world["digest"] != first.world["digest"]


@pytest.mark.parametrize("name", MEASURES)
def test_outcome_is_bounded_and_ordered(name: str):
    outcome = measure(name, 5)
    assert all(math.isfinite(value) for value in outcome.metrics.values())
    for values in outcome.samples.values():
        assert values == sorted(values)
        assert len(values) <= SAMPLES_MAX
    for points in outcome.series.values():
        assert len(points) <= SERIES_MAX
        assert [x for x, _ in points] == sorted({x for x, _ in points})
        assert all(0 <= y <= 1 for _, y in points) or name in ECONOMIES


@pytest.mark.parametrize("name", ECONOMIES)
def test_row_of_an_economy_says_what_was_simulated(name: str):
    world: dict = measure(name, 6).world
    is_auction = name == "call_auction"
    assert world["fidelity"] == ("auction" if is_auction else "market")
    assert world["crypto"] == ("none" if is_auction else "receipts")
    assert world["events"] > 0


@pytest.mark.parametrize("name", NETWORKED)
def test_row_says_how_truly_it_was_simulated(name: str):
    world: dict = measure(name, 6).world
    core = name not in {"finality", "flood", "push"}
    assert world["crypto"] == ("cached" if core else "none")
    assert world["processor"] is core
    assert world["network"] == SMALL[name].get("network", "ideal")
    assert world["events"] > 0
    in_flight = world["messages_in_flight"]
    arrived = world["messages_delivered"] + world["messages_dropped"] + in_flight
    assert world["messages_sent"] + world["messages_duplicated"] == arrived


@pytest.mark.parametrize("name", ["byzantine", "churn", "gossip", "partition"])
def test_fidelity_changes_the_work_and_not_the_result(name: str):
    fast, true = measure(name, 7, fidelity="cached"), measure(name, 7, fidelity="bytes")
    assert true.metrics == fast.metrics
    assert true.world["crypto"] == "real"


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("changes", [{"nodes": 1}, {"nodes": 2.5}, {"nodes": "5"}, {"node": 4}])
def test_bad_parameters_are_refused(name: str, changes: dict):
    with pytest.raises(ValidationError):
        get_measure(name).parameters(**changes)
