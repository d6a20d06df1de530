"""Stake on its way out: it comes free after 14 days, less what penalties have taken by then."""

from __future__ import annotations

from typing import Final

import msgspec

from market.accounts import UNBONDING_MS, Ledger
from market.deadlines import UNBONDING, Deadlines
from market.events import Event, Trail
from market.tables import Table


class Unbonding(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A part of an account's stake that was taken back."""

    account: bytes
    amount: int


class Unbondings:
    """All stake that is on its way out."""

    def __init__(
        self,
        ledger: Ledger,
        deadlines: Deadlines,
        trail: Trail,
        rows: Table[Unbonding] | None = None,
    ) -> None:
        self.rows: Final[Table[Unbonding]] = Table() if rows is None else rows
        self._ledger = ledger
        self._deadlines = deadlines
        self._trail = trail

    def begin(self, command_id: bytes, account: bytes, amount: int, time_ms: int) -> None:
        """Take stake back. Raises `Refused`."""
        self._ledger.unstake(account, amount)
        self.rows.put(command_id, Unbonding(account, amount))
        self._deadlines.set(UNBONDING + command_id, time_ms + UNBONDING_MS)

    def finish(self, command_id: bytes) -> None:
        """The time of one is over."""
        row = self.rows.drop(command_id)
        freed = self._ledger.finish_unbonding(row.account, row.amount)
        self._trail.note(Event("unbonded", row.account, command_id, freed))
