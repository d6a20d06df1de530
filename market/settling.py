"""What trades make of money: the events of a book, followed by margins, bonds and contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from market.accounts import Ledger
from market.attestation import Compliance
from market.book import Book
from market.contracts import Contract, compute_contract_id
from market.open_orders import OpenOrder, OpenOrders, bytes_of, compute_taken
from market.orders import Cancelled, Event, Filled, Reason, Side

BID: Final = Side.BID
BOND_COMMITS: Final = 2
"""Whoever takes an order back within so many commits loses its bond."""
FILLED: Final = "filled"
EARLY_REASONS: Final = (Reason.OWNER, Reason.REDUCED)


class Settler:
    """Follows the events of books. Everything was reserved before, so nothing here can fail."""

    def __init__(
        self,
        network: bytes,
        orders: OpenOrders,
        ledger: Ledger,
        compliance: Compliance,
        open_contract: Callable[[Contract], None],
    ) -> None:
        self._network: Final = network
        self._orders: Final = orders
        self._ledger: Final = ledger
        self._contributions: Final = compliance.contributions
        self._open_contract: Final = open_contract
        self._index = self._time_ms = 0
        self._note_change: Final[Callable[[Any], object]] = orders.rows.note_change
        self._get_row: Final[Callable[[Any], OpenOrder]] = orders.rows.by_key.__getitem__
        """Of an id in a book: any value there, but bytes in books of accounts."""

    def begin(self, index: int, time_ms: int) -> None:
        """A commit begins."""
        self._index, self._time_ms = index, time_ms

    def follow_order(self, book: Book, taker: OpenOrder, events: Sequence[Event]) -> None:
        """One order came, or came anew: what it traded, and what became of it and those it met.

        The caller has noted that the order changes.
        """
        note_change, get_row = self._note_change, self._get_row
        reason, has_traded = None, False
        gone: list[tuple[OpenOrder, Reason | None]] = []
        for event in events:
            if type(event) is Filled:
                maker_id = event.maker
                note_change(maker_id)
                maker = get_row(maker_id)
                self._trade(book, taker, maker, event)
                has_traded = True
                if not maker.lots and book.get(maker_id) is None:
                    gone.append((maker, None))
            elif type(event) is Cancelled:
                if event.id == taker.id:
                    reason = event.reason
                else:
                    gone.append((get_row(event.id), event.reason))
        if has_traded or reason is not None:
            self._adjust(book, taker, reason)
        for row, why in gone:
            if why is None:
                self._orders.close(row, FILLED)
            else:
                self._close(row, why)

    def follow_withdrawals(self, book: Book, events: Sequence[Event]) -> None:
        """Orders left the book, or part of one did, and nothing traded."""
        for event in events:
            assert isinstance(event, Cancelled)
            self._adjust(book, self._orders.rows.edit(bytes_of(event.id)), event.reason)

    def _adjust(self, book: Book, row: OpenOrder, reason: Reason | None) -> None:
        """Let go of the margin that an order no longer needs, and of one that is gone."""
        alive = book.get(row.id)
        if alive is not None:
            row.lots = alive.lots
            spare = row.margin - row.compute_need()
            if spare:
                self._orders.release(row, spare)
                row.margin -= spare
        elif reason is None:
            self._orders.close(row, FILLED)
        else:
            self._close(row, reason)

    def _close(self, row: OpenOrder, reason: Reason) -> None:
        early = reason in EARLY_REASONS and self._index - row.entered < BOND_COMMITS
        self._orders.close(row, str(reason), bond_burned=early)

    def _trade(self, book: Book, taker: OpenOrder, maker: OpenOrder, fill: Filled) -> None:
        """A fill: the buyer's money and the provider's collateral go into a contract."""
        bid, offer = (taker, maker) if taker.side is BID else (maker, taker)
        lots, price, model = fill.lots, fill.price_uruv, bid.model
        buyer, provider = bid.account, offer.account
        bid.lots -= lots
        offer.lots -= lots
        escrow = price * lots
        collateral = compute_taken(offer, price, lots)
        bid.margin -= escrow
        offer.margin -= collateral
        self._ledger.begin_contract((buyer, escrow, bid.bond), (provider, collateral, offer.bond))
        if bid.bond:
            bid.bond = 0
        if offer.bond:
            offer.bond = 0
        self._open_contract(
            Contract(
                compute_contract_id(self._network, model, fill.number, bid.id, offer.id),
                buyer,
                provider,
                model,
                price,
                lots,
                offer.sla_tier,
                book.instrument.in_weight_bp,
                escrow,
                collateral,
                self._time_ms,
                model in self._contributions,
                bid=bid.id,
                offer=offer.id,
            )
        )
