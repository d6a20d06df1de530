"""Links: reliable and ordered over a road that is neither."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.maelstrom.links import (
    ACK_DELAY_MS,
    ACK_EVERY,
    OPEN_TIMEOUT_MS,
    PACKET_BYTES_MAX,
    QUEUE_BYTES_MAX,
    WINDOW,
    Arrived,
    Closed,
    Link,
    Opened,
)
from simulations.maelstrom.protocol import Packet
from simulations.maelstrom.retransmission import RTO_FIRST_MS

TRIP_MS = 50


class Pair:
    """Two links and the road between them, which a test may meddle with."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.ends = (Link(), Link())
        self.events: tuple[list, list] = ([], [])
        self.road: list[tuple[int, int, Packet]] = []
        self.sent = 0

    def flush(self, fate=lambda: (TRIP_MS,)) -> None:
        """Put packets on the road; `fate` answers how long each of its copies travels."""
        for end, link in enumerate(self.ends):
            for packet in link.take_packets(self.now_ms):
                self.sent += 1
                self.road += [(self.now_ms + trip_ms, 1 - end, packet) for trip_ms in fate()]
            self.events[end].extend(link.take_events())

    def advance(self, duration_ms: int, fate=lambda: (TRIP_MS,)) -> None:
        until_ms = self.now_ms + duration_ms
        while True:
            self.flush(fate)
            due_ms = [due for due, _, _ in self.road]
            due_ms += [one for link in self.ends if (one := link.next_deadline) is not None]
            if not due_ms or max(min(due_ms), self.now_ms + 1) > until_ms:
                self.now_ms = until_ms
                return
            self.now_ms = max(min(due_ms), self.now_ms + 1)
            arrived = [parcel for parcel in self.road if parcel[0] <= self.now_ms]
            self.road = [parcel for parcel in self.road if parcel[0] > self.now_ms]
            for _, end, packet in arrived:
                self.ends[end].receive(self.now_ms, packet)
            for link in self.ends:
                link.tick(self.now_ms)

    def open(self) -> None:
        self.ends[0].dial(self.now_ms)
        self.advance(1_000)
        assert self.ends[0].is_open and self.ends[1].is_open
        self.clear()

    def clear(self) -> None:
        for events in self.events:
            events.clear()
        self.sent = 0

    def arrived(self, end: int) -> list[bytes]:
        return [event.frame for event in self.events[end] if isinstance(event, Arrived)]


def lose_all():
    return ()


def test_link_opens_on_both_sides_in_two_round_trips():
    pair = Pair()
    pair.ends[0].dial(pair.now_ms)
    pair.ends[0].dial(pair.now_ms)
    pair.advance(3 * TRIP_MS)
    assert pair.events == ([Opened(inbound=False)], [Opened(inbound=True)])


def test_link_opens_once_when_both_dial():
    pair = Pair()
    for link in pair.ends:
        link.dial(pair.now_ms)
    pair.advance(1_000)
    assert pair.events == ([Opened(inbound=False)], [Opened(inbound=False)])


def test_link_opens_when_the_first_greeting_is_lost():
    pair = Pair()
    pair.ends[0].dial(pair.now_ms)
    pair.advance(10, lose_all)
    pair.advance(RTO_FIRST_MS + 1_000)
    assert pair.events[0] == [Opened(inbound=False)]


def test_link_opens_when_its_last_greeting_comes_twice():
    pair = Pair()
    pair.ends[0].dial(pair.now_ms)
    pair.advance(2_000, lambda: (TRIP_MS, TRIP_MS, 4 * TRIP_MS))
    assert pair.events == ([Opened(inbound=False)], [Opened(inbound=True)])


def test_link_gives_up_when_nobody_answers():
    pair = Pair()
    pair.ends[0].dial(pair.now_ms)
    pair.advance(OPEN_TIMEOUT_MS + 1, lose_all)
    assert pair.events[0] == [Closed("timed out", was_open=False)]
    assert pair.ends[0].next_deadline is None


def test_frames_arrive_in_order_and_are_acknowledged_once():
    pair = Pair()
    pair.open()
    frames = [b"%d" % number for number in range(10)]
    for frame in frames:
        pair.ends[0].send(pair.now_ms, frame)
    pair.advance(5_000)
    assert pair.arrived(1) == frames
    assert pair.sent == 2  # one packet, one acknowledgement
    assert pair.ends[0].next_deadline is None


