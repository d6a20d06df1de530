"""Where the network enters: frames become checked inputs, and wait their turn.

A transport stops reading a channel while `deliver` waits, so a full inbox or busy verifiers slow the
sender down instead of filling memory. What was being checked when its connection ended is dropped:
the core never hears from a peer it believes gone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from dag.errors import Offence
from meshnode.core.inputs import Connected, Disconnected, Input, Received, Rejected
from meshnode.shell.verify_pool import Refusal, VerifyPool, split_frames
from meshnode.transport.base import Channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from meshnode.core.admission import Admission
    from meshnode.core.inputs import Checked
    from meshnode.shell.bulk import BulkSender
    from meshnode.shell.inbox import Inbox
    from meshnode.shell.telemetry import Telemetry
    from meshnode.transport.base import FrameStream, PeerId

    StreamHandler = Callable[[FrameStream], Awaitable[None]]

_OFFENCES: Final = {offence.value: offence for offence in Offence}


class Gate:
    """A transport's handler. Connections may come before the core runs; they wait."""

    def __init__(
        self, *, inbox: Inbox, pool: VerifyPool, bulk: BulkSender, telemetry: Telemetry
    ) -> None:
        self._inbox = inbox
        self._pool = pool
        self._bulk = bulk
        self._telemetry = telemetry
        self._opened = asyncio.Event()
        self._admission: Admission | None = None
        self._connections: dict[PeerId, object] = {}
        self._heard: dict[PeerId, object] = {}
        """The connections the core knows of."""
        self._stream_handler: StreamHandler | None = None

    def open(self, admission: Admission) -> None:
        """Let frames in, through this admission."""
        self._admission = admission
        self._opened.set()

    def set_stream_handler(self, handler: StreamHandler | None) -> None:
        """Who serves streams that peers open; without one they are reset."""
        self._stream_handler = handler

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        """Tell the core; every connection is told apart from the peer's earlier ones."""
        self._connections[peer] = connection = object()

        def tell(now_ms: int) -> Connected:
            self._heard[peer] = connection
            return Connected(now_ms, peer, inbound, remote_address)

        self._inbox.put_now([tell])

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        """Tell the core, and stop sending."""
        self._connections.pop(peer, None)
        self._bulk.drop(peer)

        def tell(now_ms: int) -> Disconnected:
            self._heard.pop(peer, None)
            return Disconnected(now_ms, peer, reason)

        self._inbox.put_now([tell])

    def is_heard(self, peer: PeerId) -> bool:
        """Whether the connection that stands is the one the core knows of.

        Between a connection's end and the moment the core takes note of it, another may stand
        already: what the core says in that time is not for the new one.
        """
        connection = self._connections.get(peer)
        return connection is not None and self._heard.get(peer) is connection

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        """Check frames and queue them for the core; returns once they are queued."""
        connection = self._connections.get(peer)
        await self._opened.wait()
        assert self._admission is not None
        self._telemetry.count("frames_received", len(frames))
        self._telemetry.count("frame_bytes_received", sum(map(len, frames)))
        if channel is Channel.RPC:
            refusal = Refusal(Offence.UNASKED, "nothing listens on the rpc channel")
            await self._put(peer, connection, [refusal])
            return
        checks: deque[asyncio.Future[list[Checked | Refusal]]] = deque()
        try:
            for hop in split_frames(frames):
                while checks and not self._pool.is_idle:
                    await self._put(peer, connection, await checks[0])
                    checks.popleft()
                checks.append(self._pool.check(self._admission, hop, peer))
            for check in checks:
                await self._put(peer, connection, await check)
        finally:
            for check in checks:
                check.cancel()  # of those that are done nothing is left to end

    async def _put(
        self, peer: PeerId, connection: object, checked: Sequence[Checked | Refusal]
    ) -> None:
        if connection is not None and self._connections.get(peer) is connection:
            await self._inbox.put([_stamp(peer, item) for item in checked])

    async def serve(self, stream: FrameStream) -> None:
        """Hand a stream to whoever serves them."""
        if self._stream_handler is None:
            stream.reset()
        else:
            await self._stream_handler(stream)

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        """Tell the core what the transport saw."""
        known = _OFFENCES.get(offence, Offence.BAD_STREAM)
        self._inbox.put_now([partial(Rejected, peer=peer, offence=known, detail=detail)])


def _stamp(peer: PeerId, item: Checked | Refusal) -> Callable[[int], Input]:
    if isinstance(item, Refusal):
        return partial(Rejected, peer=peer, offence=item.offence, detail=item.detail)
    return partial(Received, peer=peer, message=item)
