"""Orders with money behind them: what accounts reserve, and what trades make of it.

An order reserves what it may cost before the book sees it: a bid its price, from free money; an
offer its collateral, from the stake. So every trade is covered, and no book needs to know of money.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from market.accounts import Ledger
from market.amounts import NOTIONAL_MIN_URUV, ORDER_BOND_URUV, compute_collateral
from market.attestation import Compliance, Model
from market.book import Book, InvalidBook
from market.commands import PlaceOrder
from market.contracts import Contract, compute_contract_id
from market.errors import Code, Refused
from market.events import Event, Trail
from market.instruments import BUDGET_MAX_URUV, LOTS_MAX, PRICE_MAX_URUV, Instrument
from market.orders import (
    Cancel,
    CancelAll,
    Cancelled,
    Filled,
    NewOrder,
    Reason,
    Reduce,
    Rejected,
    Replace,
    RestingOrder,
    Side,
)
from market.orders import Code as OrderCode
from market.orders import Event as BookEvent
from market.reputation import TIERS_BP
from market.sla import COLLATERAL_BP
from market.tables import Table
from market.tiers import CODES_MAX, STANDARD_TIERS

ORDERS_PER_ACCOUNT_MAX: Final = 200
MODELS_PER_ACCOUNT_MAX: Final = 20
BOND_COMMITS: Final = 2
"""Whoever takes an order back within so many commits loses its bond."""
EARLY_REASONS: Final = (Reason.OWNER, Reason.REDUCED)
SLA_DIMENSION: Final = 1
REPUTATION_DIMENSION: Final = 3


class OpenOrder(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The money behind an order."""

    id: bytes
    account: bytes
    model: bytes
    side: Side
    price: int
    """0 for market orders."""
    lots: int
    sla_tier: int
    margin: int
    bond: int
    entered: int
    """Index of the commit."""

    def compute_need(self) -> int:
        """What the lots that are left may cost."""
        if self.side is Side.BID:
            return self.price * self.lots
        return compute_collateral(self.price, self.lots, COLLATERAL_BP[self.sla_tier])


