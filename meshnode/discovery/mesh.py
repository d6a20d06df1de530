"""What finding others needs of a running node, over its runtime."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dag.genesis import compute_network_id
from meshnode.core.commands import Connect, Found
from meshnode.core.events import PeerReady
from meshnode.core.transport_id import compute_transport_id
from meshnode.errors import CommandRejected, PeerGone
from meshnode.transport.base import PeerId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.core.views import PeerView
    from meshnode.shell.runtime import Runtime
    from meshnode.transport.base import FrameStream

READY_MS: Final = 10_000
MEMBERS_FRESH_MS: Final = 1_000


class Mesh:
    """Members, connections and streams of one node."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.network: Final = compute_network_id(runtime.genesis)
        self.own: Final = str(runtime.transport.peer_id)
        self._members: dict[str, bytes] = {}
        self._members_ms = -MEMBERS_FRESH_MS

    def now_ms(self) -> int:
        """The node's clock."""
        return self._runtime.now_ms()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this node says that it can be dialled."""
        return self._runtime.transport.addresses

    def list_members(self) -> dict[str, bytes]:
        """By transport id, the transport key of every member; this node among them.

        Who has left, or was put out, is none: it gets no place at a relay and no address.
        """
        now_ms = self.now_ms()
        if now_ms - self._members_ms >= MEMBERS_FRESH_MS:
            self._members_ms = now_ms
            is_gone = self._runtime.roll.is_gone
            self._members = {
                compute_transport_id(member.keys.libp2p_key): member.keys.libp2p_key
                for member in self._runtime.view().members
                if not is_gone(member.id)
            }
        return self._members

    def is_member(self, peer: str) -> bool:
        """Whether a transport id is a member's."""
        return peer in self.list_members()

    def list_ready(self) -> dict[str, PeerView]:
        """The peers that take part, by transport id."""
        return {peer.peer: peer for peer in self._runtime.view().peers}

    async def wait_ready(self, peer: str, addresses: Sequence[str]) -> None:
        """Until a peer takes part, dialled where it does not. Raises `PeerGone`."""
        runtime = self._runtime
        if peer in self.list_ready():
            return
        try:
            async with runtime.events() as events, asyncio.timeout(READY_MS / 1000):
                await runtime.submit(Connect(peer, tuple(addresses)[:8]))
                while peer not in self.list_ready():
                    event = await anext(events)
                    if isinstance(event, PeerReady) and event.peer == peer:
                        return
        except (TimeoutError, StopAsyncIteration):
            raise PeerGone(f"not connected within {READY_MS // 1000} s") from None
        except CommandRejected as error:
            raise PeerGone(error.message) from None

    async def open_stream(self, peer: str) -> FrameStream:
        """A stream to a peer that takes part. Raises `TransportError`."""
        return await self._runtime.transport.open_stream(PeerId(peer))

    async def tell_found(self, found: Sequence[Found]) -> None:
        """Let the core know where peers were seen."""
        try:
            for command in found:
                await self._runtime.submit(command)
        except CommandRejected:
            return  # the node is stopping
