"""The exchange folds what accounts say, and counts what came of it."""

from __future__ import annotations

from market.amounts import URUV_PER_RUV
from market.commands import Dispute, Transfer
from market.orders import Side
from simulations.economy.exchange import HOUR_MS, START_MS, Exchange
from simulations.economy.serving import make_receipt, serve, serve_all

MONEY = 1_000 * URUV_PER_RUV


def make_exchange(seed: int = 1) -> Exchange:
    exchange = Exchange(seed, {"buyer": MONEY, "provider": MONEY})
    exchange.open_shop(exchange.directory.add("provider"), MONEY // 2)
    exchange.commit()
    return exchange


def trade(exchange: Exchange) -> None:
    exchange.offer(exchange.directory.add("provider"), 5_000, 8)
    exchange.bid(exchange.directory.add("buyer"), 6_000, 3)
    exchange.commit()


def test_model_is_listed_and_a_trade_is_seen_once():
    exchange = make_exchange()
    trade(exchange)
    (seen,) = exchange.trades
    assert (seen.price, seen.lots, seen.time_ms) == (5_000, 3, exchange.time_ms)
    assert exchange.refusals == {}
    assert exchange.directory.find(seen.buyer).name == "buyer"
    (rest,) = exchange.list_resting(Side.OFFER)
    assert rest.lots == 5
    assert [order.id for order in exchange.list_orders(exchange.directory.add("provider"))] == [
        rest.id
    ]


def test_empty_market_has_no_orders():
    exchange = make_exchange()
    assert exchange.list_resting(Side.BID) == ()
    assert exchange.list_orders(exchange.directory.add("buyer")) == ()


def test_refusals_are_counted_by_code():
    exchange = make_exchange()
    exchange.say(exchange.directory.add("pauper"), Transfer(bytes(32), 5))
    exchange.commit()
    assert exchange.refusals == {"insufficient_funds": 1}
    assert exchange.describe()["refused"] == 1


def test_many_commands_of_one_account_are_several_vertices_in_order():
    exchange, receiver = make_exchange(), Exchange(1, {}).directory.add("receiver")
    buyer = exchange.directory.add("buyer")
    exchange.say(buyer, *[Transfer(receiver.id, 1)] * 200)
    exchange.commit()
    # What an account may say in one commit is bounded, whatever it is put into.
    assert exchange.state.ledger.get(receiver.id).free == 40
    assert exchange.refusals == {"rate_limited": 160}


def test_contract_is_served_from_the_lock_to_the_payment():
    exchange = make_exchange()
    trade(exchange)
    buyer, provider = (exchange.directory.add(name) for name in ("buyer", "provider"))
    before = exchange.count_wealth(buyer, provider)
    serve_all(exchange)
    serve_all(exchange)  # nothing is left to be done
    assert len(exchange.state.contracts.rows) == 0
    assert exchange.state.ledger.get(buyer.id).free == MONEY - 3 * 5_000
    assert exchange.find_standing(provider).good == 38
    assert exchange.find_standing(exchange.members[0]).good == 0
    collateral = 3_000
    assert exchange.count_wealth(buyer, provider) == before + 15_000 + collateral - 75
    assert exchange.state.count_imbalance() == 0


def test_contract_that_is_left_alone_stays_as_it_is():
    exchange = make_exchange()
    trade(exchange)
    contract = exchange.trades[0].contract
    serve(exchange, leave=[contract])
    serve_all(exchange, leave=[contract])
    row = exchange.state.contracts.rows.get(contract)
    assert row is not None
    assert row.phase == "locked"
    assert make_receipt(exchange, row).tokens_billed == 3_000


def test_disputed_contract_waits_for_others():
    exchange = make_exchange()
    trade(exchange)
    contract = exchange.trades[0].contract
    serve(exchange)
    exchange.commit()
    exchange.say(exchange.directory.add("buyer"), Dispute(contract, "late", bytes(32)))
    exchange.commit()
    serve_all(exchange)
    row = exchange.state.contracts.rows.get(contract)
    assert row is not None
    assert row.phase == "disputed"


def test_orders_end_as_they_say():
    exchange = make_exchange()
    buyer = exchange.directory.add("buyer")
    exchange.bid(buyer, 1_000, 1, expires_ms=None)
    exchange.bid(buyer, 1_000, 2, expires_ms=exchange.time_ms + 5_000)
    exchange.bid(buyer, 1_000, 3)
    exchange.commit()
    assert sorted(order.lots for order in exchange.list_resting(Side.BID)) == [2, 3]
    exchange.commit(5_000)
    assert [order.lots for order in exchange.list_resting(Side.BID)] == [3]


def test_same_seed_gives_the_same_state_and_another_one_another():
    digests = []
    for seed in (1, 1, 2):
        exchange = make_exchange(seed)
        trade(exchange)
        digests.append(exchange.describe()["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_time_is_told_in_hours():
    exchange = make_exchange()
    exchange.commit(START_MS + 2 * HOUR_MS - exchange.time_ms)
    assert exchange.hours == 2
