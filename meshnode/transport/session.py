"""One connection as the handler sees it: its callbacks in order, its channels, its end.

Carriers create a `Session` when the channels of an authenticated connection stand, feed its
links, and call `lost` when the connection is gone. The session promises the handler's rules:
`connected` first, `disconnected` last, each once, frames of a channel one delivery at a time.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from meshnode.errors import InvalidMessage, MeshError, Offence, PeerGone, StreamReset
from meshnode.transport.base import Channel, TransportHandler
from meshnode.transport.framing import CHANNEL_WINDOW_BYTES, STREAM_WINDOW_BYTES
from meshnode.transport.limits import TransportLimits
from meshnode.transport.link import FrameLink
from meshnode.transport.stream import LinkStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.transport.base import PeerId


class Carrier(Protocol):
    """What moves the bytes of one connection."""

    def abort(self) -> None:
        """End the connection at once. Harmless when it has ended."""

    async def open_stream(self) -> LinkStream:
        """Open a stream beside the channels; raises `StreamReset`."""


@dataclass(frozen=True, slots=True)
class SessionHost:
    """What all sessions of one transport share."""

    handler: TransportHandler
    limits: TransportLimits
    counters: dict[str, int]
    context: contextvars.Context
    """Context of the task that started the transport: callbacks run in copies of it."""
    on_over: Callable[[Session], None]


class Session:
    """A connection to one peer, from `connected` to `disconnected`."""

    def __init__(
        self, host: SessionHost, carrier: Carrier, *, peer: PeerId, inbound: bool, address: str
    ) -> None:
        self.peer = peer
        self.inbound = inbound
        self.over = asyncio.Event()
        """Set when the handler has heard the last of this session."""
        self._host = host
        self._handler = host.handler
        self.limits = host.limits
        self.counters = host.counters
        self.carrier = carrier
        self._address = address
        self._loop = asyncio.get_running_loop()
        self.opened_at = self._loop.time()
        self.is_relayed = "/p2p-circuit" in address
        self.links = {
            channel: FrameLink(
                window_bytes=CHANNEL_WINDOW_BYTES[channel],
                queue_bytes_max=host.limits.queue_bytes[channel],
            )
            for channel in Channel
        }
        self._changed = {channel: asyncio.Event() for channel in Channel}
        for channel, link in self.links.items():
            link.on_readable = self._changed[channel].set
            link.on_room = self._changed[channel].set
        self._reason = ""
        self._announced = False
        self._closing = False
        self._retiring = False
        self._is_waiting = False
        self._offence: tuple[Offence, str] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._streams: dict[LinkStream, None] = {}
        self._serving: dict[asyncio.Task[None], None] = {}
        self._stalls: dict[FrameLink, tuple[int, float]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def ending(self) -> bool:
        """Whether the connection is gone or being ended."""
        return bool(self._reason)

    def start(self, predecessor: Session | None) -> None:
        """Tell the handler; a predecessor of the same peer is finished first."""
        self._is_waiting = predecessor is not None
        self._task = self._loop.create_task(
            self._run(predecessor), name=f"session {self.peer}", context=self._host.context.copy()
        )

    def send(self, channel: Channel, frames: Sequence[bytes]) -> bool:
        """Queue frames, all or none; none while the handler knows only this session's predecessor."""
        if self.ending or self._is_waiting or not self.links[channel].offer(frames):
            return False
        self.counters["frames_sent"] += len(frames)
        return True

    def new_stream(self, *, abort: Callable[[], None]) -> LinkStream:
        """A stream of this session whose bytes the carrier will move."""
        link = FrameLink(
            window_bytes=STREAM_WINDOW_BYTES, queue_bytes_max=self.limits.stream_queue_bytes
        )
        return LinkStream(self.peer, link, abort=abort)

    async def open_stream(self) -> LinkStream:
        """Open a stream to the peer; raises `PeerGone` or `StreamReset`."""
        self._check_standing()
        stream = await self.carrier.open_stream()
        try:
            self._check_standing()
        except PeerGone:
            stream.reset()
            raise
        self._streams[stream] = None
        self.counters["streams_opened"] += 1
        return stream

    def _check_standing(self) -> None:
        if self.ending:
            raise PeerGone(f"the connection to {self.peer} has ended", hint="dial the peer again")

    def serve(self, stream: LinkStream) -> None:
        """The peer opened this stream: give it to the handler, or refuse one too many."""
        if self.ending or len(self._serving) >= self.limits.inbound_streams:
            self.counters["streams_refused"] += 1
            stream.reset()
            return
        self._streams[stream] = None
        self.counters["streams_accepted"] += 1
        task = self._loop.create_task(
            self._serve(stream), name=f"serve {self.peer}", context=self._host.context.copy()
        )
        self._serving[task] = None
        task.add_done_callback(lambda done: self._serving.pop(done, None))

    def hang_up(self, reason: str) -> None:
        """Send what is queued for at most the grace, then end."""
        if self.ending:
            return
        self._reason = reason
        self._closing = True
        self._finish_links()

    def retire(self, reason: str) -> None:
        """Make way for another connection: what either side has queued still arrives.

        What takes longer than the grace is given up.
        """
        if self.ending:
            return
        self._reason = reason
        self._retiring = True
        self._finish_links()

    def _finish_links(self) -> None:
        for link in self.links.values():
            link.finish()
        self._start_grace()
        for changed in self._changed.values():
            changed.set()

    def lost(self, reason: str) -> None:
        """The connection is gone; what arrived before is still delivered."""
        self._reason = self._reason or reason
        for link in self.links.values():
            link.end()
        for stream in list(self._streams):
            stream.reset()
        self.carrier.abort()

    def abort(self, reason: str) -> None:
        """End at once; nothing more is delivered."""
        self._closing = True
        self.lost(reason)

    def offend(self, offence: Offence, detail: str) -> None:
        """The peer broke the rules of the transport: report it and end."""
        if self._offence is None:
            self._offence = (offence, detail)
            self.counters["offences"] += 1
        self.abort(f"{offence.value}: {detail}")

    def feed(self, link: FrameLink, data: bytes) -> bool:
        """Bytes arrived for a link; False when they broke the rules."""
        try:
            self.counters["frames_received"] += link.feed(data)
        except InvalidMessage as error:
            self.offend(error.offence, str(error))
            return False
        return True

    def check_stalls(self, now: float) -> None:
        """End what has something to send and has sent nothing for too long."""
        deadline_s = self.limits.slow_reader_ms / 1000
        self._streams = {stream: None for stream in self._streams if not stream.link.ended}
        stalls: dict[FrameLink, tuple[int, float]] = {}
        for link in [*self.links.values(), *(stream.link for stream in self._streams)]:
            if link.has_unsent and not link.ended:
                progress, since = self._stalls.get(link, (link.progress, now))
                stalls[link] = (link.progress, since if progress == link.progress else now)
        self._stalls = stalls
        for stream in list(self._streams):
            if stream.link in stalls and now - stalls[stream.link][1] >= deadline_s:
                stream.reset()
        if any(
            link in stalls and now - stalls[link][1] >= deadline_s for link in self.links.values()
        ):
            self.offend(Offence.SLOW_READER, f"took nothing for {deadline_s:g} s")

    async def close(self) -> None:
        """Wait until the session is over, at most the grace; then cancel what still runs."""
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=self.limits.hang_up_grace_ms / 1000)
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self, predecessor: Session | None) -> None:
        try:
            if predecessor is not None:
                await predecessor.over.wait()
                self._is_waiting = False
            self._announced = True
            self._handler.connected(self.peer, inbound=self.inbound, remote_address=self._address)
            async with asyncio.TaskGroup() as group:
                for channel in Channel:
                    group.create_task(self._deliver(channel))
            await self._flush()
            self.lost("the peer hung up")
        except Exception as error:  # noqa: BLE001 - a handler's fault ends its connection only
            self._report("a transport handler failed", error)
            self.abort("internal error")
        finally:
            self.abort("the transport was closed")
            await self._finish()

    async def _finish(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        try:
            if serving:
                await asyncio.wait(serving)
        finally:
            self._announce_end()
            self.over.set()
            self._host.on_over(self)

    def _announce_end(self) -> None:
        if not self._announced:
            return
        if self._offence is not None:
            offence, detail = self._offence
            self._handler.offended(self.peer, offence=offence.value, detail=detail)
        self._handler.disconnected(self.peer, reason=self._reason)

    async def _deliver(self, channel: Channel) -> None:
        link = self.links[channel]
        changed = self._changed[channel]
        while True:
            changed.clear()
            frames = link.take()
            if frames and not self._closing:
                await self._handler.deliver(self.peer, channel, frames)
                link.consumed(frames)
            elif link.peer_finished or link.ended:
                self._start_grace()
                return
            elif not frames:
                await changed.wait()

    async def _flush(self) -> None:
        """The peer has finished: what this side has queued still goes out, within the grace."""
        if not (self._closing or self._retiring):
            return
        for channel, link in self.links.items():
            while link.has_unsent and not link.ended:
                self._changed[channel].clear()
                await self._changed[channel].wait()

    def _start_grace(self) -> None:
        if self._grace is None:
            self._grace = self._loop.call_later(
                self.limits.hang_up_grace_ms / 1000, self.lost, "the peer hung up"
            )

    async def _serve(self, stream: LinkStream) -> None:
        try:
            await self._handler.serve(stream)
            if stream.link.finished:
                await self._linger(stream)
        except MeshError:
            pass  # the stream or its work failed: the reset below says so to the peer
        except Exception as error:  # noqa: BLE001 - a handler's fault ends its stream only
            self._report("serving a stream failed", error)
        finally:
            stream.reset()

    async def _linger(self, stream: LinkStream) -> None:
        """A reset right behind the last frame could overtake it: let the peer finish first."""
        try:
            async with asyncio.timeout(self.limits.linger_ms / 1000):
                while await stream.receive() is not None:
                    continue
        except (StreamReset, TimeoutError):
            return

    def _report(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})
