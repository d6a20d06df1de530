"""Who has what: accounts, what contracts hold, the pool, and what was burned.

An account is a vertex author. Its money is free, reserved by its orders, staked, or on its way out
of the stake. Every change here moves money from one place to another, all or nothing, so the sum of
all places always equals what was minted.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from market.amounts import SUPPLY_MAX
from market.errors import Code, Refused
from market.tables import Table

UNBONDING_MS: Final = 14 * 24 * 3_600_000


class Account(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The money of one author, in micro-ruv."""

    free: int = 0
    reserved: int = 0
    """Margins and bonds of its orders."""
    staked: int = 0
    unbonding: int = 0
    """No longer staked, not yet free; a penalty still reaches it."""

    @property
    def bonded(self) -> int:
        """What a penalty can take."""
        return self.staked + self.unbonding


class Totals(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Money that no account has."""

    minted: int = 0
    burned: int = 0
    pool: int = 0
    """Half of all fees; the committee spends it on those who probe."""
    held: int = 0
    """Escrow, collateral and dispute bonds of all contracts."""


NO_ACCOUNT: Final = Account()
Holding: TypeAlias = tuple[bytes, int, int]
"""An account, what of its reserve goes into a contract, and what of it is free again."""


class Ledger:
    """All accounts. Methods raise `Refused` before they change anything."""

    def __init__(
        self, accounts: Table[Account] | None = None, totals: Totals | None = None
    ) -> None:
        self.accounts: Final[Table[Account]] = Table() if accounts is None else accounts
        self.totals: Final = Totals() if totals is None else totals
        self._rows: Final = self.accounts.by_key
        self._note_change: Final = self.accounts.note_change
        self._counted: dict[bytes, int] = {}
        """What each account had when it was last counted."""
        self._counted_sum = 0
        self.accounts.watch()

    def get(self, account: bytes) -> Account:
        """What an account has; nothing for one that never had any. To be read only."""
        return self.accounts.get(account) or NO_ACCOUNT

    def mint(self, account: bytes, amount: int) -> None:
        """Make new money."""
        if self.totals.minted + amount > SUPPLY_MAX:
            raise Refused(Code.SUPPLY_EXHAUSTED, f"no more than {SUPPLY_MAX} uruv can be")
        self.totals.minted += amount
        self._open(account).free += amount

    def transfer(self, sender: bytes, receiver: bytes, amount: int) -> None:
        """Move free money."""
        self._need_free(sender, amount)
        self.accounts.edit(sender).free -= amount
        self._open(receiver).free += amount

    # --- stake ----------------------------------------------------------------------------------

    def stake(self, account: bytes, amount: int) -> None:
        """Free money becomes stake."""
        self._need_free(account, amount)
        row = self.accounts.edit(account)
        row.free -= amount
        row.staked += amount

    def unstake(self, account: bytes, amount: int) -> None:
        """Stake begins to come free."""
        self._need_stake(account, amount)
        row = self.accounts.edit(account)
        row.staked -= amount
        row.unbonding += amount

    def finish_unbonding(self, account: bytes, amount: int) -> int:
        """Let go of what unbonded; answers how much penalties have left of it."""
        row = self.accounts.edit(account)
        left = min(amount, row.unbonding)
        row.unbonding -= left
        row.free += left
        return left

    def take_penalty(self, account: bytes, amount: int) -> int:
        """Take from the stake, then from what unbonds; answers what was there to take.

        The money is held until the caller pays it out or burns it.
        """
        if account not in self.accounts:
            return 0
        row = self.accounts.edit(account)
        staked = min(amount, row.staked)
        unbonding = min(amount - staked, row.unbonding)
        row.staked -= staked
        row.unbonding -= unbonding
        self.totals.held += staked + unbonding
        return staked + unbonding

    # --- orders ---------------------------------------------------------------------------------

    def reserve(self, account: bytes, free: int = 0, staked: int = 0) -> None:
        """Set money aside for an order."""
        row = self._rows.get(account, NO_ACCOUNT)
        if row.free < free:
            self._need_free(account, free)
        if staked:
            if row.staked < staked:
                self._need_stake(account, staked)
            row.staked -= staked
        elif not free:
            return
        self._note_change(account)
        row.free -= free
        row.reserved += free + staked

    def release(self, account: bytes, free: int = 0, staked: int = 0, burned: int = 0) -> None:
        """Undo a reservation: back to where each part came from, or burned."""
        self._note_change(account)
        row = self._rows[account]
        row.reserved -= free + staked + burned
        if free:
            row.free += free
        if staked:
            row.staked += staked
        if burned:
            self.totals.burned += burned

    def begin_contract(self, buyer: Holding, provider: Holding) -> None:
        """What two sides have reserved goes into a contract; bonds of their orders come back."""
        held, rows, note_change = 0, self._rows, self._note_change
        for account, amount, bond in (buyer, provider):
            note_change(account)
            row = rows[account]
            row.reserved -= amount + bond
            if bond:
                row.free += bond
            held += amount
        self.totals.held += held

    # --- contracts ------------------------------------------------------------------------------

    def end_contract(
        self, buyer: bytes, provider: bytes, back: int, paid: int, collateral: int
    ) -> None:
        """What two sides get of what is held; the collateral becomes stake again."""
        rows, note_change = self._rows, self._note_change
        note_change(buyer)
        rows[buyer].free += back
        note_change(provider)
        row = rows[provider]
        if paid:
            row.free += paid
        row.staked += collateral
        self.totals.held -= back + paid + collateral

    def post_bond(self, account: bytes, amount: int) -> None:
        """Free money goes into a contract."""
        self._need_free(account, amount)
        self.accounts.edit(account).free -= amount
        self.totals.held += amount

    def pay(self, account: bytes, amount: int) -> None:
        """What is held becomes somebody's free money."""
        self.totals.held -= amount
        self._open(account).free += amount

    def burn_held(self, amount: int) -> None:
        """What is held is gone."""
        self.totals.held -= amount
        self.totals.burned += amount

    def pool_held(self, amount: int) -> None:
        """What is held goes into the pool."""
        self.totals.held -= amount
        self.totals.pool += amount

    def spend_pool(self, account: bytes, amount: int) -> None:
        """Pay out of the pool."""
        if amount > self.totals.pool:
            raise Refused(Code.INSUFFICIENT_FUNDS, f"the pool has {self.totals.pool} uruv")
        self.totals.pool -= amount
        self._open(account).free += amount

    # --- the invariant --------------------------------------------------------------------------

    def count_all(self) -> int:
        """All money there is, every account counted: equal to what was minted."""
        return self._count_elsewhere() + sum(
            row.free + row.reserved + row.staked + row.unbonding for row in self.accounts.rows()
        )

    def count_changed(self) -> int:
        """The same, but only accounts that have changed since the last time are counted anew."""
        rows, counted, change = self._rows, self._counted, 0
        for account in self.accounts.take_changes():
            row = rows.get(account, NO_ACCOUNT)
            money = row.free + row.reserved + row.staked + row.unbonding
            change += money - counted.get(account, 0)
            counted[account] = money
        self._counted_sum += change
        return self._count_elsewhere() + self._counted_sum

    # --- inside ---------------------------------------------------------------------------------

    def _count_elsewhere(self) -> int:
        return self.totals.burned + self.totals.pool + self.totals.held

    def _open(self, account: bytes) -> Account:
        try:
            return self.accounts.edit(account)
        except KeyError:
            return self.accounts.put(account, Account())

    def _need_free(self, account: bytes, amount: int) -> None:
        free = self.get(account).free
        if free < amount:
            raise Refused(
                Code.INSUFFICIENT_FUNDS, f"{free} uruv are free where {amount} are needed"
            )

    def _need_stake(self, account: bytes, amount: int) -> None:
        staked = self.get(account).staked
        if staked < amount:
            raise Refused(
                Code.INSUFFICIENT_STAKE, f"{staked} uruv are staked where {amount} are needed"
            )
