"""Contracts: what follows a trade, from the lock to the payment.

    LOCKED ----------> DELIVERING ----------> CLAIMABLE ----> SETTLED
       |  accept          |    final, close,     |   time, or both final
       |                  |    idle, end         |
       +--> REFUNDED      +-------> DISPUTED <---+
        decline, time-out              +--> RESOLVED
                                      verdict, or none in time

Every contract has one deadline at a time. One that has ended is forgotten: its events tell what it
came to. Money that a contract holds goes to the buyer, to the provider, or is burned, and never
stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from dag.canonical import compute_digest
from market.accounts import Ledger
from market.amounts import (
    BASIS_POINTS,
    LOT_TOKENS,
    compute_billed_tokens,
    compute_cost,
    compute_dispute_bond,
    compute_fee,
    take_share,
)
from market.deadlines import CONTRACT, Deadlines
from market.errors import Code, Refused
from market.events import Event, Trail
from market.receipts import Receipt
from market.tables import Table

CONTRACT_DOMAIN: Final = b"meshnode/market-contract/1"
ACCEPT_MS: Final = 5_000
IDLE_MS: Final = 30_000
CHALLENGE_MS: Final = 600_000
VERDICT_MS: Final = 3_600_000
DURATION_MS: Final = 24 * 3_600_000
"""Longest delivery: a contract ends then, whatever the receipts say."""
TIMEOUT_PENALTY_BP: Final = 100
"""Of the collateral, to the buyer, where the provider does not answer."""
DECLINED: Final = "declined"
UNANSWERED: Final = "not accepted in time"
BUYER_FINAL: Final = 1
PROVIDER_FINAL: Final = 2

Phase = Literal["locked", "delivering", "claimable", "disputed"]
Outcome = Literal["settled", "refunded", "resolved"]
END_KINDS: Final[dict[Outcome, str]] = {
    "settled": "contract_settled",
    "refunded": "contract_refunded",
    "resolved": "contract_resolved",
}
"""The kinds of the events that tell of an end."""


class Contract(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A live contract."""

    id: bytes
    buyer: bytes
    provider: bytes
    model: bytes
    price: int
    lots: int
    sla_tier: int
    in_weight_bp: int
    escrow: int
    collateral: int
    opened_ms: int
    reward: bool
    """Whether the payment is a reward for a contribution."""
    phase: Phase = "locked"
    ends_ms: int = 0
    receipt: Receipt | None = None
    """The last one that both sides have signed."""
    finals: int = 0
    """Who has said that it will not dispute."""
    disputer: bytes = b""
    bond: int = 0
    bid: bytes = b""
    """The order that bought, and below the one that sold: so that their owners find it."""
    offer: bytes = b""

    @property
    def held(self) -> int:
        """All money in it."""
        return self.escrow + self.collateral + self.bond

    @property
    def cost(self) -> int:
        """What is owed by the last receipt."""
        billed = 0 if self.receipt is None else self.receipt.tokens_billed
        return min(compute_cost(self.price, billed), self.escrow)


class Ended(msgspec.Struct, frozen=True, gc=False):
    """How a contract came to its end, for those who judge by it."""

    contract: Contract
    outcome: Outcome
    paid: int
    """By the buyer."""
    burned_fee: int
    clean: bool
    """Neither refused, nor disputed, nor timed out."""
    missed: bool = False
    """Whether the provider let the time for its answer pass."""


