"""Orders as accounts give them: checked, covered with money, and handed to the book of their model.

`market.open_orders` says what an order reserves, `market.settling` what a trade makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from market.accounts import Ledger
from market.amounts import NOTIONAL_MIN_URUV, ORDER_BOND_URUV
from market.attestation import Compliance, Model
from market.book import Book, InvalidBook
from market.commands import PlaceOrder
from market.contracts import Contract
from market.errors import Code, Refused
from market.events import Event, Trail
from market.instruments import BUDGET_MAX_URUV, LOTS_MAX, PRICE_MAX_URUV, Instrument
from market.matching import get_seq
from market.open_orders import OpenOrder, OpenOrders, bytes_of, make_row
from market.orders import (
    Cancel,
    CancelAll,
    NewOrder,
    Reduce,
    Rejected,
    Replace,
    Rested,
    RestingOrder,
    Side,
)
from market.orders import Code as OrderCode
from market.orders import Event as BookEvent
from market.reputation import TIERS_BP
from market.sequencing import Issued
from market.settling import Settler
from market.tables import Table
from market.tiers import CODES_MAX, STANDARD_TIERS

OFFER: Final = Side.OFFER
ORDERS_PER_ACCOUNT_MAX: Final = 200
MODELS_PER_ACCOUNT_MAX: Final = 20
REPUTATION_DIMENSION: Final = 3


class Desk:
    """All books and the orders in them. Commands raise `Refused` before they change anything."""

    def __init__(
        self,
        network: bytes,
        ledger: Ledger,
        trail: Trail,
        compliance: Compliance,
        *,
        open_contract: Callable[[Contract], None],
        find_tier: Callable[[bytes, int], int],
    ) -> None:
        """`find_tier` knows the reputation of an account at a time."""
        self.books: Final[dict[bytes, Book]] = {}
        self._open: Final = OpenOrders(ledger, trail, self._describe)
        self.orders: Final[Table[OpenOrder]] = self._open.rows
        self._settler: Final = Settler(network, self._open, ledger, compliance, open_contract)
        self._ledger: Final = ledger
        self._note: Final = trail.note
        self._compliance: Final = compliance
        self._find_tier: Final = find_tier
        self._index = self._time_ms = 0

    def begin(self, index: int, time_ms: int) -> None:
        """A commit begins: orders that expire by then are gone."""
        self._index, self._time_ms = index, time_ms
        self._settler.begin(index, time_ms)
        for book in self.list_books():
            self._settler.follow_withdrawals(book, book.advance(time_ms))

    def list_books(self) -> list[Book]:
        """The books, by model."""
        return [self.books[model] for model in sorted(self.books)]

    def restore(self, books: dict[bytes, Book], orders: Sequence[tuple[bytes, OpenOrder]]) -> None:
        """Take up stored books and the money behind their orders. Raises `InvalidBook`."""
        self.books.update(books)
        for key, row in orders:
            book = books.get(row.model)
            if key != row.id or book is None or book.get(key) is None:
                raise InvalidBook("money stands behind an order that no book has")
            self._open.add(row)
        if sum(len(book) for book in books.values()) != len(self.orders):
            raise InvalidBook("a book has an order without money behind it")

    def _describe(self, row: OpenOrder) -> object:
        """What the root is to fix of an order: its money, and its place in the book."""
        return row, self.books[row.model].get(row.id)

    # --- commands -------------------------------------------------------------------------------

    def place(self, issued: Issued, command: PlaceOrder) -> None:
        """Take an order in."""
        order_id, account = issued.id, issued.account
        model, side, tiers = command.model, command.side, command.tiers
        self._check(account, command)
        book = self.books.get(model)
        if book is None:
            book = self._make_book(model)
        row = make_row(order_id, account, command, self._index)
        margin = row.margin
        if side is OFFER:
            self._compliance.check_offer(account, model, standing=command.epochs > 0)
            tiers = _set_reputation(tiers, self._find_tier(account, self._time_ms))
            self._ledger.reserve(account, ORDER_BOND_URUV, margin)
        else:
            self._compliance.check_trade(model)
            self._ledger.reserve(account, ORDER_BOND_URUV + margin)
        events = book.submit(
            NewOrder(
                order_id,
                account,
                side,
                command.price,
                command.lots,
                tiers,
                command.time_in_force,
                command.expires_ms,
                command.budget,
                command.epochs,
            )
        )
        first = type(events[0])
        if first is Rejected:
            self._open.release(row, margin, ORDER_BOND_URUV)
            _refuse(events[0])
        self.books[model] = book
        self._note(Event("order_placed", account, order_id, margin))
        if first is Rested:
            self._open.add(row)  # it met nobody
            return
        self._settler.follow_order(book, row, events)
        if book.get(order_id) is not None:
            self._open.add(row)

    def cancel(self, order_id: bytes, account: bytes) -> None:
        """Take an order back."""
        book = self._find_book(order_id)
        self._take_out(book, book.cancel(Cancel(order_id, account)))

    def cancel_all(self, account: bytes, model: bytes) -> None:
        """Take all orders back, of one model or of all; none is not an error."""
        for name in sorted(self.books):
            if model in (b"", name):
                book = self.books[name]
                self._settler.follow_withdrawals(book, book.cancel_all(CancelAll(account)))

    def reduce(self, order_id: bytes, account: bytes, lots: int) -> None:
        """Make an order smaller."""
        book = self._find_book(order_id)
        self._take_out(book, book.reduce(Reduce(order_id, account, lots)))

    def replace(self, order_id: bytes, account: bytes, price: int, lots: int) -> None:
        """Give an order another price or more lots."""
        book = self._find_book(order_id)
        row = self.orders.edit(order_id)
        if row.account != account:
            raise Refused(OrderCode.FOREIGN_ORDER, "the order is another account's")
        if price == row.price and lots < row.lots:
            self.reduce(order_id, account, lots)
            return
        _check_limit(price, lots)
        before = (row.price, row.lots, row.margin)
        row.price, row.lots = price, lots
        need = row.compute_need()
        try:
            self._open.reserve(row, max(0, need - row.margin))
        except Refused:
            row.price, row.lots, row.margin = before
            raise
        events = book.replace(Replace(order_id, account, price, lots))
        if type(events[0]) is Rejected:
            self._open.release(row, max(0, need - row.margin))
            row.price, row.lots, row.margin = before
            _refuse(events[0])
        self._open.release(row, max(0, row.margin - need))
        row.margin = need
        self._settler.follow_order(book, row, events[1:])

    # --- what comes by itself -------------------------------------------------------------------

    def withdraw_offers(self, model: bytes, account: bytes = b"") -> None:
        """What an account, or everybody, offers of a model is gone."""
        book = self.books.get(model)
        if book is None:
            return
        offers = (*book.list_resting(OFFER), *book.list_rated())
        for order_id in dict.fromkeys(each.id for each in offers if account in (b"", each.owner)):
            order = book.get(order_id)
            assert order is not None
            self._settler.follow_withdrawals(book, book.cancel(Cancel(order_id, order.owner)))

    def withdraw_all_offers(self, account: bytes) -> None:
        """What an account offers is gone, so that its margins are stake again."""
        for model in sorted(self.books):
            self.withdraw_offers(model, account)

    def begin_epoch(self) -> None:
        """Reputations are looked at, and rate offers show their lots anew."""
        for book in self.list_books():
            for order in sorted(book.list_resting(OFFER), key=get_seq):
                tiers = _set_reputation(
                    order.tiers, self._find_tier(bytes_of(order.owner), self._time_ms)
                )
                if tiers != order.tiers:
                    row = self.orders.edit(bytes_of(order.id))
                    self._settler.follow_order(book, row, book.retier(row.id, tiers))
            for order in book.list_rated():
                self._renew(book, order)

    def _renew(self, book: Book, order: RestingOrder) -> None:
        order_id = bytes_of(order.id)
        row = self.orders.edit(order_id)
        if order.epochs_left:
            row.lots = order.rate_lots
            need = row.compute_need()
            try:
                self._open.reserve(row, need - row.margin)
            except Refused:
                row.lots = order.lots
                events = book.cancel(Cancel(order_id, order.owner))
                self._settler.follow_withdrawals(book, events)
                return
            row.margin = need
        self._settler.follow_order(book, row, book.renew(order_id))

    # --- checks ---------------------------------------------------------------------------------

    def _take_out(self, book: Book, events: list[BookEvent]) -> None:
        if type(events[0]) is Rejected:
            _refuse(events[0])
        self._settler.follow_withdrawals(book, events)

    def _check(self, account: bytes, command: PlaceOrder) -> None:
        price, lots = command.price, command.lots
        if price is None:
            _check_market(command.budget, lots)
        elif not (
            1 <= price <= PRICE_MAX_URUV
            and 1 <= lots <= LOTS_MAX
            and price * lots >= NOTIONAL_MIN_URUV
        ):
            _check_limit(price, lots)
        if command.tiers not in STANDARD_TIERS.known:
            raise Refused(OrderCode.BAD_TIERS, "no such combination of tiers")
        counts = self._open.counts.get(account)
        if counts is None:
            return
        if sum(counts.values()) >= ORDERS_PER_ACCOUNT_MAX:
            raise Refused(Code.TOO_MANY, f"an account has {ORDERS_PER_ACCOUNT_MAX} open orders")
        if len(counts) >= MODELS_PER_ACCOUNT_MAX and command.model not in counts:
            raise Refused(Code.TOO_MANY, f"an account trades {MODELS_PER_ACCOUNT_MAX} models")

    def _make_book(self, model: bytes) -> Book:
        """An empty book; it is kept once an order is in it."""
        book = Book(make_instrument(self._compliance.get_model(model)))
        book.advance(self._time_ms)
        return book

    def _find_book(self, order_id: bytes) -> Book:
        row = self.orders.get(order_id)
        if row is None:
            raise Refused(OrderCode.UNKNOWN_ORDER, "no such order is open")
        return self.books[row.model]


def make_instrument(model: Model) -> Instrument:
    """A listed model as its book knows it."""
    return Instrument(
        model_variant=model.model_variant,
        backend_class=model.backend_class,
        in_weight_bp=model.in_weight_bp,
    )


def _check_limit(price: int, lots: int) -> None:
    """Raises `Refused` for what could not even be reserved; the book checks the rest."""
    if not 1 <= price <= PRICE_MAX_URUV:
        raise Refused(OrderCode.BAD_PRICE, f"a price is 1 to {PRICE_MAX_URUV} uruv")
    if not 1 <= lots <= LOTS_MAX:
        raise Refused(OrderCode.BAD_LOTS, f"an order is for 1 to {LOTS_MAX} lots")
    if price * lots < NOTIONAL_MIN_URUV:
        raise Refused(Code.OUT_OF_RANGE, f"an order is worth {NOTIONAL_MIN_URUV} uruv at least")


def _check_market(budget: int, lots: int) -> None:
    if not NOTIONAL_MIN_URUV <= budget <= BUDGET_MAX_URUV:
        raise Refused(OrderCode.BAD_BUDGET, "a market order has a budget")
    if not 1 <= lots <= LOTS_MAX:
        raise Refused(OrderCode.BAD_LOTS, f"an order is for 1 to {LOTS_MAX} lots")


def _refuse(event: BookEvent) -> None:
    assert isinstance(event, Rejected)
    raise Refused(event.code, "the book refuses it")


@lru_cache(len(TIERS_BP) * CODES_MAX)
def _set_reputation(tiers: int, reputation: int) -> int:
    parts = list(STANDARD_TIERS.unpack(tiers))
    parts[REPUTATION_DIMENSION] = reputation
    return STANDARD_TIERS.pack(parts)
