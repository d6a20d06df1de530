"""Bounds of a transport; everything it holds for others is limited here."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshnode.transport.base import Channel

MIB = 1024 * 1024


def _default_queue_bytes() -> dict[Channel, int]:
    return {Channel.CONTROL: 4 * MIB, Channel.BULK: 8 * MIB, Channel.RPC: 4 * MIB}


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """What one node grants its peers; the defaults fit a node with up to 300 connections."""

    connections: int = 300
    handshakes: int = 64
    """Connections that have not proved a key yet, at one moment."""
    handshakes_per_ip: int = 16
    """As above, of one remote address; a full mesh of 16 nodes on one host still connects."""
    queue_bytes: dict[Channel, int] = field(default_factory=_default_queue_bytes)
    """Unsent bytes per peer and channel before `send` answers False."""
    stream_queue_bytes: int = 256 * 1024
    inbound_streams: int = 320
    """Streams a peer may have open to this node besides its channels: answers, mostly, which the
    layer above counts and refuses in words."""
    muxer_streams: int = 384
    """Streams a peer may have open or half open in the muxer; beyond, the connection ends."""
    muxer_buffer_bytes: int = 8 * MIB
    """Bytes of a connection not yet read out of the muxer; beyond, the connection ends."""
    dial_addresses: int = 8
    dial_ms: int = 5_000
    handshake_ms: int = 3_000
    """From accepted TCP connection to standing channels: three such steps in total."""
    slow_reader_ms: int = 30_000
    """A peer with something to take that takes nothing for this long is hung up."""
    hang_up_grace_ms: int = 1_000
    """For what is queued when a connection is hung up."""
    relayed_bulk_bytes_per_s: int = 64 * 1024
    """Bulk of a connection through a relay: gossip and answers go before it."""
    linger_ms: int = 10_000
    """For the peer to finish a stream whose own direction has finished."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What a relay gives to members; nobody else gets anything."""

    reservations: int = 128
    circuits: int = 64
    circuits_per_peer: int = 16
    """As either end: a full mesh of 16 behind one relay still connects."""
    reservation_ms: int = 3_600_000
    circuit_ms: int = 7_200_000
    """Then the peers connect again."""
    circuit_bytes: int = 256 * MIB
    """Of both directions together."""
    bytes_per_s: int = 256 * 1024
    """Of one circuit, both directions together; a second's worth may pass at once."""
