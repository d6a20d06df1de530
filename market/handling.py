"""What each command does, and what happens when a deadline comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, assert_never

from dag.types import ID_BYTES
from market.amounts import BASIS_POINTS, check_amount
from market.attestation import check_listing, check_text, compute_model_id
from market.commands import (
    Accept,
    Attest,
    CancelAll,
    CancelOrder,
    Close,
    Decline,
    Dispute,
    Finalise,
    ListMotion,
    MintMotion,
    Motion,
    PlaceOrder,
    PoolMotion,
    PostReceipt,
    ProveEquivocation,
    ReduceOrder,
    ReplaceOrder,
    ReportProbes,
    Revoke,
    Settle,
    Stake,
    Transfer,
    Unstake,
    VerdictMotion,
)
from market.contracts import Contract
from market.deadlines import CONTRACT, EPOCH, MOTION, UNBONDING, WINDOW
from market.errors import Code, Refused
from market.events import Event
from market.parts import Parts
from market.receipts import ReceiptVerifier
from market.reputation import EPOCH_MS
from market.sequencing import Issued


class Handler:
    """Follows commands and deadlines. What is refused raises before it changes anything."""

    def __init__(
        self, parts: Parts, verifier: ReceiptVerifier, weights: Mapping[bytes, int]
    ) -> None:
        self._parts: Final = parts
        self._verifier: Final = verifier
        self._weights: Final = weights
        self._index = self._time_ms = 0
        self.routes: Final[dict[type, Callable[[Issued, Any], None]]] = {
            PlaceOrder: parts.desk.place,
            **dict.fromkeys((CancelOrder, CancelAll, ReduceOrder, ReplaceOrder), self._change),
            **dict.fromkeys((Transfer, Stake, Unstake), self._move),
            **dict.fromkeys((Attest, Revoke), self._open_backend),
            **dict.fromkeys((Accept, Decline, Close, Finalise, Dispute, Settle), self._perform),
            **dict.fromkeys((MintMotion, PoolMotion, ListMotion, VerdictMotion), self._move_motion),
            PostReceipt: self._take_receipt,
            ProveEquivocation: self._convict,
            ReportProbes: self._report,
        }
        """What follows a command, by its type; raises `Refused`. To try one type after the other
        costs more than most do."""

    def begin(self, index: int, time_ms: int, commit_digest: bytes) -> None:
        """A commit begins."""
        self._index, self._time_ms = index, time_ms
        self._parts.begin(index, time_ms, commit_digest)

    def end(self) -> None:
        """A commit ends: while there are orders, an epoch has an end."""
        deadlines = self._parts.deadlines
        if len(self._parts.desk.orders) and deadlines.get(EPOCH) is None:
            deadlines.set(EPOCH, (self._time_ms // EPOCH_MS + 1) * EPOCH_MS)

    # --- deadlines ------------------------------------------------------------------------------

    def expire(self, subject: bytes) -> None:
        """A deadline has come."""
        parts, kind, key = self._parts, subject[:1], subject[1:]
        if kind == CONTRACT:
            parts.contracts.expire(key, self._time_ms)
        elif kind == UNBONDING:
            parts.unbondings.finish(key)
        elif kind == MOTION:
            parts.motions.lapse(key)
        elif kind == WINDOW:
            self._judge_window(key)
        else:
            assert kind == EPOCH
            parts.desk.begin_epoch()

    def _judge_window(self, key: bytes) -> None:
        parts = self._parts
        window = parts.windows.rows.drop(key)
        if parts.judge.has_broken(window):
            # Margins of offers are stake too, and no shelter.
            parts.desk.withdraw_all_offers(window.provider)
            parts.judge.judge_window(window, parts.contracts, self._time_ms)

    # --- commands -------------------------------------------------------------------------------

    def _change(
        self, issued: Issued, command: CancelOrder | CancelAll | ReduceOrder | ReplaceOrder
    ) -> None:
        desk, account = self._parts.desk, issued.account
        match command:
            case CancelOrder():
                desk.cancel(command.order, account)
            case CancelAll():
                desk.cancel_all(account, command.model)
            case ReduceOrder():
                desk.reduce(command.order, account, command.lots)
            case ReplaceOrder():
                desk.replace(command.order, account, command.price, command.lots)
            case _:
                assert_never(command)

    def _move(self, issued: Issued, command: Transfer | Stake | Unstake) -> None:
        ledger, account = self._parts.ledger, issued.account
        check_amount(command.amount)
        match command:
            case Transfer():
                check_text(command.memo)
                _check_id(command.receiver)
                if command.receiver == account:
                    raise Refused(Code.SAME_ACCOUNT, "the money is there already")
                ledger.transfer(account, command.receiver, command.amount)
                self._note("sent", account, issued.id, command.amount)
                self._note("received", command.receiver, issued.id, command.amount)
            case Stake():
                ledger.stake(account, command.amount)
                self._note("staked", account, issued.id, command.amount)
            case Unstake():
                unbondings = self._parts.unbondings
                unbondings.begin(issued.id, account, command.amount, self._time_ms)
                self._note("unstaked", account, issued.id, command.amount)
            case _:
                assert_never(command)

    def _open_backend(self, issued: Issued, command: Attest | Revoke) -> None:
        compliance, account = self._parts.compliance, issued.account
        if isinstance(command, Attest):
            key = compliance.attest(account, command, self._index)
            self._note("attested", account, key, detail=command.backend)
        else:
            key = compliance.revoke(account, command.model)
            self._note("revoked", account, key)
            self._parts.desk.withdraw_offers(command.model, account)

    def _perform(
        self, issued: Issued, command: Accept | Decline | Close | Finalise | Dispute | Settle
    ) -> None:
        contracts, time_ms, account = self._parts.contracts, self._time_ms, issued.account
        match command:
            case Accept():
                self._accept(contracts.get(command.contract), account)
            case Decline():
                contracts.decline(command.contract, account, time_ms)
            case Close():
                contracts.close(command.contract, account, time_ms)
            case Finalise():
                contracts.finalise(command.contract, account, time_ms)
            case Dispute():
                check_text(command.reason)
                _check_id(command.evidence_digest)
                contracts.dispute(command.contract, account, time_ms)
            case Settle():
                contracts.settle(command.contract, time_ms)
            case _:
                assert_never(command)

    def _accept(self, contract: Contract, account: bytes) -> None:
        parts = self._parts
        parts.contracts.check_accept(contract, account)
        parts.compliance.use_lots(account, contract.model, contract.lots, self._time_ms)
        parts.contracts.accept(contract.id, account, self._time_ms)

    # --- receipts -------------------------------------------------------------------------------

    def _take_receipt(self, _: Issued, command: PostReceipt) -> None:
        signed = command.receipt
        receipt = self._verifier.open(signed.receipt)
        contract = self._parts.contracts.check_receipt(receipt)
        for account, signature in (
            (contract.buyer, signed.buyer_signature),
            (contract.provider, signed.provider_signature),
        ):
            self._verifier.check_signature(signed.receipt, account, signature)
        self._parts.contracts.take_receipt(receipt, self._time_ms)

    def _convict(self, _: Issued, proof: ProveEquivocation) -> None:
        """Two receipts of one number and one signer: it loses the contract and part of its stake."""
        first, second = (self._verifier.open(half.receipt) for half in (proof.first, proof.second))
        if (first.contract, first.seq) != (second.contract, second.seq) or first == second:
            raise Refused(Code.NO_EQUIVOCATION, "the receipts do not contradict each other")
        contract = self._parts.contracts.get(first.contract)
        for account in (contract.buyer, contract.provider):
            if all(
                self._verifier.is_signed(half.receipt, account, half.signature)
                for half in (proof.first, proof.second)
            ):
                self._parts.contracts.convict(contract.id, account, self._time_ms)
                self._parts.judge.punish_equivocation(contract, account, self._time_ms)
                return
        raise Refused(Code.BAD_SIGNATURE, "neither side has signed both receipts")

    # --- the committee --------------------------------------------------------------------------

    def _report(self, issued: Issued, command: ReportProbes) -> None:
        self._parts.windows.report(
            issued.account, command.provider, command.window, command.outcomes
        )

    def _move_motion(self, issued: Issued, motion: Motion) -> None:
        motions, member = self._parts.motions, issued.account
        self._check_motion(motion)
        key = motions.check(motion, member, self._weights)
        carried = motions.would_carry(key, member, self._weights)
        if carried:
            self._carry(key, motion)
        motions.support(key, member, self._time_ms, carried=carried)
        self._note("carried" if carried else "moved", member, key)

    def _check_motion(self, motion: Motion) -> None:
        match motion:
            case MintMotion() | PoolMotion():
                check_amount(motion.amount)
                _check_id(motion.account)
            case ListMotion():
                check_listing(motion)
            case VerdictMotion():
                check_text(motion.method)
                if not 0 <= motion.provider_bp <= BASIS_POINTS:
                    raise Refused(Code.OUT_OF_RANGE, f"a part is 0 to {BASIS_POINTS}")
                if self._parts.contracts.get(motion.contract).phase != "disputed":
                    raise Refused(Code.WRONG_PHASE, "the contract is not disputed")
            case _:
                assert_never(motion)

    def _carry(self, key: bytes, motion: Motion) -> None:
        parts = self._parts
        match motion:
            case MintMotion():
                parts.ledger.mint(motion.account, motion.amount)
                self._note("minted", motion.account, key, motion.amount)
            case PoolMotion():
                parts.ledger.spend_pool(motion.account, motion.amount)
                self._note("paid_from_pool", motion.account, key, motion.amount)
            case ListMotion():
                parts.compliance.list_model(motion)
                if motion.policy == "forbidden":
                    parts.desk.withdraw_offers(compute_model_id(motion))
            case VerdictMotion():
                self._pass_verdict(motion)
            case _:
                assert_never(motion)

    def _pass_verdict(self, motion: VerdictMotion) -> None:
        parts, contract = self._parts, self._parts.contracts.get(motion.contract)
        if motion.fraud:
            # Margins of offers are stake too, and no shelter.
            parts.desk.withdraw_all_offers(contract.provider)
        parts.contracts.resolve(
            contract.id, motion.provider_bp, self._time_ms, is_fraud=motion.fraud
        )
        parts.judge.judge_verdict(
            contract, motion.provider_bp, self._time_ms, is_fraud=motion.fraud
        )

    def _note(
        self, kind: str, account: bytes, subject: bytes, amount: int = 0, detail: str = ""
    ) -> None:
        self._parts.trail.note(Event(kind, account, subject, amount, detail))


def _check_id(name: bytes) -> None:
    if len(name) != ID_BYTES:
        raise Refused(Code.OUT_OF_RANGE, f"an id has {ID_BYTES} bytes")
