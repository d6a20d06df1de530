"""What a node shows of the order: where it stands, who takes part, who is silent."""

from __future__ import annotations

from meshnode.core.showing import SILENT_ROUNDS
from tests.support.core_net import CoreNet


def test_a_node_shows_the_order_and_who_takes_part():
    net = CoreNet(4, validates=True)
    net.start()
    net.run(3_000)
    views = [host.core.view().consensus for host in net.hosts]
    assert len({view.commit_digest for view in views}) == 1
    first = views[0]
    assert first.commit_index == net.hosts[0].core.summarise().commit_index > 0
    assert first.decided_round <= first.round == first.own_round
    assert first.commit_time_ms <= net.now_ms
    assert (first.epoch, first.waiting, first.inert, first.halted) == (0, 0, 0, "")
    assert (first.quorum, first.behind) == (3, 0)
    assert all(view.is_connected for view in first.validators)
    assert [view.author for view in first.validators] == [host.person.author for host in net.hosts]
    assert {view.last_round for view in first.validators} <= {first.round, first.round - 1}
    assert not any(view.is_silent for view in first.validators)


def test_who_makes_no_blocks_while_others_do_is_shown_as_silent():
    net = CoreNet(4, validates=True)
    net.start(net.hosts[:3])
    net.run(3_000)
    while net.hosts[0].core.view().consensus.round < SILENT_ROUNDS:
        net.hosts[0].publish(b"more")
        net.run(1_000)
    view = net.hosts[0].core.view().consensus
    assert [shown.is_silent for shown in view.validators] == [False, False, False, True]
    assert view.validators[3].last_round == 0
    assert [shown.is_connected for shown in view.validators] == [True, True, True, False]


def test_who_has_less_than_most_peers_is_shown_as_behind():
    net = CoreNet(4, validates=True)
    net.start(net.hosts[:3])
    net.run(5_000)
    top = net.hosts[0].core.view().lamport
    assert top > 1
    net.start(net.hosts[3:])
    behind, late = 0, net.hosts[3].core.view()
    for _ in range(400):
        net.run(5)
        late = net.hosts[3].core.view()
        behind = max(behind, late.consensus.behind)
    assert 0 < behind <= net.hosts[0].core.view().lamport
    assert late.consensus.behind == 0
