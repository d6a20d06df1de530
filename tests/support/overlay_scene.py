"""One core in a network too large for a full mesh, and members that come and go."""

from __future__ import annotations

from typing import Any

import msgspec

from dag.canonical import encode
from dag.identity import VerifiedVertex, sign_vertex
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind
from dag.vertex import Vertex
from meshnode.core.active_view import Neighbour as ActiveNeighbour
from meshnode.core.effects import Dial, Effect
from meshnode.core.inputs import Completed, Connected, DialEnded
from meshnode.core.messages import Neighbour
from meshnode.core.transport_id import compute_transport_id
from tests.support.core_net import make_addressed_genesis
from tests.support.dag_builder import START_MS, make_person
from tests.support.lone_core import LoneCore

MEMBERS = 12
PEOPLE = [make_person(number) for number in range(MEMBERS)]
NAMES = {compute_transport_id(person.keys.libp2p_key): person for person in PEOPLE}


class OverlayScene(LoneCore):
    """A core that knows eleven others and may be meshed with three."""

    def __init__(self, *, validators: int = 0, **limits: int) -> None:
        """With `validators` the first so many are the committee, and the core is one of them."""
        given: dict[str, Any] = {"full_mesh_max": 4, **limits}
        genesis = make_addressed_genesis(PEOPLE)
        if validators:
            authors = [person.author for person in PEOPLE[:validators]]
            members = tuple(item for item in genesis.committee if item.author in authors)
            genesis = msgspec.structs.replace(genesis, committee=members)
        super().__init__(genesis=genesis, **given)
        if validators:
            self.started = self.restart(validates=True)
        self.others = [person for person in PEOPLE if person.author != self.person.author]

    @property
    def overlay(self) -> Any:
        return self.node._overlay

    @property
    def active(self) -> dict[str, ActiveNeighbour]:
        return {item.peer: item for item in self.overlay._active.all}

    def dials(self, effects: list[Effect]) -> list[Dial]:
        return [effect for effect in effects if isinstance(effect, Dial)]

    def accept(self, dial: Dial) -> list[Effect]:
        """A dial succeeds, and the peer proves who it is."""
        peer = dial.peer
        self.persons[peer] = NAMES[peer]
        effects = self.handle(Connected(self.now_ms, peer, False, dial.addresses[0]))
        effects += self.handle(Completed(self.now_ms, dial.job, DialEnded("")))
        effects += self.receive(peer, self.hello(peer))
        return effects + self.prove(peer)

    def fail(self, dial: Dial) -> list[Effect]:
        return self.handle(Completed(self.now_ms, dial.job, DialEnded("refused")))

    def come(self, number: int, address: str = "/sim/x") -> str:
        """A member dials in, up to its PROOF."""
        person = self.others[number]
        peer = compute_transport_id(person.keys.libp2p_key)
        self.persons[peer] = person
        self.handle(Connected(self.now_ms, peer, True, address))
        self.receive(peer, self.hello(peer))
        self.prove(peer)
        return peer

    def join(self, number: int, address: str = "/sim/x", *, urgent: bool = False) -> str:
        """A member dials in and wants to be a neighbour."""
        peer = self.come(number, address)
        self.receive(peer, Neighbour(urgent))
        return peer

    def live(self, duration_ms: int) -> list[Effect]:
        """Let time pass, in which every peer gives a sign of life."""
        effects = []
        for _ in range(duration_ms // 1_000):
            for peer in self.node.get_ready_peers():
                effects += self.receive(peer, self.node.compute_digest())
            effects += self.tick(1_000)
        return effects

    def say(self, peer: str) -> VerifiedVertex:
        """A peer's profile, which is the first vertex of a founder."""
        person = self.persons[peer]
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self.network,
            author=person.author,
            lane=LANE_SPEECH,
            seq=0,
            lamport=1,
            kind=Kind.PROFILE,
            time_ms=START_MS,
            parents=(),
            body=encode(person.profile(addresses=(f"/sim/{person.name}",))),
        )
        return sign_vertex(person.secrets, "ed25519", vertex)
