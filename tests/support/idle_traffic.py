"""What a core net says, in bytes as the kernel would count them: framed, encrypted, in packets.

    meter = TrafficMeter(net)
    net.run(60_000)
    meter.find_bytes_per_s()

What comes on top of a message was measured in real meshes (`tests.campaigns.fleet`).
"""

from __future__ import annotations

from typing import Final

from meshnode.core.inputs import Connected
from meshnode.core.messages import Message, encode_message
from tests.support.core_net import CoreNet

FRAME_BYTES: Final = 4 + 12 + 18
"""Headers of a frame and of the muxer, and what Noise adds."""
PACKET_BYTES: Final = 66
"""Ethernet, IP and TCP; each packet of data is acknowledged by one of the other side."""
SEGMENT_BYTES: Final = 1_448
CONNECTION_BYTES: Final = 3_500
"""What either side sends, headers included, before the first message of a connection."""


class TrafficMeter:
    """Counts from its making on, until it is read."""

    def __init__(self, net: CoreNet) -> None:
        self._net = net
        self._began_ms = net.now_ms
        self._inputs = [len(host.inputs) for host in net.hosts]
        self._bytes: dict[str, int] = {}
        assert net.drop is None, "messages are seen through it"
        net.drop = self._see

    def _see(self, _source: str, _target: str, message: Message) -> bool:
        name = type(message).__name__.lower()
        size_bytes = len(encode_message(message)) + FRAME_BYTES
        packets = 1 + size_bytes // SEGMENT_BYTES
        size_bytes += 2 * PACKET_BYTES * packets
        self._bytes[name] = self._bytes.get(name, 0) + size_bytes
        return False

    def find_bytes_per_s(self) -> dict[str, float]:
        """Per node and second, by kind of message; connections themselves are "connections"."""
        self._net.drop = None
        hosts = self._net.hosts
        divisor = (self._net.now_ms - self._began_ms) * len(hosts) / 1_000
        connections = sum(
            isinstance(entry, Connected)
            for host, seen in zip(hosts, self._inputs, strict=True)
            for entry in host.inputs[seen:]
        )
        found = {name: size_bytes / divisor for name, size_bytes in self._bytes.items()}
        return {**found, "connections": connections * CONNECTION_BYTES / divisor}
