"""A mesh with an attacker in it: who is honest, what the attacker says, what honest nodes hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dag.canonical import encode
from dag.crypto import sign_suite
from dag.genesis import compute_network_id
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind, Ref
from dag.vertex import (
    Envelope,
    SignedVertex,
    Vertex,
    compute_signed_message,
    compute_vertex_id,
    decode_signed,
    encode_vertex,
)
from meshnode.core.events import VertexAdmitted
from meshnode.core.messages import encode_message
from simulations.observers import Observer
from simulations.world import World

if TYPE_CHECKING:
    from dag.genesis import Genesis
    from meshnode.core.events import Event
    from meshnode.core.messages import Message
    from meshnode.core.settings import Limits, Timing
    from simulations.host import Host
    from simulations.identities import Identity
    from simulations.mesh import Mesh

ENDLESS = 1 << 40
"""A limit that is none."""
FORM_MS = 10_000
SETTLE_MS = 4_000


class Holdings(Observer):
    """Since when each host has held each vertex that came after a mark."""

    def __init__(self, world: World) -> None:
        self.since_ms: dict[bytes, dict[int, int]] = {}
        self._world = world
        world.add_observer(self)

    def on_fact(self, host: Host, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, VertexAdmitted):
            holders = self.since_ms.setdefault(event.signed.id, {})
            holders.setdefault(host.index, self._world.now_ms)

    def count(self, host: Host, ids: Sequence[bytes]) -> int:
        """How many of these a host holds."""
        return sum(host.index in self.since_ms.get(vertex_id, {}) for vertex_id in ids)


class Forger:
    """Says anything under one identity, whatever its core has said."""

    def __init__(self, identity: Identity, genesis: Genesis) -> None:
        self._identity = identity
        self._suite = genesis.suite
        self._network = compute_network_id(genesis)

    def make(
        self,
        parents: Sequence[Ref],
        *,
        seq: int,
        time_ms: int,
        body: bytes = b"abuse",
        lamport: int = 0,
    ) -> SignedVertex:
        """A note that its author has signed."""
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self._network,
            author=self._identity.author,
            lane=LANE_SPEECH,
            seq=seq,
            lamport=lamport or 1 + max(ref.lamport for ref in parents),
            kind=Kind.NOTE,
            time_ms=time_ms,
            parents=tuple(parents),
            body=encode(body),
        )
        message = compute_signed_message(compute_vertex_id(vertex))
        signature = sign_suite(self._suite, self._identity.secrets, message)
        return decode_signed(encode(Envelope(encode_vertex(vertex), signature)))

    def make_chain(
        self, first: Ref, count: int, *, time_ms: int, seq: int = 1, body_bytes: int = 64
    ) -> list[SignedVertex]:
        """Notes that stand on each other, and the first of them on what is given."""
        chain: list[SignedVertex] = []
        for number in range(count):
            parent = chain[-1].ref if chain else first
            body = number.to_bytes(8, "big") + bytes(body_bytes)
            chain.append(self.make((parent,), seq=seq + number, time_ms=time_ms, body=body))
        return chain


def make_mesh(
    seed: int, count: int, *, limits: Limits | None = None, timing: Timing | None = None
) -> tuple[World, Mesh]:
    """A mesh whose members have known each other for long, connected."""
    world = World(seed, traced=False)
    mesh = world.add_mesh(count, limits=limits, timing=timing, known_members=True)
    world.run_for(FORM_MS)
    return world, mesh


def tell(attacker: Host, victim: Host, *messages: Message | bytes, channel: int = 0) -> None:
    """Say something to a peer that an honest core would not say now."""
    for message in messages:
        frame = message if isinstance(message, bytes) else encode_message(message)
        attacker.world.links.send(attacker, victim.name, channel, None, frame)


def find_own_profile(attacker: Host) -> Ref:
    """What the first note of a member has to stand on: its profile."""
    author = attacker.identity.author
    record = next(one for one in attacker.view().members if one.id == author)
    return record.profiles[0]
