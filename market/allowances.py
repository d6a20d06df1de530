"""How much an account may say: tokens that come back with commits, one for each command.

What is refused costs nothing, for it changes nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from market.errors import Code, Refused
from market.tables import Table

RATE: Final = 10
"""Commands of an account for which each commit makes room."""
BURST: Final = 40
"""Most that can be saved up."""


class Allowance(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """What an account had left after the last commit in which it spoke."""

    left: int
    index: int


class Allowances:
    """Allowances of all accounts; one that is whole again need not be kept."""

    def __init__(self, rows: Table[Allowance] | None = None) -> None:
        self.rows: Final[Table[Allowance]] = Table() if rows is None else rows

    def count(self, account: bytes, index: int) -> int:
        """How much an account may say now; at least 1. Raises `Refused`."""
        row = self.rows.get(account)
        left = BURST if row is None else row.left + RATE * (index - row.index)
        if left > BURST:
            return BURST
        if left < 1:
            raise Refused(Code.RATE_LIMITED, f"an account has {RATE} commands a commit")
        return left

    def spend(self, account: bytes, index: int, left: int) -> None:
        """An account has said something, of so much as it could."""
        row = self.rows.get(account)
        if row is None:
            self.rows.put(account, Allowance(left - 1, index))
            return
        self.rows.note_change(account)
        row.left = left - 1
        if row.index != index:
            row.index = index
