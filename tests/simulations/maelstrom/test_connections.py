"""Connections of the core over links: receipts, ends, strangers."""

from __future__ import annotations

from meshnode.core.effects import Dial
from meshnode.core.inputs import Completed, Connected, DialEnded, Disconnected
from simulations.maelstrom.connections import Connections
from simulations.maelstrom.links import OPEN_TIMEOUT_MS
from simulations.maelstrom.node import derive_identity
from simulations.maelstrom.protocol import Packet

ONE, TWO = derive_identity("n1"), derive_identity("n2")


def make_both():
    return Connections({"n2": TWO}), Connections({"n1": ONE})


def exchange(now_ms, one, two):
    """Let packets pass until there are none."""
    while True:
        passed = [(two, "n1", packet) for _, packet in one.take_packets(now_ms)]
        passed += [(one, "n2", packet) for _, packet in two.take_packets(now_ms)]
        if not passed:
            return
        for target, source, packet in passed:
            target.receive(now_ms, source, packet)


def test_dial_ends_in_a_connection_and_one_receipt():
    one, two = make_both()
    one.dial(5, Dial(7, TWO.transport, TWO.addresses))
    assert one.take_news(5) == []
    exchange(5, one, two)
    assert one.take_news(5) == [
        Connected(5, TWO.transport, inbound=False, address="/sim/n2"),
        Completed(5, 7, DialEnded("")),
    ]
    assert two.take_news(5) == [Connected(5, ONE.transport, inbound=True, address="/sim/n1")]
    assert one.take_news(5) == []


def test_dial_ends_at_once_when_a_connection_stands():
    one, two = make_both()
    one.dial(5, Dial(7, TWO.transport, TWO.addresses))
    exchange(5, one, two)
    two.take_news(5)
    two.dial(5, Dial(1, ONE.transport, ONE.addresses))
    assert two.take_news(5) == [Completed(5, 1, DialEnded(""))]


def test_dial_fails_when_nobody_answers():
    one, _ = make_both()
    one.dial(5, Dial(7, TWO.transport, TWO.addresses))
    one.tick(5 + OPEN_TIMEOUT_MS)
    assert one.take_news(9_000) == [Completed(9_000, 7, DialEnded("timed out"))]
    assert one.next_deadline is None


def test_dial_fails_when_nobody_has_this_name():
    one, _ = make_both()
    one.dial(5, Dial(7, derive_identity("n9").transport, ("/sim/n9",)))
    assert one.take_news(5) == [Completed(5, 7, DialEnded("nobody at this address"))]
    assert one.take_news(5) == []


def test_frames_and_the_end_arrive():
    one, two = make_both()
    one.dial(5, Dial(7, TWO.transport, TWO.addresses))
    exchange(5, one, two)
    two.take_news(5)
    one.send(6, TWO.transport, b"frame")
    one.hang_up(6, TWO.transport, "done")
    exchange(6, one, two)
    assert two.take_news(6) == [
        (ONE.transport, b"frame"),
        Disconnected(6, ONE.transport, "hung up"),
    ]


def test_stranger_is_not_listened_to():
    one, _ = make_both()
    one.receive(5, "n9", Packet(3, opening=True))
    assert one.take_packets(5) == []
