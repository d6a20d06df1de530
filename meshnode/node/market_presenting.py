"""The market, as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from market.contracts import BUYER_FINAL, PROVIDER_FINAL
from market.deadlines import CONTRACT, UNBONDING
from market.events import Audit
from market.orders import RestingOrder, Side
from market.reputation import TIERS_BP, find_tier
from market.sla import get_guarantee
from market.tiers import STANDARD_TIERS
from meshnode.market_views import (
    AttestationInfo,
    AttributesInfo,
    AuditInfo,
    BookInfo,
    ContractInfo,
    HistoryEntry,
    InstrumentInfo,
    LevelInfo,
    MarketInfo,
    MarketUpdate,
    OrderInfo,
    ReceiptInfo,
    ReputationInfo,
    TradeInfo,
    UnbondingInfo,
    WalletInfo,
)
from meshnode.node.presenting import name_author
from meshnode.shell.market_table import StoredEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from market.attestation import Attestation
    from market.contracts import Contract
    from market.open_orders import OpenOrder
    from market.receipts import Receipt
    from market.state import MarketState
    from meshnode.shell.market_table import AuditSum, StoredContract, StoredStep

DIMENSIONS: Final = len(STANDARD_TIERS.dimensions)


class MarketPresenter:
    """Shows a market with the names that its accounts have at this moment."""

    def __init__(self, market: MarketState, names: Mapping[bytes, str]) -> None:
        self._market = market
        self._names = names

    # --- books ----------------------------------------------------------------------------------

    def show_instrument(self, model: bytes) -> InstrumentInfo:
        """A listed model; it must be listed."""
        listed = self._market.compliance.get_model(model)
        book = self._market.desk.books.get(model)
        bids = [] if book is None else book.list_resting(Side.BID)
        offers = [] if book is None else book.list_resting(Side.OFFER)
        return InstrumentInfo(
            model=model.hex(),
            variant=listed.model_variant,
            backend_class=listed.backend_class,
            in_weight_bp=listed.in_weight_bp,
            policy=listed.policy,
            best_bid_uruv=bids[0].price_uruv if bids else None,
            best_offer_uruv=offers[0].price_uruv if offers else None,
            bid_lots=sum(order.lots for order in bids),
            offer_lots=sum(order.lots for order in offers),
            orders=len(bids) + len(offers),
            trades=0 if book is None else book.trades,
        )

    def show_book(self, model: bytes, depth: int) -> BookInfo:
        """The order book of a listed model."""
        book = self._market.desk.books.get(model)
        bids = [] if book is None else show_levels(book.list_resting(Side.BID))
        offers = [] if book is None else show_levels(book.list_resting(Side.OFFER))
        return BookInfo(
            instrument=self.show_instrument(model),
            bids=tuple(bids[:depth]),
            offers=tuple(offers[:depth]),
            more_bids=max(0, len(bids) - depth),
            more_offers=max(0, len(offers) - depth),
            commit_index=self._market.index,
            time_ms=self._market.time_ms,
        )

    def show_order(self, row: OpenOrder) -> OrderInfo:
        """An open order; its book has it."""
        resting = self._market.desk.books[row.model].get(row.id)
        assert resting is not None, "money stands behind orders of a book only"
        return OrderInfo(
            id=row.id.hex(),
            account=row.account.hex(),
            account_name=self._name(row.account),
            model=row.model.hex(),
            variant=self._find_variant(row.model),
            side=row.side.value,
            price_uruv=resting.price_uruv,
            lots=resting.lots,
            attributes=show_attributes(resting.tiers),
            margin_uruv=row.margin,
            bond_uruv=row.bond,
            expires_ms=resting.expires_ms,
            entered_at=row.entered,
            epochs_left=resting.epochs_left,
        )

    def show_trade(self, stored: StoredContract) -> TradeInfo:
        """A trade, from the contract that it began."""
        contract = stored.contract
        return TradeInfo(
            contract=contract.id.hex(),
            model=contract.model.hex(),
            variant=self._find_variant(contract.model),
            price_uruv=contract.price,
            lots=contract.lots,
            buyer=contract.buyer.hex(),
            buyer_name=self._name(contract.buyer),
            provider=contract.provider.hex(),
            provider_name=self._name(contract.provider),
            bid=contract.bid.hex(),
            offer=contract.offer.hex(),
            commit_index=stored.position,
            time_ms=stored.time_ms,
        )

    # --- contracts ------------------------------------------------------------------------------

    def show_contract(
        self, contract: Contract, ended: StoredContract | None = None
    ) -> ContractInfo:
        """A live contract, or one that is over: then `ended` says how."""
        ending = None if ended is None else ended.ended
        disputer = contract.disputer.hex() or None
        return ContractInfo(
            id=contract.id.hex(),
            phase=contract.phase if ending is None else ending.outcome,
            model=contract.model.hex(),
            variant=self._find_variant(contract.model),
            buyer=contract.buyer.hex(),
            buyer_name=self._name(contract.buyer),
            provider=contract.provider.hex(),
            provider_name=self._name(contract.provider),
            bid=contract.bid.hex(),
            offer=contract.offer.hex(),
            price_uruv=contract.price,
            lots=contract.lots,
            reward=contract.reward,
            opened_ms=contract.opened_ms,
            due_ms=self._market.deadlines.get(CONTRACT + contract.id) if ending is None else None,
            sla_bp=get_guarantee(contract.sla_tier),
            escrow_uruv=contract.escrow,
            collateral_uruv=contract.collateral,
            cost_uruv=contract.cost if ending is None else ending.paid,
            receipt=None if contract.receipt is None else show_receipt(contract.receipt),
            buyer_final=bool(contract.finals & BUYER_FINAL),
            provider_final=bool(contract.finals & PROVIDER_FINAL),
            disputer=disputer,
            bond_uruv=contract.bond,
            ended_ms=None if ended is None else ended.ended_ms,
            detail=_describe_ending(ended),
        )

    def show_stored(self, stored: StoredContract) -> ContractInfo:
        """A contract of the past, or a live one as it stands now."""
        if stored.ended is not None:
            return self.show_contract(stored.ended.contract, stored)
        live = self._market.contracts.rows.get(stored.contract.id)
        return self.show_contract(stored.contract if live is None else live)

    # --- accounts -------------------------------------------------------------------------------

    def show_wallet(self, account: bytes) -> WalletInfo:
        """The money of an account."""
        market = self._market
        row = market.ledger.get(account)
        contracts = list_contracts(market, account)
        return WalletInfo(
            account=account.hex(),
            name=self._names.get(account, ""),
            free_uruv=row.free,
            reserved_uruv=row.reserved,
            staked_uruv=row.staked,
            unbonding_uruv=row.unbonding,
            bonded_uruv=row.bonded,
            escrow_uruv=sum(each.escrow for each in contracts if each.buyer == account)
            + sum(each.bond for each in contracts if each.disputer == account),
            collateral_uruv=sum(each.collateral for each in contracts if each.provider == account),
            unbondings=tuple(sorted(self._list_unbondings(account), key=_get_due)),
            open_orders=sum(each.account == account for each in market.desk.orders.rows()),
            live_contracts=len(contracts),
            reputation_bp=market.get_reputation(account),
            commit_index=market.index,
            time_ms=market.time_ms,
        )

    def _list_unbondings(self, account: bytes) -> Iterable[UnbondingInfo]:
        for key, row in self._market.unbondings.rows.items():
            due_ms = self._market.deadlines.get(UNBONDING + key)
            if row.account == account and due_ms is not None:
                yield UnbondingInfo(amount_uruv=row.amount, due_ms=due_ms)

    def show_attestation(self, row: Attestation) -> AttestationInfo:
        """An account's word on its backend."""
        today = self._market.compliance.count_used(row, self._market.time_ms)
        return AttestationInfo(
            account=row.account.hex(),
            account_name=self._name(row.account),
            model=row.model.hex(),
            variant=self._find_variant(row.model),
            backend=row.backend,
            terms_digest=row.terms_digest.hex(),
            terms_version=row.terms_version,
            hardware_digest=row.hardware_digest.hex(),
            daily_cap_lots=row.daily_cap_lots,
            used_lots=today,
            opted_in_at=row.opted_in_commit,
        )

    def show_reputation(self, account: bytes) -> ReputationInfo:
        """What an account has done well and badly."""
        market = self._market
        standing = market.get_standing(account)
        score_bp = market.get_reputation(account)
        return ReputationInfo(
            account=account.hex(),
            name=self._names.get(account, ""),
            score_bp=score_bp,
            tier_bp=TIERS_BP[find_tier(score_bp)],
            good_uruv=standing.good,
            bad_uruv=standing.bad,
            bonded_uruv=market.ledger.get(account).bonded,
        )

    # --- what happened --------------------------------------------------------------------------

    def show_event(self, stored: StoredEvent) -> HistoryEntry:
        """Something that happened to an account."""
        event = stored.event
        return HistoryEntry(
            commit_index=stored.position,
            time_ms=stored.time_ms,
            kind=event.kind,
            account=event.account.hex(),
            account_name=self._name(event.account),
            subject=event.subject.hex(),
            amount_uruv=event.amount,
            detail=event.detail,
        )

    def show_audit(
        self,
        account: bytes,
        held: AuditSum | None,
        stored: Iterable[StoredEvent],
        next_after: int | None = None,
    ) -> AuditInfo:
        """An account's chain of events beside what is remembered of it, if that was counted."""
        audit = self._market.trail.audits.get(account) or Audit()
        is_comparable = held is not None and held.events == audit.count
        return AuditInfo(
            account=account.hex(),
            name=self._names.get(account, ""),
            count=audit.count,
            digest=audit.digest.hex(),
            verified=audit.digest == held.digest if held and is_comparable else None,
            entries=tuple(self.show_event(each) for each in stored),
            next_after=next_after,
        )

    def show_step(self, step: StoredStep) -> MarketUpdate:
        """What a commit did."""
        return MarketUpdate(
            commit_index=step.position,
            time_ms=step.time_ms,
            entries=tuple(
                self.show_event(StoredEvent(step.position, step.time_ms, event))
                for event in step.events
            ),
            trades=tuple(self.show_trade(stored) for stored in step.trades),
        )

    # --- inside ---------------------------------------------------------------------------------

    def _name(self, account: bytes) -> str:
        return name_author(account, self._names)

    def _find_variant(self, model: bytes) -> str:
        listed = self._market.compliance.models.get(model)
        return "" if listed is None else listed.model_variant


