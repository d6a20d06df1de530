"""Seeded bugs of `market`, hunted by nodes that fold the same commits (`simulations.folding`)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

import market.desk
import market.state
from market.accounts import Ledger
from market.book import Book
from market.contracts import Contracts
from market.deadlines import Deadlines
from market.matching import Matcher
from market.parts import Parts
from market.settling import Settler
from simulations.fuzzing.mutants.patches import Mutant, Patch, answer


def _keep_arrivals(_right: Any) -> Any:
    return lambda _commit, issued: iter(issued)


def _sort_by_hash(_right: Any) -> Any:
    return lambda _commit, issued: iter(sorted(issued, key=lambda each: hash(each.id)))


def _forget(name: str) -> Any:
    def make(right: Any) -> Any:
        def freeze(self: Parts, index: int, time_ms: int) -> Any:
            return msgspec.structs.replace(right(self, index, time_ms), **{name: ()})

        return freeze

    return make


def _pay_from_nowhere(right: Any) -> Any:
    def pay(self: Ledger, account: bytes, amount: int) -> None:
        right(self, account, amount)
        self.totals.held += amount // 2

    return pay


def _expire_late(right: Any) -> Any:
    def advance(self: Book, now_ms: int) -> Any:
        return right(self, now_ms - 1)

    return advance


def _allow_self_trades(right: Any) -> Any:
    def make(model: Any) -> Any:
        return msgspec.structs.replace(right(model), allows_self_trades=True)

    return make


def _take_old_receipts(right: Any) -> Any:
    def check(self: Contracts, receipt: Any) -> Any:
        row = self.get(receipt.contract)
        last, row.receipt = row.receipt, None
        try:
            return right(self, receipt)
        finally:
            row.receipt = last

    return check


def _keep_margins(right: Any) -> Any:
    def adjust(self: Settler, book: Any, row: Any, reason: Any) -> None:
        alive = book.get(row.id)
        if alive is None:
            right(self, book, row, reason)
        else:
            row.lots = alive.lots

    return adjust


def _keep_collateral(right: Any) -> Any:
    def end(self: Ledger, buyer: bytes, provider: bytes, back: int, paid: int, _kept: int) -> None:
        right(self, buyer, provider, back, paid, 0)

    return end


def _seed(name: str, says: str, *patches: Patch) -> Mutant:
    return Mutant(name, says, patches, shown_by="market")


SEEDED: Final = (
    _seed("as-they-came", "commands count as they came", (market.state, "arrange", _keep_arrivals)),
    _seed(
        "sorted-by-hash", "commands are sorted by hash", (market.state, "arrange", _sort_by_hash)
    ),
    _seed(
        "snapshot-allowances",
        "snapshots hold no allowances",
        (Parts, "freeze", _forget("allowances")),
    ),
    _seed("snapshot-motions", "snapshots hold no motions", (Parts, "freeze", _forget("motions"))),
    _seed("money-from-nowhere", "what is paid stays, too", (Ledger, "pay", _pay_from_nowhere)),
    _seed("crossed-rests", "orders that meet both rest", (Matcher, "match", answer(None))),
    _seed("expired-late", "orders end a moment late", (Book, "advance", _expire_late)),
    _seed(
        "self-trades",
        "accounts trade with themselves",
        (market.desk, "make_instrument", _allow_self_trades),
    ),
    _seed(
        "old-receipts", "an older receipt counts", (Contracts, "check_receipt", _take_old_receipts)
    ),
    _seed("margin-kept", "a smaller order frees nothing", (Settler, "_adjust", _keep_margins)),
    _seed("never-due", "no deadline ever comes", (Deadlines, "take_due", answer(()))),
    _seed(
        "collateral-lost",
        "collateral is not given back",
        (Ledger, "end_contract", _keep_collateral),
    ),
)
