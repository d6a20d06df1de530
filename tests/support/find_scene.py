"""A mesh for tests of finding: members by number, connections as told, desks behind streams."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from types import SimpleNamespace

from nacl.signing import SigningKey

from dag.errors import MeshError
from meshnode.core.commands import Found
from meshnode.core.peer_record import sign_record
from meshnode.core.transport_id import compute_transport_id
from meshnode.errors import PeerGone
from tests.support.frame_streams import FrameEnd, make_pair

NETWORK = bytes(32)
NOW_MS = 10_000_000


def seed_of(number: int) -> bytes:
    return hashlib.sha256(f"member {number}".encode()).digest()


def key_of(number: int) -> bytes:
    return SigningKey(seed_of(number)).verify_key.encode()


def peer_of(number: int) -> str:
    return compute_transport_id(key_of(number))


def make_record(
    number: int, *, roles: int = 0, addresses=("/ip4/10.0.0.7/tcp/4001",), now_ms: int = NOW_MS
) -> bytes:
    return sign_record(
        seed_of(number),
        key_of(number),
        network=NETWORK,
        now_ms=now_ms,
        roles=roles,
        addresses=addresses,
    )


class FakeMesh:
    """`meshnode.discovery.mesh.Mesh` of member 0."""

    def __init__(self, members: int) -> None:
        self.network = NETWORK
        self.own = peer_of(0)
        self.time_ms = NOW_MS
        self.members = {peer_of(number): key_of(number) for number in range(members)}
        self.addresses: tuple[str, ...] = ("/ip4/10.0.0.1/tcp/4001",)
        self.ready: dict[str, SimpleNamespace] = {}
        self.desks: dict[str, object] = {}
        self.found: list[Found] = []
        self._serving: list[asyncio.Task[None]] = []

    def connect(
        self, number: int, address: str = "/ip4/10.0.0.9/tcp/5", *, inbound: bool = False
    ) -> None:
        self.ready[peer_of(number)] = SimpleNamespace(
            address=address, addresses=("/there",), inbound=inbound
        )

    def now_ms(self) -> int:
        return self.time_ms

    def list_members(self):
        return self.members

    def is_member(self, peer: str) -> bool:
        return peer in self.members

    def list_ready(self):
        return self.ready

    async def wait_ready(self, peer: str, addresses) -> None:
        if peer not in self.ready:
            raise PeerGone("not connected in time")

    async def open_stream(self, peer: str) -> FrameEnd:
        own, theirs = make_pair(self.own, peer)
        desk = self.desks.get(peer)
        if desk is None:
            raise PeerGone("no connection")
        self._serving.append(asyncio.create_task(self._serve(desk, theirs)))
        return own

    async def _serve(self, desk, stream: FrameEnd) -> None:
        with suppress(MeshError):
            await desk.serve(stream)
        stream.reset()

    async def tell_found(self, found) -> None:
        self.found += found

    async def close(self) -> None:
        await asyncio.gather(*self._serving)