def show_market(market: MarketState) -> MarketInfo:
    """The market at a glance."""
    totals = market.ledger.totals
    return MarketInfo(
        commit_index=market.index,
        time_ms=market.time_ms,
        root=market.root().hex(),
        instruments=len(market.compliance.models),
        open_orders=len(market.desk.orders),
        live_contracts=len(market.contracts.rows),
        accounts=len(market.ledger.accounts),
        minted_uruv=totals.minted,
        burned_uruv=totals.burned,
        pool_uruv=totals.pool,
        held_uruv=totals.held,
    )


def show_levels(orders: Iterable[RestingOrder]) -> list[LevelInfo]:
    """Orders, best first, put together by price and attributes."""
    levels: dict[tuple[int, int], list[RestingOrder]] = {}
    for order in orders:
        levels.setdefault((order.price_uruv, order.tiers), []).append(order)
    return [
        LevelInfo(
            price_uruv=price_uruv,
            lots=sum(order.lots for order in group),
            orders=len(group),
            attributes=show_attributes(tiers),
        )
        for (price_uruv, tiers), group in levels.items()
    ]


def show_attributes(code: int) -> AttributesInfo:
    """What a combination of tiers promises."""
    parts = STANDARD_TIERS.unpack(code)
    promises = {
        dimension.name: dimension.promises[tier]
        for dimension, tier in zip(STANDARD_TIERS.dimensions, parts[:DIMENSIONS], strict=True)
    }
    flags = dict(zip(STANDARD_TIERS.flags, map(bool, parts[DIMENSIONS:]), strict=True))
    return AttributesInfo.from_json({**promises, **flags})


def show_receipt(receipt: Receipt) -> ReceiptInfo:
    """What both sides have signed last."""
    return ReceiptInfo(
        seq=receipt.seq,
        tokens_in=receipt.tokens_in,
        tokens_out=receipt.tokens_out,
        tokens_billed=receipt.tokens_billed,
        first_token_ms=receipt.first_token_ms,
        transcript_root=receipt.transcript_root.hex(),
        final=receipt.final,
    )


def list_contracts(market: MarketState, account: bytes | None) -> list[Contract]:
    """Live contracts of everybody or of one account, the newest first."""
    rows = [
        row
        for _, row in market.contracts.rows.items()
        if account is None or account in (row.buyer, row.provider)
    ]
    return sorted(rows, key=_get_opened, reverse=True)


def _describe_ending(stored: StoredContract | None) -> str:
    ending = None if stored is None else stored.ended
    if ending is None:
        return ""
    if ending.missed:
        return "not accepted in time"
    if ending.outcome == "refunded":
        return "declined"
    return "clean" if ending.clean else "disputed"


def _get_opened(contract: Contract) -> int:
    return contract.opened_ms


def _get_due(unbonding: UnbondingInfo) -> int:
    return unbonding.due_ms
