"""What follows from how contracts end and what probers saw: reputation, and slashed stake.

Every micro-ruv that is slashed arrives somewhere: half with the buyers who were let down, each at
most what it paid, and all the rest is burned. Whoever reports or accuses gets nothing, so nothing
is gained by extortion.
"""

from __future__ import annotations

from typing import Final

from market.accounts import Ledger
from market.amounts import BASIS_POINTS, split_pro_rata, take_share
from market.contracts import Contract, Contracts, Ended
from market.events import Event, Trail
from market.reputation import FAULT_DELIVERY, FAULT_FRAUD, Reputation
from market.sla import COLLATERAL_BP, EQUIVOCATION_BP, compute_slash, get_guarantee
from market.windows import Served, Window, Windows


class Judge:
    """Applies the penalties of the market."""

    def __init__(
        self, ledger: Ledger, reputation: Reputation, windows: Windows, trail: Trail
    ) -> None:
        self._ledger: Final = ledger
        self._reputation: Final = reputation
        self._windows: Final = windows
        self._trail: Final = trail

    def end(self, ended: Ended, time_ms: int) -> None:
        """A contract has ended."""
        self._windows.end(ended)
        if ended.clean:
            contract = ended.contract
            for account in (contract.buyer, contract.provider):
                self._reputation.credit(account, ended.burned_fee, time_ms)

    def judge_verdict(
        self, contract: Contract, provider_bp: int, time_ms: int, *, is_fraud: bool
    ) -> None:
        """A disputed contract was judged; who was wrong stands worse."""
        notional = contract.escrow
        if is_fraud:
            self._reputation.debit(contract.provider, notional, FAULT_FRAUD, time_ms)
            taken = self._ledger.take_penalty(
                contract.provider, self._ledger.get(contract.provider).bonded
            )
            # The verdict has refunded the buyer, so there is nobody left to compensate.
            self._divide(contract.provider, contract.id, taken, [])
        elif provider_bp < BASIS_POINTS:
            self._reputation.debit(contract.provider, notional, FAULT_DELIVERY, time_ms)
        elif contract.disputer == contract.buyer:
            self._reputation.debit(contract.buyer, notional, FAULT_DELIVERY, time_ms)

    def punish_equivocation(self, contract: Contract, culprit: bytes, time_ms: int) -> None:
        """A side signed two receipts of one number: a tenth of its stake is burned."""
        self._reputation.debit(culprit, contract.escrow, FAULT_FRAUD, time_ms)
        penalty = take_share(self._ledger.get(culprit).bonded, EQUIVOCATION_BP)
        self._divide(culprit, contract.id, self._ledger.take_penalty(culprit, penalty), [])

    def has_broken(self, window: Window) -> bool:
        """Whether any guarantee of a window was broken."""
        ok, probes = window.count()
        tiers = dict.fromkeys(row.sla_tier for row in window.served.values())
        return any(compute_slash(get_guarantee(tier), ok, probes) for tier in tiers)

    def judge_window(self, window: Window, contracts: Contracts, time_ms: int) -> None:
        """The reports on a window are in: whoever broke a guarantee pays."""
        ok, probes = window.count()
        subject = window.number.to_bytes(8, "big")
        for tier in range(1, len(COLLATERAL_BP)):
            slash_bp = compute_slash(get_guarantee(tier), ok, probes)
            served = {key: row for key, row in window.served.items() if row.sla_tier == tier}
            if not slash_bp or not served:
                continue
            for key, row in served.items():
                live = contracts.rows.get(key)
                if live is not None:
                    row.paid = live.cost
            rows = list(served.values())
            collateral = sum(row.collateral for row in rows)
            penalty = take_share(collateral, slash_bp)
            taken = self._ledger.take_penalty(window.provider, penalty)
            self._divide(window.provider, subject, taken, rows)
            notional = sum(row.escrow for row in rows)
            self._reputation.debit(window.provider, notional, FAULT_DELIVERY, time_ms)

    def _divide(self, culprit: bytes, subject: bytes, taken: int, served: list[Served]) -> None:
        """Half to the buyers by what they had locked, up to what they paid; the rest is burned."""
        shares = split_pro_rata(
            taken // 2, [row.escrow for row in served], [row.paid for row in served]
        )
        for row, share in zip(served, shares, strict=True):
            if share:
                self._ledger.pay(row.buyer, share)
                self._trail.note(Event("compensated", row.buyer, subject, share))
        self._ledger.burn_held(taken - sum(shares))
        self._trail.note(Event("slashed", culprit, subject, taken))
