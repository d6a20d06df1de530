"""Accounts, models and orders are found by what people call them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meshnode.errors import CommandRejected, MarketRefused
from meshnode.node.market_lookup import MarketLookup, read_id
from tests.support.market_scene import MarketScene, get_account

OWNER = 4


@pytest.fixture
def scene() -> MarketScene:
    """Seventeen bids, so at least two begin alike."""
    scene = MarketScene()
    scene.list_model()
    for number in range(17):
        scene.bid(OWNER, 1_000 + 10 * number, 1)
    return scene


@pytest.fixture
def lookup(scene: MarketScene) -> MarketLookup:
    runtime: Any = SimpleNamespace(author=get_account(OWNER), market=scene.state)
    members: Any = SimpleNamespace(find_author=lambda text: text.encode())
    return MarketLookup(runtime, members)


def test_order_is_found_by_as_many_digits_as_it_takes(scene: MarketScene, lookup: MarketLookup):
    ids = [row.id for row in scene.state.desk.orders.rows()]
    digits = [order_id.hex()[0] for order_id in ids]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(CommandRejected, match=f"open orders begin with '{twice}'"):
        lookup.find_order(twice)
    assert lookup.find_order(ids[0].hex()[:20].upper()) == ids[0]
    assert lookup.find_order("ab" * 32) == b"\xab" * 32
    for text in ("", "xyz"):
        with pytest.raises(MarketRefused, match="no open order"):
            lookup.find_order(text)


def test_account_is_the_own_a_whole_id_or_a_member(lookup: MarketLookup):
    assert lookup.find_account(None) == get_account(OWNER)
    assert lookup.find_account("ab" * 32) == b"\xab" * 32
    assert lookup.find_account("bob") == b"bob"


def test_model_is_found_by_its_variant_or_its_id(scene: MarketScene, lookup: MarketLookup):
    assert lookup.find_model("kimi-k2/fp8") == scene.model
    assert lookup.find_model(scene.model.hex()[:6].upper()) == scene.model
    with pytest.raises(MarketRefused, match="there are kimi-k2/fp8"):
        lookup.find_model("")


def test_only_a_whole_id_in_hex_is_one():
    assert read_id("ab" * 31) is None
    assert read_id("xy" * 32) is None
