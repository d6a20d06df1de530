"""Real vertices through minimal nodes."""

from __future__ import annotations

import pytest

from dag.authors import AuthorRegistry
from dag.errors import InvalidMessage
from simulations import World
from simulations.fidelity import FIDELITIES, Fidelity
from simulations.gossip import GossipNode, make_frames
from simulations.identities import make_genesis, make_identity
from simulations.topology import random_regular

PEOPLE = [make_identity(bytes([n]) * 32, f"author-{n}", "ed25519") for n in range(5)]
GENESIS = make_genesis(PEOPLE, "ed25519")
FRAMES = make_frames(GENESIS, PEOPLE, body_bytes=64)


def make_nodes(fidelity: Fidelity) -> tuple[World, list[GossipNode], list]:
    world = World(1, fidelity=fidelity)
    authors = AuthorRegistry(GENESIS)
    nodes = [GossipNode(GENESIS, authors, fidelity) for _ in range(30)]
    return world, nodes, world.add_processes(nodes, random_regular(30, 4, seed=1))


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_every_vertex_reaches_every_node(fidelity: Fidelity):
    world, nodes, contexts = make_nodes(fidelity)
    for number, frame in enumerate(FRAMES):
        nodes[number].originate(contexts[number], frame)
    world.run_to_end()
    assert all(len(node.stored) == 5 for node in nodes)
    assert sum(node.receptions for node in nodes) == 5 * (4 + 29 * 3)
    assert world.network.counters.sent_bytes > 5 * 91 * 64


def test_a_forged_frame_is_refused():
    _, nodes, contexts = make_nodes("cached")
    with pytest.raises(InvalidMessage):
        nodes[0].originate(contexts[0], FRAMES[0][:-1] + b"\x00")


def test_nodes_have_nothing_to_do_by_themselves():
    world, nodes, contexts = make_nodes("cached")
    nodes[0].on_timer(contexts[0], "none")
    world.run_to_end()
    assert world.network.counters.sent == 0
