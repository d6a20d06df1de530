"""py-libp2p's own gossipsub as a benchmark peer, with its limits lifted.

What is lifted, and why: the spam rule (10 messages/s and topic), the outbound queue of 32 RPCs and
the subscription buffer of 32 messages (both drop silently), the IP diversity rule (all peers share
one address here). Heartbeats come every second instead of every two minutes, so that the mesh
forms. The protocol version is 1.1: from 1.2 on each message also costs one IDONTWANT per peer,
which only lowers its rate at 5 KB. Trio runs natively, Noise over TCP and Yamux as everywhere.

A publisher never holds back: with unbounded queues that gave the highest rate (a window of 64
messages 94/s, of 256 122/s, none 165/s, on a busy machine), and the longest times to all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

import trio
from libp2p import new_host
from libp2p.abc import ISubscriptionAPI
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.trio import TrioTCPStream
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub import pubsub as pubsub_module
from libp2p.pubsub import rpc_queue
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX, signature_validator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL_ID
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from benchmarks._harness import Load, Report, Sample, cpu_s, serve

MESHSUB = TProtocol("/meshsub/1.1.0")
TOPIC = "bench"
UNBOUNDED = 1_000_000_000
CALIBRATIONS = 100


@dataclass(frozen=True, slots=True)
class GossipConfig:
    """One gossipsub peer."""

    number: int
    peers: int
    message_bytes: int
    verify: bool
    """Sign and verify messages (Ed25519), or neither."""


class _Wire:
    """Counts what is handed to TCP; one process is one peer."""

    sent_bytes = 0
    write = staticmethod(TrioTCPStream.write)

    @staticmethod
    async def counted_write(stream: TrioTCPStream, data: bytes) -> None:
        _Wire.sent_bytes += len(data)
        await _Wire.write(stream, data)


def lift_limits() -> None:
    """Bounds that are module constants; the others are arguments."""
    pubsub_module.SUBSCRIPTION_CHANNEL_SIZE = UNBOUNDED
    rpc_queue.RpcQueue.__init__.__defaults__ = (UNBOUNDED, rpc_queue.DefaultMaxMessageSize)
    TrioTCPStream.write = _Wire.counted_write


class GossipPeer:
    """See `benchmarks._harness.Peer`."""

    def __init__(self, config: GossipConfig) -> None:
        self._config = config
        keys = create_new_key_pair(config.number.to_bytes(32, "big"))
        self._keys = keys
        noise = NoiseTransport(keys, create_new_x25519_key_pair().private_key)
        self.host = new_host(
            key_pair=keys,
            sec_opt={NOISE_PROTOCOL_ID: noise},
            muxer_opt={YAMUX_PROTOCOL_ID: Yamux},
        )
        degree = config.peers - 1
        router = GossipSub(
            protocols=[MESHSUB],
            degree=degree,
            degree_low=degree,
            degree_high=degree + 1,
            heartbeat_interval=1,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
            max_pending_messages_per_peer=UNBOUNDED,
        )
        self.pubsub = Pubsub(self.host, router, strict_signing=config.verify)
        self._held: dict[bytes, float] = {}
        self._reported = 0
        self._news = trio.Event()

    @property
    def address(self) -> str:
        """A multiaddress with the peer id."""
        address = str(self.host.get_addrs()[0])
        return address if "/p2p/" in address else f"{address}/p2p/{self.host.get_id()}"

    async def connect(self, addresses: Sequence[str]) -> None:
        """Dial whoever has a greater address, and wait for the whole mesh."""
        infos = [info_from_p2p_addr(Multiaddr(address)) for address in addresses]
        for info in infos:
            if str(info.peer_id) > str(self.host.get_id()):
                await self.host.connect(info)
        for info in infos:
            await self.pubsub.wait_for_peer(info.peer_id, timeout=30)
            await self.pubsub.wait_for_subscription(info.peer_id, TOPIC, timeout=30)
            await self.pubsub.wait_for_mesh(info.peer_id, TOPIC, timeout=30)

    async def collect(self, subscription: ISubscriptionAPI) -> None:
        """Note when each message was delivered, own ones included."""
        while True:
            message = await subscription.get()
            self._held[message.from_id + message.seqno] = time.monotonic()
            self._news.set()
            self._news = trio.Event()

    async def run(self, load: Load) -> Report:
        """Publish, then wait for everything."""
        published: dict[bytes, float] = {}
        with trio.move_on_after(load.timeout_s):
            await trio.sleep(load.begin_s + load.offset_s - time.monotonic())
            for number in range(load.count):
                if load.interval_s:
                    due_s = load.begin_s + load.offset_s + number * load.interval_s
                    await trio.sleep(max(0.0, due_s - time.monotonic()))
                else:
                    await trio.lowlevel.checkpoint()
                begin_s = time.monotonic()
                published[await self._publish()] = begin_s
            while len(self._held) < load.expected:
                await self._news.wait()
        held = dict(list(self._held.items())[self._reported :])
        self._reported = len(self._held)
        return Report(published, dict.fromkeys(published, self._config.message_bytes), held)

    async def _publish(self) -> bytes:
        data = bytes(self._config.message_bytes)
        await self.pubsub.publish(TOPIC, data)
        origin: bytes = self.host.get_id().to_bytes()
        counter: bytes = self.pubsub.counter.to_bytes(8, "big")
        return origin + counter

    def sample(self) -> Sample:
        """Counters of this process."""
        return Sample(cpu_s(), _Wire.sent_bytes)

    async def calibrate(self) -> float:
        """One Ed25519 signature, and a verification by every peer."""
        message = pubsub_module.rpc_pb2.Message(
            data=bytes(self._config.message_bytes),
            topicIDs=[TOPIC],
            from_id=self.host.get_id().to_bytes(),
            seqno=bytes(8),
        )
        data = PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString()
        begin = time.thread_time()
        for _ in range(CALIBRATIONS):
            message.signature = self._keys.private_key.sign(data)
        sign_s = time.thread_time() - begin
        message.key = self._keys.public_key.serialize()
        begin = time.thread_time()
        for _ in range(CALIBRATIONS):
            assert signature_validator(message)
        verify_s = time.thread_time() - begin
        return (sign_s + (self._config.peers - 1) * verify_s) / CALIBRATIONS


async def _main(pipe: Connection, config: GossipConfig) -> None:
    peer = GossipPeer(config)
    async with (
        peer.host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]),
        background_trio_service(peer.pubsub),
        background_trio_service(peer.pubsub.router),
        trio.open_nursery() as nursery,
    ):
        await peer.pubsub.wait_until_ready()
        subscription = await peer.pubsub.subscribe(TOPIC)
        nursery.start_soon(peer.collect, subscription)
        await serve(peer, pipe, trio.to_thread.run_sync)
        os._exit(0)  # an orderly end raises when a message comes meanwhile


def run_gossip_peer(pipe: Connection, config: GossipConfig) -> None:
    """Entry of a worker process."""
    lift_limits()
    trio.run(_main, pipe, config)
