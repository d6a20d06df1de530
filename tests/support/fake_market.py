"""What a node would show of a small market, and a node's market that answers with it from a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from market.events import Event
from meshnode.market_views import (
    AttestationInfo,
    AuditInfo,
    ContractInfo,
    HistoryEntry,
    MarketUpdate,
    OutcomeInfo,
    SubmissionInfo,
    TradeInfo,
)
from meshnode.node.market_presenting import MarketPresenter, list_contracts, show_market
from meshnode.shell.market_table import AuditSum, StoredContract, StoredEvent
from tests.support.market_scene import MarketScene, get_account

NAMES = {get_account(5): "provider", get_account(6): "buyer"}
VERTEX_ID = "ab" * 32


@cache
def make_scene() -> MarketScene:
    """One open offer and one contract that is being delivered."""
    scene = MarketScene()
    scene.list_model()
    scene.make_provider(5)
    scene.offer(5, 2_000, 9)
    scene.bid(6, 2_000, 4)
    return scene


def present() -> MarketPresenter:
    return MarketPresenter(make_scene().state, NAMES)


def make_contract() -> ContractInfo:
    (contract,) = list_contracts(make_scene().state, None)
    return present().show_contract(contract)


def make_trade() -> TradeInfo:
    (contract,) = list_contracts(make_scene().state, None)
    return present().show_trade(StoredContract(3, contract.opened_ms, contract))


def make_attestation() -> AttestationInfo:
    (row,) = make_scene().state.compliance.attestations.rows()
    return present().show_attestation(row)


def make_entry() -> HistoryEntry:
    return present().show_event(StoredEvent(3, 7, Event("staked", get_account(5), b"s" * 32, 5)))


def make_audit() -> AuditInfo:
    stored = StoredEvent(3, 7, Event("staked", get_account(5), b"s" * 32, 5))
    return present().show_audit(get_account(5), AuditSum(0, bytes(32)), [stored])


OUTCOME = OutcomeInfo(
    id="cd" * 32, command="place_order", status="accepted", trades=(make_trade(),)
)
SUBMISSION = SubmissionInfo(vertex=VERTEX_ID, commit_index=3, time_ms=7, outcomes=(OUTCOME,))
UPDATE = MarketUpdate(commit_index=3, time_ms=7, entries=(make_entry(),), trades=(make_trade(),))


def make_answers() -> dict[str, Any]:
    """What each method of a node's market answers here."""
    shown, state = present(), make_scene().state
    order = next(iter(state.desk.orders.rows()))
    return {
        "market": show_market(state),
        "market_instruments": [shown.show_instrument(order.model)],
        "market_book": shown.show_book(order.model, 9),
        "market_orders": [shown.show_order(order)],
        "market_trades": [make_trade()],
        "market_contracts": [make_contract()],
        "market_contract": make_contract(),
        "market_attestations": [make_attestation()],
        "market_reputation": shown.show_reputation(get_account(5)),
        "market_audit": make_audit(),
        "market_bid": OUTCOME,
        "market_offer": OUTCOME,
        "market_cancel": OUTCOME,
        "market_attest": OUTCOME,
        "market_revoke": OUTCOME,
        "market_list": OUTCOME,
        "market_submit": SUBMISSION,
        "market_submission": SUBMISSION,
        "wallet": shown.show_wallet(get_account(6)),
        "wallet_history": [make_entry()],
        "wallet_send": OUTCOME,
        "wallet_stake": OUTCOME,
        "wallet_unstake": OUTCOME,
        "wallet_mint": OUTCOME,
    }


class FakeMarket:
    """Records what is asked of a market, and answers as `make_answers` says."""

    def _record(self, name: str, *args: Any, **options: Any) -> None:
        raise NotImplementedError

    async def market_watch(self, **options: Any) -> AsyncIterator[MarketUpdate]:
        self._record("market_watch", **options)
        yield UPDATE


def _make_method(name: str) -> Any:
    async def method(self: FakeMarket, *args: Any, **options: Any) -> Any:
        self._record(name, *args, **options)
        return make_answers()[name]

    return method


for _name in make_answers():
    setattr(FakeMarket, _name, _make_method(_name))
