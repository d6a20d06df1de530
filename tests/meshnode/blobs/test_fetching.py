"""Blobs fetched over real streams: from several holders, some of them bad."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from meshnode.blobs import protocol
from meshnode.blobs.errors import BlobQuotaFull, NoSuchBlob, WrongChunk
from meshnode.blobs.fetcher import WAITING_MAX, BlobFetcher, FetchProgress
from meshnode.blobs.protocol import ChunkGone, ChunkPart, Held, ManifestPart, Refused
from meshnode.blobs.server import BlobServer, ServeLimits
from meshnode.blobs.store import open_store
from meshnode.core.blob_manifest import (
    CHUNK_BYTES_MIN,
    compute_blob_id,
    digest_content,
    encode_bitmap,
    encode_manifest,
    make_full,
)
from meshnode.errors import (
    CommandRejected,
    DeadlineExceeded,
    MalformedMessage,
    NodeClosed,
    StorageError,
)
from tests.support.blob_net import make_content, open_blob_net, wait_for

CHUNKS = 10
CONTENT = make_content(9 * CHUNK_BYTES_MIN + 123)
MANIFEST = encode_manifest(digest_content(CONTENT))
BLOB_ID = compute_blob_id(MANIFEST)
FULL = encode_bitmap(CHUNKS, make_full(CHUNKS))


class Scripted:
    """A holder that says what it has, and then answers asks as its script says."""

    def __init__(self, answer=None, *, held=FULL, manifest=MANIFEST):
        self.answer, self.held, self.manifest = answer, held, manifest
        self.asked: list[int] = []

    async def serve(self, stream):
        with suppress(Exception):  # whatever the fetching side does about it
            await self._serve(stream)

    async def _serve(self, stream):
        ask = protocol.decode_ask_frame(await stream.receive())
        assert isinstance(ask, protocol.BlobAsk)
        data = self.manifest if ask.wants_manifest else b""
        await send(stream, Held(len(data), self.held, False))
        for part in protocol.split_parts(data):
            await send(stream, ManifestPart(part))
        while (frame := await stream.receive()) is not None:
            chunk = protocol.decode_ask_frame(frame)
            assert isinstance(chunk, protocol.ChunkAsk)
            self.asked.append(chunk.index)
            await self.answer(stream, chunk.index)


async def send(stream, *frames):
    for frame in frames:
        await stream.send(protocol.encode_frame(frame))


async def lie(stream, index):
    size = min(CHUNK_BYTES_MIN, len(CONTENT) - index * CHUNK_BYTES_MIN)
    for part in protocol.split_parts(b"\0" * size):
        await send(stream, ChunkPart(index, part))


async def keep_silent(stream, index):
    pass


def say_first(*frames):
    """A holder that begins with these frames, whatever it is asked."""

    async def serve(stream):
        await stream.receive()
        with suppress(Exception):
            await send(stream, *frames)
            await stream.receive()

    return type("Holder", (), {"serve": staticmethod(serve)})()


async def fetch_until_reported(node):
    """Fetch from bad holders until one is reported, and end it."""
    fetch = asyncio.create_task(node.fetcher.fetch(BLOB_ID))
    await wait_for(lambda: node.offences)
    fetch.cancel()
    await asyncio.gather(fetch, return_exceptions=True)
    await wait_for(lambda: node.store.find_active(BLOB_ID) is None)


async def test_nothing_new_for_long_ends_the_fetch(tmp_path):
    async with open_blob_net(tmp_path) as net:
        mute, c = await net.add("mute"), await net.add("c")
        mute.server = Scripted(keep_silent)
        await net.connect(c, mute)
        with pytest.raises(DeadlineExceeded, match="nothing of blob"):
            await c.fetcher.fetch(BLOB_ID, patience_ms=300)


async def test_blob_comes_from_another_node(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, b = await net.add("a"), await net.add("b")
        blob_id = await a.put(CONTENT)
        await net.connect(a, b)
        seen: list[FetchProgress] = []
        record = await b.fetcher.fetch(blob_id, on_progress=seen.append)
        assert record.size_bytes == len(CONTENT)
        assert await b.read(blob_id) == CONTENT
        assert seen[-1].held_bytes == seen[-1].size_bytes == len(CONTENT)
        assert a.offences == b.offences == []
        assert a.server.served_bytes == len(CONTENT)
        assert await b.fetcher.fetch(blob_id) == record


async def test_two_holders_share_the_work(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, b, c = [await net.add(name) for name in "abc"]
        blob_id = await a.put(CONTENT)
        await b.put(CONTENT)
        await net.connect(c, a, b)
        await c.fetcher.fetch(blob_id)
        assert await c.read(blob_id) == CONTENT
        assert a.server.served_bytes + b.server.served_bytes >= len(CONTENT)


async def test_fetch_goes_on_with_what_is_there_and_asks_for_no_more(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, b = await net.add("a"), await net.add("b")
        blob_id = await a.put(CONTENT)
        active = await b.store.begin(blob_id, MANIFEST, readers=None)
        for index in (0, 4, 9):
            start = index * CHUNK_BYTES_MIN
            assert await active.write(index, CONTENT[start : start + CHUNK_BYTES_MIN])
        b.store.pause(active)
        await net.connect(a, b)
        await b.fetcher.fetch(blob_id)
        assert await b.read(blob_id) == CONTENT
        assert a.server.served_bytes == len(CONTENT) - 2 * CHUNK_BYTES_MIN - 123


async def test_lying_holder_is_reported_and_another_gives_the_chunk(tmp_path):
    async with open_blob_net(tmp_path) as net:
        liar, honest, c = [await net.add(name) for name in ("liar", "honest", "c")]
        liar.server = Scripted(lie)
        blob_id = await honest.put(CONTENT)
        await net.connect(c, liar, honest)
        await c.fetcher.fetch(blob_id)
        assert await c.read(blob_id) == CONTENT
        assert {name for name, _ in c.offences} <= {"liar"}
        if liar.server.asked:
            assert isinstance(c.offences[0][1], WrongChunk)


async def test_liar_alone_is_reported_and_nothing_of_it_is_kept(tmp_path):
    async with open_blob_net(tmp_path) as net:
        liar, c = await net.add("liar"), await net.add("c")
        liar.server = Scripted(lie)
        await net.connect(c, liar)
        await fetch_until_reported(c)
        assert [(name, type(error)) for name, error in c.offences] == [("liar", WrongChunk)]
        active = await c.store.begin(BLOB_ID, MANIFEST, readers=None)
        assert active.held == 0
        c.store.pause(active)


async def test_silent_holder_does_not_hold_up_the_others(tmp_path):
    async with open_blob_net(tmp_path) as net:
        mute, honest, c = [await net.add(name) for name in ("mute", "honest", "c")]
        mute.server = Scripted(keep_silent)
        blob_id = await honest.put(CONTENT)
        await net.connect(c, mute, honest)
        await c.fetcher.fetch(blob_id)
        assert await c.read(blob_id) == CONTENT
        assert c.offences == []


async def test_holder_that_vanishes_is_replaced(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, b, c = [await net.add(name) for name in "abc"]
        blob_id = await b.put(CONTENT)

        async def vanish(stream, index):
            await a.transport.close()

        a.server = Scripted(vanish)
        await net.connect(c, a)
        fetch = asyncio.create_task(c.fetcher.fetch(blob_id))
        await wait_for(lambda: a.server.asked)
        await net.connect(c, b)
        await fetch
        assert await c.read(blob_id) == CONTENT


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([ManifestPart(b"x")], MalformedMessage),
        ([Held(0, FULL, False)], MalformedMessage),
        ([Held(3, FULL, False), ManifestPart(b"abc")], MalformedMessage),
        ([Held(3, FULL, False), ManifestPart(b"abcd")], MalformedMessage),
        ([Held(3, FULL, False), ChunkGone(0)], MalformedMessage),
        ([Held(len(MANIFEST), b"\xff", False), ManifestPart(MANIFEST)], MalformedMessage),
        (
            [Held(len(MANIFEST), FULL, False), ManifestPart(MANIFEST), ChunkGone(9), ChunkGone(9)],
            WrongChunk,
        ),
        (
            [Held(len(MANIFEST), FULL, False), ManifestPart(MANIFEST), Refused("busy")],
            MalformedMessage,
        ),
    ],
)
async def test_holder_that_breaks_the_protocol_is_reported(tmp_path, frames, error):
    async with open_blob_net(tmp_path) as net:
        bad, c = await net.add("bad"), await net.add("c")
        bad.server = say_first(*frames)
        await net.connect(c, bad)
        await fetch_until_reported(c)
        assert all(type(each) is error for _, each in c.offences)


async def test_chunk_that_is_too_long_is_reported(tmp_path):
    async def overdo(stream, index):
        size = min(CHUNK_BYTES_MIN, len(CONTENT) - index * CHUNK_BYTES_MIN)
        data = make_content(size)
        for part in [*protocol.split_parts(data[:-1]), b"xy"]:
            await send(stream, ChunkPart(index, part))

    async with open_blob_net(tmp_path) as net:
        bad, c = await net.add("bad"), await net.add("c")
        bad.server = Scripted(overdo)
        await net.connect(c, bad)
        await fetch_until_reported(c)
        assert {type(error) for _, error in c.offences} == {WrongChunk}


async def test_chunks_that_are_gone_are_fetched_elsewhere(tmp_path):
    async def forget(stream, index):
        await send(stream, ChunkGone(index))

    async with open_blob_net(tmp_path) as net:
        poor, honest, c = [await net.add(name) for name in ("poor", "honest", "c")]
        poor.server = Scripted(forget)
        blob_id = await honest.put(CONTENT)
        await net.connect(c, poor, honest)
        await c.fetcher.fetch(blob_id)
        assert await c.read(blob_id) == CONTENT
        assert c.offences == []


async def test_author_of_a_blob_is_dialled_for_it(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, c = await net.add("a"), await net.add("c")
        blob_id = await a.put(CONTENT)
        await c.fetcher.fetch(blob_id, authors=[b"nobody", a.author, c.author])
        assert await c.read(blob_id) == CONTENT


async def test_nobody_has_the_blob(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, c = await net.add("a"), await net.add("c")
        with pytest.raises(NoSuchBlob, match="none of 0"):
            await c.fetcher.fetch(bytes(32))
        await net.connect(a, c)
        with pytest.raises(NoSuchBlob, match="none of 1"):
            await c.fetcher.fetch(bytes(32))


async def test_stranger_gets_nothing_and_learns_nothing(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, stranger = await net.add("a"), await net.add("stranger")
        blob_id = await a.put(CONTENT)
        await net.connect(a, stranger)
        with pytest.raises(NoSuchBlob):
            await stranger.fetcher.fetch(blob_id)
        assert a.server.served_bytes == 0


async def test_restricted_blob_is_given_to_its_readers_and_not_passed_on(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, friend, other = [await net.add(name) for name in ("a", "friend", "other")]
        blob_id = await a.put(CONTENT, readers=(friend.author,))
        await net.connect(a, friend, other)
        with pytest.raises(NoSuchBlob):
            await other.fetcher.fetch(blob_id)
        record = await friend.fetcher.fetch(blob_id)
        assert record.readers == ()
        await net.connect(friend, other)
        with pytest.raises(NoSuchBlob):
            await other.fetcher.fetch(blob_id)


async def test_what_is_being_fetched_is_given_on(tmp_path):
    gate = asyncio.Event()

    async def give_half(stream, index):
        if index >= CHUNKS // 2:
            await gate.wait()
        start = index * CHUNK_BYTES_MIN
        for part in protocol.split_parts(CONTENT[start : start + CHUNK_BYTES_MIN]):
            await send(stream, ChunkPart(index, part))

    async with open_blob_net(tmp_path) as net:
        source, b, c = [await net.add(name) for name in ("source", "b", "c")]
        source.server = Scripted(give_half, held=encode_bitmap(CHUNKS, make_full(CHUNKS // 2)))
        blob_id = BLOB_ID
        await net.connect(b, source)
        await net.connect(c, b)
        first = asyncio.create_task(b.fetcher.fetch(blob_id))
        await wait_for(
            lambda: (active := b.store.find_active(blob_id)) and active.held.bit_count() == 5
        )
        second = asyncio.create_task(c.fetcher.fetch(blob_id))
        await wait_for(
            lambda: (active := c.store.find_active(blob_id)) and active.held.bit_count() == 5
        )
        source.server = BlobServer(source.store, source)
        await source.put(CONTENT)
        await first
        await second
        assert await c.read(blob_id) == CONTENT


async def test_fetch_that_nobody_waits_for_ends_and_goes_on_later(tmp_path):
    async with open_blob_net(tmp_path) as net:
        mute, honest, c = [await net.add(name) for name in ("mute", "honest", "c")]
        mute.server = Scripted(keep_silent)
        await net.connect(c, mute)
        blob_id = await honest.put(CONTENT)
        waiting = [asyncio.create_task(c.fetcher.fetch(blob_id)) for _ in range(2)]
        await wait_for(lambda: mute.server.asked)
        waiting[0].cancel()
        await asyncio.wait({waiting[0]})
        assert c.store.find_active(blob_id) is not None
        waiting[1].cancel()
        await net.connect(c, honest)
        again = asyncio.create_task(c.fetcher.fetch(blob_id))
        await asyncio.wait({waiting[1]})
        await again
        assert await c.read(blob_id) == CONTENT


async def test_closing_ends_fetches(tmp_path):
    async with open_blob_net(tmp_path) as net:
        mute, c = await net.add("mute"), await net.add("c")
        mute.server = Scripted(keep_silent)
        await net.connect(c, mute)
        fetch = asyncio.create_task(c.fetcher.fetch(BLOB_ID))
        await wait_for(lambda: mute.server.asked)
        await c.fetcher.close()
        with pytest.raises(NodeClosed):
            await fetch
        assert c.store.find_active(BLOB_ID) is None
        assert c.store.find_partial(BLOB_ID) is not None


async def test_blob_that_does_not_fit_is_not_fetched(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, small = await net.add("a"), await net.add("small", quota_bytes=1_000_000)
        blob_id = await a.put(CONTENT)
        await net.connect(a, small)
        with pytest.raises(BlobQuotaFull):
            await small.fetcher.fetch(blob_id)


async def test_disk_that_fails_ends_the_fetch(tmp_path, monkeypatch):
    async with open_blob_net(tmp_path) as net:
        a, c = await net.add("a"), await net.add("c")
        blob_id = await a.put(CONTENT)
        await net.connect(a, c)

        def fail(*_):
            raise StorageError("the disk is full")

        monkeypatch.setattr("meshnode.blobs.files.ChunkFile.write", fail)
        with pytest.raises(StorageError, match="full"):
            await c.fetcher.fetch(blob_id)


async def test_holder_without_room_is_asked_again(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, c = await net.add("a"), await net.add("c")
        full = BlobServer(a.store, a, ServeLimits(streams=0))
        roomy = a.server
        asked = []

        async def serve(stream):
            asked.append(stream)
            await (full if len(asked) == 1 else roomy).serve(stream)

        a.server = type("Server", (), {"serve": staticmethod(serve)})()
        blob_id = await a.put(CONTENT)
        await net.connect(a, c)
        await c.fetcher.fetch(blob_id)
        assert len(asked) == 2
        assert await c.read(blob_id) == CONTENT


async def test_fetches_under_way_are_bounded(tmp_path):
    async with open_blob_net(tmp_path) as net:
        mute, c = await net.add("mute"), await net.add("c")
        mute.server = Scripted(keep_silent)
        await net.connect(c, mute)
        ids = [number.to_bytes(32, "big") for number in range(WAITING_MAX)]
        waiting = [asyncio.create_task(c.fetcher.fetch(blob_id)) for blob_id in ids]
        await asyncio.sleep(0)
        with pytest.raises(CommandRejected, match="being fetched"):
            await c.fetcher.fetch(b"\xff" * 32)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_partial_blob_survives_another_start(tmp_path):
    async with open_blob_net(tmp_path) as net:
        a, c = await net.add("a"), await net.add("c")
        blob_id = await a.put(CONTENT)
        active = await c.store.begin(blob_id, MANIFEST, readers=None)
        assert await active.write(3, CONTENT[3 * CHUNK_BYTES_MIN : 4 * CHUNK_BYTES_MIN])
        c.store.pause(active)
        c.store = await open_store(
            tmp_path / "c", quota_bytes=1 << 30, read_clock_ms=c.read_clock_ms
        )
        c.fetcher = BlobFetcher(c.store, c)
        await net.connect(a, c)
        await c.fetcher.fetch(blob_id)
        assert await c.read(blob_id) == CONTENT
        assert a.server.served_bytes == len(CONTENT) - CHUNK_BYTES_MIN
