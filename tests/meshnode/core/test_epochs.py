"""The committee changes by vote: one order across the cut, for who was there and who was not."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from msgspec.structs import replace

from dag.bodies import BallotBody, CommitteeChange, ProposalBody, StakeChange
from dag.canonical import encode
from dag.types import LANE_BLOCKS, Kind
from meshnode.core.events import Committed, EpochBegan, OrderHalted
from tests.support.core_net import CoreNet, Host

SETTLE_MS = 3_000
LONG_MS = 30_000
NewProfile = Literal["", "bft3", "bft5", "cft"]


def make_net(count: int, seats: int, **parameters) -> CoreNet:
    genesis = CoreNet(count).genesis
    genesis = replace(
        genesis,
        committee=genesis.committee[:seats],
        parameters=replace(genesis.parameters, **parameters),
    )
    net = CoreNet(count, validates=True, genesis=genesis)
    net.start()
    net.run(SETTLE_MS)
    return net


def propose(
    net: CoreNet, proposer: int, *, profile: NewProfile = "", gc_commits: int = 0, **stakes: int
) -> bytes:
    """A change of stakes, named by the hosts' numbers as `h1=2`."""
    changes = tuple(
        StakeChange(net.hosts[int(name[1:])].person.author, stake) for name, stake in stakes.items()
    )
    action = CommitteeChange(changes, profile, gc_commits)
    body = ProposalBody("Change it?", ("yes", "no"), net.now_ms + 60_000, "stake", 2, 3, action)
    host = net.hosts[proposer]
    before = set(host.journal)
    host.publish(encode(body), kind=Kind.DECISION)
    net.run(100)  # who votes has seen what it votes on
    (made,) = [
        signed.id
        for key, signed in host.journal.items()
        if key not in before
        and signed.vertex.kind == Kind.DECISION
        and signed.vertex.author == host.person.author
    ]
    return made


def vote(net: CoreNet, proposal: bytes, *voters: int) -> None:
    for voter in voters:
        body = BallotBody(proposal, 0, "so be it")
        net.hosts[voter].publish(encode(body), kind=Kind.DECISION)


def change(
    net: CoreNet, *voters: int, profile: NewProfile = "", gc_commits: int = 0, **stakes: int
) -> None:
    proposal = propose(net, voters[0], profile=profile, gc_commits=gc_commits, **stakes)
    vote(net, proposal, *voters)


def epoch(host: Host) -> int:
    return host.core.view().consensus.epoch


def seats(host: Host) -> list[int]:
    numbers: dict[bytes, int] = {
        other.person.author: number for number, other in enumerate(host.net.hosts)
    }
    return [numbers[validator.author] for validator in host.core.view().consensus.validators]


def list_order(host: Host) -> list[bytes]:
    return [event.commit.digest for event in host.find(Committed)]


def count_blocks(host: Host, author: int) -> int:
    person = host.net.hosts[author].person.author
    return sum(
        signed.vertex.lane == LANE_BLOCKS and signed.vertex.author == person
        for signed in host.journal.values()
    )


def assert_one_order(net: CoreNet) -> None:
    orders = [list_order(host) for host in net.up]
    assert all(order == orders[0] for order in orders)
    for host in net.up:
        assert not host.find(OrderHalted)
        assert not host.core.view().forks
        assert host.core.summarise().unordered == 0
        told = [ref.id for event in host.find(Committed) for ref in event.commit.vertices]
        assert len(told) == len(set(told))


def test_a_member_gets_a_seat_and_makes_blocks_from_then_on():
    net = make_net(4, 3)
    change(net, 0, 1, 2, h3=1)
    net.run(SETTLE_MS)
    assert [epoch(host) for host in net.hosts] == [1] * 4
    assert [seats(host) for host in net.hosts] == [[0, 1, 2, 3]] * 4
    assert count_blocks(net.hosts[0], 3) == 0
    net.hosts[3].publish(b"now")
    net.run(SETTLE_MS)
    assert count_blocks(net.hosts[0], 3) > 0
    assert_one_order(net)
    assert {host.core.view().consensus.standing for host in net.hosts} == {"active"}
    for host in net.hosts:
        (began,) = host.find(EpochBegan)
        assert began.epoch == 1


def test_one_founder_lets_others_in_one_by_one_and_may_leave():
    net = make_net(4, 1)
    for joiner in (1, 2, 3):
        stakes: Any = {f"h{joiner}": 1}
        change(net, *range(joiner), **stakes)
        net.run(SETTLE_MS)
        assert {epoch(host) for host in net.hosts} == {joiner}
    change(net, 1, 2, 3, h0=0)
    net.run(SETTLE_MS)
    assert seats(net.hosts[2]) == [1, 2, 3]
    assert net.hosts[0].core.view().consensus.standing == "follower"
    net.hosts[0].crash()
    net.hosts[2].publish(b"without the founder")
    net.run(SETTLE_MS)
    assert_one_order(net)
    assert {host.core.view().consensus.epoch for host in net.up} == {4}


def test_stakes_and_the_profile_change_too():
    net = make_net(3, 3)
    change(net, 0, 1, 2, h1=5, profile="cft")
    net.run(SETTLE_MS)
    (view, *_) = [host.core.view().consensus for host in net.hosts]
    assert [validator.stake for validator in view.validators] == [1, 5, 1]
    assert view.profile == "cft"
    net.hosts[0].crash()
    net.hosts[2].crash()
    net.hosts[1].publish(b"alone with five of seven")
    net.run(SETTLE_MS)
    assert net.hosts[1].core.summarise().unordered == 0
    net.start([net.hosts[0], net.hosts[2]])
    net.run(LONG_MS)
    assert_one_order(net)


