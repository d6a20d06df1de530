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


class Allowance(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What an account had left after the last commit in which it spoke."""

    left: int
    index: int


class Allowances:
    """Allowances of all accounts; one that is whole again need not be kept."""

    def __init__(self, rows: Table[Allowance] | None = None) -> None:
        self.rows: Final[Table[Allowance]] = Table() if rows is None else rows

    def check(self, account: bytes, index: int) -> None:
        """Raises `Refused` for an account that has nothing left."""
        if self._count(account, index) < 1:
            raise Refused(Code.RATE_LIMITED, f"an account has {RATE} commands a commit")

    def spend(self, account: bytes, index: int) -> None:
        """An account has said something."""
        self.rows.put(account, Allowance(self._count(account, index) - 1, index))

    def _count(self, account: bytes, index: int) -> int:
        row = self.rows.get(account)
        if row is None:
            return BURST
        return min(BURST, row.left + RATE * (index - row.index))
