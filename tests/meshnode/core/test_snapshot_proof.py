"""A chain of headers proves the checkpoint that a peer told of, and no other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.errors import InvalidCheckpoint
from dag.genesis import compute_network_id
from dag.types import Horizon
from meshnode.core import snapshot_proof
from meshnode.core.messages import Checkpoint
from meshnode.core.snapshot_proof import read_proof
from tests.meshnode.core.test_epochs import make_net
from tests.support.dag_builder import DagBuilder


@pytest.fixture(scope="module")
def served():
    net = make_net(4, 4, checkpoint_commits=5)
    for number in range(6):
        net.hosts[number % 4].publish(b"%d" % number)
        net.run(300)
    net.run(2_000)
    host = net.hosts[0]
    return net.genesis, host.snapshots[-1].chain, host.core._history.newest


def test_a_chain_proves_the_checkpoint_it_leads_to(served):
    genesis, chain, told = served
    proof = read_proof(genesis, compute_network_id(genesis), told, chain)
    assert proof.header.index == told.index
    assert len(proof.votes) >= 3
    keys = {signed.vertex.author: DagBuilder().people[0].keys for signed in proof.votes}
    assert len(proof.make_items(keys)) == len(proof.votes)


def test_another_checkpoint_than_the_one_told_is_refused(served):
    genesis, chain, told = served
    network = compute_network_id(genesis)
    others: tuple[Checkpoint, ...] = (
        replace(told, index=told.index + 1),
        replace(told, root=bytes(32)),
        replace(told, floor=told.floor.join(Horizon(blocks=told.floor.blocks + 1))),
    )
    for other in others:
        with pytest.raises(InvalidCheckpoint, match="another checkpoint"):
            read_proof(genesis, network, other, chain)


def test_a_state_too_large_is_refused(served, monkeypatch):
    genesis, chain, told = served
    monkeypatch.setattr(snapshot_proof, "STATE_BYTES_MAX", 10)
    with pytest.raises(InvalidCheckpoint, match="larger than"):
        read_proof(genesis, compute_network_id(genesis), told, chain)
