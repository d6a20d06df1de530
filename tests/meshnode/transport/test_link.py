"""One end of a channel without I/O: its queue, credit, order and end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import InvalidMessage, MalformedMessage
from meshnode.transport.base import FRAME_BYTES_MAX
from meshnode.transport.framing import (
    FINISH_FRAME,
    FRAME_COST_BYTES,
    WRITE_BYTES_MAX,
    data_header,
    encode_credit,
)
from meshnode.transport.link import FrameLink

WINDOW = 4_096
QUEUE_MAX = 20_000


def new_link(window=WINDOW, queue_max=QUEUE_MAX):
    return FrameLink(window_bytes=window, queue_bytes_max=queue_max)


def data(payload):
    return data_header(payload) + payload


def test_offer_is_all_or_nothing():
    link = new_link()
    assert link.offer([bytes(10_000)])
    assert not link.offer([b"x", bytes(10_000)])
    assert link.queued_bytes == 10_004
    assert link.offer([b"x"])


def test_offer_takes_one_message_larger_than_the_queue_when_it_is_empty():
    link = new_link(queue_max=10)
    assert link.offer([bytes(100)])
    assert not link.offer([b""])


def test_offer_refuses_when_finished_or_ended():
    link = new_link()
    link.finish()
    assert not link.offer([b"x"])
    other = new_link()
    other.end()
    assert not other.offer([b"x"])


def test_offer_of_too_large_a_frame_is_a_programmer_error():
    with pytest.raises(AssertionError):
        new_link().offer([bytes(FRAME_BYTES_MAX + 1)])


def test_next_write_joins_frames_up_to_one_noise_message():
    link = new_link(window=2**20, queue_max=2**20)
    link.offer([bytes(5_000)] * 20)
    write = link.next_write()
    assert len(write) == 12 * 5_004 <= WRITE_BYTES_MAX
    assert len(link.next_write()) == 8 * 5_004
    assert link.next_write() == b""


def test_next_write_stops_when_the_credit_is_used_up():
    link = new_link()
    link.offer([bytes(1_000)] * 10)
    assert link.next_write() == data(bytes(1_000)) * 3
    link.written()
    assert link.next_write() == b""
    assert link.has_unsent
    link.feed(encode_credit(1_000 + FRAME_COST_BYTES))
    assert link.next_write() == data(bytes(1_000))


def test_finish_comes_after_everything_queued():
    link = new_link()
    link.offer([b"x"])
    link.finish()
    link.finish()
    assert link.next_write() == data(b"x") + FINISH_FRAME
    assert link.has_unsent
    link.written()
    assert not link.has_unsent
    assert link.next_write() == b""


def test_consumed_grants_credit_by_quarters_of_the_window():
    link = new_link()
    woken = []
    link.on_writable = lambda: woken.append(1)
    frame = bytes(WINDOW // 8)
    link.feed(data(frame))
    link.consumed(link.take())
    assert (woken, link.next_write()) == ([], b"")
    link.feed(data(frame))
    link.consumed(link.take())
    assert woken == [1]
    assert link.next_write() == encode_credit(2 * (len(frame) + FRAME_COST_BYTES))


@pytest.mark.parametrize(
    "wire",
    [
        data(bytes(WINDOW)),
        data(b"") * (WINDOW // FRAME_COST_BYTES + 1),
        encode_credit(1),
        FINISH_FRAME + data(b"x"),
        FINISH_FRAME * 2,
        b"\x09",
    ],
    ids=["credit", "empty frames", "grant", "data after finish", "second finish", "kind"],
)
def test_feed_refuses_what_breaks_the_rules(wire):
    link = new_link()
    with pytest.raises(MalformedMessage):
        link.feed(wire + bytes(3))


def test_feed_after_the_end_is_ignored():
    link = new_link()
    link.end()
    link.end()
    assert link.feed(b"\xff" * 10) == 0
    link.consumed([bytes(WINDOW)])


def test_frames_that_arrived_survive_the_end():
    link = new_link()
    link.feed(data(b"one") + data(b"two"))
    link.end()
    assert link.take_one() == b"one"
    assert link.take() == [b"two"]
    assert link.take_one() is None


def test_credit_of_an_empty_queue_wakes_nobody():
    link = new_link()
    link.offer([b"x"])
    link.next_write()
    woken = []
    link.on_writable = lambda: woken.append(1)
    link.feed(encode_credit(1))
    assert woken == []


@given(st.lists(st.binary(max_size=2_000), max_size=60), st.data())
def test_two_links_move_every_frame_in_order_within_the_window(frames, choices):
    near, far = new_link(queue_max=10**6), new_link()
    assert near.offer(frames) or not frames
    near.finish()
    received: list[bytes] = []
    while not (far.peer_finished and len(received) == len(frames)):
        if write := near.next_write():
            far.feed(write)
            near.written()
        taken = far.take() if choices.draw(st.booleans()) or not write else []
        far.consumed(taken)
        received += taken
        if write := far.next_write():
            near.feed(write)
            far.written()
    assert received == frames


@given(st.lists(st.binary(max_size=100), max_size=30))
def test_feed_raises_nothing_but_invalid_messages_and_stays_within_the_window(pieces):
    link = new_link()
    try:
        for piece in pieces:
            link.feed(piece)
    except InvalidMessage:
        pass
    held = sum(len(frame) + FRAME_COST_BYTES for frame in link.take())
    assert held <= WINDOW + 100
