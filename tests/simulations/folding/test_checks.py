"""Every promise, broken by hand: the checker names it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from market.amounts import URUV_PER_RUV
from market.orders import Side
from market.receipts import Receipt
from simulations.economy.exchange import Exchange
from simulations.economy.serving import make_receipt, serve, serve_all
from simulations.errors import CheckFailed
from simulations.folding.checks import Checker

MONEY = 1_000 * URUV_PER_RUV


def make_exchange() -> Exchange:
    """A market with a contract, and an order on each side."""
    exchange = Exchange(1, {"buyer": MONEY, "provider": MONEY})
    buyer, provider = (exchange.directory.add(name) for name in ("buyer", "provider"))
    exchange.open_shop(provider, MONEY // 2)
    exchange.commit()
    exchange.offer(provider, 5_000, 8)
    exchange.bid(buyer, 6_000, 3)
    exchange.commit()
    exchange.bid(buyer, 4_000, 3)
    exchange.commit()
    return exchange


def mint(exchange: Exchange) -> None:
    exchange.state.ledger.totals.minted += 1


def swap_money(exchange: Exchange) -> None:
    """More than nothing in sum, and less than nothing somewhere."""
    row = exchange.state.ledger.get(exchange.directory.add("buyer").id)
    row.free, row.staked = row.free + 10, row.staked - 10


def hold_more(exchange: Exchange) -> None:
    contract = next(iter(exchange.state.contracts.rows.rows()))
    contract.bond += 1


def reserve_less(exchange: Exchange) -> None:
    next(iter(exchange.state.desk.orders.rows())).margin -= 1


def owe_money(exchange: Exchange) -> None:
    next(iter(exchange.state.desk.orders.rows())).bond = -1


def cross(exchange: Exchange) -> None:
    exchange.list_resting(Side.BID)[0].price_uruv = 9_000


def outlive(exchange: Exchange) -> None:
    exchange.list_resting(Side.BID)[0].expires_ms = exchange.time_ms


def shrink(exchange: Exchange) -> None:
    exchange.list_resting(Side.BID)[0].lots -= 1


def lose_row(exchange: Exchange) -> None:
    """An order that rests without money behind it; nobody's reserve is short."""
    desk, ledger = exchange.state.desk, exchange.state.ledger
    row = next(row for row in desk.orders.rows() if row.side is Side.BID)
    ledger.release(row.account, free=row.margin + row.bond)
    desk.orders.drop(row.id)


def lose_order(exchange: Exchange) -> None:
    exchange.state.desk.books.clear()


def cover_more(exchange: Exchange) -> None:
    """A margin that is not what the order needs, though all money is there."""
    row = next(row for row in exchange.state.desk.orders.rows() if row.bond)
    row.margin, row.bond = row.margin + 1, row.bond - 1


def meet_oneself(exchange: Exchange) -> None:
    contract = next(iter(exchange.state.contracts.rows.rows()))
    contract.provider = contract.buyer


def misprice(exchange: Exchange) -> None:
    next(iter(exchange.state.contracts.rows.rows())).price += 1


def owe_collateral(exchange: Exchange) -> None:
    contract = next(iter(exchange.state.contracts.rows.rows()))
    contract.bond, contract.collateral = contract.bond + contract.collateral + 1, -1


BROKEN: list[tuple[str, Callable[[Exchange], None]]] = [
    ("P5 money", mint),
    ("P5 money", swap_money),
    ("P5 money", hold_more),
    ("P5 money", reserve_less),
    ("P5 money", owe_money),
    ("P1 crossed", cross),
    ("P13 expiry", outlive),
    ("P9 index", shrink),
    ("P9 index", lose_row),
    ("P9 index", lose_order),
    ("P9 index", cover_more),
    ("P6 self-trade", meet_oneself),
    ("P3 price", misprice),
    ("P16 slash", owe_collateral),
]


@pytest.mark.parametrize(
    ("promise", "break_it"), BROKEN, ids=[f"{said}-{how.__name__}" for said, how in BROKEN]
)
def test_broken_promise_is_named(promise: str, break_it: Callable[[Exchange], None]):
    exchange = make_exchange()
    checker = Checker(exchange)
    checker.check()
    break_it(exchange)
    with pytest.raises(CheckFailed) as caught:
        checker.check()
    assert caught.value.check == promise


def test_burned_money_that_comes_back_is_told():
    exchange = make_exchange()
    serve_all(exchange)
    checker = Checker(exchange)
    checker.check()
    exchange.state.ledger.totals.burned -= 1
    exchange.state.ledger.totals.pool += 1
    with pytest.raises(CheckFailed, match="undone"):
        checker.check()


def put_receipt(exchange: Exchange, **changes: object) -> Receipt:
    contract = next(iter(exchange.state.contracts.rows.rows()))
    receipt = make_receipt(exchange, contract)
    contract.receipt = msgspec.structs.replace(receipt, **changes)
    return contract.receipt


@pytest.mark.parametrize(
    "changes", [{"seq": 1}, {"seq": 3, "tokens_billed": 100}, {"seq": 2, "tokens_billed": 9}]
)
def test_receipt_that_takes_a_later_ones_place_is_told(changes: dict):
    exchange = make_exchange()
    serve(exchange)
    exchange.commit()
    checker = Checker(exchange)
    put_receipt(exchange, seq=2)
    checker.check()
    checker.check()
    put_receipt(exchange, **changes)
    with pytest.raises(CheckFailed, match="P15 receipts: receipt"):
        checker.check()
    next(iter(exchange.state.contracts.rows.rows())).receipt = None
    with pytest.raises(CheckFailed, match="P15 receipts: a receipt was forgotten"):
        checker.check()


def test_audit_that_grows_shorter_is_told():
    exchange = make_exchange()
    checker = Checker(exchange)
    checker.check()
    next(iter(exchange.state.trail.audits.rows())).count -= 1
    with pytest.raises(CheckFailed, match="audit: an account's audit grew shorter"):
        checker.check()


def test_reputation_beyond_its_stake_is_told(monkeypatch: pytest.MonkeyPatch):
    exchange = make_exchange()
    checker = Checker(exchange)
    monkeypatch.setattr(type(exchange.state), "get_reputation", lambda _self, _account: 9_999)
    with pytest.raises(CheckFailed, match="P14 reputation"):
        checker.check()


def test_end_that_leaves_something_is_told():
    exchange = make_exchange()
    checker = Checker(exchange)
    with pytest.raises(CheckFailed, match=r"end: .*'contracts': 1, 'orders': 2"):
        checker.check_end()
