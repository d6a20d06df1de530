"""The holding side against peers that do not keep to the protocol, and its bounds."""

from __future__ import annotations

import pytest

from meshnode.blobs import protocol
from meshnode.blobs.protocol import BlobAsk, ChunkAsk, ChunkGone, ChunkPart, Held, Refused
from meshnode.blobs.server import BlobServer, ServeLimits
from meshnode.core.blob_manifest import CHUNK_BYTES_MIN
from meshnode.errors import InvalidMessage, MalformedMessage, StreamReset
from tests.support.blob_frames import BLOB_ASKS, BLOB_FRAMES
from tests.support.blob_net import make_content, open_blob_net, wait_for

CONTENT = make_content(8 * CHUNK_BYTES_MIN)


async def say(stream, *frames):
    for frame in frames:
        await stream.send(frame if isinstance(frame, bytes) else protocol.encode_frame(frame))


async def hear(stream):
    data = await stream.receive()
    assert data is not None
    return protocol.decode_blob_frame(data)


@pytest.mark.parametrize(
    "frames",
    [
        [b"\xc1"],
        [BLOB_ASKS[1]],
        [BlobAsk(2, bytes(32), False)],
        ["ask", "ask"],
        ["ask", ChunkAsk(8)],
        ["ask", b"\xc1"],
        ["ask", *[ChunkAsk(index) for index in range(8)]],
    ],
)
async def test_peer_that_breaks_the_protocol_is_reported(tmp_path, frames):
    async with open_blob_net(tmp_path) as net:
        a, bad = await net.add("a"), await net.add("bad")
        # So slow that nothing asked for leaves before the last ask has come.
        a.server = BlobServer(a.store, a, ServeLimits(rate_bytes_s=1, burst_bytes=1))
        ask = BlobAsk(1, await a.put(CONTENT), False)
        await net.connect(bad, a)
        stream = await bad.open_stream(a.peer)
        await say(stream, *[ask if frame == "ask" else frame for frame in frames])
        await wait_for(lambda: a.offences)
        assert [(name, type(error)) for name, error in a.offences] == [("bad", MalformedMessage)]


async def test_streams_of_a_peer_are_bounded(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, b = await net.add("a"), await net.add("b")
        a.server = BlobServer(a.store, a, ServeLimits(streams_per_peer=2))
        ask = BlobAsk(1, await a.put(CONTENT), False)
        await net.connect(b, a)
        for _ in range(2):
            stream = await b.open_stream(a.peer)
            await say(stream, ask)
            assert isinstance(await hear(stream), Held)
        third = await b.open_stream(a.peer)
        await say(third, ask)
        assert await hear(third) == Refused("busy")


async def test_who_may_not_have_it_hears_what_an_absent_one_sounds_like(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, b = await net.add("a"), await net.add("b")
        hidden = await a.put(CONTENT, readers=())
        await net.connect(b, a)
        for blob_id in (hidden, bytes(32)):
            stream = await b.open_stream(a.peer)
            await say(stream, BlobAsk(1, blob_id, True))
            assert await hear(stream) == Refused("absent")


async def test_stranger_hears_nothing(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, stranger = await net.add("a"), await net.add("stranger")
        blob_id = await a.put(CONTENT)
        await net.connect(stranger, a)
        stream = await stranger.open_stream(a.peer)
        with pytest.raises(StreamReset):  # noqa: PT012 - either end of the exchange may see it
            await say(stream, BlobAsk(1, blob_id, True))
            await stream.receive()


async def test_damaged_chunk_is_gone_and_never_sent(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, b = await net.add("a"), await net.add("b")
        blob_id = await a.put(CONTENT)
        (path,) = tmp_path.glob("a/objects/*.data")
        with path.open("r+b") as file:
            file.write(b"damaged")
        await net.connect(b, a)
        stream = await b.open_stream(a.peer)
        await say(stream, BlobAsk(1, blob_id, False), ChunkAsk(0), ChunkAsk(1))
        assert isinstance(await hear(stream), Held)
        assert await hear(stream) == ChunkGone(0)
        assert isinstance(await hear(stream), ChunkPart)
        assert a.store.find(blob_id) is None
        assert a.store.find_partial(blob_id) is not None
        again = await b.open_stream(a.peer)
        await say(again, BlobAsk(1, blob_id, False))
        assert await hear(again) == Refused("absent")


def test_frames_are_told_from_those_of_other_streams():
    assert protocol.begins_blob_stream(BLOB_ASKS[0])
    for frame in (*BLOB_ASKS[1:], *BLOB_FRAMES, b"", b"\xc1"):
        assert not protocol.begins_blob_stream(frame)
    with pytest.raises(InvalidMessage):
        protocol.decode_blob_frame(BLOB_ASKS[0])
