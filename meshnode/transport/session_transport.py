"""What every transport shares: sessions by peer, the calls that queue, the slow-reader watch."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

from meshnode.errors import PeerGone
from meshnode.transport.limits import TransportLimits
from meshnode.transport.session import Carrier, Session, SessionHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.transport.base import Channel, FrameStream, PeerId, TransportHandler

COUNTER_NAMES = (
    "bytes_received",
    "bytes_sent",
    "connections_closed",
    "connections_opened",
    "dials",
    "dials_failed",
    "frames_received",
    "frames_sent",
    "handshakes_failed",
    "handshakes_refused",
    "offences",
    "punches",
    "punches_failed",
    "relay_bytes",
    "relay_circuits",
    "relay_refused",
    "relay_reservations",
    "streams_accepted",
    "streams_opened",
    "streams_refused",
)

WATCH_INTERVAL_S = 1.0


class SessionTransport:
    """Base of the transports: everything that does not depend on how bytes move."""

    def __init__(self, peer_id: PeerId, limits: TransportLimits | None) -> None:
        self._peer_id = peer_id
        self._limits = limits or TransportLimits()
        self._counters = dict.fromkeys(COUNTER_NAMES, 0)
        self._sessions: dict[PeerId, Session] = {}
        self._live: dict[Session, None] = {}
        """Every session whose handler has not heard the last of it."""
        self._host: SessionHost | None = None
        self._watch_task: asyncio.Task[None] | None = None

    @property
    def peer_id(self) -> PeerId:
        """This node's own proved id."""
        return self._peer_id

    @property
    def counters(self) -> dict[str, int]:
        """Bytes, frames and connections by name since start; keys are stable."""
        return dict(self._counters)

    def is_connected(self, peer: PeerId) -> bool:
        """Whether a connection to the peer stands."""
        session = self._sessions.get(peer)
        return session is not None and not session.ending

    def send(self, peer: PeerId, channel: Channel, frames: Sequence[bytes]) -> bool:
        """Queue frames in order, all or none; frames queued in one loop tick leave together."""
        session = self._sessions.get(peer)
        return session is not None and session.send(channel, frames)

    def queued_bytes(self, peer: PeerId, channel: Channel) -> int:
        """Bytes waiting to be sent, 0 for a peer that is gone."""
        session = self._sessions.get(peer)
        return 0 if session is None else session.links[channel].queued_bytes

    async def open_stream(self, peer: PeerId) -> FrameStream:
        """Open a stream to a connected peer; raises `PeerGone` or `StreamReset`."""
        session = self._sessions.get(peer)
        if session is None:
            raise PeerGone(f"no connection to {peer}", hint="dial the peer first")
        return await session.open_stream()

    def hang_up(self, peer: PeerId, *, reason: str) -> None:
        """Send what is queued for at most a short grace, then end the connection."""
        session = self._sessions.get(peer)
        if session is not None:
            session.hang_up(reason)

    def _begin(self, handler: TransportHandler) -> None:
        if self._host is not None:
            raise AssertionError("a transport is started once")
        self._host = SessionHost(
            handler=handler,
            limits=self._limits,
            counters=self._counters,
            context=contextvars.copy_context(),
            on_over=self._forget,
        )
        self._watch_task = asyncio.get_running_loop().create_task(
            self._watch(), name="transport watch"
        )

    async def _end(self, reason: str) -> None:
        sessions = list(self._live)
        for session in sessions:
            session.hang_up(reason)
        if sessions:
            await asyncio.gather(*(session.close() for session in sessions))
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.wait([self._watch_task])

    def _new_session(
        self, carrier: Carrier, *, peer: PeerId, inbound: bool, address: str
    ) -> Session:
        assert self._host is not None, "connections come after start"
        return Session(self._host, carrier, peer=peer, inbound=inbound, address=address)

    def _admit(self, session: Session) -> bool:
        """Make this the peer's session, unless the one that stands is to be kept."""
        old = self._sessions.get(session.peer)
        if old is not None and not old.ending:
            if self._keeps(old, session):
                return False
            if old.is_relayed and not session.is_relayed:
                old.retire("replaced by a direct connection")
            else:
                old.abort("replaced by a newer connection")
        self._sessions[session.peer] = session
        self._live[session] = None
        self._counters["connections_opened"] += 1
        session.start(old)
        return True

    def _forget(self, session: Session) -> None:
        self._live.pop(session, None)
        self._counters["connections_closed"] += 1
        if self._sessions.get(session.peer) is session:
            del self._sessions[session.peer]

    @staticmethod
    def _report(message: str, error: Exception) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    def _keeps(self, old: Session, new: Session) -> bool:
        """Whether a second connection to one peer loses against the first.

        When both sides dial at the same moment, both must keep the same one: the one that the
        smaller peer id dialled. A connection that came long after the first proves that the peer
        has given the first one up.
        """
        if old.is_relayed != new.is_relayed:
            return new.is_relayed  # a direct way is better, whoever found it
        if old.inbound == new.inbound:
            return False
        if new.opened_at - old.opened_at > self._limits.dial_ms / 1000:
            return False
        dialled_by_peer = old.inbound
        return dialled_by_peer == (old.peer < self._peer_id)

    async def _watch(self) -> None:
        """Hang up peers that have something to take and take nothing."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            for session in list(self._live):
                session.check_stalls(loop.time())
