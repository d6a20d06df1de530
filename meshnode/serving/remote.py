"""The asking side of an answer stream: a peer's answer as it comes, trusted in nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import DeadlineExceeded, MalformedMessage, MessageTooLarge, StreamReset
from meshnode.serving.assembly import check_chunk
from meshnode.serving.desk import Piece, Progress
from meshnode.serving.protocol import (
    CHUNK_BYTES_MAX,
    REMAINING_MS_MAX,
    SERVING_VERSION,
    SILENT_MS,
    AnswerFrame,
    Ask,
    AskPart,
    Done,
    Failed,
    Invoice,
    PaidAsk,
    Part,
    decode_answer_frame,
    encode_frame,
    split_parts,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from meshnode.serving.desk import Job
    from meshnode.serving.port import MeshPort, Payer
    from meshnode.transport.base import FrameStream

OPEN_MS = 5_000
"""A stream to a connected peer opens within this."""
PARTING_MS = 2_000
"""How long the last signature may take to be read before the stream is torn down."""


async def open_answer_stream(port: MeshPort, peer: str) -> FrameStream:
    """Open a stream to a peer. Raises `TransportError`."""
    try:
        async with asyncio.timeout(OPEN_MS / 1000):
            return await port.open_stream(peer)
    except TimeoutError:
        raise StreamReset(f"no stream to {peer} could be opened within {OPEN_MS} ms") from None


async def read_remote_answer(
    stream: FrameStream,
    job: Job,
    *,
    request: bytes,
    read_clock_ms: Callable[[], int],
    payer: Payer | None = None,
) -> AsyncGenerator[Progress, None]:
    """Ask over a fresh stream; the last item is `Done`. The stream is reset at the end.

    With a payer the question is paid for, and each right invoice is signed as it comes.

    Raises `EngineError` for the peer's own failure, `StreamReset` when it went away,
    `InvalidMessage` when it broke the protocol, `DeadlineExceeded` when time ran out.
    """
    deadline_ms = read_clock_ms() + job.remaining_ms
    reader = _AnswerReader()
    try:
        await _send_question(stream, job, request, payer)
        while True:
            remaining_ms = deadline_ms - read_clock_ms()
            item = reader.take(await _receive(stream, remaining_ms))
            if isinstance(item, Invoice):
                await _pay(stream, item, payer)
                continue
            if payer is not None and isinstance(item, Piece):
                payer.receive(item)
            if payer is not None and isinstance(item, Done):
                await _part(stream)
            if item is not None:
                yield item
            if isinstance(item, Done):
                return
    finally:
        stream.reset()


class _AnswerReader:
    """Joins parts to chunks."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def take(self, frame: AnswerFrame) -> Progress | Invoice | None:
        """The item a frame completes, None for a part that is not the last of its chunk."""
        if isinstance(frame, Failed):
            raise _make_error(frame)
        if isinstance(frame, Part):
            return self._join(frame)
        if self._parts:
            raise MalformedMessage("an answer went on before its chunk was complete")
        return frame

    def _join(self, part: Part) -> Piece | None:
        self._size_bytes += len(part.data)
        if self._size_bytes > CHUNK_BYTES_MAX:
            raise MessageTooLarge("chunk of an answer", self._size_bytes, CHUNK_BYTES_MAX)
        self._parts.append(part.data)
        if not part.last:
            return None
        data = b"".join(self._parts)
        self._parts.clear()
        self._size_bytes = 0
        try:
            return Piece(check_chunk(msgspec.json.decode(data)), data)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise MalformedMessage(f"a chunk of an answer is not JSON: {error}") from None


async def _pay(stream: FrameStream, invoice: Invoice, payer: Payer | None) -> None:
    if payer is None:
        raise MalformedMessage("an invoice came for what nobody pays for")
    frame = await payer.countersign(invoice)
    if frame is None:
        return
    try:
        async with asyncio.timeout(SILENT_MS / 1000):
            await stream.send(encode_frame(frame))
    except TimeoutError:
        raise StreamReset(f"{stream.peer} did not take a signature") from None


async def _part(stream: FrameStream) -> None:
    """Let the serving side read the last signature before the stream is torn down."""
    try:
        async with asyncio.timeout(PARTING_MS / 1000):
            await stream.finish()
            while await stream.receive() is not None:
                pass
    except (TimeoutError, StreamReset):
        return  # it has the signature, or its own loss


def _make_ask(job: Job, request: bytes, payer: Payer | None) -> Ask:
    if payer is not None:
        payer.begin(job.body, job.request)
    fields: dict[str, Any] = {
        "version": SERVING_VERSION,
        "request": request,
        "body_bytes": len(job.body),
        "share": job.share,
        "remaining_ms": min(job.remaining_ms, REMAINING_MS_MAX),
        "knowledge": job.knowledge,
    }
    if payer is None:
        return Ask(**fields)
    return PaidAsk(**fields, contract=payer.contract, salt=payer.salt)


async def _send_question(
    stream: FrameStream, job: Job, request: bytes, payer: Payer | None
) -> None:
    ask = _make_ask(job, request, payer)
    parts = [AskPart(data) for data in split_parts(job.body)]
    try:
        async with asyncio.timeout(SILENT_MS / 1000):
            await stream.send(encode_frame(ask))
            for part in parts:
                await stream.send(encode_frame(part))
    except TimeoutError:
        raise StreamReset(f"{stream.peer} did not take the question") from None
    except StreamReset:
        return  # a refusal may have arrived before the question was out: it is read next


async def _receive(stream: FrameStream, remaining_ms: int) -> AnswerFrame:
    if remaining_ms <= 0:
        raise DeadlineExceeded("no complete answer in time", hint="allow more time for it")
    try:
        async with asyncio.timeout(min(SILENT_MS, remaining_ms) / 1000):
            data = await stream.receive()
    except TimeoutError:
        if remaining_ms <= SILENT_MS:
            raise DeadlineExceeded(
                "no complete answer in time", hint="allow more time for it"
            ) from None
        raise StreamReset(f"{stream.peer} was silent for {SILENT_MS} ms") from None
    if data is None:
        raise StreamReset(f"{stream.peer} ended the stream without a complete answer")
    return decode_answer_frame(data)


def _make_error(frame: Failed) -> EngineError:
    try:
        fault = EngineFault(frame.fault)
    except ValueError:
        fault = EngineFault.INTERNAL
    return EngineError(fault, frame.message, retry_after_ms=frame.retry_after_ms or None)
