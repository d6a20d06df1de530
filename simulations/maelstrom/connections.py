"""The core's connections, kept over one reliable link for each other node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from meshnode.core.inputs import Completed, Connected, DialEnded, Disconnected
from simulations.maelstrom.links import Arrived, Closed, Link, LinkEvent, Opened

if TYPE_CHECKING:
    from meshnode.core.effects import Dial
    from simulations.identities import Identity
    from simulations.maelstrom.protocol import Packet

News = Connected | Disconnected | Completed | tuple[str, bytes]
"""What the core is told, in order; a pair is a peer and a frame, which admission sees first."""


class Connections:
    """Which node is which peer, the links to all, and the dials that wait for one to open."""

    def __init__(self, peers: Mapping[str, Identity]) -> None:
        """Begin with no connection.

        Args:
            peers: The other nodes by their Maelstrom names.
        """
        self._peers = dict(peers)
        self._names = {identity.transport: name for name, identity in peers.items()}
        self._links = {name: Link() for name in peers}
        self._jobs: dict[str, int] = {}
        self._refused: list[int] = []

    def dial(self, now_ms: int, effect: Dial) -> None:
        """Begin to connect; ends in exactly one receipt."""
        name = self._names.get(effect.peer)
        if name is None:  # anybody may claim in a profile that there is somebody
            self._refused.append(effect.job)
            return
        self._links[name].dial(now_ms)
        self._jobs[name] = effect.job

    def send(self, now_ms: int, peer: str, frame: bytes) -> None:
        """Send a frame over a standing connection."""
        self._links[self._names[peer]].send(now_ms, frame)

    def hang_up(self, now_ms: int, peer: str, reason: str) -> None:
        """End a connection."""
        self._links[self._names[peer]].hang_up(now_ms, reason)

    def receive(self, now_ms: int, name: str, packet: Packet) -> None:
        """Take what a node sent; a stranger is not listened to."""
        if name in self._links:
            self._links[name].receive(now_ms, packet)

    def tick(self, now_ms: int) -> None:
        """Do what is due."""
        for link in self._links.values():
            link.tick(now_ms)

    @property
    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        deadlines = (link.next_deadline for link in self._links.values())
        return min((due_ms for due_ms in deadlines if due_ms is not None), default=None)

    def take_news(self, now_ms: int) -> list[News]:
        """What has happened to the connections."""
        news: list[News] = [
            Completed(now_ms, job, DialEnded("nobody at this address")) for job in self._refused
        ]
        self._refused.clear()
        for name, link in self._links.items():
            for event in link.take_events():
                news += self._translate(now_ms, name, event)
            if name in self._jobs and link.is_open:
                news.append(Completed(now_ms, self._jobs.pop(name), DialEnded("")))
        return news

    def _translate(self, now_ms: int, name: str, event: LinkEvent) -> list[News]:
        identity = self._peers[name]
        match event:
            case Arrived():
                return [(identity.transport, event.frame)]
            case Opened():
                address = identity.addresses[0]
                return [Connected(now_ms, identity.transport, event.inbound, address)]
            case Closed():
                news: list[News] = []
                if event.was_open:
                    news.append(Disconnected(now_ms, identity.transport, event.reason))
                if name in self._jobs:
                    job = self._jobs.pop(name)
                    news.append(Completed(now_ms, job, DialEnded(event.reason)))
                return news

    def take_packets(self, now_ms: int) -> list[tuple[str, Packet]]:
        """What is to be sent, and to whom."""
        return [
            (name, packet)
            for name, link in self._links.items()
            for packet in link.take_packets(now_ms)
        ]
