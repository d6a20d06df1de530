"""A replica knows its load and which model serves a query."""

from __future__ import annotations

from meshnode.routing.replica import Replica


def make_replica(**fields) -> Replica:
    return Replica(
        **{"peer": "p", "author": b"", "name": "p", "models": ("a", "b"), "slots": 1, **fields}
    )


def test_replica_load_counts_own_and_reported_requests():
    assert make_replica(running=1, queued=2, outstanding=3).load == 6


def test_replica_finds_its_preferred_model_when_asked_for_auto():
    assert make_replica().find_model("auto") == "a"
    assert make_replica(models=()).find_model("auto") is None


def test_replica_finds_a_model_by_its_exact_id():
    assert make_replica().find_model("b") == "b"
    assert make_replica().find_model("B") is None
