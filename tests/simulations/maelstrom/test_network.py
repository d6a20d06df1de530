"""The network of a test: latency, loss, partitions."""

from __future__ import annotations

import random

import pytest

from simulations.maelstrom.network import Network


def make(**options):
    return Network(random.Random(1), **{"latency_ms": 10, **options})


def test_lines_arrive_in_order_after_the_latency():
    network = make()
    assert network.next_ms is None
    network.send(0, "n1", "n2", b"a")
    network.send(0, "n1", "n3", b"b")
    assert network.take_due(9) == []
    assert network.next_ms == 10
    assert network.take_due(10) == [("n2", b"a"), ("n3", b"b")]
    assert (network.sent, network.lost) == (2, 0)


@pytest.mark.parametrize("distribution", ["uniform", "exponential"])
def test_delays_spread_about_the_mean(distribution):
    network = make(latency_ms=100, distribution=distribution)
    delays = [network._draw_delay_ms() for _ in range(4_000)]
    assert 90 < sum(delays) / len(delays) < 110
    assert min(delays) < 20 and max(delays) > 180
    assert make(latency_ms=0, distribution=distribution)._draw_delay_ms() == 0


def test_loss_takes_its_share():
    network = make(loss=0.25)
    for _ in range(4_000):
        network.send(0, "n1", "n2", b"")
    assert 900 < network.lost < 1_100
    assert len(network.take_due(10)) == 4_000 - network.lost


def test_partition_stops_what_is_on_its_way_between_the_sides():
    network = make()
    network.send(0, "n1", "n2", b"a")
    network.send(0, "n1", "n3", b"b")
    network.part({"n1": 0, "n2": 1, "n3": 0})
    assert network.is_parted
    assert network.take_due(10) == [("n3", b"b")]
    network.send(10, "n1", "n2", b"c")
    network.heal()
    assert not network.is_parted
    assert network.take_due(20) == [("n2", b"c")]
    assert network.lost == 1
