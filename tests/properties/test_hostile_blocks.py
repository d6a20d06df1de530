"""A committee member signs malformed blocks: nothing raises, all is bounded, the others go on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dag.types import LANE_BLOCKS, LANE_SPEECH
from meshnode.core.events import Committed, OrderHalted
from meshnode.core.messages import Push, encode_message
from tests.support.core_net import CoreNet, Host
from tests.support.hostile_blocks import Draw, HostileMember, draws

HONEST = 3
SETTLE_MS = 2_000
MEMBER_MAX = 2_048
"""What waits on behalf of one member at most."""
FUTURE = (1, 2, 7, 2**52, 2**53 - 1)


def make_net() -> tuple[CoreNet, HostileMember]:
    """Four validators that agree; the fourth only listens from now on, and its keys are ours."""
    net = CoreNet(4, validates=True)
    net.hosts[HONEST].settings = replace(net.hosts[HONEST].settings, validates=False)
    net.start()
    net.run(SETTLE_MS)
    net.hosts[0].publish(b"before")
    net.run(SETTLE_MS)
    stored = list(net.hosts[0].journal.values())
    liar = HostileMember(
        person=net.hosts[HONEST].person,
        network=net.network,
        now_ms=net.now_ms,
        blocks=[signed.ref for signed in stored if signed.vertex.lane == LANE_BLOCKS],
        speech=[signed.ref for signed in stored if signed.vertex.lane == LANE_SPEECH],
    )
    return net, liar


def tell(net: CoreNet, host: Host, wires: list[bytes]) -> None:
    """The fourth member pushes vertices to one of the others."""
    for start in range(0, len(wires), 40):
        frame = encode_message(Push(tuple(wires[start : start + 40])))
        host.receive(net.hosts[HONEST].name, frame)


def count_commits(host: Host) -> int:
    return len(host.find(Committed))


def assert_others_go_on(net: CoreNet) -> None:
    """What is said after all that is ordered at every honest node alike."""
    before = count_commits(net.hosts[0])
    for host in net.hosts[:HONEST]:
        host.publish(b"after")
    net.run(2 * SETTLE_MS)
    assert count_commits(net.hosts[0]) > before
    orders = [
        [event.commit.digest for event in host.find(Committed)] for host in net.hosts[:HONEST]
    ]
    assert orders[0] == orders[1] == orders[2]
    for host in net.hosts[:HONEST]:
        assert not host.find(OrderHalted)
        assert host.core.summarise().unordered == 0


@settings(max_examples=15, deadline=None)
@given(told=st.lists(st.tuples(draws, st.integers(0, 2)), min_size=1, max_size=25))
def test_malformed_blocks_raise_nothing_and_stop_nobody(told):
    net, liar = make_net()
    for draw, number in told:
        tell(net, net.hosts[number], [liar.make(draw).wire])
        net.run(20)
    net.run(SETTLE_MS)
    assert_others_go_on(net)


@pytest.mark.parametrize("epoch", FUTURE)
def test_blocks_of_epochs_to_come_are_kept_apart_and_bounded(epoch: int):
    net, liar = make_net()
    wires = [liar.make(Draw(epoch=epoch)).wire for _ in range(200)]
    for host in net.hosts[:HONEST]:
        tell(net, host, wires)
    net.run(SETTLE_MS)
    assert_others_go_on(net)


def test_flood_of_rounds_to_come_is_counted_and_orders_nothing():
    net, liar = make_net()
    wires = [liar.make(Draw(round=1_000 + number)).wire for number in range(300)]
    tell(net, net.hosts[0], wires)
    net.run(SETTLE_MS)
    assert net.hosts[0].core.view().consensus.inert >= 300
    assert_others_go_on(net)


def test_flood_above_unknown_parents_stays_within_the_quarantine():
    net, liar = make_net()
    liar.made.append(liar.make(Draw(parents=("unknown", "high"))))
    wires = [liar.make(Draw()).wire for _ in range(MEMBER_MAX + 200)]
    tell(net, net.hosts[0], [liar.made[0].wire, *wires])
    net.run(100)
    assert MEMBER_MAX // 2 < net.hosts[0].core.view().quarantined <= MEMBER_MAX
    net.run(SETTLE_MS)
    assert_others_go_on(net)