class Contracts:
    """All live contracts. Commands raise `Refused` before they change anything."""

    def __init__(
        self,
        ledger: Ledger,
        deadlines: Deadlines,
        trail: Trail,
        *,
        on_open: Callable[[Contract], None],
        on_end: Callable[[Ended, int], None],
        rows: Table[Contract] | None = None,
    ) -> None:
        self.rows: Final[Table[Contract]] = Table() if rows is None else rows
        self.opened: list[Contract] = []
        """Those of the commit that is being folded."""
        self.ended: list[Ended] = []
        self._ledger = ledger
        self._deadlines = deadlines
        self._note_event: Final = trail.note
        self._rows: Final = self.rows.by_key
        self._note_change: Final = self.rows.note_change
        self._on_open = on_open
        self._on_end = on_end

    def begin(self) -> None:
        """A commit begins."""
        self.opened, self.ended = [], []

    def open(self, contract: Contract) -> None:
        """A trade: its money is held already."""
        contract_id, escrow = contract.id, contract.escrow
        note = self._note_event
        self._note_change(contract_id)
        self._rows[contract_id] = contract
        self.opened.append(contract)
        self._deadlines.set(CONTRACT + contract_id, contract.opened_ms + ACCEPT_MS)
        note(Event("contract_locked", contract.buyer, contract_id, escrow))
        note(Event("contract_locked", contract.provider, contract_id, escrow))
        self._on_open(contract)

    def get(self, contract_id: bytes) -> Contract:
        """A live contract, to be read. Raises `Refused`."""
        row = self.rows.get(contract_id)
        if row is None:
            raise Refused(Code.UNKNOWN_CONTRACT, "no such contract is live")
        return row

    # --- what the two sides say -----------------------------------------------------------------

    def accept(self, contract_id: bytes, account: bytes, time_ms: int) -> None:
        """The provider begins."""
        self.check_accept(self.get(contract_id), account)
        row = self.rows.edit(contract_id)
        row.phase = "delivering"
        row.ends_ms = time_ms + DURATION_MS
        self._deadlines.set(CONTRACT + row.id, time_ms + IDLE_MS)
        self._note("contract_accepted", row)

    def check_accept(self, row: Contract, account: bytes) -> None:
        """Raises `Refused` unless this account may take this task now."""
        self._need(row.id, ("locked",), provider=account)

    def decline(self, contract_id: bytes, account: bytes, time_ms: int) -> None:
        """The provider does not want to: all goes back."""
        row = self._need(contract_id, ("locked",), provider=account)
        self._deadlines.clear(CONTRACT + contract_id)
        self._refund(row, time_ms, DECLINED)

    def take_receipt(self, receipt: Receipt, time_ms: int) -> None:
        """Both have signed this; signatures are checked by the caller."""
        row = self.rows.edit(self.check_receipt(receipt).id)
        row.receipt = receipt
        if row.phase == "delivering":
            if receipt.final:
                self._make_claimable(row, time_ms, "final receipt")
            else:
                self._deadlines.set(CONTRACT + row.id, min(time_ms + IDLE_MS, row.ends_ms))
        self._note("contract_receipt", row, row.cost)

    def close(self, contract_id: bytes, account: bytes, time_ms: int) -> None:
        """The buyer has enough."""
        row = self._need(contract_id, ("delivering",))
        if account != row.buyer:
            raise Refused(Code.FOREIGN_CONTRACT, "only its buyer closes a contract")
        self._make_claimable(self.rows.edit(contract_id), time_ms, "closed")

    def finalise(self, contract_id: bytes, account: bytes, time_ms: int) -> None:
        """A side will not dispute."""
        row = self._need_party(contract_id, ("claimable",), account)
        mark = BUYER_FINAL if account == row.buyer else PROVIDER_FINAL
        if row.finals & mark:
            raise Refused(Code.ALREADY_DONE, "this side has said so")
        row = self.rows.edit(contract_id)
        row.finals |= mark
        if row.finals == BUYER_FINAL | PROVIDER_FINAL:
            self._deadlines.clear(CONTRACT + contract_id)
            self._settle(row, time_ms)

    def dispute(self, contract_id: bytes, account: bytes, time_ms: int) -> None:
        """A side asks for a verdict and puts up a bond."""
        row = self._need_party(contract_id, ("delivering", "claimable"), account)
        bond = compute_dispute_bond(row.escrow)
        self._ledger.post_bond(account, bond)
        row = self.rows.edit(contract_id)
        row.phase, row.disputer, row.bond = "disputed", account, bond
        self._deadlines.set(CONTRACT + row.id, time_ms + VERDICT_MS)
        self._note("contract_disputed", row, bond)

    def settle(self, contract_id: bytes, time_ms: int) -> None:
        """Anybody says that the time is up; what is due has ended by itself already."""
        row = self._need(contract_id, ("claimable",))
        due_ms = self._deadlines.get(CONTRACT + contract_id)
        if due_ms is None or due_ms > time_ms:
            raise Refused(Code.NOT_DUE, "the time for disputes runs")
        self._deadlines.clear(CONTRACT + contract_id)
        self._settle(row, time_ms)

    # --- what others find -----------------------------------------------------------------------

    def resolve(
        self, contract_id: bytes, provider_bp: int, time_ms: int, *, is_fraud: bool
    ) -> None:
        """The committee has judged: the provider gets so much of what the receipts say."""
        row = self._need(contract_id, ("disputed",))
        paid = 0 if is_fraud else take_share(row.cost, provider_bp)
        upheld = provider_bp == BASIS_POINTS and not is_fraud
        lost = row.disputer == row.buyer if upheld else row.disputer == row.provider
        self._deadlines.clear(CONTRACT + contract_id)
        self._end(row, time_ms, "resolved", paid, clean=False, bond_burned=lost)

    def convict(self, contract_id: bytes, culprit: bytes, time_ms: int) -> None:
        """One side has signed two receipts of one number: it loses the contract."""
        row = self.get(contract_id)
        paid = row.escrow if culprit == row.buyer else 0
        self._deadlines.clear(CONTRACT + contract_id)
        self._end(row, time_ms, "resolved", paid, clean=False, bond_burned=row.disputer == culprit)

    def expire(self, contract_id: bytes, time_ms: int) -> None:
        """The deadline of a contract has come."""
        row = self.rows.by_key[contract_id]
        if row.phase == "locked":
            self._refund(row, time_ms, UNANSWERED)
        elif row.phase == "delivering":
            self.rows.note_change(row.id)
            self._make_claimable(row, time_ms, "time")
        elif row.phase == "claimable":
            self._settle(row, time_ms)
        else:
            self._end(row, time_ms, "resolved", row.cost, clean=False)

    # --- checks ---------------------------------------------------------------------------------

    def _need(
        self, contract_id: bytes, phases: tuple[Phase, ...], *, provider: bytes | None = None
    ) -> Contract:
        row = self.get(contract_id)
        if provider is not None and provider != row.provider:
            raise Refused(Code.FOREIGN_CONTRACT, "only its provider says this")
        if row.phase not in phases:
            raise Refused(Code.WRONG_PHASE, f"the contract is {row.phase}")
        return row

    def _need_party(
        self, contract_id: bytes, phases: tuple[Phase, ...], account: bytes
    ) -> Contract:
        row = self.get(contract_id)
        if account not in (row.buyer, row.provider):
            raise Refused(Code.FOREIGN_CONTRACT, "only its two sides say this")
        return self._need(contract_id, phases)

    def check_receipt(self, receipt: Receipt) -> Contract:
        """The contract that a receipt says more about. Raises `Refused`."""
        row = self._need(receipt.contract, ("delivering", "claimable"))
        billed = compute_billed_tokens(receipt.tokens_in, receipt.tokens_out, row.in_weight_bp)
        if receipt.tokens_billed != billed:
            raise Refused(
                Code.BAD_RECEIPT, f"it bills {receipt.tokens_billed} tokens where {billed} count"
            )
        if billed > row.lots * LOT_TOKENS:
            raise Refused(Code.BAD_RECEIPT, "it bills more than the contract is for")
        last = row.receipt
        if last is None:
            return row
        if receipt.seq <= last.seq or last.final:
            raise Refused(Code.STALE_RECEIPT, f"receipt {last.seq} is held")
        if receipt.tokens_in < last.tokens_in or receipt.tokens_out < last.tokens_out:
            raise Refused(Code.BAD_RECEIPT, "it counts less than the one before")
        return row

    # --- ends -----------------------------------------------------------------------------------

    def _make_claimable(self, row: Contract, time_ms: int, why: str) -> None:
        row.phase = "claimable"
        self._deadlines.set(CONTRACT + row.id, time_ms + CHALLENGE_MS)
        self._note("contract_claimable", row, row.cost, why)

    def _settle(self, row: Contract, time_ms: int) -> None:
        self._end(row, time_ms, "settled", row.cost, clean=True)

    def _refund(self, row: Contract, time_ms: int, why: str) -> None:
        """Give all back; a provider that did not even answer leaves a part of its collateral."""
        missed = why == UNANSWERED
        penalty = take_share(row.collateral, TIMEOUT_PENALTY_BP) if missed else 0
        back = row.escrow + penalty
        self._ledger.end_contract(row.buyer, row.provider, back, 0, row.collateral - penalty)
        self._finish(Ended(row, "refunded", 0, 0, clean=False, missed=missed), time_ms, back, why)

    def _end(
        self,
        row: Contract,
        time_ms: int,
        outcome: Outcome,
        paid: int,
        *,
        clean: bool,
        bond_burned: bool = False,
    ) -> None:
        """Pay what is owed less the fee, give back the rest, and forget the contract."""
        fee = compute_fee(paid)
        self._ledger.burn_held(fee.burned_uruv)
        self._ledger.pool_held(fee.pooled_uruv)
        self._ledger.end_contract(
            row.buyer,
            row.provider,
            row.escrow - paid,
            paid - fee.total_uruv,
            row.collateral,
        )
        if bond_burned:
            self._ledger.burn_held(row.bond)
        elif row.bond:
            self._ledger.pay(row.disputer, row.bond)
        ended = Ended(row, outcome, paid, fee.burned_uruv, clean=clean)
        self._finish(ended, time_ms, paid, "reward" if row.reward else "price")

    def _finish(self, ended: Ended, time_ms: int, amount: int, detail: str) -> None:
        """Forget a contract, and tell of its end."""
        row, kind = ended.contract, END_KINDS[ended.outcome]
        contract_id, note = row.id, self._note_event
        self._note_change(contract_id)
        del self._rows[contract_id]
        note(Event(kind, row.buyer, contract_id, amount, detail))
        note(Event(kind, row.provider, contract_id, amount, detail))
        self.ended.append(ended)
        self._on_end(ended, time_ms)

    def _note(self, kind: str, row: Contract, amount: int = 0, detail: str = "") -> None:
        note = self._note_event
        note(Event(kind, row.buyer, row.id, amount, detail))
        note(Event(kind, row.provider, row.id, amount, detail))


def compute_contract_id(
    network: bytes, model: bytes, trade: int, bid: bytes, offer: bytes
) -> bytes:
    """Name a contract by the trade it comes from."""
    content = b"".join((network, model, trade.to_bytes(8, "big"), bid, offer))
    return compute_digest(CONTRACT_DOMAIN, content)
