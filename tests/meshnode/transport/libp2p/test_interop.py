"""A stock py-libp2p host is a peer like any other when it speaks our protocols."""

from __future__ import annotations

import asyncio

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from meshnode.transport.base import Channel
from meshnode.transport.framing import FrameKind, FrameParser, data_header
from meshnode.transport.libp2p.connection import CHANNEL_PROTOCOLS
from meshnode.transport.libp2p.guest import TrioGuest
from tests.support.transports import DEADLINE_S, Lab


async def test_a_stock_host_dials_and_exchanges_frames():
    lab = Lab("libp2p")
    node = await lab.start("node")
    guest = await TrioGuest.acquire()
    address = Multiaddr(node.transport.addresses[0].split("/p2p/")[0])

    async def stock():
        host = new_host(key_pair=create_new_key_pair(bytes(32)))
        async with host.run([]):
            await host.connect(PeerInfo(ID.from_base58(node.id), [address]))
            peer = ID.from_base58(node.id)
            streams = {
                channel: await host.new_stream(peer, [TProtocol(protocol)])
                for protocol, channel in CHANNEL_PROTOCOLS.items()
            }
            await streams[Channel.CONTROL].write(data_header(b"hello") + b"hello")
            parser = FrameParser()
            frames: list[tuple[FrameKind, bytes]] = []
            with trio.fail_after(DEADLINE_S):
                while not frames:
                    frames = parser.feed(await streams[Channel.RPC].read(1_000))
            await host.close()
        return frames

    task = asyncio.create_task(guest.run(stock))
    await node.seen.until(lambda: node.seen.payloads(Channel.CONTROL) == [b"hello"])
    peer = node.seen.events[0][1]
    assert node.transport.send(peer, Channel.RPC, [b"answer"])
    assert await task == [(FrameKind.DATA, b"answer")]
    await node.seen.until(lambda: node.seen.count("disconnected") == 1)
    await guest.release()
    await lab.close()
