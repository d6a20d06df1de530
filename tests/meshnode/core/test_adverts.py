"""Adverts: the newest counts, and only what peers would accept is sent."""

from __future__ import annotations

import pytest

from meshnode.core.commands import Serve
from meshnode.core.events import PeerServes
from meshnode.core.messages import Advert, ModelAdvert
from tests.support.lone_core import LoneCore

MODEL = ModelAdvert("m", "r", 4_096, False, "echo", "label")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Serve((MODEL,) * 65, 1, 0, 0, False), "at most 64"),
        (Serve((ModelAdvert("m" * 257, "", 1, False, "", ""),), 1, 0, 0, False), "256"),
        (Serve((ModelAdvert("m", "", -1, False, "", ""),), 1, 0, 0, False), "context"),
        (Serve((MODEL,), -1, 0, 0, False), "counts"),
    ],
)
def test_advert_that_no_peer_would_take_is_rejected(command, reason):
    lone = LoneCore()
    lone.greet()
    assert reason in lone.refused(command)


def test_adverts_are_numbered_and_sent_to_ready_peers():
    lone = LoneCore()
    assert lone.submit(Serve((MODEL,), 1, 0, 0, False)) == []
    lone.greet()
    effects = lone.submit(Serve((MODEL,), 1, 1, 0, True))
    assert lone.sent(effects, Advert) == [Advert(2, (MODEL,), 1, 1, 0, True)]


def test_older_advert_is_ignored():
    lone = LoneCore()
    peer = lone.greet()
    for sequence in (2, 1, 2, 3):
        lone.receive(peer, Advert(sequence, (MODEL,), sequence, 0, 0, False))
    served = [event.slots for event in lone.events if isinstance(event, PeerServes)]
    assert served == [2, 3]
