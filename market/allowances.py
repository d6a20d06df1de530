"""How much an account may say: tokens that come back with commits, one for each command.

What is refused costs nothing, for it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

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
        """How much an account may say in this commit, if it has said nothing in it yet."""
        row = self.rows.get(account)
        if row is None:
            return BURST
        return min(BURST, row.left + RATE * (index - row.index))

    def settle(self, lefts: Mapping[bytes, int], index: int) -> None:
        """A commit ends: so much is left to each account that has said something in it."""
        for account, left in lefts.items():
            row = self.rows.get(account)
            if row is None:
                self.rows.put(account, Allowance(left, index))
            else:
                self.rows.note_change(account)
                row.left, row.index = left, index
