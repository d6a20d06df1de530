"""A network too large for a full mesh, with a committee in it."""

from __future__ import annotations

from msgspec.structs import replace

from tests.support.core_net import CoreNet, make_addressed_genesis
from tests.support.dag_builder import make_person


def test_validators_of_a_large_mesh_are_connected_to_each_other_and_go_on():
    people = [make_person(number) for number in range(20)]
    genesis = make_addressed_genesis(people)
    authors = [person.author for person in people[:4]]
    members = tuple(item for item in genesis.committee if item.author in authors)
    net = CoreNet(20, validates=True, genesis=replace(genesis, committee=members))
    net.start()
    net.run(5_000)
    net.hosts[-1].publish(b"from a member that is no validator")
    net.run(5_000)
    assert len({host.core.view().consensus.commit_digest for host in net.hosts}) == 1
    assert net.hosts[0].core.view().consensus.commit_index > 0
    assert {host.core.view().consensus.waiting for host in net.hosts} == {0}
    validators = [host for host in net.hosts if host.person.author in authors]
    assert {host.core.view().consensus.standing for host in validators} == {"active"}
    names = {host.name for host in validators}
    for host in validators:
        assert names - {host.name} <= {peer.peer for peer in host.core.view().peers}
