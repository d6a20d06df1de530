"""What the members of a network hold before a study begins: each other's profiles.

A thousand members that join hand each other a thousand profiles: a million admissions, which are
the subject of a study of joining and mere preparation for any other. Here they have joined long
ago, one after the other, and every journal begins with the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dag.canonical import encode
from dag.genesis import compute_network_id
from dag.heads import compute_lamport
from dag.identity import VerifiedVertex, sign_vertex
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind, Ref
from dag.vertex import Vertex
from simulations.disk import Past
from simulations.identities import START_MS

if TYPE_CHECKING:
    from dag.genesis import Genesis
    from simulations.identities import Identity


def make_past(genesis: Genesis, identities: Sequence[Identity]) -> Past:
    """The profiles of these people, each standing on the one before, so that one head is left."""
    network = compute_network_id(genesis)
    profiles: list[VerifiedVertex] = []
    parents: tuple[Ref, ...] = ()
    for identity in identities:
        vertex = Vertex(
            version=WIRE_VERSION,
            network=network,
            author=identity.author,
            lane=LANE_SPEECH,
            seq=0,
            lamport=compute_lamport(parents),
            kind=Kind.PROFILE,
            time_ms=START_MS,
            parents=parents,
            body=encode(identity.profile),
        )
        signed = sign_vertex(identity.secrets, genesis.suite, vertex)
        profiles.append(signed)
        parents = (signed.ref,)
    return Past(profiles)
