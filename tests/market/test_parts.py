"""The parts hang together the same after they were bytes."""

from __future__ import annotations

import msgspec
import pytest

from market.book import InvalidBook
from market.errors import Refused
from market.genesis import MarketGenesis
from market.parts import Parts
from market.stores import make_empty_snapshot
from tests.support.market_scene import NETWORK, MarketScene

GENESIS = MarketGenesis(NETWORK, "ed25519")


def test_parts_freeze_to_what_they_were_made_of():
    scene = MarketScene()
    scene.list_model()
    scene.make_provider(5)
    scene.deliver()
    scene.offer(5, 1_000, 10, epochs=2)
    frozen = scene.state._parts.freeze(1, 2)
    again = Parts(GENESIS, {}, frozen)
    assert again.freeze(1, 2) == frozen
    assert again.list_digests() == scene.state._parts.list_digests()
    assert again.count_imbalance() == 0


def test_parts_are_refused_when_a_book_has_no_model():
    scene = MarketScene()
    scene.list_model()
    scene.bid(4, 1_000, 10)
    frozen = scene.state._parts.freeze(1, 2)
    with pytest.raises(Refused):
        Parts(GENESIS, {}, msgspec.structs.replace(frozen, models=()))


@pytest.mark.parametrize("piece", ["orders", "books"])
def test_parts_are_refused_when_orders_and_money_do_not_agree(piece: str):
    scene = MarketScene()
    scene.list_model()
    scene.bid(4, 1_000, 10)
    frozen = scene.state._parts.freeze(1, 2)
    with pytest.raises(InvalidBook):
        Parts(GENESIS, {}, msgspec.structs.replace(frozen, **{piece: ()}))


def test_empty_parts_hold_nothing():
    parts = Parts(GENESIS, {})
    assert parts.freeze(0, 0) == make_empty_snapshot()
    assert parts.count_imbalance() == 0
