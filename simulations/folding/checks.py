"""What must be true of a market after every commit, found without its own bookkeeping.

Promises are those of the market's specification, P1 to P18; the ones that concern single messages
to a book are kept by the tests of the book.
"""

from __future__ import annotations

from typing import Final

from market.accounts import Ledger
from market.amounts import BASIS_POINTS, SUPPLY_MAX
from market.book import Book
from market.contracts import Contract
from market.orders import RestingOrder, Side, TimeInForce
from market.receipts import Receipt
from market.reputation import STAKE_HALF_URUV
from market.state import MarketState
from market.tiers import STANDARD_TIERS
from simulations.economy.exchange import Exchange
from simulations.errors import CheckFailed

SHORT_LIVED: Final = (TimeInForce.IOC, TimeInForce.FOK)


class Checker:
    """Looks at a market after each commit, and remembers what may only ever rise."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange: Final = exchange
        self._receipts: dict[bytes, Receipt] = {}
        self._audits: dict[bytes, int] = {}
        self._minted = self._burned = 0

    def check(self) -> None:
        """Raises `CheckFailed`, which names the promise that is broken."""
        state = self._exchange.state
        self._check_money(state)
        for model in sorted(state.desk.books):
            self._check_book(state, state.desk.books[model])
        _check_orders(state)
        for contract in state.contracts.rows.rows():
            self._check_contract(contract)
        self._check_audits(state)
        for account, row in state.ledger.accounts.items():
            _check_reputation(state.get_reputation(account), row.bonded)

    def check_end(self) -> None:
        """Everything has ended: no money is left in anything."""
        state = self._exchange.state
        left = {
            "contracts": len(state.contracts.rows),
            "orders": len(state.desk.orders),
            "windows": len(state.windows.rows),
            "motions": len(state.motions.rows),
            "held uruv": state.ledger.totals.held,
            "reserved uruv": sum(row.reserved for row in state.ledger.accounts.rows()),
            "unbonding uruv": sum(row.unbonding for row in state.ledger.accounts.rows()),
        }
        found = {name: count for name, count in left.items() if count}
        _demand("end", not found, f"{found} are left when all is over")
        _demand("end", state.next_deadline() is None, "something is due when all is over")

    # --- money ----------------------------------------------------------------------------------

    def _check_money(self, state: MarketState) -> None:
        ledger, totals = state.ledger, state.ledger.totals
        _demand("P5 money", _count_all(ledger) == totals.minted, "money came or went")
        _demand("P5 money", 0 <= totals.minted <= SUPPLY_MAX, f"{totals.minted} uruv were made")
        held = sum(contract.held for contract in state.contracts.rows.rows())
        _demand("P5 money", held == totals.held, f"{held} of {totals.held} uruv are in contracts")
        reserved: dict[bytes, int] = {}
        for order in state.desk.orders.rows():
            _demand(
                "P5 money", min(order.margin, order.bond) >= 0, "an order holds less than nothing"
            )
            reserved[order.account] = reserved.get(order.account, 0) + order.margin + order.bond
        for account, row in ledger.accounts.items():
            least = min(row.free, row.reserved, row.staked, row.unbonding)
            _demand("P5 money", least >= 0, f"an account has {least} uruv")
            due = reserved.get(account, 0)
            _demand("P5 money", row.reserved == due, f"{row.reserved} uruv back orders of {due}")
        grew = totals.minted >= self._minted and totals.burned >= self._burned
        _demand("P5 money", grew, "what was minted or burned was undone")
        self._minted, self._burned = totals.minted, totals.burned

    # --- books ----------------------------------------------------------------------------------

    def _check_book(self, state: MarketState, book: Book) -> None:
        bids, offers = book.list_resting(Side.BID), book.list_resting(Side.OFFER)
        for bid in bids:
            for offer in offers:
                _check_pair(bid, offer)
        for order in (*bids, *offers):
            _demand("P13 expiry", order.expires_ms > state.time_ms, "an order outlived its time")
            row = state.desk.orders.get(bytes(order.id))
            _demand("P9 index", row is not None, "an order rests that nobody answers for")
            assert row is not None
            agree = (row.lots, row.price) == (order.lots, order.price_uruv)
            _demand("P9 index", agree, "an order is another one in the book")
            _demand("P9 index", row.margin == row.compute_need(), "a margin is not what it covers")

    # --- contracts ------------------------------------------------------------------------------

    def _check_contract(self, contract: Contract) -> None:
        _demand(
            "P6 self-trade", contract.buyer != contract.provider, "an account traded with itself"
        )
        _demand("P16 slash", contract.collateral >= 0, "collateral is less than nothing")
        _demand("P3 price", contract.escrow == contract.price * contract.lots, "escrow is no price")
        before, now = self._receipts.get(contract.id), contract.receipt
        if before is None:
            if now is not None:
                self._receipts[contract.id] = now
            return
        _demand("P15 receipts", now is not None, "a receipt was forgotten")
        assert now is not None
        rises = now == before or (
            now.seq > before.seq and now.tokens_billed >= before.tokens_billed
        )
        _demand("P15 receipts", rises, f"receipt {now.seq} took the place of {before.seq}")
        self._receipts[contract.id] = now

    def _check_audits(self, state: MarketState) -> None:
        for account, audit in state.trail.audits.items():
            before = self._audits.get(account, 0)
            _demand("audit", audit.count >= before, "an account's audit grew shorter")
            self._audits[account] = audit.count


def _count_all(ledger: Ledger) -> int:
    people = sum(
        row.free + row.reserved + row.staked + row.unbonding for row in ledger.accounts.rows()
    )
    totals = ledger.totals
    return people + totals.burned + totals.pool + totals.held


def _check_pair(bid: RestingOrder, offer: RestingOrder) -> None:
    fits = STANDARD_TIERS.serves(offer.tiers, bid.tiers)
    meets = offer.price_uruv <= bid.price_uruv and bid.owner != offer.owner
    _demand("P1 crossed", not (fits and meets), "orders rest that could trade")


def _check_orders(state: MarketState) -> None:
    resting = sum(len(book) for book in state.desk.books.values())
    _demand("P9 index", resting == len(state.desk.orders), "orders and books do not agree")


def _check_reputation(score: int, bonded: int) -> None:
    most = BASIS_POINTS * bonded // (bonded + STAKE_HALF_URUV)
    _demand("P14 reputation", 0 <= score <= most, f"a reputation of {score} on stake for {most}")


def _demand(check: str, holds: bool, message: str) -> None:  # noqa: FBT001 - read aloud: demand that it holds
    if not holds:
        raise CheckFailed(check, message)
