"""The holding side of blob streams: members are given what they may have, at a bounded pace.

A chunk is compared with its digest before it leaves, so an honest node never gives a wrong one,
whatever its disk does. What is being fetched here is given on as far as it is there.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshnode.blobs.errors import NoSuchBlob
from meshnode.blobs.protocol import (
    ASKS_MAX,
    BlobAsk,
    ChunkAsk,
    ChunkGone,
    ChunkPart,
    Held,
    ManifestPart,
    Refused,
    decode_ask_frame,
    encode_frame,
    split_parts,
)
from meshnode.core.blob_manifest import encode_bitmap, make_full
from meshnode.core.blob_rate import ByteBucket
from meshnode.errors import InvalidMessage, MalformedMessage, StorageError, StreamReset
from meshnode.shell.joint_tasks import join

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.blobs.files import ChunkFile
    from meshnode.blobs.port import BlobPort
    from meshnode.blobs.protocol import BlobFrame
    from meshnode.blobs.records import BlobRecord
    from meshnode.blobs.store import BlobStore
    from meshnode.core.blob_manifest import Manifest
    from meshnode.transport.base import FrameStream

FIRST_FRAME_MS: Final = 5_000
IDLE_MS: Final = 30_000
"""Whoever asks for no chunk for this long has its stream ended."""
SLOW_READER_MS: Final = 30_000
"""Whoever takes no frame for this long is given up."""
LINGER_MS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeLimits:
    """What a node gives at most."""

    streams: int = 32
    """Blob streams at once, over all peers."""
    streams_per_peer: int = 4
    rate_bytes_s: int = 64 * 1024 * 1024
    """To one peer, over all its streams."""
    burst_bytes: int = 8 * 1024 * 1024


class BlobServer:
    """Serves the blob streams that members open."""

    def __init__(self, store: BlobStore, port: BlobPort, limits: ServeLimits | None = None) -> None:
        self._store = store
        self._port = port
        self._limits = limits or ServeLimits()
        self._streams: dict[str, int] = {}
        self._buckets: dict[str, ByteBucket] = {}
        self.served_bytes = 0
        """Content that has left, since the start."""

    async def serve(self, stream: FrameStream) -> None:
        """Handle one stream to its end; never raises for what the peer did."""
        author = self._port.find_member(stream.peer)
        if author is None:
            stream.reset()  # who has not proved membership learns nothing, not even why
            return
        peer = str(stream.peer)
        held = self._streams.get(peer, 0)
        limits = self._limits
        is_full = held >= limits.streams_per_peer or sum(self._streams.values()) >= limits.streams
        self._streams[peer] = held + 1
        try:
            async with asyncio.timeout(FIRST_FRAME_MS / 1_000):
                ask = await _read_first(stream)
            if is_full:
                await _refuse(stream, Refused("busy"))
            else:
                await self._serve_member(stream, author, ask)
        except InvalidMessage as error:
            self._port.report_offence(peer, error)
        except (StreamReset, TimeoutError, StorageError):
            pass  # the peer is gone or as good as gone, or the disk is: it asks another
        finally:
            stream.reset()
            self._release(peer)

    def _release(self, peer: str) -> None:
        self._streams[peer] -= 1
        if not self._streams[peer]:
            del self._streams[peer]
        now_ms = self._port.read_clock_ms()
        for known in [each for each in self._buckets if each not in self._streams]:
            if self._buckets[known].is_full(now_ms=now_ms):
                del self._buckets[known]

    async def _serve_member(self, stream: FrameStream, author: bytes, ask: BlobAsk) -> None:
        record = self._store.find(ask.id) or self._store.find_partial(ask.id)
        if record is None or not record.may_be_read_by(author):
            # Both look alike: who may not have a blob is not told that it is here.
            await _refuse(stream, Refused("absent"))
            return
        try:
            async with self._open(record) as (file, held):
                await self._give_held(stream, record, ask, file.manifest, held)
                await self._give_chunks(stream, record.id, file)
        except NoSuchBlob:
            await _refuse(stream, Refused("absent"))

    @asynccontextmanager
    async def _open(self, record: BlobRecord) -> AsyncIterator[tuple[ChunkFile, int]]:
        """Its chunks, and which of them are there. Raises `NoSuchBlob`."""
        active = self._store.find_active(record.id)
        if active is None:
            file = await self._store.open(record.id)
            held = make_full(file.manifest.chunks)
        else:
            held = active.held
            file = await self._store.open_active(active)
        try:
            yield file, held
        finally:
            file.close()

    async def _give_held(
        self,
        stream: FrameStream,
        record: BlobRecord,
        ask: BlobAsk,
        manifest: Manifest,
        held: int,
    ) -> None:
        data = record.manifest if ask.wants_manifest else b""
        bitmap = encode_bitmap(manifest.chunks, held)
        await _send(stream, Held(len(data), bitmap, record.readers is not None))
        await self._pace(stream, len(data))
        for part in split_parts(data):
            await _send(stream, ManifestPart(part))

    async def _give_chunks(self, stream: FrameStream, blob_id: bytes, file: ChunkFile) -> None:
        asks: asyncio.Queue[int | None] = asyncio.Queue(ASKS_MAX + 1)
        reader = asyncio.create_task(_read_asks(stream, asks, file.manifest), name="blob asks")
        giving = self._give_asked(stream, asks, blob_id, file)
        giver = asyncio.create_task(giving, name="blob chunks")
        await join(reader, giver, return_when=asyncio.FIRST_EXCEPTION)
        await _linger(stream)

    async def _give_asked(
        self,
        stream: FrameStream,
        asks: asyncio.Queue[int | None],
        blob_id: bytes,
        file: ChunkFile,
    ) -> None:
        while (index := await asks.get()) is not None:
            await self._pace(stream, file.manifest.get_chunk_size(index))
            data = await asyncio.to_thread(file.read, index)
            if data is None:
                await self._store.demote(blob_id)
                await _send(stream, ChunkGone(index))
                continue
            for part in split_parts(data):
                await _send(stream, ChunkPart(index, part))
            self.served_bytes += len(data)

    async def _pace(self, stream: FrameStream, size_bytes: int) -> None:
        now_ms, peer = self._port.read_clock_ms(), str(stream.peer)
        bucket = self._buckets.get(peer)
        if bucket is None:
            bucket = self._buckets[peer] = ByteBucket(
                rate_bytes_s=self._limits.rate_bytes_s,
                burst_bytes=self._limits.burst_bytes,
                now_ms=now_ms,
            )
        wait_ms = bucket.take(size_bytes, now_ms=now_ms)
        if wait_ms:
            await asyncio.sleep(wait_ms / 1_000)


async def _read_first(stream: FrameStream) -> BlobAsk:
    data = await stream.receive()
    if data is None:
        raise StreamReset(f"{stream.peer} asked nothing")
    frame = decode_ask_frame(data)
    if not isinstance(frame, BlobAsk):
        raise MalformedMessage("a blob stream begins with BLOB_ASK")
    return frame


async def _read_asks(
    stream: FrameStream, asks: asyncio.Queue[int | None], manifest: Manifest
) -> None:
    """Take asks until the peer finishes; raises when it misbehaves or is gone."""
    while True:
        async with asyncio.timeout(IDLE_MS / 1_000):
            data = await stream.receive()
        if data is None:
            asks.put_nowait(None)
            return
        frame = decode_ask_frame(data)
        if not isinstance(frame, ChunkAsk) or frame.index >= manifest.chunks:
            raise MalformedMessage("only CHUNK_ASKs of chunks there are may follow a BLOB_ASK")
        if asks.qsize() >= ASKS_MAX:
            raise MalformedMessage(f"more than {ASKS_MAX} chunks were asked for at once")
        asks.put_nowait(frame.index)


async def _send(stream: FrameStream, frame: BlobFrame) -> None:
    async with asyncio.timeout(SLOW_READER_MS / 1_000):
        await stream.send(encode_frame(frame))


async def _refuse(stream: FrameStream, frame: Refused) -> None:
    await _send(stream, frame)
    await _linger(stream)


async def _linger(stream: FrameStream) -> None:
    """Finish, and let the peer read the last frame before the stream is torn down."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_MS / 1_000):
            await stream.finish()
            while await stream.receive() is not None:
                pass
