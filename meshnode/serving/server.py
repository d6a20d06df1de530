"""The serving side of answer streams: read the question, forward the answer, notice who leaves."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    DeadlineExceeded,
    InvalidMessage,
    MalformedMessage,
    MeshError,
    MessageTooLarge,
    StreamReset,
)
from meshnode.sealed.handshake import Open
from meshnode.serving.desk import Desk, Job, Piece, Progress
from meshnode.serving.probes import can_reach
from meshnode.serving.protocol import (
    REMAINING_MS_MAX,
    Ask,
    AskPart,
    Cancel,
    Countersign,
    Failed,
    Invoice,
    Load,
    PaidAsk,
    Part,
    Probe,
    Reached,
    clip_text,
    decode_ask_frame,
    encode_frame,
    split_parts,
)
from meshnode.shell.joint_tasks import join

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.serving.port import Deliveries, Delivery, MeshPort
    from meshnode.transport.base import FrameStream

STREAMS_MAX = 1_024
"""Answer streams at once, over all peers."""
STREAMS_PER_PEER_MAX = 256
QUESTIONS_BYTES_MAX = 64 * 1024 * 1024
"""What the questions that are read, wait or run may take, over all peers."""
BUSY_MS = 1_000
"""When to try again where there is no room for a further stream or its question."""
READ_MS = 10_000
"""A question arrives whole within this."""
SLOW_READER_MS = 30_000
"""An asker that takes no frame for this long is given up."""
LINGER_MS = 1_000
"""How long the last frame may take to be read before the stream is torn down."""


class AnswerServer:
    """Serves the streams that peers open."""

    def __init__(
        self, desk: Desk | None, port: MeshPort, deliveries: Deliveries | None = None
    ) -> None:
        """Without `deliveries` nothing is served for pay."""
        self._desk = desk
        self._port = port
        self._deliveries = deliveries
        self._streams: dict[str, int] = {}
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What the questions here take."""
        return self._held_bytes

    async def serve(self, stream: FrameStream) -> None:
        """Handle one stream to its end; never raises for what the peer did."""
        author = self._port.find_member(stream.peer)
        if author is None:
            # Whoever has not proved membership learns nothing, not even why.
            stream.reset()
            return
        peer = str(stream.peer)
        held = self._streams.get(peer, 0)
        is_full = held >= STREAMS_PER_PEER_MAX or sum(self._streams.values()) >= STREAMS_MAX
        self._streams[peer] = held + 1
        try:
            if is_full:
                await self._refuse(stream, _make_busy("this peer has no room for a further stream"))
            else:
                await self._serve_member(stream, author)
        except InvalidMessage as error:
            self._port.report_offence(peer, error)
        except (StreamReset, TimeoutError):
            pass  # the asker is gone, or as good as gone
        finally:
            stream.reset()
            self._release(peer)

    def _release(self, peer: str) -> None:
        self._streams[peer] -= 1
        if not self._streams[peer]:
            del self._streams[peer]

    async def _serve_member(self, stream: FrameStream, author: bytes) -> None:
        try:
            desk = self._require_desk()
            async with asyncio.timeout(READ_MS / 1000):
                stream, frame = await self._begin(stream)
            if isinstance(frame, Probe):
                await self._answer_probe(stream, desk, frame)
            else:
                await self._serve_question(stream, desk, author, frame)
        except (InvalidMessage, StreamReset):
            raise
        except MeshError as error:
            await self._refuse(stream, error)
        else:
            await _linger(stream)

    async def _begin(self, stream: FrameStream) -> tuple[FrameStream, Ask | Probe]:
        """The stream as it is read from now on, and what is asked on it."""
        sealing = self._port.sealing
        frame = decode_ask_frame(await _receive(stream))
        if isinstance(frame, Open):
            if sealing is None:
                raise MalformedMessage("sealed content for a peer that names no keys")
            sealed = await sealing.accept(stream, frame)
            if sealed is None:
                await _linger(stream)
                raise StreamReset(f"{stream.peer} has sealed to a key that is not held here")
            stream, frame = sealed, decode_ask_frame(await _receive(sealed))
        elif sealing is not None:
            sealing.check_open(stream.peer)
        if not isinstance(frame, Ask | Probe):
            raise MalformedMessage("an answer stream begins with ASK or PROBE")
        return stream, frame

    async def _answer_probe(self, stream: FrameStream, desk: Desk, probe: Probe) -> None:
        if not probe.target:
            await _send(stream, encode_frame(desk.reporter.make_report(probe.generation)))
        else:
            await _send(stream, encode_frame(Reached(await can_reach(self._port, probe.target))))

    async def _refuse(self, stream: FrameStream, error: MeshError) -> None:
        load = None if self._desk is None else self._desk.reporter.make_load()
        await _send(stream, encode_frame(_make_failed(error, load)))
        await _linger(stream)

    async def _serve_question(
        self, stream: FrameStream, desk: Desk, author: bytes, ask: Ask
    ) -> None:
        delivery: Delivery | None = None
        if self._held_bytes + ask.body_bytes > QUESTIONS_BYTES_MAX:
            raise _make_busy(f"questions here take {self._held_bytes} bytes already")
        self._held_bytes += ask.body_bytes
        try:
            desk.check_admission(author, paid=isinstance(ask, PaidAsk), size_bytes=ask.body_bytes)
            async with asyncio.timeout(READ_MS / 1000):
                if isinstance(ask, PaidAsk):
                    delivery = await self._open_delivery(ask, author)
                body = await _read_body(stream, ask.body_bytes)
            job = _make_job(author, ask, body, delivery)
            await self._answer_watched(stream, desk, job, delivery)
        finally:
            self._held_bytes -= ask.body_bytes
            if delivery is not None:
                delivery.close()

    async def _open_delivery(self, ask: PaidAsk, author: bytes) -> Delivery:
        if self._deliveries is None:
            raise EngineError(
                EngineFault.FORBIDDEN, "this peer sells nothing", hint="ask another peer"
            )
        return await self._deliveries.open(ask, author)

    def _require_desk(self) -> Desk:
        if self._desk is None:
            raise EngineError(
                EngineFault.MODEL_NOT_FOUND, "this peer serves no model", hint="ask another peer"
            )
        return self._desk

    async def _answer_watched(
        self, stream: FrameStream, desk: Desk, job: Job, delivery: Delivery | None
    ) -> None:
        """Answer until done or until the asker cancels, whichever is first."""
        work = asyncio.create_task(_forward(stream, desk, job, delivery), name="answer")
        watch = asyncio.create_task(_watch(stream, delivery), name="watch asker")
        await join(work, watch)


