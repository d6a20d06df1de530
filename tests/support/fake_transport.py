"""A transport without a network: notes what a node sends, and takes only as much as it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshnode.errors import DialFailed
from meshnode.transport.base import Channel, PeerId


class FakeTransport:
    """Implements `Transport`; `sent` holds (peer, channel, frame) in order."""

    def __init__(self, peer_id: str = "me") -> None:
        self.peer_id = PeerId(peer_id)
        self.addresses = (f"memory:{peer_id}",)
        self.counters: dict[str, int] = {}
        self.handler = None
        self.sent: list[tuple[PeerId, Channel, bytes]] = []
        self.hung_up: list[tuple[PeerId, str]] = []
        self.dialled: list[PeerId] = []
        self.takes = True
        self.queued = 0
        self.on_send: Callable[[], None] = lambda: None
        self.closed = 0

    async def start(self, handler) -> None:
        self.handler = handler

    async def dial(self, peer: PeerId, addresses: Sequence[str]) -> None:
        self.dialled.append(peer)
        if not addresses:
            raise DialFailed(f"no usable address of {peer}")

    def send(self, peer: PeerId, channel: Channel, frames: Sequence[bytes]) -> bool:
        if self.takes:
            self.on_send()
            self.sent += [(peer, channel, frame) for frame in frames]
        return self.takes

    def queued_bytes(self, peer: PeerId, channel: Channel) -> int:
        return self.queued

    async def open_stream(self, peer: PeerId):
        raise AssertionError("no streams here")

    def hang_up(self, peer: PeerId, *, reason: str) -> None:
        self.hung_up.append((peer, reason))

    async def close(self) -> None:
        self.closed += 1
