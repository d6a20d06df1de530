"""The asking side of an answer stream: a peer's answer as it comes, trusted in nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import DeadlineExceeded, MalformedMessage, MessageTooLarge, StreamReset
from meshnode.sealed.frames import Box
from meshnode.sealed.handshake import Accept
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
    Load,
    PaidAsk,
    Part,
    Reached,
    Refuse,
    Report,
    decode_answer_frame,
    encode_frame,
    split_parts,
)
from meshnode.serving.sealing import open_sealed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from meshnode.serving.desk import Job
    from meshnode.serving.port import MeshPort, Payer
    from meshnode.transport.base import FrameStream

OPEN_MS = 5_000
"""A stream to a connected peer opens within this."""
FIRST_FRAME_MS = 4_000
"""Who takes a question says so within this, and what the vertices that it names may take."""
KNOWLEDGE_MS = 2_000
"""How long a serving peer waits for one of those vertices."""
LOOK_MS: Final = 1_000
"""How often a silent peer is looked at."""
DOUBT_MS: Final = 6_000
"""A peer that says nothing on a stream for longer than a heartbeat is given up where nothing else
is heard of it either."""
PIECES_MS = 60_000
"""An answer that has begun goes on within this, whatever its heartbeats say."""
PARTING_MS = 2_000
"""How long the last signature may take to be read before the stream is torn down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a peer, and what else is known of it."""

    read_clock_ms: Callable[[], int]
    rtt_ms: int = 0
    stall_ms: int = SILENT_MS
    """Silence within an answer that counts as a stall."""
    is_dead: Callable[[], bool] = lambda: False
    """Whether the peer is taken to be gone, by everything that is heard of it."""


async def open_answer_stream(port: MeshPort, peer: str) -> FrameStream:
    """Open a stream to a peer, sealed where both can.

    Raises `TransportError`, and `InvalidMessage` where the peer's profile names no real keys.
    """
    try:
        async with asyncio.timeout(OPEN_MS / 1000):
            return await open_sealed(port, peer)
    except TimeoutError:
        raise StreamReset(f"no stream to {peer} could be opened within {OPEN_MS} ms") from None


async def read_remote_answer(
    stream: FrameStream,
    job: Job,
    *,
    request: bytes,
    patience: Patience,
    payer: Payer | None = None,
    on_load: Callable[[Load | None], None] | None = None,
) -> AsyncGenerator[Progress, None]:
    """Ask over a fresh stream; the last item is `Done`. The stream is reset at the end.

    With a payer, which has begun, the question is paid for, and each right invoice is signed as it
    comes.

    Raises `EngineError` for the peer's own failure, `StreamReset` when it went away,
    `InvalidMessage` when it broke the protocol, `DeadlineExceeded` when time ran out.
    """
    reader = _AnswerReader()
    listener = _Listener(stream, job, patience, is_paid=payer is not None)
    try:
        await _send_question(stream, _make_ask(job, request, patience.rtt_ms, payer), job.body)
        while True:
            frame = await listener.receive()
            if isinstance(frame, Failed) and on_load is not None:
                on_load(frame.load)
            item = reader.take(frame)
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
        if isinstance(frame, Report | Reached):
            raise MalformedMessage("a question is answered with what belongs to a probe")
        if isinstance(frame, Accept | Box | Refuse):
            raise MalformedMessage("a sealed frame answers what was asked in the open")
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


class _Listener:
    """Receives the frames of an answer while there is hope for it."""

    def __init__(self, stream: FrameStream, job: Job, patience: Patience, *, is_paid: bool) -> None:
        self._stream = stream
        self._patience = patience
        self._read_clock_ms = patience.read_clock_ms
        now_ms = self._read_clock_ms()
        self._deadline_ms = now_ms + job.remaining_ms
        self._heard_ms = now_ms
        self._piece_ms: int | None = None
        # Who is paid writes the contract down before it says a word.
        first_ms = SILENT_MS if is_paid else FIRST_FRAME_MS + 4 * patience.rtt_ms
        self._silent_ms = min(SILENT_MS, first_ms + KNOWLEDGE_MS * len(job.knowledge))

    async def receive(self) -> AnswerFrame:
        """The next frame. Raises `StreamReset`, `DeadlineExceeded`, `InvalidMessage`."""
        while True:
            try:
                async with asyncio.timeout(self._find_wait_ms() / 1000):
                    data = await self._stream.receive()
            except TimeoutError:
                self._check_hope()
                continue
            if data is None:
                raise StreamReset(f"{self._stream.peer} ended the stream without a complete answer")
            frame = decode_answer_frame(data)
            self._note(frame)
            return frame

    def _note(self, frame: AnswerFrame) -> None:
        self._heard_ms = self._read_clock_ms()
        if self._piece_ms is None:
            self._silent_ms = SILENT_MS
        if isinstance(frame, Part):
            self._piece_ms = self._heard_ms
            self._silent_ms = max(SILENT_MS, self._patience.stall_ms)
        elif self._piece_ms is not None:
            self._check_pieces()

    def _check_pieces(self) -> None:
        """Heartbeats show that a peer lives, not that its engine works."""
        assert self._piece_ms is not None
        limit_ms = max(PIECES_MS, self._patience.stall_ms)
        if self._heard_ms - self._piece_ms > limit_ms:
            raise StreamReset(f"{self._stream.peer} stalled: no word for {limit_ms} ms")

    def _find_wait_ms(self) -> int:
        now_ms = self._read_clock_ms()
        ends_ms = min(self._deadline_ms, self._heard_ms + self._silent_ms)
        return max(1, min(LOOK_MS, ends_ms - now_ms))

    def _check_hope(self) -> None:
        now_ms = self._read_clock_ms()
        if now_ms >= self._deadline_ms:
            raise DeadlineExceeded("no complete answer in time", hint="allow more time for it")
        silent_ms = now_ms - self._heard_ms
        if silent_ms >= self._silent_ms:
            raise StreamReset(f"{self._stream.peer} was silent for {self._silent_ms} ms")
        if silent_ms >= DOUBT_MS and self._patience.is_dead():
            raise StreamReset(f"{self._stream.peer} is gone: nothing was heard for {silent_ms} ms")


def _make_ask(job: Job, request: bytes, rtt_ms: int, payer: Payer | None) -> Ask:
    fields: dict[str, Any] = {
        "version": SERVING_VERSION,
        "request": request,
        "body_bytes": len(job.body),
        "share": job.share,
        # What is left once it has arrived there.
        "remaining_ms": max(1, min(job.remaining_ms - rtt_ms // 2, REMAINING_MS_MAX)),
        "knowledge": job.knowledge,
        "private": job.private,
    }
    if payer is None:
        return Ask(**fields)
    return PaidAsk(**fields, contract=payer.contract, salt=payer.salt)


async def _send_question(stream: FrameStream, ask: Ask, body: bytes) -> None:
    parts = [AskPart(data) for data in split_parts(body)]
    try:
        async with asyncio.timeout(SILENT_MS / 1000):
            await stream.send(encode_frame(ask))
            for part in parts:
                await stream.send(encode_frame(part))
    except TimeoutError:
        raise StreamReset(f"{stream.peer} did not take the question") from None
    except StreamReset:
        return  # a refusal may have arrived before the question was out: it is read next


def _make_error(frame: Failed) -> EngineError:
    try:
        fault = EngineFault(frame.fault)
    except ValueError:
        fault = EngineFault.INTERNAL
    return EngineError(fault, frame.message, retry_after_ms=frame.retry_after_ms or None)
