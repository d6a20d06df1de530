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
        (Serve((ModelAdvert("m", "", 1, False, "", "", -1),), 1, 0, 0, False), "size"),
        (Serve((MODEL,), -1, 0, 0, False), "counts"),
        (Serve((MODEL,), 1, 0, 0, False, sequence=-1), "counts"),
        (Serve((MODEL,), 1, 0, 0, False, kv_usage_bp=10_001), "basis points"),
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


def test_advert_that_only_repeats_is_no_news_but_is_fresh():
    lone = LoneCore()
    peer = lone.greet()
    lone.receive(peer, Advert(1, (MODEL,), 1, 0, 0, False, incarnation=7))
    lone.now_ms += 5_000
    lone.receive(peer, Advert(2, (MODEL,), 1, 0, 0, False, incarnation=7))
    assert sum(isinstance(event, PeerServes) for event in lone.events) == 1
    assert lone.node.view().peers[0].advert_ms == lone.now_ms


def test_advert_of_a_restarted_engine_counts_from_one_again():
    lone = LoneCore()
    peer = lone.greet()
    for incarnation, sequence, slots in ((1, 9, 1), (2, 1, 2), (1, 10, 3)):
        advert = Advert(sequence, (MODEL,), slots, 0, 0, False, incarnation=incarnation)
        lone.receive(peer, advert)
    served = [event.slots for event in lone.events if isinstance(event, PeerServes)]
    assert served == [1, 2]


def test_adverts_take_the_number_of_who_counts_reports():
    lone = LoneCore()
    lone.greet()
    effects = lone.submit(
        Serve(
            (MODEL,),
            1,
            1,
            0,
            False,
            incarnation=5,
            sequence=40,
            queued_prefill_tokens=9,
            kv_usage_bp=100,
        )
    )
    assert lone.sent(effects, Advert) == [Advert(40, (MODEL,), 1, 1, 0, False, 5, 9, 100)]
