"""The parts of a market and how they hang together; to bytes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dag.canonical import encode
from market.accounts import Ledger
from market.allowances import Allowances
from market.attestation import Compliance
from market.book import Book, BookSnapshot
from market.contracts import Contracts
from market.deadlines import Deadlines
from market.desk import Desk, make_instrument
from market.events import Trail
from market.genesis import MarketGenesis
from market.judging import Judge
from market.motions import Motions
from market.reputation import Reputation, find_tier
from market.stores import STATE_VERSION, Snapshot, make_empty_snapshot
from market.tables import Table, load_table
from market.unbonding import Unbondings
from market.welcomes import Welcomes
from market.windows import Windows


class Parts:
    """Everything the state of a market is made of."""

    def __init__(
        self,
        genesis: MarketGenesis,
        weights: Mapping[bytes, int],
        stored: Snapshot | None = None,
    ) -> None:
        """Begin with nothing, or with stored records."""
        stored = make_empty_snapshot() if stored is None else stored
        self.ledger: Final = Ledger(load_table(stored.accounts), stored.totals)
        self.trail: Final = Trail(load_table(stored.audits))
        self.deadlines: Final = Deadlines(load_table(stored.deadlines))
        self.allowances: Final = Allowances(load_table(stored.allowances))
        self.reputation: Final = Reputation(load_table(stored.standings))
        self.compliance: Final = Compliance(
            load_table(stored.models), load_table(stored.attestations)
        )
        self.windows: Final = Windows(
            self.deadlines, weights, load_table(stored.windows), stored.beacon
        )
        self.motions: Final = Motions(self.deadlines, load_table(stored.motions))
        self.unbondings: Final = Unbondings(
            self.ledger, self.deadlines, self.trail, load_table(stored.unbondings)
        )
        self.welcomes: Final = Welcomes(
            genesis, self.ledger, self.trail, load_table(stored.welcomes)
        )
        self.judge: Final = Judge(self.ledger, self.reputation, self.windows, self.trail)
        self.contracts: Final = Contracts(
            self.ledger,
            self.deadlines,
            self.trail,
            on_open=self.windows.add,
            on_end=self.judge.end,
            rows=load_table(stored.contracts),
        )
        self.desk: Final = Desk(
            genesis.network,
            self.ledger,
            self.trail,
            self.compliance,
            open_contract=self.contracts.open,
            find_tier=self._find_tier,
        )
        self.desk.restore(
            {model: self._restore_book(model, book) for model, book in stored.books},
            stored.orders,
        )

    def _restore_book(self, model: bytes, stored: BookSnapshot) -> Book:
        return Book.restore(make_instrument(self.compliance.get_model(model)), stored)

    def begin(self, index: int, time_ms: int, commit_digest: bytes) -> None:
        """A commit begins."""
        self.contracts.begin()
        self.windows.begin(time_ms, commit_digest)
        self.desk.begin(index, time_ms)

    def _find_tier(self, account: bytes, time_ms: int) -> int:
        """The tier of an account's reputation at a time; strangers are many, so they come first."""
        if self.reputation.standings.get(account) is None:
            return 0
        row = self.ledger.get(account)
        bonded = row.staked + row.unbonding
        return find_tier(self.reputation.compute(account, bonded, time_ms))

    def list_digests(self) -> tuple[bytes, ...]:
        """A digest of each part, or the part itself where it is small."""
        books = [(model, book.describe()) for model, book in sorted(self.desk.books.items())]
        return (
            encode((self.ledger.totals, self.windows.beacon, books)),
            *(table.digest() for table in self._list_tables()),
        )

    def _list_tables(self) -> tuple[Table[Any], ...]:
        return (
            self.ledger.accounts,
            self.allowances.rows,
            self.trail.audits,
            self.reputation.standings,
            self.unbondings.rows,
            self.compliance.models,
            self.compliance.attestations,
            self.desk.orders,
            self.contracts.rows,
            self.windows.rows,
            self.motions.rows,
            self.welcomes.rows,
            self.deadlines.rows,
        )

    def freeze(self, index: int, time_ms: int) -> Snapshot:
        """Everything, as records."""
        return Snapshot(
            STATE_VERSION,
            index,
            time_ms,
            self.ledger.totals,
            self.windows.beacon,
            self.ledger.accounts.dump(),
            self.allowances.rows.dump(),
            self.trail.audits.dump(),
            self.reputation.standings.dump(),
            self.unbondings.rows.dump(),
            self.compliance.models.dump(),
            self.compliance.attestations.dump(),
            self.desk.orders.dump(),
            self.contracts.rows.dump(),
            self.windows.rows.dump(),
            self.motions.rows.dump(),
            self.welcomes.rows.dump(),
            self.deadlines.rows.dump(),
            tuple((model, book.snapshot()) for model, book in sorted(self.desk.books.items())),
        )

    def count_imbalance(self) -> int:
        """How much more money there is than was minted."""
        return self.ledger.count_changed() - self.ledger.totals.minted
