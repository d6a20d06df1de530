"""Fleets and distances, and what goes wrong with them."""

from __future__ import annotations

import statistics

import pytest

from simulations.errors import BadModel
from simulations.serving.faults import KINDS, plan_faults
from simulations.serving.fleet import FLEETS, RTT_MS, Paths, make_fleet, make_paths
from simulations.streams import Streams


@pytest.mark.parametrize("name", FLEETS)
def test_fleets_have_one_capacity_in_sum(name):
    fleet = make_fleet(name, 8, Streams(3))
    assert len(fleet) == 8
    assert sum(spec.prefill_tokens_per_s for spec in fleet) == pytest.approx(108_000)
    assert all(12 <= spec.slots <= 64 for spec in fleet)
    assert all(spec.tell_decode_ms(1) < 50 for spec in fleet)


def test_drawn_fleets_differ_by_seed_and_mixed_ones_do_not():
    assert make_fleet("drawn", 8, Streams(1)) != make_fleet("drawn", 8, Streams(2))
    assert make_fleet("drawn", 8, Streams(1)) == make_fleet("drawn", 8, Streams(1))
    assert make_fleet("mixed", 9, Streams(1))[8] == make_fleet("mixed", 9, Streams(2))[0]


def test_chunks_can_be_asked_for():
    assert all(spec.chunk_tokens for spec in make_fleet("mixed", 2, Streams(0), is_chunked=True))


def test_fleet_of_nobody_is_refused():
    with pytest.raises(BadModel):
        make_fleet("mixed", 0, Streams(0))


def test_round_trips_lie_where_they_are_said_to():
    paths = make_paths(6, 8, Streams(0))
    every = [rtt for row in paths.rtt_ms for rtt in row]
    assert len(every) == 48
    assert min(every) >= RTT_MS[0]
    assert max(every) <= RTT_MS[1]


def test_messages_take_half_a_round_trip_more_or_less():
    stream = Streams(0).get("x")
    assert Paths(((80.0,),), jitter_sigma=0.0).draw_one_way_ms(0, 0, stream) == 40.0
    drawn = [Paths(((80.0,),)).draw_one_way_ms(0, 0, stream) for _ in range(200)]
    assert statistics.fmean(drawn) == pytest.approx(40.0, rel=0.02)
    assert len(set(drawn)) > 100


@pytest.mark.parametrize("kind", KINDS)
def test_faults_hit_one_replica_or_a_domain(kind):
    (fault,) = plan_faults(kind, 8, 6, Streams(1))
    assert fault.kind == kind
    assert len(fault.replicas) == (2 if kind == "rate-limit" else 1)
    assert fault.routers == ((0, 1, 2) if kind == "partition" else ())
    assert (fault,) == plan_faults(kind, 8, 6, Streams(1))


def test_unknown_fault_is_refused():
    with pytest.raises(BadModel, match="straggler"):
        plan_faults("gremlins", 8, 6, Streams(1))  # type: ignore[arg-type]
