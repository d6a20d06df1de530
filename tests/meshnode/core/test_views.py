"""A view is a picture: later events do not change it."""

from __future__ import annotations

from tests.support.core_net import CoreNet
from tests.support.lone_core import LoneCore


def test_view_shows_peers_and_stays_as_it_was():
    lone = LoneCore()
    before = lone.node.view()
    peer = lone.greet()
    (shown,) = lone.node.view().peers
    assert shown.peer == peer
    assert shown.inbound
    assert shown.rtt_ms is None
    assert shown.addresses == ("/sim/1",)
    assert len(shown.session) == 64
    assert before.peers == ()
    assert lone.node.get_ready_peers() == (peer,)


def test_both_ends_name_a_connection_alike_and_each_anew():
    net = CoreNet(2)
    net.start()
    names = []
    for _ in range(2):
        net.run_until(lambda: all(host.core.view().peers for host in net.hosts))
        (one,), (other,) = (host.core.view().peers for host in net.hosts)
        assert one.session == other.session
        names.append(one.session)
        net.cut(net.hosts[:1], net.hosts[1:])
        net.run_until(lambda: not any(host.core.view().peers for host in net.hosts))
        net.heal()
    assert names[0] != names[1]