def test_acknowledgement_travels_with_an_answer():
    pair = Pair()
    pair.open()
    pair.ends[0].send(pair.now_ms, b"question")
    pair.advance(TRIP_MS + ACK_DELAY_MS // 2)
    pair.ends[1].send(pair.now_ms, b"answer")
    pair.advance(5_000)
    assert pair.arrived(0) == [b"answer"]
    assert pair.sent == 3  # question, answer, acknowledgement of the answer


def test_acknowledgement_does_not_wait_when_many_frames_have_come():
    pair = Pair()
    pair.open()
    for _ in range(ACK_EVERY):
        pair.ends[0].send(pair.now_ms, b"frame")
    pair.advance(2 * TRIP_MS)
    assert pair.ends[0].next_deadline is None


def test_frames_fill_several_packets_when_they_are_large():
    pair = Pair()
    pair.open()
    frames = [bytes([number]) * (PACKET_BYTES_MAX // 2) for number in range(6)]
    for frame in frames:
        pair.ends[0].send(pair.now_ms, frame)
    pair.flush()
    assert [len(packet.frames) for _, _, packet in pair.road] == [2, 2, 2]
    pair.advance(5_000)
    assert pair.arrived(1) == frames


def test_window_holds_back_what_is_not_acknowledged():
    pair = Pair()
    pair.open()
    for _ in range(3 * WINDOW):
        pair.ends[0].send(pair.now_ms, b"frame")
    pair.flush()
    assert sum(len(packet.frames) for _, _, packet in pair.road) == WINDOW
    pair.advance(5_000)
    assert len(pair.arrived(1)) == 3 * WINDOW


def test_frames_arrive_after_a_partition_and_only_probes_travel_meanwhile():
    pair = Pair()
    pair.open()
    sent_frames = []
    for number in range(20):
        frame = bytes([number]) * PACKET_BYTES_MAX
        sent_frames.append(frame[:60_000])
        pair.ends[0].send(pair.now_ms, sent_frames[-1])
        pair.advance(500, lose_all)
    assert pair.sent < 12
    pair.advance(10_000)
    assert pair.arrived(1) == sent_frames


def test_link_ends_when_the_peer_does_not_keep_up():
    pair = Pair()
    pair.open()
    frame = bytes(60_000)
    for _ in range(QUEUE_BYTES_MAX // len(frame) + 1):
        pair.ends[0].send(pair.now_ms, frame)
    pair.advance(1_000)
    assert pair.events[0] == [Closed("the peer does not keep up", was_open=True)]
    assert pair.events[1][-1] == Closed("hung up", was_open=True)


def test_last_words_arrive_before_the_end():
    pair = Pair()
    pair.open()
    pair.ends[0].send(pair.now_ms, b"goodbye")
    pair.ends[0].hang_up(pair.now_ms, "done")
    pair.ends[0].hang_up(pair.now_ms, "done")
    pair.ends[0].send(pair.now_ms, b"too late")
    pair.advance(1_000)
    assert pair.events[0] == [Closed("done", was_open=True)]
    assert pair.events[1] == [Arrived(b"goodbye"), Closed("hung up", was_open=True)]


def test_link_can_be_given_up_while_it_opens():
    pair = Pair()
    pair.ends[0].dial(pair.now_ms)
    pair.ends[0].hang_up(pair.now_ms, "changed my mind")
    pair.advance(2_000)
    assert pair.events[0] == [Closed("changed my mind", was_open=False)]
    assert pair.events[1] == [Closed("hung up", was_open=False)]


def test_end_is_heard_of_when_the_reset_was_lost():
    pair = Pair()
    pair.open()
    pair.ends[0].hang_up(pair.now_ms, "done")
    pair.advance(10, lose_all)
    pair.ends[1].send(pair.now_ms, b"are you there?")
    pair.advance(1_000)
    assert pair.events[1] == [Closed("hung up", was_open=True)]


def test_new_connection_replaces_the_one_the_other_side_forgot():
    pair = Pair()
    pair.open()
    pair.ends[0].hang_up(pair.now_ms, "done")
    pair.advance(10, lose_all)
    pair.ends[0].dial(pair.now_ms)
    pair.advance(2_000)
    assert pair.events[1] == [
        Closed("the peer has connected anew", was_open=True),
        Opened(inbound=True),
    ]
    assert pair.ends[0].is_open


def test_packets_of_an_earlier_connection_change_nothing():
    pair = Pair()
    pair.ends[0].dial(pair.now_ms)
    pair.flush()
    old = [packet for _, _, packet in pair.road]
    pair.advance(1_000)
    pair.ends[0].hang_up(pair.now_ms, "done")
    pair.ends[0].dial(pair.now_ms)
    pair.advance(1_000)
    pair.clear()
    for packet in (*old, Packet(old[0].session, 10**6, frames=(b"old",), first=1)):
        pair.ends[1].receive(pair.now_ms, packet)
    pair.ends[1].receive(pair.now_ms, Packet(7, 8, reset=True))
    pair.advance(1_000)
    assert pair.events == ([], [])
    assert pair.ends[0].is_open and pair.ends[1].is_open


def test_stranger_session_is_not_listened_to():
    pair = Pair()
    pair.open()
    pair.ends[0].send(pair.now_ms, b"frame")
    pair.flush()
    _, _, packet = pair.road[0]
    forged = Packet(packet.session + 1, packet.echo, first=1, frames=(b"forged",))
    pair.ends[1].receive(pair.now_ms, forged)
    pair.ends[1].receive(pair.now_ms, Packet(packet.session, 0, opening=False))
    pair.advance(1_000)
    assert pair.arrived(1) == [b"frame"]


def test_acknowledgement_of_what_was_never_sent_is_passed_over():
    pair = Pair()
    pair.open()
    pair.ends[0].send(pair.now_ms, b"frame")
    pair.flush()
    _, _, packet = pair.road[0]
    pair.ends[0].receive(pair.now_ms, Packet(packet.echo, packet.session, ack=5))
    assert pair.ends[0].next_deadline is not None
    pair.advance(1_000)
    assert pair.arrived(1) == [b"frame"]


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "wait", "dial", "hang up"]), st.integers(0, 1)
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.randoms(use_true_random=False))
def test_frames_arrive_in_order_once_and_in_the_end_whatever_the_road_does(actions, random):
    def fate():
        copies = random.choice((0, 1, 1, 1, 2))
        return tuple(random.randint(1, 400) for _ in range(copies))

    pair = Pair()
    pair.ends[0].dial(pair.now_ms)
    said: tuple[list[bytes], list[bytes]] = ([], [])
    for number, (action, end) in enumerate(actions):
        link = pair.ends[end]
        if action == "send":
            if link.is_open:
                said[end].append(b"%d" % number)
            link.send(pair.now_ms, b"%d" % number)
        elif action == "wait":
            pair.advance(random.randint(1, 3_000), fate)
        elif action == "dial":
            link.dial(pair.now_ms)
        else:
            link.hang_up(pair.now_ms, "done")
    pair.advance(1_000, fate)
    for end in (0, 1):
        arrived = pair.arrived(1 - end)
        assert arrived == [frame for frame in said[end] if frame in arrived]  # in order, once
    settle(pair)
    check_goes_on(pair)


def settle(pair: Pair) -> None:
    """From now on the road is good, and whoever is alone hears of it when it speaks."""
    pair.advance(20_000)
    for link in pair.ends:
        link.send(pair.now_ms, b"")
    pair.advance(20_000)
    pair.ends[0].dial(pair.now_ms)
    pair.advance(20_000)


def check_goes_on(pair: Pair) -> None:
    assert pair.ends[0].is_open and pair.ends[1].is_open
    pair.clear()
    for end, link in enumerate(pair.ends):
        link.send(pair.now_ms, b"after %d" % end)
    pair.advance(20_000)
    assert pair.arrived(0) == [b"after 1"] and pair.arrived(1) == [b"after 0"]
    assert pair.ends[0].next_deadline is None and pair.ends[1].next_deadline is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.randoms(use_true_random=False))
