"""Order books of the Python package index, each behind the same two calls.

Nothing here is a dependency: whoever wants to compare brings the packages along, as
`bench_market` shows. All are plain books, so that all take the same stream of limit orders and
cancels; ids that a library gives itself are kept in a dictionary, which is part of its price.
"""

# ruff: noqa: D102 - what the methods do is said once, at `PeerBook`

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol

BID: Final = 0


class PeerBook(Protocol):
    """What a benchmark asks of a book."""

    def limit(self, id_: int, side: int, price: int, quantity: int) -> object:
        """Take in a limit order."""

    def cancel(self, id_: int) -> object:
        """Take an order out that is alive."""

    def count_trades(self) -> int | None:
        """Trades so far; None where the library does not tell."""


class LimitOrderBook:
    """limit-order-book: C++ through ctypes."""

    def __init__(self) -> None:
        self._book = import_module("limit_order_book").LimitOrderBook()
        self._sides = (self._book.limit_buy, self._book.limit_sell)
        self.cancel: Callable[[int], object] = self._book.cancel

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        self._sides[side](id_, quantity, price)

    def count_trades(self) -> None:
        return None


class Liquibook:
    """liquibook: C++ through SWIG; no listener, so no trades."""

    def __init__(self) -> None:
        library = import_module("liquibook")
        self._make, self._book = library.SimpleOrder, library.DepthOrderBook()
        self._orders: dict[int, Any] = {}

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        order = self._orders[id_] = self._make(side == BID, price, quantity)
        self._book.add(order)

    def cancel(self, id_: int) -> None:
        self._book.cancel(self._orders[id_])

    def count_trades(self) -> None:
        return None


class OrderlyChaos:
    """orderly-chaos: C++ through ctypes, with a callback for every trade."""

    def __init__(self) -> None:
        library = import_module("orderly_chaos")
        self._trades: list[object] = []
        self._book = library.LimitOrderBook(self._trades.append)
        self._sides = (library.Side.BUY, library.Side.SELL)
        self.cancel: Callable[[int], object] = self._book.cancel

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        self._book.limit(self._sides[side], id_, quantity, price)

    def count_trades(self) -> int:
        return len(self._trades)


class _OwnIds:
    """A library that gives ids itself."""

    def __init__(self) -> None:
        self._ids: dict[int, Any] = {}
        self._trades = 0

    def count_trades(self) -> int | None:
        return self._trades


class Litebook(_OwnIds):
    """litebook: Rust."""

    def __init__(self) -> None:
        super().__init__()
        library = import_module("litebook")
        self._book = library.OrderBook(tick_size=1.0)
        self._types = (library.OrderType.Buy, library.OrderType.Sell)

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        order = self._book.create_order(self._types[side], price, quantity)
        self._trades += len(self._book.add(order))
        self._ids[id_] = order.id

    def cancel(self, id_: int) -> None:
        self._book.cancel(self._ids[id_])


class OrderBookModule(_OwnIds):
    """akhil4n-orderbook (Python) and cython-orderbook (Cython), which have one interface."""

    def __init__(self, module: str) -> None:
        super().__init__()
        library = import_module(module)
        self._make, self._book = library.Order, library.OrderBook()
        self._sides = (library.OrderSide.BID, library.OrderSide.ASK)

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        order = self._make(side=self._sides[side], price=price, original_quantity=quantity)
        self._ids[id_] = order.order_id
        self._book.add_limit_order(order)

    def cancel(self, id_: int) -> None:
        self._book.cancel_order(self._ids[id_])

    def count_trades(self) -> int:
        return len(self._book.trade_log)


class LightMatchingEngine(_OwnIds):
    """lightmatchingengine: Python."""

    def __init__(self) -> None:
        super().__init__()
        module = import_module("lightmatchingengine.lightmatchingengine")
        self._engine = module.LightMatchingEngine()

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        order, trades = self._engine.add_order("lots", price, quantity, side + 1)
        self._ids[id_] = own = order.order_id
        self._trades += sum(trade.order_id != own for trade in trades)

    def cancel(self, id_: int) -> None:
        self._engine.cancel_order(self._ids[id_], "lots")


class Obook(_OwnIds):
    """obook: a shared library through ctypes."""

    def __init__(self) -> None:
        super().__init__()
        library = import_module("obook")
        self._book = library.Book(1_000_000)
        self._sides = (library.BUY, library.SELL)

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        self._ids[id_] = self._book.submit(id_, self._sides[side], price, quantity).order_id

    def cancel(self, id_: int) -> None:
        self._book.cancel(self._ids[id_], id_)

    def count_trades(self) -> None:
        return None


class Pyorderbook(_OwnIds):
    """pyorderbook: Python, with decimals and UUIDs."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.CRITICAL)
        orders = import_module("pyorderbook.order")
        self._book = import_module("pyorderbook").Book()
        self._make = (orders.bid, orders.ask)

    def limit(self, id_: int, side: int, price: int, quantity: int) -> None:
        order = self._ids[id_] = self._make[side]("lots", price, quantity)
        self._trades += len(self._book.match(order).trades)

    def cancel(self, id_: int) -> None:
        self._book.cancel(self._ids[id_])


PEERS: Final[dict[str, Callable[[], PeerBook]]] = {
    "limit-order-book": LimitOrderBook,
    "liquibook": Liquibook,
    "orderly-chaos": OrderlyChaos,
    "litebook": Litebook,
    "cython-orderbook": lambda: OrderBookModule("cython_orderbook"),
    "akhil4n-orderbook": lambda: OrderBookModule("orderbook"),
    "lightmatchingengine": LightMatchingEngine,
    "obook": Obook,
    "pyorderbook": Pyorderbook,
}
VERSIONS: Final = {
    "limit-order-book": "2.0.0",
    "liquibook": "2.0.1",
    "orderly-chaos": "0.2.0",
    "litebook": "0.0.1",
    "cython-orderbook": "0.1.2",
    "akhil4n-orderbook": "0.1.1",
    "lightmatchingengine": "2019.1.4",
    "obook": "0.1.0",
    "pyorderbook": "0.4.9",
}
"""What figures were taken with."""
