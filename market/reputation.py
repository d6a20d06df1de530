"""Reputation in burned fees: what it costs to gain cannot be had for less by splitting.

What an account has done well and badly is kept in micro-ruv of fees burned and halves about every
44 epochs. A newcomer has nothing and stands lowest, so no fresh identity is ever better than an old
one. The sum over counterparties is all that counts: ten fake buyers earn what one earns.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import msgspec

from market.amounts import BASIS_POINTS, FEE_BP, SUPPLY_MAX
from market.tables import Table

EPOCH_MS: Final = 3_600_000
DECAY_SHIFT: Final = 6
PRIOR_URUV: Final = 50_000_000
"""Burned fees that make half a reputation."""
STAKE_HALF_URUV: Final = 100_000_000
"""Bonded stake that lets half of it count."""
FAULT_DELIVERY: Final = 8
"""How much worse than the fee an undelivered contract is."""
FAULT_FRAUD: Final = 64
"""How much worse a proven substitution is."""
TIERS_BP: Final = (0, 2_000, 5_000, 7_000, 9_000)


class Standing(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What an account has done, as of an epoch."""

    good: int = 0
    bad: int = 0
    epoch: int = 0


def decay(amount: int, epochs: int) -> int:
    """An amount after so many epochs. Small rests stay: it ends once nothing changes."""
    for _ in range(epochs):
        loss = amount >> DECAY_SHIFT
        if loss == 0:
            break
        amount -= loss
    return amount


def compute_score(good: int, bad: int) -> int:
    """A score in basis points, rounded down."""
    return BASIS_POINTS * good // (good + bad + PRIOR_URUV)


def compute_effective_score(score_bp: int, bonded_uruv: int) -> int:
    """A score as far as the stake bears it."""
    return min(score_bp, BASIS_POINTS * bonded_uruv // (bonded_uruv + STAKE_HALF_URUV))


def find_tier(score_bp: int) -> int:
    """The highest tier that a score reaches."""
    return bisect_right(TIERS_BP, score_bp) - 1


def compute_fault(notional_uruv: int, severity: int) -> int:
    """What a fault weighs: the burned half of the fee, so many times; rounded down."""
    return severity * notional_uruv * FEE_BP // (2 * BASIS_POINTS)


class Reputation:
    """Standings of all who have ever settled or failed."""

    def __init__(self, standings: Table[Standing] | None = None) -> None:
        self.standings: Final[Table[Standing]] = Table() if standings is None else standings

    def credit(self, account: bytes, burned_uruv: int, time_ms: int) -> None:
        """A contract was settled clean."""
        row = self._touch(account, time_ms)
        row.good = min(row.good + burned_uruv, SUPPLY_MAX)

    def debit(self, account: bytes, notional_uruv: int, severity: int, time_ms: int) -> None:
        """A fault was found."""
        row = self._touch(account, time_ms)
        row.bad = min(row.bad + compute_fault(notional_uruv, severity), SUPPLY_MAX)

    def compute(self, account: bytes, bonded_uruv: int, time_ms: int) -> int:
        """What an account's reputation is now, in basis points."""
        row = self.standings.get(account)
        if row is None:
            return 0
        good, bad, epochs = row.good, row.bad, time_ms // EPOCH_MS - row.epoch
        if epochs:
            good, bad = decay(good, epochs), decay(bad, epochs)
        return compute_effective_score(compute_score(good, bad), bonded_uruv)

    def look_up(self, account: bytes, time_ms: int) -> Standing:
        """What an account has done, as it counts now."""
        row, epoch = self.standings.get(account), time_ms // EPOCH_MS
        if row is None:
            return Standing(epoch=epoch)
        epochs = epoch - row.epoch
        return Standing(decay(row.good, epochs), decay(row.bad, epochs), epoch)

    def _touch(self, account: bytes, time_ms: int) -> Standing:
        epoch = time_ms // EPOCH_MS
        if account not in self.standings:
            return self.standings.put(account, Standing(epoch=epoch))
        row = self.standings.edit(account)
        row.good = decay(row.good, epoch - row.epoch)
        row.bad = decay(row.bad, epoch - row.epoch)
        row.epoch = epoch
        return row
