"""A real transport in a process of its own, to be attacked; its limits may be lifted.

    python -m tests.campaigns.abuse_victim '{"handshake_ms": 3600000}' 0

Says where it listens on the first line of its output, answers PING frames, and does as it is told:

    pour PEER COUNT     send so many large frames to a peer, as far as the queue takes them
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any, Final

from meshnode.transport import framing
from meshnode.transport.base import Channel, PeerId
from meshnode.transport.framing import FrameKind
from meshnode.transport.libp2p.transport import Libp2pTransport
from meshnode.transport.limits import TransportLimits
from tests.support.transports import Recorder, seed_of

PING: Final = b"ping"
PONG: Final = b"pong"
FRAME_BYTES: Final = 60_000


class Victim(Recorder):
    """Answers pings, and keeps nothing of what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.transport: Libp2pTransport | None = None

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        """See `Recorder`."""
        assert self.transport is not None
        for frame in frames:
            if frame == PING:
                self.transport.send(peer, channel, [PONG])


def read_limits(text: str) -> TransportLimits:
    """The defaults, and what is lifted of them."""
    given: dict[str, Any] = json.loads(text)
    if "queue_bytes" in given:
        given["queue_bytes"] = dict.fromkeys(Channel, given["queue_bytes"])
    return TransportLimits(**given)


async def run(limits: TransportLimits, frame_bytes_max: int) -> None:
    """Listen until standard input ends."""
    if frame_bytes_max:
        framing._LENGTH_LIMITS[FrameKind.DATA] = (0, frame_bytes_max)
    victim = Victim()
    victim.transport = transport = Libp2pTransport(seed_of("victim"), limits=limits)
    await transport.start(victim)
    print(json.dumps({"peer": transport.peer_id, "addresses": transport.addresses}), flush=True)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            _, peer, count = line.split()
            for _ in range(int(count)):
                if not transport.send(PeerId(peer), Channel.BULK, [os.urandom(FRAME_BYTES)]):
                    break
    finally:
        await transport.close()


if __name__ == "__main__":
    asyncio.run(run(read_limits(sys.argv[1]), int(sys.argv[2])))
