"""What a transport promises, held against both implementations."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from meshnode.errors import DialFailed, PeerGone, StreamReset, TransportError
from meshnode.transport.base import FRAME_BYTES_MAX, Channel, FrameStream, PeerId
from meshnode.transport.framing import CHANNEL_WINDOW_BYTES, FRAME_COST_BYTES
from meshnode.transport.limits import TransportLimits
from tests.support.transports import DEADLINE_S, Lab, Recorder, connected, frames_of, received


@pytest_asyncio.fixture(params=["memory", "libp2p"])
async def lab(request):
    lab = Lab(request.param)
    yield lab
    await lab.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_dial_announces_the_connection_to_both_sides(lab):
    one, other = await lab.pair()
    assert one.seen.events == [("outbound", other.id)]
    assert other.seen.events == [("inbound", one.id)]
    assert one.seen.addresses[other.id] in other.transport.addresses


async def test_dial_does_nothing_when_connected(lab):
    one, other = await lab.pair()
    await one.dial(other)
    await other.dial(one)
    assert one.seen.connections == other.seen.connections == 1
    assert one.transport.counters["dials"] == 1


async def test_dial_shares_one_attempt_when_asked_twice(lab):
    one, other = await lab.start("one"), await lab.start("other")
    await asyncio.gather(one.dial(other), one.dial(other))
    await connected(one, other)
    assert one.seen.connections == other.seen.connections == 1


async def test_dial_fails_when_nobody_listens(lab):
    one, other = await lab.start("one"), await lab.start("other")
    await other.transport.close()
    with pytest.raises(DialFailed):
        await one.dial(other)
    assert one.transport.counters["dials_failed"] == 1


async def test_dial_reaches_a_peer_again_right_after_a_failure(lab):
    one, other = await lab.start("one"), await lab.start("other")
    with pytest.raises(DialFailed):
        await one.transport.dial(other.id, [])
    await one.dial(other)
    await connected(one, other)


async def test_dial_of_an_unusable_address_fails_with_the_reason(lab):
    one, other = await lab.start("one"), await lab.start("other")
    with pytest.raises(DialFailed, match=str(other.id)):
        await one.transport.dial(other.id, ["/p2p-circuit", "nonsense"])


async def test_dial_of_itself_fails(lab):
    one = await lab.start("one")
    with pytest.raises(DialFailed):
        await one.dial(one)


async def test_both_sides_keep_one_connection_when_they_dial_at_once(lab):
    for round_ in range(5):
        one, other = await lab.start(f"one {round_}"), await lab.start(f"other {round_}")
        await asyncio.gather(one.dial(other), other.dial(one))
        await connected(one, other)
        assert one.send(other, Channel.CONTROL, b"from one")
        assert other.send(one, Channel.CONTROL, b"from other")
        await one.seen.until(lambda one=one: one.seen.payloads(Channel.CONTROL) == [b"from other"])
        await other.seen.until(
            lambda other=other: other.seen.payloads(Channel.CONTROL) == [b"from one"]
        )
        assert one.seen.connections == other.seen.connections == 1


async def test_frames_arrive_complete_and_in_order_per_channel(lab):
    one, other = await lab.pair()
    frames = [b"", b"x", bytes(FRAME_BYTES_MAX), *frames_of(5_000, 100)]
    for channel in Channel:
        for frame in frames:
            assert one.send(other, channel, frame)
    for channel in Channel:
        await other.seen.until(
            lambda channel=channel: len(other.seen.payloads(channel)) == len(frames)
        )
        assert other.seen.payloads(channel) == frames


async def test_frames_flow_in_both_directions_at_once(lab):
    one, other = await lab.pair()
    frames = list(frames_of(5_000, 200))
    assert one.send(other, Channel.BULK, *frames)
    assert other.send(one, Channel.BULK, *frames)
    await one.seen.until(lambda: one.seen.payloads(Channel.BULK) == frames)
    await other.seen.until(lambda: other.seen.payloads(Channel.BULK) == frames)
    assert one.transport.counters["frames_sent"] == len(frames)
    assert one.transport.counters["frames_received"] == len(frames)


async def test_send_answers_false_when_the_peer_is_unknown(lab):
    one = await lab.start("one")
    stranger = PeerId("stranger")
    assert not one.transport.send(stranger, Channel.CONTROL, [b"x"])
    assert one.transport.queued_bytes(stranger, Channel.CONTROL) == 0
    one.transport.hang_up(stranger, reason="never met")
    with pytest.raises(PeerGone):
        await one.transport.open_stream(stranger)


async def test_send_takes_all_frames_or_none_when_the_queue_is_full(lab):
    limits = TransportLimits(queue_bytes=dict.fromkeys(Channel, 100_000))
    one, other = await lab.pair(limits)
    other.seen.gate.clear()
    sent = 0
    while one.send(other, Channel.CONTROL, bytes(10_000)):
        sent += 1
        await asyncio.sleep(0)
    queued = one.transport.queued_bytes(other.id, Channel.CONTROL)
    assert not one.send(other, Channel.CONTROL, bytes(10_000), bytes(10_000))
    assert one.transport.queued_bytes(other.id, Channel.CONTROL) <= queued <= 100_000
    assert one.send(other, Channel.RPC, b"other channels still go")
    other.seen.gate.set()
    await other.seen.until(lambda: len(other.seen.payloads(Channel.CONTROL)) == sent)


async def test_a_reader_that_waits_stops_the_sender(lab):
    one, other = await lab.pair()
    other.seen.gate.clear()
    frames = list(frames_of(10_000, 300))
    assert one.send(other, Channel.CONTROL, *frames)
    fits = CHANNEL_WINDOW_BYTES[Channel.CONTROL] // (10_000 + FRAME_COST_BYTES)
    await received(other, fits)
    assert other.transport.counters["frames_received"] == fits
    assert one.transport.queued_bytes(other.id, Channel.CONTROL) > 0
    other.seen.gate.set()
    await other.seen.until(lambda: other.seen.payloads(Channel.CONTROL) == frames)


async def test_a_slow_reader_is_hung_up_and_reported(lab):
    one, other = await lab.pair(TransportLimits(slow_reader_ms=100))
    other.seen.gate.clear()
    assert one.send(other, Channel.CONTROL, *frames_of(10_000, 100))
    await one.seen.until(lambda: one.seen.count("disconnected") == 1)
    assert [offence for _, offence, _ in one.seen.offences] == ["slow_reader"]
    assert not one.send(other, Channel.CONTROL, b"x")
    other.seen.gate.set()
    await other.seen.until(lambda: other.seen.count("disconnected") == 1)


async def test_hang_up_delivers_what_was_queued(lab):
    one, other = await lab.pair()
    frames = list(frames_of(5_000, 20))
    assert one.send(other, Channel.CONTROL, *frames)
    one.transport.hang_up(other.id, reason="goodbye")
    assert not one.send(other, Channel.CONTROL, b"too late")
    await other.seen.until(lambda: other.seen.count("disconnected") == 1)
    await one.seen.until(lambda: one.seen.count("disconnected") == 1)
    assert other.seen.payloads(Channel.CONTROL) == frames
    assert one.seen.reasons[other.id] == "goodbye"
    assert other.seen.events[-1] == ("disconnected", one.id)


async def test_hang_up_of_both_sides_delivers_what_both_had_queued(lab):
    one, other = await lab.pair()
    frames = list(frames_of(5_000, 20))
    assert one.send(other, Channel.CONTROL, *frames)
    assert other.send(one, Channel.BULK, *frames)
    one.transport.hang_up(other.id, reason="goodbye")
    other.transport.hang_up(one.id, reason="goodbye too")
    for peer in (one, other):
        await peer.seen.until(lambda peer=peer: peer.seen.count("disconnected") == 1)
    assert one.seen.reasons[other.id] == "goodbye"
    assert other.seen.reasons[one.id] == "goodbye too"


async def test_hang_up_ends_after_the_grace_when_the_peer_does_not_take_it(lab):
    one, other = await lab.pair(TransportLimits(hang_up_grace_ms=50))
    other.seen.gate.clear()
    assert one.send(other, Channel.CONTROL, *frames_of(10_000, 100))
    one.transport.hang_up(other.id, reason="enough")
    await one.seen.until(lambda: one.seen.count("disconnected") == 1)
    other.seen.gate.set()
    await other.seen.until(lambda: other.seen.count("disconnected") == 1)


async def test_a_peer_comes_back_after_a_hang_up(lab):
    one, other = await lab.pair()
    one.transport.hang_up(other.id, reason="goodbye")
    await one.seen.until(lambda: one.seen.count("disconnected") == 1)
    await other.dial(one)
    await one.seen.until(lambda: one.seen.connections == 2)
    assert other.send(one, Channel.RPC, b"again")
    await one.seen.until(lambda: one.seen.payloads(Channel.RPC) == [b"again"])
    assert [event for event, _ in one.seen.events] == ["outbound", "disconnected", "inbound"]


async def test_close_disconnects_every_peer_once(lab):
    one, other = await lab.pair()
    await one.transport.close()
    assert [event for event, _ in one.seen.events] == ["outbound", "disconnected"]
    await other.seen.until(lambda: other.seen.count("disconnected") == 1)
    assert one.transport.counters["connections_closed"] == 1
    await one.transport.close()


async def test_close_does_not_wait_for_a_handler_that_hangs(lab):
    one, other = await lab.pair(TransportLimits(hang_up_grace_ms=50))
    other.seen.gate.clear()
    assert one.send(other, Channel.CONTROL, b"x")
    await received(other, 1)
    await other.transport.close()
    assert other.seen.count("disconnected") == 1


async def test_close_before_start_does_nothing(lab):
    await lab.make("never started").close()


async def test_a_handler_that_fails_ends_its_connection_only(lab):
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    one, other = await lab.pair()
    third = await lab.start("third")
    await third.dial(other)
    await connected(third, other)

    async def fail(*_args):
        raise ValueError("a bug")

    other.seen.deliver = fail
    assert one.send(other, Channel.CONTROL, b"x")
    await other.seen.until(lambda: other.seen.count("disconnected") == 1)
    assert other.seen.reasons == {one.id: "internal error"}
    assert len(reports) == 1
    assert other.send(third, Channel.CONTROL, b"still here")
    await third.seen.until(lambda: third.seen.payloads(Channel.CONTROL) == [b"still here"])


async def test_stream_carries_an_answer_frame_by_frame(lab):
    one, other = await lab.pair()

    async def answer(stream: FrameStream) -> None:
        question = await stream.receive()
        assert question is not None
        for index in range(50):
            await stream.send(question + bytes([index]))
        await stream.finish()

    other.seen.serving = answer
    stream = await one.transport.open_stream(other.id)
    assert stream.peer == other.id
    await stream.send(b"q")
    await stream.finish()
    answers = []
    while (frame := await stream.receive()) is not None:
        answers.append(frame)
    assert answers == [b"q" + bytes([index]) for index in range(50)]
    assert other.transport.counters["streams_accepted"] == 1


async def test_stream_sender_waits_for_a_reader_that_is_slow(lab):
    one, other = await lab.pair()
    taken = asyncio.Event()
    sent = 0

    async def flood(stream: FrameStream) -> None:
        nonlocal sent
        for frame in frames_of(10_000, 200):
            await stream.send(frame)
            sent += 1
        await stream.finish()
        taken.set()

    other.seen.serving = flood
    stream = await one.transport.open_stream(other.id)
    first = await stream.receive()
    for _ in range(200):
        await asyncio.sleep(0)
    assert not taken.is_set()
    frames = [first]
    while (frame := await stream.receive()) is not None:
        frames.append(frame)
    assert frames == list(frames_of(10_000, 200))
    assert sent == 200


async def test_stream_reset_reaches_the_other_side(lab):
    one, other = await lab.pair()
    ended = asyncio.get_running_loop().create_future()

    async def wait(stream: FrameStream) -> None:
        try:
            while await stream.receive() is not None:
                pass
        except StreamReset as error:
            ended.set_result(error)
            with pytest.raises(StreamReset):
                await stream.send(b"too late")
            with pytest.raises(StreamReset):
                await stream.finish()

    other.seen.serving = wait
    stream = await one.transport.open_stream(other.id)
    await stream.send(b"q")
    stream.reset()
    stream.reset()
    assert isinstance(await asyncio.wait_for(ended, DEADLINE_S), StreamReset)
    with pytest.raises(StreamReset):
        await stream.receive()


async def ask(stream):
    await stream.send(b"q")
    return await stream.receive()


async def test_stream_is_reset_when_its_handler_returns_or_fails(lab):
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    one, other = await lab.pair()

    async def leave(stream: FrameStream) -> None:
        await stream.receive()

    async def fail(stream: FrameStream) -> None:
        raise ValueError("a bug")

    async def refuse(stream: FrameStream) -> None:
        raise TransportError("not today")

    for serving in (leave, fail, refuse):
        other.seen.serving = serving
        stream = await one.transport.open_stream(other.id)
        with pytest.raises(StreamReset):
            await ask(stream)
    assert other.seen.count("disconnected") == 0


async def test_stream_lets_the_last_frames_arrive_when_its_handler_returns_at_once(lab):
    one, other = await lab.pair()

    async def say_and_leave(stream: FrameStream) -> None:
        for frame in frames_of(1_000, 50):
            await stream.send(frame)
        await stream.finish()

    other.seen.serving = say_and_leave
    for _ in range(10):
        stream = await one.transport.open_stream(other.id)
        frames = []
        while (frame := await stream.receive()) is not None:
            frames.append(frame)
        assert frames == list(frames_of(1_000, 50))
        await stream.finish()


async def test_streams_beyond_the_limit_are_reset(lab):
    one, other = await lab.pair(TransportLimits(inbound_streams=2))
    leave = asyncio.Event()

    async def stay(stream: FrameStream) -> None:
        await leave.wait()

    other.seen.serving = stay
    streams = [await one.transport.open_stream(other.id) for _ in range(2)]
    with pytest.raises(StreamReset):
        await (await one.transport.open_stream(other.id)).receive()
    assert other.transport.counters["streams_refused"] == 1
    leave.set()
    for stream in streams:
        with pytest.raises(StreamReset):
            await stream.receive()


async def test_streams_end_with_their_connection(lab):
    one, other = await lab.pair()
    cancelled = asyncio.Event()

    async def stay(stream: FrameStream) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    other.seen.serving = stay
    stream = await one.transport.open_stream(other.id)
    await stream.send(b"q")
    one.transport.hang_up(other.id, reason="goodbye")
    with pytest.raises(StreamReset):
        await stream.receive()
    await asyncio.wait_for(cancelled.wait(), DEADLINE_S)
    with pytest.raises(PeerGone):
        await one.transport.open_stream(other.id)


async def test_start_fails_when_the_address_is_taken(lab):
    one = await lab.start("one")
    if lab.kind == "memory":
        twin = lab.make("one")
    else:
        from meshnode.transport.libp2p.transport import Libp2pTransport

        twin = Libp2pTransport(bytes(32), listen=[one.transport.addresses[0].split("/p2p/")[0]])
    with pytest.raises(TransportError, match="listen"):
        await twin.start(Recorder())


async def test_many_peers_form_a_full_mesh(lab):
    peers = [await lab.start(f"peer {index}") for index in range(6)]
    await asyncio.gather(*(one.dial(other) for one in peers for other in peers if one is not other))
    await connected(*peers)
    assert [peer.seen.connections for peer in peers] == [5] * 6
    for peer in peers:
        for other in peers:
            assert peer is other or peer.send(other, Channel.CONTROL, b"hello")
    for peer in peers:
        await peer.seen.until(lambda peer=peer: len(peer.seen.frames) == 5)