class Desk:
    """All books and the orders in them. Commands raise `Refused` before they change anything."""

    def __init__(
        self,
        network: bytes,
        ledger: Ledger,
        trail: Trail,
        compliance: Compliance,
        open_contract: Callable[[Contract], None],
    ) -> None:
        self.orders: Final[Table[OpenOrder]] = Table(self._describe)
        self.books: Final[dict[bytes, Book]] = {}
        self._network = network
        self._ledger = ledger
        self._trail = trail
        self._compliance = compliance
        self._open_contract = open_contract
        self._counts: dict[bytes, dict[bytes, int]] = {}
        """Orders by account and model."""
        self._index = self._time_ms = 0

    def begin(self, index: int, time_ms: int) -> None:
        """A commit begins: orders that expire by then are gone."""
        self._index, self._time_ms = index, time_ms
        for book in self.list_books():
            self._follow(book, book.advance(time_ms))

    def list_books(self) -> list[Book]:
        """The books, by model."""
        return [self.books[model] for model in sorted(self.books)]

    def restore(self, books: dict[bytes, Book], orders: Sequence[tuple[bytes, OpenOrder]]) -> None:
        """Take up stored books and the money behind their orders. Raises `InvalidBook`."""
        self.books.update(books)
        for key, row in orders:
            book = books.get(row.model)
            if book is None or book.get(key) is None:
                raise InvalidBook("money stands behind an order that no book has")
            self.orders.put(key, row)
            self._count(row.account, row.model, 1)
        if sum(len(book) for book in books.values()) != len(self.orders):
            raise InvalidBook("a book has an order without money behind it")

    def _describe(self, row: OpenOrder) -> object:
        """What the root is to fix of an order: its money, and its place in the book."""
        return row, self.books[row.model].get(row.id)

    # --- commands -------------------------------------------------------------------------------

    def place(
        self,
        order_id: bytes,
        account: bytes,
        command: PlaceOrder,
        find_tier: Callable[[bytes], int],
    ) -> None:
        """Take an order in; `find_tier` knows the reputation of an account."""
        self._check(account, command)
        book = self.books.get(command.model) or self._make_book(command.model)
        self._compliance.check_trade(command.model)
        tiers = command.tiers
        if command.side is Side.OFFER:
            self._compliance.check_offer(account, command.model, standing=command.epochs > 0)
            tiers = _set_reputation(tiers, find_tier(account))
        row = _make_row(order_id, account, command, self._index)
        self._reserve(row, row.margin, row.bond)
        events = book.submit(
            NewOrder(
                order_id,
                account,
                command.side,
                command.price,
                command.lots,
                tiers,
                command.time_in_force,
                command.expires_ms,
                command.budget,
                command.epochs,
            )
        )
        if isinstance(events[0], Rejected):
            self._release(row, row.margin, row.bond)
            _refuse(events[0])
        self.books[command.model] = book
        self.orders.put(order_id, row)
        self._count(account, command.model, 1)
        self._note("order_placed", row, row.margin)
        self._follow(book, events, order_id)

    def cancel(self, order_id: bytes, account: bytes) -> None:
        """Take an order back."""
        book = self._find_book(order_id)
        self._take(book, book.cancel(Cancel(order_id, account)))

    def cancel_all(self, account: bytes, model: bytes) -> None:
        """Take all orders back, of one model or of all; none is not an error."""
        for name in sorted(self.books):
            if model in (b"", name):
                self._follow(self.books[name], self.books[name].cancel_all(CancelAll(account)))

    def reduce(self, order_id: bytes, account: bytes, lots: int) -> None:
        """Make an order smaller."""
        book = self._find_book(order_id)
        self._take(book, book.reduce(Reduce(order_id, account, lots)))

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
            self._reserve(row, max(0, need - row.margin), 0)
        except Refused:
            row.price, row.lots, row.margin = before
            raise
        events = book.replace(Replace(order_id, account, price, lots))
        if isinstance(events[0], Rejected):
            self._release(row, max(0, need - row.margin), 0)
            row.price, row.lots, row.margin = before
            _refuse(events[0])
        self._release(row, max(0, row.margin - need), 0)
        row.margin = need
        self._follow(book, events[1:], order_id)

    # --- what comes by itself -------------------------------------------------------------------

    def withdraw_offers(self, model: bytes, account: bytes = b"") -> None:
        """What an account, or everybody, offers of a model is gone."""
        book = self.books.get(model)
        if book is None:
            return
        offers = (*book.list_resting(Side.OFFER), *book.list_rated())
        for order_id in dict.fromkeys(each.id for each in offers if account in (b"", each.owner)):
            order = book.get(order_id)
            assert order is not None
            self._follow(book, book.cancel(Cancel(order_id, order.owner)))

    def withdraw_all_offers(self, account: bytes) -> None:
        """What an account offers is gone, so that its margins are stake again."""
        for model in sorted(self.books):
            self.withdraw_offers(model, account)

    def begin_epoch(self, find_tier: Callable[[bytes], int]) -> None:
        """Reputations are looked at, and rate offers show their lots anew."""
        for book in self.list_books():
            for order in sorted(book.list_resting(Side.OFFER), key=_get_seq):
                tiers = _set_reputation(order.tiers, find_tier(bytes_of(order.owner)))
                if tiers != order.tiers:
                    self._follow(book, book.retier(order.id, tiers), bytes_of(order.id))
            for order in book.list_rated():
                self._renew(book, order)

    def _renew(self, book: Book, order: RestingOrder) -> None:
        order_id = bytes_of(order.id)
        row = self.orders.edit(order_id)
        if order.epochs_left:
            row.lots = order.rate_lots
            need = row.compute_need()
            try:
                self._reserve(row, need - row.margin, 0)
            except Refused:
                row.lots = order.lots
                self._follow(book, book.cancel(Cancel(order_id, order.owner)))
                return
            row.margin = need
        self._follow(book, book.renew(order_id), order_id)

    # --- following the book ---------------------------------------------------------------------

    def _take(self, book: Book, events: list[BookEvent]) -> None:
        if isinstance(events[0], Rejected):
            _refuse(events[0])
        self._follow(book, events)

    def _follow(self, book: Book, events: Sequence[BookEvent], order_id: bytes = b"") -> None:
        """Move the money that the events of a book speak of."""
        touched: dict[bytes, Reason | None] = {order_id: None} if order_id else {}
        for event in events:
            if isinstance(event, Filled):
                self._trade(book, event)
                touched.setdefault(bytes_of(event.maker))
                touched.setdefault(bytes_of(event.taker))
            elif isinstance(event, Cancelled):
                touched[bytes_of(event.id)] = event.reason
        for each, reason in touched.items():
            self._adjust(book, each, reason)

    def _adjust(self, book: Book, order_id: bytes, reason: Reason | None) -> None:
        """Let go of the margin that an order no longer needs, and of one that is gone."""
        row = self.orders.edit(order_id)
        alive = book.get(order_id)
        if alive is not None:
            row.lots = alive.lots
            spare = row.margin - row.compute_need()
            if spare:
                self._release(row, spare, 0)
                row.margin -= spare
            return
        early = reason in EARLY_REASONS and self._index - row.entered < BOND_COMMITS
        if row.margin or row.bond:
            self._release(row, row.margin, row.bond, burn=early)
        self.orders.drop(order_id)
        self._count(row.account, row.model, -1)
        self._note("order_closed", row, row.margin, "filled" if reason is None else str(reason))

    def _trade(self, book: Book, event: Filled) -> None:
        """A fill: the buyer's money and the provider's collateral go into a contract."""
        taker = self.orders.edit(bytes_of(event.taker))
        maker = self.orders.edit(bytes_of(event.maker))
        bid, offer = (taker, maker) if event.taker_side is Side.BID else (maker, taker)
        for row in (bid, offer):
            row.lots -= event.lots
            if row.bond:
                self._release(row, 0, row.bond)
                row.bond = 0
        escrow = event.price_uruv * event.lots
        self._ledger.hold(bid.account, escrow)
        bid.margin -= escrow
        collateral = _take_collateral(offer, event)
        self._ledger.hold(offer.account, collateral)
        offer.margin -= collateral
        self._open_contract(
            Contract(
                id=compute_contract_id(self._network, bid.model, event.number, bid.id, offer.id),
                buyer=bid.account,
                provider=offer.account,
                model=bid.model,
                price=event.price_uruv,
                lots=event.lots,
                sla_tier=offer.sla_tier,
                in_weight_bp=book.instrument.in_weight_bp,
                escrow=escrow,
                collateral=collateral,
                opened_ms=self._time_ms,
                reward=self._compliance.is_reward(bid.model),
                bid=bid.id,
                offer=offer.id,
            )
        )

    # --- checks and money -----------------------------------------------------------------------

    def _check(self, account: bytes, command: PlaceOrder) -> None:
        if command.price is not None:
            _check_limit(command.price, command.lots)
        elif not (NOTIONAL_MIN_URUV <= command.budget <= BUDGET_MAX_URUV):
            raise Refused(OrderCode.BAD_BUDGET, "a market order has a budget")
        if not 1 <= command.lots <= LOTS_MAX:
            raise Refused(OrderCode.BAD_LOTS, f"an order is for 1 to {LOTS_MAX} lots")
        if not STANDARD_TIERS.is_code(command.tiers):
            raise Refused(OrderCode.BAD_TIERS, "no such combination of tiers")
        models = self._counts.get(account, {})
        if sum(models.values()) >= ORDERS_PER_ACCOUNT_MAX:
            raise Refused(Code.TOO_MANY, f"an account has {ORDERS_PER_ACCOUNT_MAX} open orders")
        if command.model not in models and len(models) >= MODELS_PER_ACCOUNT_MAX:
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

    def _reserve(self, row: OpenOrder, margin: int, bond: int) -> None:
        if row.side is Side.BID:
            self._ledger.reserve(row.account, free=margin + bond)
        else:
            self._ledger.reserve(row.account, free=bond, staked=margin)

    def _release(self, row: OpenOrder, margin: int, bond: int, *, burn: bool = False) -> None:
        free, burned = (0, bond) if burn else (bond, 0)
        if row.side is Side.BID:
            self._ledger.release(row.account, free=free + margin, burned=burned)
        else:
            self._ledger.release(row.account, free=free, staked=margin, burned=burned)

    def _count(self, account: bytes, model: bytes, step: int) -> None:
        models = self._counts.setdefault(account, {})
        models[model] = models.get(model, 0) + step
        if not models[model]:
            del models[model]
        if not models:
            del self._counts[account]

    def _note(self, kind: str, row: OpenOrder, amount: int, detail: str = "") -> None:
        self._trail.note(Event(kind, row.account, row.id, amount, detail))


