"""A mesh of thousands whose members joined long ago, small enough for one process.

Every node of a mesh holds every member's profile: with 5,000 nodes that is 25 million admissions.
Here the profiles lie at the horizon, as history does that nobody compares any more. A node holds its
own and no other; what is known of the authors is in memory once; and a node knows the addresses of
a few hundred members drawn at random, not of all. Everything else is the real core.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dag.authors import Author, AuthorRegistry
from dag.canonical import encode
from dag.genesis import compute_network_id
from dag.identity import sign_vertex
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind
from dag.vertex import Vertex
from meshnode.core.node import Node
from meshnode.core.settings import Limits, Settings, Timing
from simulations.collecting import collect_rarely
from simulations.disk import Past
from simulations.host import Host
from simulations.identities import START_MS, Identity, make_genesis, make_identity
from simulations.mesh import Mesh
from tests.support.horizons import level

if TYPE_CHECKING:
    from dag.genesis import Genesis
    from dag.identity import VerifiedVertex
    from meshnode.core.recovered import Recovered
    from simulations.world import World

PROFILE_LAMPORT: Final = 1
KNOWN_MAX: Final = 256
"""Members whose addresses a node knows at its start."""


class AgedHost(Host):
    """A host that joined before the horizon; it restarts in the same way."""

    authors: dict[bytes, Author]
    """Of the whole mesh, shared by all."""
    acquaintances: tuple[bytes, ...]

    def _make_core(self, seed: bytes, recovered: Recovered) -> Node:
        node = super()._make_core(seed, recovered)
        # Membership learns the first members it is told of, up to its limit.
        known = {author: self.authors[author] for author in self.acquaintances}
        node._intake.authors._authors = known | self.authors
        node._intake.advance_horizon(level(PROFILE_LAMPORT))
        return node


def add_aged_mesh(
    world: World, count: int, *, limits: Limits | None = None, timing: Timing | None = None
) -> Mesh:
    """Add and start hosts that all are members already."""
    identities = [
        make_identity(world.streams.derive(f"identity {number}"), f"node-{number}", "ed25519")
        for number in range(count)
    ]
    genesis = make_genesis(identities, "ed25519")
    profiles = [_sign_profile(genesis, identity) for identity in identities]
    authors = _register(genesis, profiles)
    limits = replace(limits or Limits(), members_max=KNOWN_MAX)
    chance = world.streams.get("acquaintances")
    hosts = []
    for identity, profile in zip(identities, profiles, strict=True):
        settings = Settings(
            genesis=genesis,
            author=identity.author,
            transport=identity.transport,
            addresses=identity.addresses,
            profile=encode(identity.profile),
            agent="simulation",
            timing=timing or Timing(),
            limits=limits,
        )
        host = world.add_host(identity, settings, past=Past((profile,)), start=False, make=AgedHost)
        assert isinstance(host, AgedHost)
        host.authors = authors
        host.acquaintances = _draw(chance, identities)
        hosts.append(host)
    with collect_rarely():
        for host in hosts:
            host.start()
    return Mesh(world, hosts)


def _draw(chance: random.Random, identities: list[Identity]) -> tuple[bytes, ...]:
    drawn = chance.sample(identities, min(KNOWN_MAX, len(identities)))
    return tuple(identity.author for identity in drawn)


def _sign_profile(genesis: Genesis, identity: Identity) -> VerifiedVertex:
    vertex = Vertex(
        version=WIRE_VERSION,
        network=compute_network_id(genesis),
        author=identity.author,
        lane=LANE_SPEECH,
        seq=0,
        lamport=PROFILE_LAMPORT,
        kind=Kind.PROFILE,
        time_ms=START_MS,
        parents=(),
        body=encode(identity.profile),
    )
    return sign_vertex(identity.secrets, genesis.suite, vertex)


def _register(genesis: Genesis, profiles: list[VerifiedVertex]) -> dict[bytes, Author]:
    registry = AuthorRegistry(genesis)
    for signed in profiles:
        checked = registry.check_profile(signed.vertex)
        registry.admit_profile(signed.ref, signed.vertex, checked)
    return {author.id: author for author in registry}