def _make_busy(reason: str) -> EngineError:
    return EngineError(
        EngineFault.OVERLOADED,
        reason,
        retry_after_ms=BUSY_MS,
        hint="ask another peer, or again later",
    )


async def _read_body(stream: FrameStream, body_bytes: int) -> bytes:
    body = bytearray()
    while len(body) < body_bytes:
        frame = decode_ask_frame(await _receive(stream))
        if isinstance(frame, Cancel):
            raise StreamReset(f"{stream.peer} cancelled")
        if not isinstance(frame, AskPart):
            raise MalformedMessage("ASK came twice on one stream")
        if len(body) + len(frame.data) > body_bytes:
            raise MessageTooLarge("request body", len(body) + len(frame.data), body_bytes)
        body += frame.data
    return bytes(body)


async def _receive(stream: FrameStream) -> bytes:
    frame = await stream.receive()
    if frame is None:
        raise StreamReset(f"{stream.peer} finished before its question was complete")
    return frame


def _make_job(author: bytes, ask: Ask, body: bytes, delivery: Delivery | None) -> Job:
    request = _decode_request(body)
    if delivery is not None:
        # The contract says which model, whatever the question calls it.
        request["model"] = delivery.model
        delivery.begin(body, request)
    return Job(
        requester=author,
        body=body,
        request=request,
        share=ask.share,
        remaining_ms=min(ask.remaining_ms, REMAINING_MS_MAX),
        knowledge=ask.knowledge,
        paid=delivery is not None,
        private=ask.private or ask.share == "digest",
    )


def _decode_request(body: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"a request body is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise MalformedMessage("a request body is not a JSON object")
    return request


async def _forward(stream: FrameStream, desk: Desk, job: Job, delivery: Delivery | None) -> None:
    async with aclosing(desk.answer(job)) as progress:
        if delivery is None:
            await _forward_all(stream, progress)
        else:
            async with aclosing(delivery.meter(progress)) as metered:
                await _forward_all(stream, metered)


async def _forward_all(stream: FrameStream, items: AsyncIterator[Progress | Invoice]) -> None:
    async for item in items:
        for frame in _make_frames(item):
            await _send(stream, frame)


def _make_frames(item: Progress | Invoice) -> list[bytes]:
    if not isinstance(item, Piece):
        return [encode_frame(item)]
    parts = split_parts(item.data)
    return [
        encode_frame(Part(data, last=index == len(parts) - 1)) for index, data in enumerate(parts)
    ]


async def _send(stream: FrameStream, frame: bytes) -> None:
    async with asyncio.timeout(SLOW_READER_MS / 1000):
        await stream.send(frame)


async def _watch(stream: FrameStream, delivery: Delivery | None) -> None:
    """Returns when the asker wants no more; raises when it misbehaves or is gone."""
    while (data := await stream.receive()) is not None:
        frame = decode_ask_frame(data)
        if isinstance(frame, Cancel):
            return
        if delivery is None or not isinstance(frame, Countersign):
            raise MalformedMessage("only CANCEL may follow a question")
        await delivery.countersign(frame)


async def _linger(stream: FrameStream) -> None:
    """Finish, and let the asker read the last frame before the stream is torn down."""
    async with asyncio.timeout(LINGER_MS / 1000):
        await stream.finish()
        while await stream.receive() is not None:
            pass


def _make_failed(error: MeshError, load: Load | None) -> Failed:
    fault, retry_after_ms = EngineFault.INTERNAL, 0
    if isinstance(error, EngineError):
        fault, retry_after_ms = error.fault, error.retry_after_ms or 0
    elif isinstance(error, DeadlineExceeded):
        fault = EngineFault.TIMEOUT
    return Failed(
        fault=str(fault),
        message=clip_text(error.message),
        retry_after_ms=min(retry_after_ms, REMAINING_MS_MAX),
        load=load,
    )
