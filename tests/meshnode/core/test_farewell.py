"""How a connection ends whose peer is told why."""

from __future__ import annotations

from meshnode.core.effects import Hangup
from meshnode.core.messages import Goodbye
from meshnode.core.peers import FAREWELL_MS
from tests.support.lone_core import LoneCore


def test_refused_peer_that_does_not_hang_up_is_hung_up_a_moment_later():
    lone = LoneCore()
    peer = lone.greet()
    link = lone.node._peers.get_open(peer)
    assert link is not None
    lone.node._peers.refuse(lone.now_ms, link, "it is out")
    assert [goodbye.reason for goodbye in lone.sent(lone.tick(0), Goodbye)] == ["it is out"]
    assert not any(isinstance(effect, Hangup) for effect in lone.tick(FAREWELL_MS - 1))
    assert [effect.peer for effect in lone.tick(1) if isinstance(effect, Hangup)] == [peer]
    assert not lone.tick(FAREWELL_MS)
