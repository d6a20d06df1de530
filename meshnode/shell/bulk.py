"""Long answers: stored vertices read from the journal and sent as fast as a peer takes them.

One pump per peer that has something to get. It reads a little ahead of the network and waits while
the transport holds enough, so a peer that reads slowly costs neither memory nor anybody else's time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from meshnode.core.effects import SendSnapshot
from meshnode.core.messages import (
    SNAPSHOT_ANSWER_BYTES,
    SNAPSHOT_DATA_BYTES,
    Items,
    Push,
    Snapshot,
    encode_message,
)
from meshnode.shell.packing import BYTES_OVERHEAD, FRAME_OVERHEAD, pack
from meshnode.transport.base import FRAME_BYTES_MAX, Channel, PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshnode.core.effects import SendStored
    from meshnode.shell.journal import Journal
    from meshnode.shell.telemetry import Telemetry
    from meshnode.transport.base import Transport

READ_IDS: Final = 64
"""Vertices read from the journal at a time."""
QUEUED_BYTES_MAX: Final = 1_000_000
"""A pump rests while the transport holds more than this for its peer."""
ANSWERS_MAX: Final = 32
"""Answers that wait for one peer; who follows the protocol awaits few, and asks again elsewhere."""
_REST_S: Final = 0.005
_ID_BYTES: Final = 34


class BulkSender:
    """Pumps, one per peer at work. `close` ends them."""

    def __init__(
        self,
        transport: Transport,
        journal: Journal,
        telemetry: Telemetry,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._transport = transport
        self._journal = journal
        self._telemetry = telemetry
        self._on_failure = on_failure
        self._queues: dict[PeerId, deque[SendStored | SendSnapshot]] = {}
        self._pumps: dict[PeerId, asyncio.Task[None]] = {}

    def submit(self, effect: SendStored | SendSnapshot) -> None:
        """Send after what the peer is getting already."""
        peer = PeerId(effect.to)
        queue = self._queues.setdefault(peer, deque())
        if len(queue) >= ANSWERS_MAX:
            self._telemetry.count("bulk_answers_dropped")
            return
        queue.append(effect)
        if peer not in self._pumps:
            pump = asyncio.get_running_loop().create_task(
                self._pump(peer, queue), name=f"bulk to {peer}"
            )
            self._pumps[peer] = pump
            pump.add_done_callback(lambda done: self._ended(peer, done))

    def drop(self, peer: PeerId) -> None:
        """The peer is gone, and with it what it was to get."""
        self._queues.pop(peer, None)
        pump = self._pumps.pop(peer, None)
        if pump is not None:
            pump.cancel()

    async def close(self) -> None:
        """End every pump."""
        pumps = list(self._pumps.values())
        for peer in list(self._pumps):
            self.drop(peer)
        if pumps:
            await asyncio.wait(pumps)

    def _ended(self, peer: PeerId, pump: asyncio.Task[None]) -> None:
        if self._pumps.get(peer) is pump:
            del self._pumps[peer]
            self._queues.pop(peer, None)
        error = None if pump.cancelled() else pump.exception()
        if error is not None:
            self._on_failure(error)

    async def _pump(self, peer: PeerId, queue: deque[SendStored | SendSnapshot]) -> None:
        while queue:
            if not await self._answer(peer, queue.popleft()):
                queue.clear()
        # At once, not when the task's end is noticed: what is submitted in between would be lost.
        if self._queues.get(peer) is queue:
            del self._queues[peer]
            del self._pumps[peer]

    async def _answer(self, peer: PeerId, effect: SendStored | SendSnapshot) -> bool:
        """Send one answer; False where the peer is gone."""
        if isinstance(effect, SendSnapshot):
            size_bytes, data = await self._journal.read_section(
                effect.index,
                effect.section,
                offset=effect.offset,
                size_bytes=SNAPSHOT_ANSWER_BYTES,
            )
            frames = [*_encode_section(effect, size_bytes, data)]
            return await self._send(peer, "snapshot", frames)
        missing, kind = list(effect.missing), "items" if effect.request else "push"
        wires: list[bytes] = []
        for start in range(0, len(effect.ids), READ_IDS):
            ids = effect.ids[start : start + READ_IDS]
            found = await self._journal.read(ids)
            missing += [item for item in ids if item not in found]
            wires += [found[item] for item in ids if item in found]
            *whole, wires = pack(wires)
            if not await self._send(peer, kind, [_encode(effect.request, part) for part in whole]):
                return False
        return await self._send(peer, kind, _encode_last(effect, wires, missing))

    async def _send(self, peer: PeerId, kind: str, frames: Sequence[bytes]) -> bool:
        """Send frames one by one; False where the peer is gone."""
        for frame in frames:
            # The port does not tell when there is room again, so a full peer is asked now and then.
            while not self._take(peer, frame):
                # An answer may be submitted after its peer has gone: then nothing will ever be
                # taken, and nothing waits to be.
                if not self._transport.queued_bytes(peer, Channel.BULK):
                    return False
                await asyncio.sleep(_REST_S)
            self._telemetry.count("bulk_frames_sent")
            self._telemetry.count_message(kind, len(frame))
        return True

    def _take(self, peer: PeerId, frame: bytes) -> bool:
        queued_bytes = self._transport.queued_bytes(peer, Channel.BULK)
        return queued_bytes <= QUEUED_BYTES_MAX and self._transport.send(
            peer, Channel.BULK, (frame,)
        )


def _encode(request: int, wires: Sequence[bytes]) -> bytes:
    if request == 0:
        return encode_message(Push(tuple(wires)))
    return encode_message(Items(request, tuple(wires), (), 0, last=False))


def _encode_last(
    effect: SendStored, wires: Sequence[bytes], missing: Sequence[bytes]
) -> list[bytes]:
    """The end of an answer; what is missing gets a frame of its own where it does not fit."""
    request = effect.request
    if request == 0:
        return [_encode(0, wires)] if wires else []
    size_bytes = FRAME_OVERHEAD + _ID_BYTES * len(missing)
    size_bytes += sum(len(wire) + BYTES_OVERHEAD for wire in wires)
    frames = []
    if size_bytes > FRAME_BYTES_MAX:
        frames.append(_encode(request, wires))
        wires = ()
    pruned_commit = effect.pruned_commit if missing else 0
    last = Items(request, tuple(wires), tuple(missing), pruned_commit, last=True)
    frames.append(encode_message(last))
    return frames


def _encode_section(effect: SendSnapshot, size_bytes: int, data: bytes) -> Iterator[bytes]:
    """A section, or as much of it as one answer holds; one message without data for none."""
    for start in range(0, len(data) or 1, SNAPSHOT_DATA_BYTES):
        chunk = data[start : start + SNAPSHOT_DATA_BYTES]
        last = start + SNAPSHOT_DATA_BYTES >= len(data)
        offset = effect.offset + start
        yield encode_message(Snapshot(effect.request, size_bytes, offset, chunk, last))
