"""A fetching peer's stream to one holder: its manifest and chunks, piece by piece."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from meshnode.blobs.errors import WrongChunk
from meshnode.blobs.protocol import (
    BLOB_STREAM_VERSION,
    BlobAsk,
    ChunkAsk,
    ChunkGone,
    ChunkPart,
    Held,
    ManifestPart,
    Refused,
    decode_blob_frame,
    encode_frame,
)
from meshnode.core.blob_manifest import decode_bitmap, decode_manifest
from meshnode.errors import InvalidMessage, MalformedMessage, StreamReset, TransportError
from meshnode.shell.joint_tasks import join

if TYPE_CHECKING:
    from meshnode.blobs.port import BlobPort
    from meshnode.blobs.protocol import BlobFrame
    from meshnode.blobs.transfer import Transfer
    from meshnode.core.blob_manifest import Manifest
    from meshnode.transport.base import FrameStream

FIRST_WORD_MS: Final = 10_000
"""A holder says within this what it has, its manifest included."""


class HolderSession:
    """Runs until the holder has nothing more to give, fails, or is left."""

    def __init__(self, transfer: Transfer, port: BlobPort, peer: str) -> None:
        self._transfer = transfer
        self._port = port
        self._peer = peer
        self._asks: asyncio.Queue[int | None] = asyncio.Queue()
        self._outstanding: deque[int] = deque()
        self._chunk = bytearray()

    def ask(self, index: int) -> None:
        """Ask the holder for a chunk; the plan bounds how many."""
        self._outstanding.append(index)
        self._asks.put_nowait(index)

    def leave(self) -> None:
        """Be done with the holder, soon."""
        self._asks.put_nowait(None)

    async def run(self) -> None:
        """The whole conversation; what the holder does wrong is reported, nothing of it raised."""
        try:
            stream = await self._port.open_stream(self._peer)
        except TransportError:
            return
        try:
            held = await self._open(stream)
            if held is not None and self._transfer.offer(self._peer, held):
                await self._exchange(stream)
        except InvalidMessage as error:
            self._port.report_offence(self._peer, error)
        except (TransportError, TimeoutError):
            pass  # it is gone, or as good as gone
        finally:
            stream.reset()

    async def _open(self, stream: FrameStream) -> int | None:
        """What the holder has, as bits; None where it gives nothing."""
        wants = self._transfer.manifest is None
        async with asyncio.timeout(FIRST_WORD_MS / 1_000):
            ask = BlobAsk(BLOB_STREAM_VERSION, self._transfer.blob_id, wants)
            await stream.send(encode_frame(ask))
            frame = await _receive(stream)
            if isinstance(frame, Refused):
                if frame.reason == "busy":
                    self._transfer.note_busy()
                return None
            if not isinstance(frame, Held) or bool(frame.manifest_bytes) != wants:
                raise MalformedMessage("a holder says first what it holds")
            manifest = b"" if not wants else await _read_manifest(stream, frame.manifest_bytes)
        if wants:
            decode_manifest(manifest, self._transfer.blob_id)
            await self._transfer.begin(manifest, restricted=frame.restricted)
        return decode_bitmap(self._require_manifest().chunks, frame.bitmap)

    def _require_manifest(self) -> Manifest:
        manifest = self._transfer.manifest
        assert manifest is not None, "it is known by now"
        return manifest

    async def _exchange(self, stream: FrameStream) -> None:
        asking = asyncio.create_task(self._send_asks(stream), name="blob asks")
        reading = asyncio.create_task(self._read_chunks(stream), name="blob chunks")
        await join(asking, reading)

    async def _send_asks(self, stream: FrameStream) -> None:
        while (index := await self._asks.get()) is not None:
            await stream.send(encode_frame(ChunkAsk(index)))

    async def _read_chunks(self, stream: FrameStream) -> None:
        manifest = self._require_manifest()
        while True:
            frame = await _receive(stream)
            if not isinstance(frame, ChunkPart | ChunkGone):
                raise MalformedMessage("only chunks may follow what a holder holds")
            if not self._outstanding or self._outstanding[0] != frame.index:
                raise WrongChunk(f"chunk {frame.index} came out of turn")
            if isinstance(frame, ChunkGone):
                self._outstanding.popleft()
                self._chunk.clear()
                self._transfer.note_gone(self._peer, frame.index)
            else:
                await self._add_part(frame, manifest.get_chunk_size(frame.index))

    async def _add_part(self, part: ChunkPart, size_bytes: int) -> None:
        self._chunk += part.data
        if len(self._chunk) > size_bytes:
            raise WrongChunk(f"chunk {part.index} is longer than {size_bytes} bytes")
        if len(self._chunk) == size_bytes:
            self._outstanding.popleft()
            data, self._chunk = self._chunk, bytearray()
            await self._transfer.take(self._peer, part.index, data)


async def _receive(stream: FrameStream) -> BlobFrame:
    data = await stream.receive()
    if data is None:
        raise StreamReset(f"{stream.peer} finished before its work was done")
    return decode_blob_frame(data)


async def _read_manifest(stream: FrameStream, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        frame = await _receive(stream)
        if not isinstance(frame, ManifestPart):
            raise MalformedMessage("a manifest comes whole before anything else")
        data += frame.data
    if len(data) > size_bytes:
        raise MalformedMessage(f"a manifest of {size_bytes} bytes has more")
    return bytes(data)
