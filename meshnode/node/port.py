"""A running node, as serving and asking see it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from dag.genesis import compute_network_id
from dag.vertex import decode_signed
from meshnode.core.commands import Connect
from meshnode.core.events import PeerLost, PeerReady, PeerServes, VertexAdmitted
from meshnode.core.transport_id import compute_transport_id
from meshnode.errors import CommandRejected, DeadlineExceeded
from meshnode.serving.port import ServingPeer
from meshnode.serving.results import choose_share
from meshnode.shell.subscriptions import SubscriberLagged
from meshnode.transport.base import PeerId

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.bodies import BlobRef
    from dag.genesis import Share
    from dag.vertex import SignedVertex
    from meshnode.core.commands import Serve
    from meshnode.core.views import PeerView
    from meshnode.errors import InvalidMessage
    from meshnode.node.blobs import Blobs
    from meshnode.serving.sealing import Sealing
    from meshnode.shell.placement_table import Placement
    from meshnode.shell.runtime import Runtime
    from meshnode.transport.base import FrameStream


class RuntimePort:
    """`meshnode.serving.port.MeshPort` over a runtime."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        name: str,
        share: Share | None,
        sealing: Sealing | None = None,
    ) -> None:
        self._runtime = runtime
        self._sealing = sealing
        self._name = name
        self._network = compute_network_id(runtime.genesis)
        rule = runtime.genesis.parameters.share
        self._share = rule if share is None else choose_share(rule, share)
        self._blobs: Blobs | None = None

    def set_blobs(self, blobs: Blobs) -> None:
        """From now on content that is too large for a vertex is kept there."""
        self._blobs = blobs

    @property
    def author(self) -> bytes:
        """Own author id."""
        return self._runtime.author

    @property
    def network(self) -> bytes:
        """The network's id."""
        return self._network

    @property
    def peer(self) -> str:
        """Own transport id."""
        return self._runtime.transport.peer_id

    @property
    def name(self) -> str:
        """Own name, for people."""
        return self._name

    @property
    def sealing(self) -> Sealing | None:
        """What seals the streams of this node; None where it has no keys for that."""
        return self._sealing

    @property
    def share(self) -> Share:
        """What result vertices may show: the network's rule, or this node's stricter one."""
        return self._share

    def find_member(self, peer: str) -> bytes | None:
        """The author behind a ready peer; None for anybody else."""
        for ready in self._runtime.view().peers:
            if ready.peer == peer:
                return ready.author
        return None

    def list_serving_peers(self) -> list[ServingPeer]:
        """Every ready peer."""
        view = self._runtime.view()
        # A peer may have taken another name since it connected.
        names = {member.id: member.name for member in view.members}
        return [_make_serving_peer(peer, names.get(peer.author, "")) for peer in view.peers]

    async def follow_peers(self, on_change: Callable[[], None]) -> None:
        """Call once now, and whenever a peer has become ready, has gone, or says what it serves.

        Until it is cancelled, or the node ends.
        """
        has_ended = False
        while not has_ended:
            async with self._runtime.events() as events:
                on_change()
                with suppress(SubscriberLagged):  # what was missed is looked at now
                    async for event in events:
                        if isinstance(event, PeerReady | PeerLost | PeerServes):
                            on_change()
                    has_ended = True

    async def connect(self, author: bytes, *, timeout_ms: int) -> ServingPeer | None:
        """A member as a ready peer, dialled if need be; None where it cannot be reached in time."""
        runtime = self._runtime
        members = {member.id: member for member in runtime.view().members}
        member = members.get(author)
        if member is None:
            return None
        if self._find_ready(author) is None and member.addresses:
            peer = compute_transport_id(member.keys.libp2p_key)
            await runtime.submit(Connect(peer, member.addresses))
        try:
            await runtime.wait_for_peer(author, timeout_ms=timeout_ms)
        except DeadlineExceeded:
            return None
        return self._find_ready(author)

    def _find_ready(self, author: bytes) -> ServingPeer | None:
        return next((peer for peer in self.list_serving_peers() if peer.author == author), None)

    async def open_stream(self, peer: str) -> FrameStream:
        """Open a stream to a ready peer. Raises `TransportError`."""
        return await self._runtime.transport.open_stream(PeerId(peer))

    async def publish(self, kind: int, body: bytes, knowledge: tuple[bytes, ...]) -> SignedVertex:
        """Author a vertex; returns once it is durable. Raises `CommandRejected`."""
        return await self._runtime.publish(kind, body, knowledge)

    async def keep_blob(self, content: bytes, *, media_type: str) -> BlobRef | None:
        """Keep content that a vertex is about to name; None where there is no room for it."""
        if self._blobs is None:
            return None
        return await self._blobs.keep(content, media_type=media_type)

    async def find_vertex(self, vertex_id: bytes, *, timeout_ms: int) -> SignedVertex | None:
        """A vertex from the own store; waits that long for it to arrive."""
        async with self._runtime.events() as events:
            # The subscription stands before the store is read, so that nothing slips between.
            wires = await self._runtime.read([vertex_id])
            if vertex_id in wires:
                return decode_signed(wires[vertex_id])
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    async for event in events:
                        if isinstance(event, VertexAdmitted) and event.signed.id == vertex_id:
                            return event.signed
            except (TimeoutError, SubscriberLagged):
                wires = await self._runtime.read([vertex_id])
        return decode_signed(wires[vertex_id]) if vertex_id in wires else None

    async def settle(self, *, timeout_ms: int) -> None:
        """Wait, within bounds, until every ready peer has said what it serves."""
        async with self._runtime.events() as events:
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    if self._has_settled():
                        return
                    async for _ in events:
                        if self._has_settled():
                            return
            except (TimeoutError, SubscriberLagged):
                return  # whoever stays silent serves nothing

    def _has_settled(self) -> bool:
        peers = self._runtime.view().peers
        return bool(peers) and all(peer.advert is not None for peer in peers)

    async def advertise(self, serve: Serve) -> None:
        """Tell peers what this node serves."""
        try:
            await self._runtime.submit(serve)
        except CommandRejected:
            return  # the node is stopping: peers learn it from its goodbye

    def note_placement(self, placement: Placement) -> None:
        """Write down where a question went, or why it was not placed; returns at once."""
        self._runtime.placements.add(placement)

    def report_offence(self, peer: str, error: InvalidMessage) -> None:
        """Count what a peer did wrong on a stream."""
        self._runtime.report_offence(peer, error.offence, error.message)

    def read_clock_ms(self) -> int:
        """Milliseconds that never go back."""
        return self._runtime.now_ms()


def _make_serving_peer(peer: PeerView, name: str) -> ServingPeer:
    advert = peer.advert
    if advert is None:
        return ServingPeer(peer=peer.peer, author=peer.author, name=name, rtt_ms=peer.rtt_ms)
    return ServingPeer(
        peer=peer.peer,
        author=peer.author,
        name=name,
        models=advert.models,
        slots=advert.slots,
        running=advert.running,
        queued=advert.queued,
        draining=advert.draining,
        incarnation=advert.incarnation,
        sequence=advert.sequence,
        queued_prefill_tokens=advert.queued_prefill_tokens,
        kv_usage_bp=advert.kv_usage_bp,
        shareable=advert.shareable,
        reported_ms=peer.advert_ms,
        heard_ms=peer.heard_ms,
        rtt_ms=peer.rtt_ms,
    )
