"""Deals between two accounts are worth what they are meant to be, or are told to have failed."""

from __future__ import annotations

import pytest

from market.amounts import URUV_PER_RUV
from simulations.economy.dealing import (
    LOTS,
    condemn,
    deal,
    fail,
    find_fee,
    find_price,
    find_stake,
    give_back,
    meet,
)
from simulations.economy.exchange import Exchange
from simulations.economy.serving import serve
from simulations.errors import CheckFailed

MONEY = 10_000 * URUV_PER_RUV


def make_exchange(stake: int = MONEY // 2) -> Exchange:
    exchange = Exchange(1, {"buyer": MONEY, "provider": MONEY})
    exchange.open_shop(exchange.directory.add("provider"), stake)
    exchange.commit()
    return exchange


def test_deal_moves_what_it_is_worth_less_the_fee():
    exchange = make_exchange()
    buyer, provider = (exchange.directory.add(name) for name in ("buyer", "provider"))
    deal(exchange, buyer, provider, 40)
    assert exchange.count_wealth(buyer) == MONEY - 40 * URUV_PER_RUV
    assert exchange.count_wealth(provider) == MONEY + 40 * URUV_PER_RUV - find_fee(40)
    assert find_price(40) * LOTS == 40 * URUV_PER_RUV
    give_back(exchange, provider, buyer)
    assert exchange.count_wealth(buyer, provider) == 2 * MONEY - find_fee(40)
    give_back(exchange, provider, buyer)  # there is nothing left to give
    assert exchange.refusals == {}


def test_stake_that_is_named_is_just_enough():
    for worth in (1, 7, 500):
        exchange = make_exchange(find_stake(worth))
        buyer, provider = (exchange.directory.add(name) for name in ("buyer", "provider"))
        deal(exchange, buyer, provider, worth)
        assert len(exchange.trades) == 1


def test_deal_that_the_market_refuses_is_told():
    exchange = make_exchange(stake=1)
    buyer, provider = (exchange.directory.add(name) for name in ("buyer", "provider"))
    with pytest.raises(CheckFailed, match=r"met nobody: \{'insufficient_stake': 1"):
        meet(exchange, buyer, provider, 10)


def test_failure_is_refunded_and_stands_against_the_provider():
    exchange = make_exchange()
    buyer, provider = (exchange.directory.add(name) for name in ("buyer", "provider"))
    fail(exchange, buyer, provider, 1_000)
    assert exchange.count_wealth(buyer) == MONEY
    assert exchange.find_standing(provider).bad == 8 * find_fee(1_000) // 2
    assert exchange.count_wealth(provider) == MONEY


def test_fraud_costs_all_of_the_stake():
    exchange = make_exchange()
    buyer, provider = (exchange.directory.add(name) for name in ("buyer", "provider"))
    contract = meet(exchange, buyer, provider, 100)
    condemn(exchange, contract, buyer, is_fraud=True)
    # A contract that nobody accepted is not one that can be disputed.
    assert "wrong_phase" in exchange.refusals
    exchange = make_exchange()
    contract = meet(exchange, buyer, provider, 100)
    serve(exchange)
    exchange.commit()
    condemn(exchange, contract, buyer, is_fraud=True)
    assert exchange.state.ledger.get(provider.id).bonded == 0
    assert exchange.count_wealth(provider) == MONEY // 2
    assert exchange.count_wealth(buyer) == MONEY
