"""A view is a picture: later events do not change it."""

from __future__ import annotations

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
    assert before.peers == ()
    assert lone.node.get_ready_peers() == (peer,)