def make_instrument(model: Model) -> Instrument:
    """A listed model as its book knows it."""
    return Instrument(
        model_variant=model.model_variant,
        backend_class=model.backend_class,
        in_weight_bp=model.in_weight_bp,
    )


def bytes_of(name: int | bytes) -> bytes:
    """Ids and owners in these books are bytes."""
    assert isinstance(name, bytes)
    return name


def _make_row(order_id: bytes, account: bytes, command: PlaceOrder, index: int) -> OpenOrder:
    sla_tier = _get_sla_tier(command.tiers)
    row = OpenOrder(
        id=order_id,
        account=account,
        model=command.model,
        side=command.side,
        price=command.price or 0,
        lots=command.lots,
        sla_tier=sla_tier,
        margin=0,
        bond=ORDER_BOND_URUV,
        entered=index,
    )
    if command.price is not None:
        row.margin = row.compute_need()
    elif command.side is Side.BID:
        row.margin = command.budget
    else:
        row.margin = compute_collateral(command.budget, 1, COLLATERAL_BP[sla_tier])
    return row


def _take_collateral(offer: OpenOrder, event: Filled) -> int:
    """The part of an offer's margin that belongs to a fill."""
    if offer.price:
        return offer.margin - offer.compute_need()
    share = compute_collateral(event.price_uruv, event.lots, COLLATERAL_BP[offer.sla_tier])
    return min(share, offer.margin)