def test_who_comes_next_is_known_before_the_epoch_ends():
    net = make_net(4, 3)
    proposal = propose(net, 0, h3=1)
    vote(net, proposal, 0, 1, 2)
    replica = net.hosts[0].core._replica
    net.run_until(lambda: replica.successor is not None)
    assert replica.committee.epoch == 0
    assert replica.has_errand
    assert replica.successor is not None
    assert len(replica.successor) == 4
    net.run_until(lambda: replica.committee.epoch == 1)
    assert replica.successor is None
    assert not replica.has_errand
    assert replica.conflict_count == 0


def test_a_newcomers_first_block_stands_above_what_was_put_away_before_its_epoch():
    net = make_net(4, 2, gc_commits=5)
    core = net.hosts[0].core
    while core._replica.ordering.floor.lamport < core._intake.heads.speech_refs[-1].lamport + 5:
        net.hosts[0].publish(b"again")
        net.run(400)
    change(net, 0, 1, h2=1, h3=1)
    net.run(SETTLE_MS)
    net.hosts[3].publish(b"now")
    net.run(SETTLE_MS)
    assert all(count_blocks(net.hosts[0], number) > 0 for number in (2, 3))
    assert {host.core.view().consensus.inert for host in net.hosts} == {0}
    assert_one_order(net)


def test_the_depth_of_the_horizon_changes_with_an_epoch():
    net = make_net(3, 3)
    change(net, 0, 1, 2, gc_commits=3)
    net.run(SETTLE_MS)
    assert {epoch(host) for host in net.hosts} == {1}
    for number in range(4):
        net.hosts[number % 3].publish(b"%d" % number)
        net.run(500)
    horizons = {host.core._replica.ordering.payload.horizon for host in net.hosts}
    assert len(horizons) == 1
    assert min(horizons) > 0
    assert_one_order(net)


def test_two_changes_that_pass_together_take_two_epochs():
    net = make_net(5, 3)
    first, second = propose(net, 0, h3=1), propose(net, 1, h4=1)
    vote(net, first, 0, 1, 2)
    vote(net, second, 0, 1, 2)
    net.run(LONG_MS)
    assert {epoch(host) for host in net.hosts} == {2}
    assert sorted(seats(net.hosts[4])) == [0, 1, 2, 3, 4]
    assert_one_order(net)


def test_who_missed_the_cut_follows_through_it():
    net = make_net(5, 4)
    net.hosts[3].crash()
    net.hosts[4].crash()
    change(net, 0, 1, 2, h4=1)
    net.run(SETTLE_MS)
    assert {epoch(host) for host in net.up} == {1}
    for number in range(5):
        net.hosts[0].publish(b"%d" % number)
        net.run(500)
    net.start([net.hosts[3], net.hosts[4]])
    net.run(LONG_MS)
    assert [epoch(host) for host in net.hosts] == [1] * 5
    assert_one_order(net)
    net.hosts[4].publish(b"the newcomer speaks")
    net.run(SETTLE_MS)
    assert_one_order(net)
    assert {host.core.view().consensus.standing for host in net.hosts} == {"active"}


@pytest.mark.parametrize("effects", [1, 3, 4, 6, 10, 15, 21, 28])
def test_a_crash_at_any_record_around_the_cut_leaves_one_order(effects):
    net = make_net(4, 3)
    victim = net.hosts[effects % 4]
    proposal = propose(net, 0, h3=1)
    net.run(500)
    vote(net, proposal, 0, 1, 2)
    victim.crash_after = victim.persists + effects
    net.run(1_000)
    if victim.node is None:
        victim.start()
    net.run(LONG_MS)
    assert {epoch(host) for host in net.hosts} == {1}
    net.hosts[1].publish(b"after")
    net.run(SETTLE_MS)
    assert_one_order(net)


def test_everybody_starts_again_in_the_epoch_that_was_reached():
    net = make_net(4, 3)
    change(net, 0, 1, 2, h3=1)
    net.run(SETTLE_MS)
    for host in net.hosts:
        host.crash()
    net.run(1_000)
    net.start()
    net.run(SETTLE_MS)
    assert {epoch(host) for host in net.hosts} == {1}
    net.hosts[3].publish(b"again")
    net.run(LONG_MS)
    assert_one_order(net)


def test_checkpoints_are_certified_alike_everywhere():
    net = make_net(4, 4, checkpoint_commits=5)
    for number in range(12):
        net.hosts[number % 4].publish(b"%d" % number)
        net.run(300)
    net.run(SETTLE_MS)
    found = [host.core._replica.certified for host in net.hosts]
    certified = [item for item in found if item is not None]
    assert len(certified) == 4
    assert len({(c.certificate.index, c.certificate.root) for c in certified}) == 1
    assert certified[0].certificate.index % 5 == 0
    assert certified[0].checkpoint.header.index == certified[0].certificate.index
    assert len(certified[0].certificate.blocks) >= 3
    assert all(host.core._replica._epoch.votes.commit for host in net.hosts)
    assert_one_order(net)
