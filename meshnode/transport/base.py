"""The transport port: what the shell needs of a network, and nothing else.

A transport moves opaque frames between authenticated peers. It knows no message, no vertex and no
rule of the protocol. `memory` and `libp2p` implement it and pass one conformance suite.

The caller's duties, in order: `start(handler)`, any number of calls, `close()`.
What a transport promises:

* A `PeerId` is proved by the connection's key exchange, never taken from a message.
* At most one connection per peer; `handler.connected` precedes every other callback of that
  connection, `handler.disconnected` is its last, and each is called exactly once.
* Frames of one (peer, channel) arrive complete, in order, at most once. A connection that cannot
  keep this promise ends.
* `send` never blocks and never drops silently: it answers False when the frame was not taken
  (queue full, peer gone), and a peer that stays full past its deadline is hung up (slow reader).
* `handler.deliver` is awaited: while it waits, the transport stops reading that channel of that
  peer (and the peer runs out of credit), so memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NewType, Protocol

PeerId = NewType("PeerId", str)
"""A transport's name of a peer; for libp2p the base58 peer id of its host key."""

FRAME_BYTES_MAX = 60_000
"""Largest frame: one Noise message (65,519 B) always holds one frame with its header."""


class Channel(IntEnum):
    """The long-lived channels of a connection; streams are opened beside them."""

    CONTROL = 0
    """Handshake, gossip, digests, pings: latency matters. Credit 256 KB."""
    BULK = 1
    """Answers to GET: throughput matters. Credit 1 MB."""
    RPC = 2
    """Small questions and answers between applications. Credit 256 KB."""


class FrameStream(Protocol):
    """A two-way stream of frames beside the channels; one per streamed answer."""

    @property
    def peer(self) -> PeerId:
        """The proved peer at the other end."""

    async def send(self, frame: bytes) -> None:
        """Send one frame; waits for credit. Raises `StreamReset` when the stream has ended."""

    async def receive(self) -> bytes | None:
        """The next frame, or None after the other side finished. Raises `StreamReset`."""

    async def finish(self) -> None:
        """Say that no more frames follow; the other direction stays open."""

    def reset(self) -> None:
        """End the stream at once, in both directions. Harmless when it has ended."""


class TransportHandler(Protocol):
    """What a transport calls, always in the event loop that started it."""

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        """A connection stands and its channels are open."""

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        """The connection has ended; no further frame of it will be delivered."""

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        """Frames that arrived together; returning asks for more."""

    async def serve(self, stream: FrameStream) -> None:
        """A peer opened a stream; when this returns or raises, the stream is reset."""

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        """The transport itself caught a peer breaking the framing, credit or stream rules."""


class Transport(Protocol):
    """A network seen by one node."""

    @property
    def peer_id(self) -> PeerId:
        """This node's own proved id."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Dialable addresses of this node, each ending in its peer id where the kind needs it."""

    @property
    def counters(self) -> dict[str, int]:
        """Bytes, frames and connections by name since start; keys are stable."""

    async def start(self, handler: TransportHandler) -> None:
        """Listen. Raises `TransportError` when the address is taken."""

    async def dial(self, peer: PeerId, addresses: Sequence[str]) -> None:
        """Connect to a peer at any of its addresses within 5 s; raises `DialFailed`."""

    def send(self, peer: PeerId, channel: Channel, frames: Sequence[bytes]) -> bool:
        """Queue frames in order, all or none; frames queued in one loop tick leave in one write."""

    def queued_bytes(self, peer: PeerId, channel: Channel) -> int:
        """Bytes waiting to be sent, 0 for a peer that is gone."""

    async def open_stream(self, peer: PeerId) -> FrameStream:
        """Open a stream to a connected peer; raises `PeerGone` or `StreamReset`."""

    def hang_up(self, peer: PeerId, *, reason: str) -> None:
        """Send what is queued for at most a short grace, then end the connection."""

    async def close(self) -> None:
        """End every connection and every task; nothing of the transport survives."""