def test_everything_said_arrives_when_nobody_ends_the_connection(gaps, random):
    def fate():
        return () if random.random() < 0.4 else (random.randint(1, 300),)

    pair = Pair()
    pair.open()
    for number, gap in enumerate(gaps):
        pair.ends[number % 2].send(pair.now_ms, b"%d" % number)
        pair.advance(gap * 300 + 1, fate)
    pair.advance(30_000)
    for end in (0, 1):
        assert pair.arrived(1 - end) == [b"%d" % n for n in range(end, len(gaps), 2)]


@given(
    st.lists(
        st.builds(
            Packet,
            session=st.integers(1, 3),
            echo=st.sampled_from([0, 1, 2, 1_000, 1_001]),
            opening=st.booleans(),
            reset=st.booleans(),
            ack=st.integers(0, 5),
            first=st.integers(0, 300),
            frames=st.lists(st.binary(max_size=3), max_size=3).map(tuple),
        ),
        max_size=20,
    )
)
def test_link_stays_bounded_whatever_a_liar_sends(packets):
    link = Link()
    link.dial(1_000)
    for now_ms, packet in enumerate(packets, 1_000):
        link.send(now_ms, b"frame")
        link.receive(now_ms, packet)
        link.tick(now_ms)
        link.take_packets(now_ms)
        link.take_events()
        assert len(link._early) <= WINDOW
