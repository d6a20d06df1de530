"""Members leave, are expelled and come while the mesh is parted: all honest nodes end alike."""

from __future__ import annotations

import random

import pytest

from dag.bodies import InvitationRevocation
from meshnode.core.events import Committed, OrderHalted
from meshnode.errors import CommandRejected
from tests.support.core_net import CoreNet, Host
from tests.support.member_scene import (
    agree,
    expel,
    invite,
    key_of,
    leave,
    make_member_net,
    roll,
    say,
    standing,
)

VALIDATORS = 5
GUESTS = 5
ROUNDS = 12
LIMIT_MS = 240_000


def speak(chance: random.Random, hosts: list[Host]) -> None:
    for host in hosts:
        if host.node is not None and chance.random() < 0.6:
            try:
                host.publish(chance.randbytes(8))
            except CommandRejected:
                assert host.core.view().refusal, "only who is out is refused"


def part(chance: random.Random, net: CoreNet, honest: list[Host]) -> None:
    """Cut any group off, but leave a quorum together now and then."""
    net.heal()
    others = [host for host in net.hosts if chance.random() < 0.35]
    net.cut(others, [host for host in net.hosts if host not in others])


def disturb(chance: random.Random, net: CoreNet, guests: list[Host]) -> None:
    """One of: a guest comes, leaves, is expelled, or an invitation is taken back."""
    founders = net.hosts[:VALIDATORS]
    guest = chance.choice(guests)
    match chance.randrange(4):
        case 0:
            if guest.node is None:
                guest.start()
        case 1:
            if guest.node is not None and not guest.core.view().refusal:
                leave(guest)
        case 2:
            known = [host for host in founders if standing(host, guest) == "member"]
            if known:
                voters = tuple(net.hosts.index(host) for host in founders)
                expel(net, guest, voters=(net.hosts.index(known[0]), *voters))
        case _:
            say(founders[chance.randrange(VALIDATORS)], InvitationRevocation(key_of(1)))


@pytest.mark.parametrize("seed", range(4))
def test_honest_nodes_end_with_equal_heads_and_equal_rolls(seed: int):
    chance = random.Random(seed)
    net = make_member_net(VALIDATORS)
    founders = net.hosts[:VALIDATORS]
    guests = [invite(net, founders[number % 2], bearer=1, uses=3) for number in range(GUESTS)]
    guests[0].start()
    net.run(3_000)
    for _ in range(ROUNDS):
        if chance.random() < 0.5:
            part(chance, net, founders)
        disturb(chance, net, guests)
        speak(chance, net.hosts)
        net.run(chance.randrange(200, 4_000))
    net.heal()
    net.run_until(lambda: len({host.core.summarise().commit_index for host in founders}) == 1)
    net.run_until(lambda: agree(list_honest(net)), LIMIT_MS)
    assert not any(host.find(OrderHalted) for host in net.hosts)
    assert not any(host.penalties for host in founders)
    first, *others = [[event.commit for event in host.find(Committed)] for host in founders]
    assert all(commits == first for commits in others)
    check_refusals(net)


def list_honest(net: CoreNet) -> list[Host]:
    """Who is up and, by the order of the first founder, a member."""
    first = net.hosts[0]
    return [
        host for host in net.hosts if host.node is not None and standing(first, host) == "member"
    ]


def check_refusals(net: CoreNet) -> None:
    """Nobody who is out takes part at an honest node, and nobody let in more than was said."""
    honest = list_honest(net)
    for host in honest:
        ready = [peer.author for peer in host.core.view().peers]
        assert not any(roll(host).is_gone(author) for author in ready)
        for inviter in net.hosts[:2]:
            assert roll(host).count_uses(inviter.person.author, key_of(1)) <= 3
