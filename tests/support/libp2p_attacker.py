"""A peer that proves its key and then does as it likes: the other end of hardening tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import trio
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream

from meshnode.transport.base import Channel, PeerId
from meshnode.transport.libp2p.addresses import parse_address
from meshnode.transport.libp2p.connection import CHANNEL_PROTOCOLS
from meshnode.transport.libp2p.host import Identity, propose
from meshnode.transport.libp2p.tcp import TcpConnection
from meshnode.transport.limits import TransportLimits
from tests.support.transports import seed_of

LIMITS = TransportLimits(muxer_streams=100_000, muxer_buffer_bytes=2**40)


async def tcp(addresses: Sequence[str], source: str | None = None) -> trio.SocketStream:
    """A raw connection to the first of a node's addresses."""
    address = parse_address(addresses[0])
    return await trio.open_tcp_stream(address.host, address.port, local_address=source)


@asynccontextmanager
async def attacker(
    addresses: Sequence[str], name: str = "attacker", source: str | None = None
) -> AsyncIterator[Yamux]:
    """The muxer of an authenticated connection without channels."""
    expected = parse_address(addresses[0]).peer
    assert expected is not None
    stream = await tcp(addresses, source)
    try:
        connection = TcpConnection(stream, is_initiator=True, counters=Counter())
        _, guard = await Identity(seed_of(name)).secure(connection, PeerId(expected), LIMITS)
        muxer = guard.muxer
        assert muxer is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(muxer.start)
            await muxer.event_started.wait()
            yield muxer
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def channels(muxer: Yamux) -> dict[Channel, YamuxStream]:
    """Bring the channels up, as an honest dialler does."""
    streams = {}
    for protocol, channel in CHANNEL_PROTOCOLS.items():
        streams[channel] = await muxer.open_stream()
        await propose(streams[channel], protocol, 3_000)
    return streams


async def cut_off(muxer: Yamux) -> None:
    """Wait until the other side has ended the connection."""
    with trio.fail_after(10):
        await muxer.event_closed.wait()


async def write_until_cut_off(muxer: Yamux, pieces: int, piece: bytes) -> int:
    """Write raw bytes below the muxer; the number of pieces before the connection was gone."""
    for count in range(pieces):
        try:
            with trio.fail_after(10):
                await muxer._write_frame(piece)
        except Exception:
            return count
    with suppress(trio.TooSlowError):
        await cut_off(muxer)
    return pieces
