"""Streams between peers with keys are sealed, whatever somebody in between does; never less."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    InvalidMessage,
    MalformedMessage,
    PeerGone,
    StreamReset,
)
from meshnode.sealed.frames import Box
from meshnode.sealed.handshake import Accept, Open
from meshnode.serving import probes, protocol
from meshnode.serving.protocol import Refuse, decode_ask_frame, encode_frame
from meshnode.serving.sealed_stream import is_sealed
from meshnode.serving.sealing import SESSIONS_MAX
from tests.support.sealed_net import (
    fail,
    flip,
    kinds,
    seal_streams,
    sealed_net,
    shows_nothing,
)
from tests.support.serving_net import (
    LOAD,
    ScriptedEngine,
    answer,
    ask,
    read_raw,
    until,
)

WORDS = ("canary", " says hello")


@pytest.fixture
async def scene():
    async with sealed_net(ScriptedEngine(WORDS)) as scene:
        yield scene


async def test_question_and_answer_are_sealed_and_the_answer_says_so(scene):
    got = await answer(scene.client)
    assert got.text == "".join(WORDS)
    assert got.sealed and got.verified
    assert shows_nothing(scene)
    assert kinds(scene, by_asker=True)[0] is Open
    assert kinds(scene, by_asker=False)[0] is Accept
    assert {*kinds(scene, by_asker=True)[1:], *kinds(scene, by_asker=False)[1:]} == {Box}
    assert (scene.client.sealing.figures.asked, scene.server.sealing.figures.answered) == (1, 1)
    assert scene.server.offences == scene.client.offences == []


async def test_sizes_of_frames_do_not_tell_words_apart(scene):
    await answer(scene.client)
    sizes = {len(frame) for asked, frame in scene.sent if not asked}
    assert len(sizes) <= 4, "ACCEPT, and few sizes of all that is said"


async def test_refusal_of_an_engine_is_sealed_too(scene):
    scene.server.desk.engine.script = [EngineError(EngineFault.BAD_REQUEST, "no such thing")]
    error = await fail(scene)
    assert "no such thing" in str(error)
    assert shows_nothing(scene)
    assert b"no such thing" not in scene.all_sent


async def test_probes_are_sealed(scene):
    report = await probes.fetch_report(scene.client, scene.server.peer, 0)
    assert report.load.slots == 1
    assert shows_nothing(scene)
    assert scene.server.sealing.figures.answered == 1


async def test_peer_without_keys_is_asked_in_the_open(scene):
    del scene.published.profiles[scene.server.author]
    scene.server.sealing = None
    got = await answer(scene.client)
    assert not got.sealed
    assert b"canary" in scene.all_sent, "so what the others here look for would be seen"
    assert not scene.client.sealing.can_seal(scene.server.peer)


async def test_node_without_keys_asks_in_the_open_and_is_answered(scene):
    scene.client.sealing = None
    del scene.published.profiles[scene.client.author]
    assert not (await answer(scene.client)).sealed


# --- stripping -------------------------------------------------------------------------------------


async def test_question_in_the_open_of_who_could_seal_is_refused(scene):
    scene.client.sealing = None
    error = await fail(scene)
    assert isinstance(error, EngineError)
    assert error.fault is EngineFault.FORBIDDEN
    assert "sealed" in error.message
    assert scene.server.desk.engine.requests == []
    assert scene.server.sealing.figures.refused_open == 1
    with pytest.raises(EngineError, match="sealed"):
        await probes.fetch_report(scene.client, scene.server.peer, 0)


async def test_sealed_content_for_a_peer_without_keys_is_malformed(scene):
    scene.server.sealing = None
    await fail(scene)
    assert {str(error) for _, error in scene.server.offences} == {
        "sealed content for a peer that names no keys"
    }
    assert shows_nothing(scene)


async def test_sealed_content_of_a_peer_without_keys_is_malformed(scene):
    del scene.published.profiles[scene.client.author]
    await fail(scene)
    assert "whose profile names no keys" in str(scene.server.offences[0][1])


async def test_open_that_is_struck_out_makes_nobody_speak_in_the_open(scene):
    scene.meddle = lambda by_asker, place, frame: [] if by_asker and not place else [frame]
    await fail(scene)
    assert shows_nothing(scene)
    assert scene.server.desk.engine.requests == []


@pytest.mark.parametrize(
    "instead",
    [
        protocol.Failed("internal", "speak in the open, please", 0, None),
        protocol.Part(b"{}", last=True),
        protocol.Queued(0, LOAD),
        Box(bytes(300)),
        Refuse(b""),
        Refuse(b"no profile"),
    ],
    ids=lambda frame: type(frame).__name__,
)
async def test_whatever_comes_instead_of_accept_nothing_is_said_in_the_open(scene, instead):
    def meddle(by_asker, place, frame):
        return [frame] if by_asker or place else [encode_frame(instead)]

    scene.meddle = meddle
    await fail(scene)
    assert shows_nothing(scene)
    assert scene.streams >= 1


async def test_answer_in_the_open_on_a_sealed_stream_is_malformed(scene):
    chunk = protocol.Part(b'{"choices":[{"delta":{"content":"forged"}}]}', last=True)

    def meddle(by_asker, place, frame):
        return [frame] if by_asker or place != 1 else [encode_frame(chunk), frame]

    scene.meddle = meddle
    error = await fail(scene)
    assert "forged" not in str(error)
    assert scene.client.offences
    assert "in the open" in str(scene.client.offences[0][1])


# --- changing, moving, cutting ---------------------------------------------------------------------


@pytest.mark.parametrize("by_asker", [True, False])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_changed_frame_ends_the_stream(scene, by_asker, place):
    def meddle(asked, at, frame):
        return [flip(frame, 8 * len(frame) - 1) if (asked, at) == (by_asker, place) else frame]

    scene.meddle = meddle
    await fail(scene)
    assert shows_nothing(scene)
    if by_asker:
        assert scene.server.desk.engine.requests == []


@pytest.mark.parametrize("by_asker", [True, False])
async def test_frames_out_of_order_end_the_stream(scene, by_asker):
    held = []

    def meddle(asked, at, frame):
        if asked is not by_asker or at not in {1, 2}:
            return [frame]
        held.append(frame)
        return [] if at == 1 else [held[-1], held[-2]]

    scene.meddle = meddle
    await fail(scene)
    assert held
    assert scene.server.offences if by_asker else scene.client.offences


@pytest.mark.parametrize("by_asker", [True, False])
async def test_repeated_frame_ends_the_stream(scene, by_asker):
    def meddle(asked, at, frame):
        return [frame, frame] if (asked, at) == (by_asker, 1) else [frame]

    scene.meddle = meddle
    await fail(scene)
    assert scene.server.offences if by_asker else scene.client.offences


async def test_answer_that_is_cut_short_is_no_answer(scene):
    """Whoever ends the stream in between cannot make it look complete."""
    scene.server.desk.engine.script = ["canary"]

    async def handle(stream):
        sealed = await scene.server.sealing.accept(stream, decode_ask_frame(await stream.receive()))
        await sealed.receive()
        await stream.finish()
        await stream.receive()

    scene.server.handle_stream = handle
    error = await fail(scene)
    assert "without its last frame" in str(error)


async def test_question_that_is_cut_short_is_not_asked(scene):
    def meddle(asked, at, frame):
        return [] if asked and at == 2 else [frame]

    scene.meddle = meddle
    asking = asyncio.create_task(ask(scene.client, timeout_ms=20_000))
    await until(lambda: sum(asked for asked, _ in scene.sent) >= 3)
    asking.cancel()
    await asyncio.wait({asking})
    assert scene.server.desk.engine.requests == []


async def open_streams(scene):
    """Both ends of a sealed stream, as the two sides hold them."""
    served: asyncio.Queue = asyncio.Queue()
    over = asyncio.Event()

    async def handle(stream):
        sealed = await scene.server.sealing.accept(stream, decode_ask_frame(await stream.receive()))
        served.put_nowait((sealed, stream))
        await over.wait()

    scene.server.handle_stream = handle
    stream = await scene.client.open_stream(scene.server.peer)
    asking = await scene.client.sealing.open(stream)
    serving, raw = await served.get()
    return asking, serving, stream, raw, over


async def test_end_of_either_side_is_sealed(scene):
    asking, serving, *_, over = await open_streams(scene)
    assert is_sealed(asking) and is_sealed(serving)
    await asking.send(b"question")
    await asking.finish()
    assert [await serving.receive() for _ in range(2)] == [b"question", None]
    await serving.send(b"answer")
    await serving.finish()
    assert [await asking.receive() for _ in range(2)] == [b"answer", None]
    assert await asking.receive() is None
    assert asking.peer == scene.server.peer
    over.set()


async def test_end_that_is_not_sealed_is_no_end(scene):
    asking, serving, stream, raw, over = await open_streams(scene)
    await stream.finish()
    with pytest.raises(StreamReset, match="without its last frame"):
        await serving.receive()
    await serving.send(b"answer")
    assert await asking.receive() == b"answer"
    await raw.finish()
    with pytest.raises(StreamReset, match="without its last frame"):
        await asking.receive()
    over.set()


async def test_last_frame_says_nothing(scene):
    asking, serving, stream, _, over = await open_streams(scene)
    await stream.send(encode_frame(asking._sealer.seal(b"something", last=True)))
    with pytest.raises(MalformedMessage, match="says something"):
        await serving.receive()
    over.set()


async def test_nothing_follows_a_frame_that_was_broken_off(scene):
    """It has its number already, so those behind it would open for nobody."""
    asking, _, stream, _, over = await open_streams(scene)
    stuck = asyncio.Event()

    async def send(frame):
        await stuck.wait()

    stream.send = send
    sending = asyncio.create_task(asking.send(b"one"))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait({sending})
    with pytest.raises(StreamReset, match="broken off"):
        await asking.send(b"two")
    over.set()


# --- replay ----------------------------------------------------------------------------------------


async def replay(client, target, frames):
    stream = await client.transport.open_stream(target.peer)
    for frame in frames:
        await stream.send(frame)
    try:
        return await read_raw(stream)
    except StreamReset:
        return []


async def test_recorded_question_is_asked_once(scene):
    await answer(scene.client)
    recorded = [frame for asked, frame in scene.sent if asked]
    requests = scene.server.desk.engine.requests
    assert len(requests) == 1
    assert await replay(scene.client, scene.server, recorded) == []
    assert "was opened before" in str(scene.server.offences[-1][1])
    assert scene.server.sealing.figures.refused_replays == 1
    # On another connection of the same two its number is free, and its keys are others.
    scene.published.sessions[frozenset((scene.client.peer, scene.server.peer))] = b"second session"
    assert [type(frame) for frame in await replay(scene.client, scene.server, recorded)] in (
        [],
        [Accept],
    )
    assert "does not open" in str(scene.server.offences[-1][1])
    assert len(requests) == 1
    assert (await answer(scene.client)).sealed


async def test_recorded_question_is_worth_nothing_to_another_server_or_from_another_member(scene):
    other = await scene.net.add("other", ScriptedEngine(WORDS))
    seal_streams(other, scene.published)
    await answer(scene.client, peer="server")
    recorded = [frame for asked, frame in scene.sent if asked]
    (refusal,) = await replay(scene.client, other, recorded)
    assert isinstance(refusal, Refuse), "it has no such key"
    other.sealing.set_ring(scene.server.sealing.ring)
    await replay(scene.client, other, recorded)
    assert "does not open" in str(other.offences[-1][1]), "nor with stolen keys: it is not the one"
    await replay(other, scene.server, recorded)
    assert "does not open" in str(scene.server.offences[-1][1])
    assert other.desk.engine.requests == []
    assert len(scene.server.desk.engine.requests) == 1


async def test_streams_of_connections_that_are_gone_are_forgotten(scene):
    sealing, counterpart = scene.client.sealing, make_counterpart(scene)
    for number in range(SESSIONS_MAX + 10):
        sealing._get_session(f"peer-{number}", counterpart)
    assert len(sealing._sessions) == SESSIONS_MAX


def make_counterpart(scene):
    return scene.directory.find_counterpart(scene.client.peer)


# --- who is there ----------------------------------------------------------------------------------


async def test_stream_to_who_is_no_member_is_not_used(scene):
    stream = await scene.client.open_stream(scene.server.peer)
    scene.client.ready.remove(scene.server.peer)
    with pytest.raises(PeerGone, match="no connected member"):
        await scene.client.sealing.open(stream)


async def test_profile_that_names_no_real_keys_is_told_and_never_worked_around(scene):
    profile = scene.published.profiles[scene.server.author]
    broken = msgspec.structs.replace(profile.keys, mlkem768_key=b"\xff" * 1_184)
    scene.published.profiles[scene.server.author] = msgspec.structs.replace(profile, keys=broken)
    error = await fail(scene)
    assert isinstance(error, InvalidMessage | EngineError)
    assert scene.sent == []


async def test_first_frame_on_a_sealed_stream_begins_something(scene):
    asking, *_ = await sealed_raw(scene)
    await asking.send(encode_frame(protocol.Cancel()))
    await until(lambda: scene.server.offences)
    assert "begins with ASK or PROBE" in str(scene.server.offences[0][1])


async def sealed_raw(scene):
    stream = await scene.client.open_stream(scene.server.peer)
    return await scene.client.sealing.open(stream), stream


async def test_box_without_open_is_malformed(scene):
    scene.client.sealing, kept = None, scene.client.sealing
    stream = await scene.client.open_stream(scene.server.peer)
    scene.published.profiles.pop(scene.client.author)
    await stream.send(encode_frame(Box(bytes(64))))
    with pytest.raises(StreamReset):
        await stream.receive()
    assert "begins with ASK or PROBE" in str(scene.server.offences[0][1])
    assert kept.figures.asked == 0


async def test_sealed_frame_answers_nothing_that_was_asked_in_the_open(scene):
    scene.client.sealing = None
    scene.published.profiles.clear()

    async def handle(stream):
        await stream.receive()
        await stream.send(encode_frame(Box(bytes(64))))
        await stream.finish()
        await stream.receive()

    scene.server.handle_stream = handle
    await fail(scene)
    assert "asked in the open" in str(scene.client.offences[0][1])
