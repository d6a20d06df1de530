"""What is shown of the market and of money: books, orders, trades, contracts, accounts.

Amounts are whole micro-ruv (`_uruv`), prices micro-ruv per lot of 1,000 billed tokens, shares basis
points (`_bp`), times Unix milliseconds of commits (`_ms`). Ids are lower-case hex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from meshnode.views import View

ORDERED_WAIT_MS: Final = 30_000
"""How long whoever submits commands waits for their place in the order, unless told otherwise."""
LISTED: Final = 50
"""Entries that a list holds unless told otherwise."""
LISTED_MAX: Final = 1_000
"""Most entries that a list holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributesInfo(View):
    """What an offer gives at least, or a bid asks for."""

    context_tokens: int
    sla_bp: int
    """Guaranteed part of the probes that are answered; 0 for no guarantee."""
    first_token_ms: int
    """The first token comes within this time."""
    reputation_bp: int
    region: bool = False
    tee: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentInfo(View):
    """Something that can be traded, and where its book stands."""

    model: str
    """Its id."""
    variant: str
    """Model and precision of its weights: 'kimi-k2-instruct/fp8'."""
    backend_class: str
    in_weight_bp: int
    """What a token read counts, beside 10,000 for a token written."""
    policy: str
    """open, contribution_only or forbidden."""
    best_bid_uruv: int | None = None
    best_offer_uruv: int | None = None
    bid_lots: int = 0
    offer_lots: int = 0
    orders: int = 0
    trades: int = 0
    """Since the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelInfo(View):
    """Orders of one side with one price and one set of attributes."""

    price_uruv: int
    lots: int
    orders: int
    attributes: AttributesInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class BookInfo(View):
    """The order book of one instrument; each side's best level first."""

    schema: ClassVar[str] = "meshnode.market-book/1"

    instrument: InstrumentInfo
    bids: tuple[LevelInfo, ...]
    offers: tuple[LevelInfo, ...]
    more_bids: int = 0
    """Levels that are not shown."""
    more_offers: int = 0
    commit_index: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderInfo(View):
    """An order that is open."""

    id: str
    account: str
    account_name: str
    model: str
    variant: str
    side: str
    """bid or offer."""
    price_uruv: int
    lots: int
    """What is left of it."""
    attributes: AttributesInfo
    margin_uruv: int
    """Set aside for it: a bid's from free money, an offer's from the stake."""
    bond_uruv: int
    expires_ms: int
    entered_at: int
    """Index of the commit that took it in."""
    epochs_left: int = 0
    """Of an offer that shows its lots anew: how many times it still does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeInfo(View):
    """A bid that met an offer; the contract that follows has this id."""

    contract: str
    model: str
    variant: str
    price_uruv: int
    lots: int
    buyer: str
    buyer_name: str
    provider: str
    provider_name: str
    bid: str
    """Id of the order that bid."""
    offer: str
    commit_index: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptInfo(View):
    """What both sides of a contract have signed last about what was delivered."""

    seq: int
    tokens_in: int
    tokens_out: int
    tokens_billed: int
    first_token_ms: int
    transcript_root: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractInfo(View):
    """What follows a trade: live, or as it ended."""

    schema: ClassVar[str] = "meshnode.market-contract/1"

    id: str
    phase: str
    """locked, delivering, claimable, disputed; ended: settled, refunded, resolved."""
    model: str
    variant: str
    buyer: str
    buyer_name: str
    provider: str
    provider_name: str
    bid: str
    offer: str
    price_uruv: int
    lots: int
    reward: bool
    """Whether the payment is a reward for a contribution."""
    opened_ms: int
    due_ms: int | None = None
    """When it moves on by itself; null once it has ended."""
    sla_bp: int = 0
    escrow_uruv: int = 0
    """The buyer's money in it."""
    collateral_uruv: int = 0
    """The provider's money in it."""
    cost_uruv: int = 0
    """What is owed by the last receipt, or was paid in the end."""
    receipt: ReceiptInfo | None = None
    buyer_final: bool = False
    """Whether the buyer will not dispute."""
    provider_final: bool = False
    disputer: str | None = None
    bond_uruv: int = 0
    """Of the dispute."""
    ended_ms: int | None = None
    detail: str = ""
    """How it came to its end, in a word or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbondingInfo(View):
    """Stake on its way to free money."""

    amount_uruv: int
    due_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletInfo(View):
    """The money of an account, and what it is good for."""

    schema: ClassVar[str] = "meshnode.wallet/1"

    account: str
    name: str
    free_uruv: int
    reserved_uruv: int
    """Set aside for open orders."""
    staked_uruv: int
    unbonding_uruv: int
    bonded_uruv: int
    """Staked and unbonding: what a penalty can take, and what bears the reputation."""
    escrow_uruv: int
    """In contracts as their buyer, dispute bonds included."""
    collateral_uruv: int
    """In contracts as their provider."""
    unbondings: tuple[UnbondingInfo, ...] = ()
    """The first to come free first."""
    open_orders: int = 0
    live_contracts: int = 0
    reputation_bp: int = 0
    commit_index: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationInfo(View):
    """An account's word on the backend that it opens for a model."""

    account: str
    account_name: str
    model: str
    variant: str
    backend: str
    """own_weights or own_account."""
    terms_digest: str
    terms_version: str
    hardware_digest: str
    daily_cap_lots: int
    used_lots: int
    """Of the cap, today."""
    opted_in_at: int
    """Index of the commit that took the word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationInfo(View):
    """What an account has done well and badly, in burned fees, and what follows from it."""

    schema: ClassVar[str] = "meshnode.reputation/1"

    account: str
    name: str
    score_bp: int
    """As far as the stake bears it."""
    tier_bp: int
    """The promise that its offers are given."""
    good_uruv: int
    bad_uruv: int
    bonded_uruv: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry(View):
    """Something that happened to an account."""

    commit_index: int
    time_ms: int
    kind: str
    """sent, received, staked, order_placed, contract_settled, ...; 'refused' left no mark."""
    account: str
    account_name: str
    subject: str
    """Id of the command, order, contract or motion."""
    amount_uruv: int = 0
    detail: str = ""
    """Of a refused command its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditInfo(View):
    """An account's chain of events, which every node agrees on, and the entries held here."""

    schema: ClassVar[str] = "meshnode.market-audit/1"

    account: str
    name: str
    count: int
    """Events of the whole chain; those of refused commands are none."""
    digest: str
    """The last link."""
    verified: bool | None
    """Whether all entries held here give this digest; null where older ones are not held.

    Of pages only the first is told.
    """
    entries: tuple[HistoryEntry, ...]
    """The newest first; of a page the oldest first."""
    next_after: int | None = None
    """Of a page: what to ask for to go on behind it. A place in one node's memory, no other's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeInfo(View):
    """What became of a command."""

    id: str
    """Of an order the id it has from now on."""
    command: str
    """place_order, transfer, accept, ..."""
    status: str
    """accepted, refused, pending: has no place in the order yet, or unknown: no longer held."""
    code: str = ""
    """Of a refusal: the same on every node."""
    message: str = ""
    """Of a refusal: what and why, in one sentence."""
    hint: str = ""
    """Of a refusal: the next step."""
    trades: tuple[TradeInfo, ...] = ()
    """Of an order: what it traded as it came in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionInfo(View):
    """Commands that one vertex said, and what became of each, in their order."""

    schema: ClassVar[str] = "meshnode.market-submission/1"

    vertex: str
    """Where it got no place in time, the one that says the same again."""
    commit_index: int | None
    """Null while they have no place in the order."""
    time_ms: int | None
    outcomes: tuple[OutcomeInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketUpdate(View):
    """What one commit did to the market."""

    commit_index: int
    time_ms: int
    entries: tuple[HistoryEntry, ...]
    trades: tuple[TradeInfo, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketInfo(View):
    """The market at a glance, as of a commit."""

    schema: ClassVar[str] = "meshnode.market/1"

    commit_index: int
    time_ms: int
    root: str
    """Equal on two nodes at equal index: they agree on every account, order and contract."""
    instruments: int
    open_orders: int
    live_contracts: int
    accounts: int
    minted_uruv: int
    burned_uruv: int
    pool_uruv: int
    held_uruv: int
    """In contracts: escrow, collateral and dispute bonds."""
