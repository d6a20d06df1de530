"""Newcomers to an open network, all of one operator: identities cost nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from dag.canonical import encode
from dag.crypto import sign_suite
from dag.genesis import NewcomerLimits, Parameters, compute_network_id
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind
from dag.vertex import (
    Envelope,
    Vertex,
    compute_signed_message,
    compute_vertex_id,
    encode_vertex,
)
from meshnode.core.commands import Connect
from meshnode.core.messages import Push
from meshnode.core.newcomer_blocks import NewcomerBlocks
from meshnode.core.settings import Settings
from simulations.abuse.arena import tell
from simulations.abuse.rows import Row, Trial
from simulations.fuzzing.mutants.patches import answer
from simulations.identities import START_MS, make_genesis, make_identity
from simulations.world import World

if TYPE_CHECKING:
    from dag.genesis import Genesis
    from simulations.host import Host
    from simulations.identities import Identity

FOUNDERS: Final = 3
KNOCKING: Final = 24
BROUGHT: Final = 10
"""Identities that each who got in names besides."""
LIMITS: Final = NewcomerLimits(joins_per_hour=500, vertices_per_hour=20, probation_hours=24)


def _make_person(world: World, number: int) -> Identity:
    own = number - FOUNDERS
    address = f"/ip4/68.{number}.1.1/tcp/4001" if own < 0 else f"/ip4/66.66.{own % 250}.1/tcp/4001"
    identity = make_identity(world.streams.derive(f"person {number}"), f"p-{number}", "ed25519")
    return replace(identity, addresses=(address,))


def _add_host(world: World, genesis: Genesis, person: Identity) -> Host:
    settings = Settings(
        genesis=genesis,
        author=person.author,
        transport=person.transport,
        addresses=person.addresses,
        profile=encode(person.profile),
    )
    return world.add_host(person, settings)


def _introduce(genesis: Genesis, person: Identity) -> bytes:
    """Somebody's first profile, as it goes over the wire."""
    vertex = Vertex(
        version=WIRE_VERSION,
        network=compute_network_id(genesis),
        author=person.author,
        lane=LANE_SPEECH,
        seq=0,
        lamport=1,
        kind=Kind.PROFILE,
        time_ms=START_MS,
        parents=(),
        body=encode(person.profile),
    )
    message = compute_signed_message(compute_vertex_id(vertex))
    signature = sign_suite(genesis.suite, person.secrets, message)
    return encode(Envelope(encode_vertex(vertex), signature))


def knock_from_one_block(trial: Trial) -> int:
    """24 newcomers behind one /16, who name ten more each; answers how many get in."""
    world = World(trial.seed, traced=False)
    people = [_make_person(world, number) for number in range(FOUNDERS + KNOCKING)]
    genesis = msgspec.structs.replace(
        make_genesis(people[:FOUNDERS], "ed25519", parameters=Parameters()),
        parameters=Parameters(open=True),
        newcomers=LIMITS,
    )
    victim, *others = [_add_host(world, genesis, person) for person in people[:FOUNDERS]]
    world.run_for(5_000)
    knocking = [_add_host(world, genesis, person) for person in people[FOUNDERS:]]
    world.cut(knocking, others)  # what one member lets in is what counts
    for host in knocking:
        host.submit(Connect(victim.name, victim.settings.addresses))
    world.run_for(5_000)
    number = FOUNDERS + KNOCKING
    for host in knocking:
        if victim.name in host.core.get_ready_peers():
            for _ in range(BROUGHT):
                number += 1
                wire = _introduce(genesis, _make_person(world, number))
                tell(host, victim, Push((wire,)))
    world.run_for(5_000)
    return len(victim.view().members) - FOUNDERS


ROWS: Final = (
    Row(
        name="open-sybils",
        attack="24 newcomers to an open network from one /16, who bring ten more each",
        defence="8 newcomers an hour of one /16 or /32; of all twice what the order takes",
        code="meshnode/core/newcomer_blocks.py, standings.py",
        figure="newcomers a node lets in",
        bound=8,
        mount=knock_from_one_block,
        patches=((NewcomerBlocks, "let_in", answer(True)),),
    ),
)
