"""Messages go out in order; pushes that stand together travel as one."""

from __future__ import annotations

import msgspec

from meshnode.core.effects import Send
from meshnode.core.messages import Message, Ping, Push
from meshnode.shell.outgoing import Outgoing
from meshnode.shell.telemetry import Telemetry
from tests.support.fake_transport import FakeTransport

BOTH = ("a", "b")


class Bench:
    def __init__(self):
        self.transport = FakeTransport()
        self.telemetry = Telemetry()
        self.outgoing = Outgoing(self.transport, self.telemetry)

    def push(self, *wires, to=BOTH, channel=0):
        self.outgoing.send(Send(to, channel, Push(wires)))

    def sent(self):
        decode = msgspec.msgpack.Decoder(Message).decode
        return [(peer, channel, decode(frame)) for peer, channel, frame in self.transport.sent]


def test_pushes_to_the_same_peers_become_one_in_their_order():
    bench = Bench()
    bench.push(b"1")
    bench.push(b"2", b"3")
    assert bench.sent() == []
    bench.outgoing.flush()
    bench.outgoing.flush()
    assert bench.sent() == [(peer, 0, Push((b"1", b"2", b"3"))) for peer in BOTH]
    assert bench.telemetry.snapshot()["counters"] == {"frames_sent": 2}


def test_another_message_goes_out_after_the_pushes_before_it():
    bench = Bench()
    bench.push(b"1")
    bench.outgoing.send(Send(("a",), 0, Ping(7)))
    bench.push(b"2")
    bench.outgoing.flush()
    assert [(peer, message) for peer, _, message in bench.sent()] == [
        ("a", Push((b"1",))),
        ("b", Push((b"1",))),
        ("a", Ping(7)),
        ("a", Push((b"2",))),
        ("b", Push((b"2",))),
    ]


def test_pushes_to_others_or_on_another_channel_stay_apart():
    bench = Bench()
    bench.push(b"1", to=("a",))
    bench.push(b"2", to=("b",))
    bench.push(b"3", to=("b",), channel=1)
    bench.outgoing.flush()
    assert bench.sent() == [
        ("a", 0, Push((b"1",))),
        ("b", 0, Push((b"2",))),
        ("b", 1, Push((b"3",))),
    ]


def test_pushes_that_fill_a_frame_are_cut_where_they_join():
    bench = Bench()
    wires = [bytes([number]) * 20_000 for number in range(5)]
    for wire in wires:
        bench.push(wire, to=("a",))
    bench.outgoing.flush()
    assert [message.vertices for _, _, message in bench.sent()] == [
        tuple(wires[0:2]),
        tuple(wires[2:4]),
        tuple(wires[4:5]),
    ]


def test_frames_that_a_peer_does_not_take_are_counted():
    bench = Bench()
    bench.transport.takes = False
    bench.push(b"1")
    bench.outgoing.flush()
    assert bench.telemetry.snapshot()["counters"] == {"frames_not_taken": 2}
