"""What can be asked of a node about the market and money, here or behind its HTTP interface.

Accounts are named by an author id, the beginning of one, or a member's name; left out they mean
the node's own, or everybody where a list says so. Models are named by an instrument's id, the
beginning of it, or its variant. Whatever submits commands waits up to `wait_ms` for their place in
the order. Methods that submit one command raise `MarketRefused` where it is refused; what is still
`pending` when the wait is over can be asked for by `market_submission`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from market.commands import Backend, Command, Policy
from meshnode.market_views import (
    LISTED,
    ORDERED_WAIT_MS,
    AttestationInfo,
    AuditInfo,
    BookInfo,
    ContractInfo,
    HistoryEntry,
    InstrumentInfo,
    MarketInfo,
    MarketUpdate,
    OrderInfo,
    OutcomeInfo,
    ReputationInfo,
    SubmissionInfo,
    TradeInfo,
    WalletInfo,
)


class MarketPort(Protocol):
    """The market's part of a node."""

    # --- looking --------------------------------------------------------------------------------

    async def market(self) -> MarketInfo:
        """The market at a glance."""

    async def market_instruments(self) -> list[InstrumentInfo]:
        """What the committee has listed, by variant."""

    async def market_book(self, model: str, *, depth: int = LISTED) -> BookInfo:
        """The order book of a model, at most so many levels of each side."""

    async def market_orders(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[OrderInfo]:
        """Open orders of everybody or of one account, the newest first."""

    async def market_trades(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[TradeInfo]:
        """Trades that are remembered here, the newest first."""

    async def market_contracts(
        self, *, account: str | None = None, ended: bool = False, limit: int = LISTED
    ) -> list[ContractInfo]:
        """Live contracts, the newest first; with `ended` those that are over, as remembered here."""

    async def market_contract(self, contract: str) -> ContractInfo:
        """One contract, by its id or the beginning of it."""

    async def market_attestations(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[AttestationInfo]:
        """Who opens which backend for which model."""

    async def market_reputation(self, account: str | None = None) -> ReputationInfo:
        """What an account has done, by default the node's own."""

    async def market_audit(
        self, account: str | None = None, *, limit: int = LISTED, after: int | None = None
    ) -> AuditInfo:
        """An account's chain of events, by default the node's own; the newest entries first.

        With `after` one page of the chain, the oldest first: 0 begins with what is held here, and
        `next_after` of a page goes on behind it. A page without entries is behind the last.
        """

    def market_watch(self, *, after: int | None = None) -> AsyncIterator[MarketUpdate]:
        """What each commit does to the market from now on, in order and each once.

        With `after`, the index of the last commit that was dealt with, those behind it come first
        as far as they are remembered here.
        """

    # --- orders ---------------------------------------------------------------------------------

    async def market_bid(
        self,
        model: str,
        *,
        price_uruv: int | None,
        lots: int,
        context_tokens: int | None = None,
        sla_bp: int | None = None,
        first_token_ms: int | None = None,
        reputation_bp: int | None = None,
        flags: Sequence[str] = (),
        time_in_force: str = "gtc",
        expires_in_ms: int | None = None,
        budget_uruv: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Bid for capacity. Raises `MarketRefused`.

        Args:
            model: What is bid for.
            price_uruv: The most to pay for a lot; None for a market order, which needs a budget.
            lots: How many lots of 1,000 billed tokens.
            context_tokens: The longest context that is needed; what is left out does not matter.
            sla_bp: The guarantee that is needed.
            first_token_ms: Within which time the first token has to come.
            reputation_bp: The least reputation a provider must have.
            flags: `region`, `tee`.
            time_in_force: `gtc`, `gtd`, `ioc`, `fok` or `post_only`.
            expires_in_ms: After this long it is gone; given, a `gtc` order becomes `gtd`.
            budget_uruv: The most that a market order may trade.
            wait_ms: How long to wait for its place in the order.
        """

    async def market_offer(
        self,
        model: str,
        *,
        price_uruv: int,
        lots: int,
        context_tokens: int | None = None,
        sla_bp: int | None = None,
        first_token_ms: int | None = None,
        flags: Sequence[str] = (),
        time_in_force: str = "gtc",
        expires_in_ms: int | None = None,
        epochs: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Offer capacity; the arguments are those of `market_bid`. Raises `MarketRefused`.

        `epochs`: in how many hours it shows its lots anew; 0 for an offer that is spent once.
        """

    async def market_cancel(
        self,
        order: str | None = None,
        *,
        model: str | None = None,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Take back one order, by its id or the beginning of it; without one all, or a model's."""

    # --- who may offer --------------------------------------------------------------------------

    async def market_attest(
        self,
        model: str,
        *,
        backend: Backend,
        terms_digest: str,
        terms_version: str,
        hardware_digest: str,
        daily_cap_lots: int,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Open the own backend for a model, by one's own choice and without any credential.

        Args:
            model: What is served.
            backend: `own_weights` or `own_account`.
            terms_digest: SHA-256 of the licence or terms that were read, in hex.
            terms_version: Their version.
            hardware_digest: SHA-256 of a description of the hardware, in hex.
            daily_cap_lots: Most lots that are accepted in a day.
            wait_ms: How long to wait for its place in the order.
        """

    async def market_revoke(self, model: str, *, wait_ms: int = ORDERED_WAIT_MS) -> OutcomeInfo:
        """Take an attestation back; resting offers end in the same commit."""

    async def market_list(
        self,
        variant: str,
        *,
        policy: Policy = "open",
        backend_class: str = "own_weights",
        in_weight_bp: int = 2_500,
        nonce: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Move, as a validator, that an instrument is listed with this policy.

        It has effect once validators with two thirds of the stake have moved exactly the same;
        another `nonce` repeats an earlier motion.
        """

    # --- money ----------------------------------------------------------------------------------

    async def wallet(self, account: str | None = None) -> WalletInfo:
        """The money of an account, by default the node's own."""

    async def wallet_history(
        self, account: str | None = None, *, limit: int = LISTED
    ) -> list[HistoryEntry]:
        """What happened to an account as remembered here, refusals included, the newest first."""

    async def wallet_send(
        self, receiver: str, amount_uruv: int, *, memo: str = "", wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Give free money to another account: a member, or any whole author id."""

    async def wallet_stake(
        self, amount_uruv: int, *, wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Turn free money into stake."""

    async def wallet_unstake(
        self, amount_uruv: int, *, wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Begin to turn stake into free money; it takes 14 days."""

    async def wallet_mint(
        self,
        account: str,
        amount_uruv: int,
        *,
        nonce: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Move, as a validator, that an account gets new money; counted as `market_list` is."""

    # --- everything -----------------------------------------------------------------------------

    async def market_submit(
        self, commands: Sequence[Command], *, wait_ms: int = ORDERED_WAIT_MS
    ) -> SubmissionInfo:
        """Say 1 to 128 commands in one vertex; refusals stand in the outcomes, nothing is raised."""

    async def market_submission(self, vertex: str, *, wait_ms: int = 0) -> SubmissionInfo:
        """What became of the commands of a vertex, by its id or the beginning of it."""