def _check_limit(price: int, lots: int) -> None:
    """Raises `Refused` for what could not even be reserved; the book checks the rest."""
    if not 1 <= price <= PRICE_MAX_URUV:
        raise Refused(OrderCode.BAD_PRICE, f"a price is 1 to {PRICE_MAX_URUV} uruv")
    if not 1 <= lots <= LOTS_MAX:
        raise Refused(OrderCode.BAD_LOTS, f"an order is for 1 to {LOTS_MAX} lots")
    if price * lots < NOTIONAL_MIN_URUV:
        raise Refused(Code.OUT_OF_RANGE, f"an order is worth {NOTIONAL_MIN_URUV} uruv at least")


def _refuse(event: BookEvent) -> None:
    assert isinstance(event, Rejected)
    raise Refused(event.code, "the book refuses it")


@lru_cache(CODES_MAX)
def _get_sla_tier(tiers: int) -> int:
    return STANDARD_TIERS.unpack(tiers)[SLA_DIMENSION]


@lru_cache(len(TIERS_BP) * CODES_MAX)
def _set_reputation(tiers: int, reputation: int) -> int:
    parts = list(STANDARD_TIERS.unpack(tiers))
    parts[REPUTATION_DIMENSION] = reputation
    return STANDARD_TIERS.pack(parts)


def _get_seq(order: RestingOrder) -> int:
    return order.seq
