"""A guest of a mesh that is older than the horizon of its order is given what it was promised."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dag.authors import is_first_profile
from dag.canonical import encode
from dag.genesis import Grant
from dag.types import Kind
from meshnode.core.events import Committed, OrderHalted, OrderResumed, Repeated
from tests.support.core_net import CoreNet, Host, make_addressed_genesis
from tests.support.dag_builder import DagBuilder, make_person

MONEY, GRANT = 1_000, 400
VALIDATORS = 4


def make_old_net(checkpoint_commits: int) -> CoreNet:
    """Validators with money that have long forgotten how they began."""
    people = [make_person(number) for number in range(VALIDATORS)]
    genesis = make_addressed_genesis(people)
    parameters = replace(genesis.parameters, gc_commits=5, checkpoint_commits=checkpoint_commits)
    grants = tuple(Grant(person.author, MONEY) for person in people)
    genesis = replace(genesis, parameters=parameters, grants=grants)
    net = CoreNet(VALIDATORS, genesis=genesis, validates=True)
    net.start()
    net.run(3_000)
    talk(net, 20)
    return net


def talk(net: CoreNet, rounds: int) -> None:
    for number in range(rounds):
        net.hosts[number % VALIDATORS].publish(b"%d" % number)
        net.run(400)


def invite(net: CoreNet, inviter: Host, number: int) -> Host:
    """A guest with a ticket that promises money; it is not up yet."""
    builder = DagBuilder(number + 1)
    builder.network = net.network
    inviters = builder.number_of(inviter.person.author)
    person = make_person(number)
    invitation = builder.invite(inviters, number, grant_uruv=GRANT)
    profile = person.profile(invitation, addresses=(f"/sim/{person.name}",))
    shown = [
        next(
            signed.wire
            for signed in net.hosts[0].journal.values()
            if signed.vertex.author == author and is_first_profile(signed.vertex)
        )
        for author in dict.fromkeys((net.hosts[0].person.author, inviter.person.author))
    ]
    return net.add(
        person,
        profile=encode(profile),
        inviter=inviter.person.author,
        credentials=tuple(shown),
    )


def list_profiles(host: Host, author: bytes) -> list[int]:
    """The numbers of an author's profiles that the order has put out."""
    told = [ref.id for event in host.find(Committed) for ref in event.commit.vertices]
    vertices = [host.journal[each].vertex for each in told if each in host.journal]
    return [v.seq for v in vertices if v.kind == Kind.PROFILE and v.author == author]


def get_free(host: Host, other: Host) -> int:
    return host.core.machines.market.ledger.get(other.person.author).free


def assert_alike(net: CoreNet) -> None:
    assert len({host.core.machines.market.root() for host in net.hosts}) == 1
    assert not any(host.find(OrderHalted) for host in net.hosts)
    assert not any(host.penalties for host in net.hosts)


@pytest.mark.parametrize("checkpoint_commits", [1_000, 10])
def test_late_guest_is_welcomed_by_its_second_profile_whether_or_not_it_joins_by_snapshot(
    checkpoint_commits: int,
):
    net = make_old_net(checkpoint_commits)
    guest = invite(net, net.hosts[0], VALIDATORS)
    guest.start()
    net.run(10_000)
    assert bool(guest.find(OrderResumed)) == (checkpoint_commits == 10)
    assert list_profiles(net.hosts[1], guest.person.author) == [1]
    assert len(guest.find(Repeated)) == 1
    for host in net.hosts:
        assert get_free(host, guest) == GRANT
        assert get_free(host, net.hosts[0]) == MONEY - GRANT
    guest.crash()
    guest.start()
    talk(net, 8)
    net.run(5_000)
    assert list_profiles(net.hosts[1], guest.person.author) == [1]
    assert get_free(net.hosts[1], guest) == GRANT
    assert_alike(net)


def test_guest_of_a_guest_that_was_never_ordered_is_welcomed_where_nobody_knows_its_inviter():
    net = make_old_net(10)
    first = invite(net, net.hosts[0], VALIDATORS)
    first.start()
    net.run(10_000)
    second = invite(net, first, VALIDATORS + 1)
    second.start()
    net.run(10_000)
    assert get_free(net.hosts[1], second) == GRANT
    assert get_free(net.hosts[1], first) == 0
    third = invite(net, net.hosts[0], VALIDATORS + 2)
    third.start()
    net.run(10_000)
    talk(net, 8)
    net.run(5_000)
    assert third.find(OrderResumed)
    assert_alike(net)
