"""The side that buys: bid, wait for the match, ask who has to answer, sign what comes.

A provider that does not take the task, cannot be reached or fails before its first word is passed
over, and the next bid is placed while time and budget last. After the first word nobody takes over,
as with every other answer; what was signed is paid, and nothing else.
"""

from __future__ import annotations

import dataclasses
import secrets
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from market.contracts import ACCEPT_MS, Contract
from market.metering import make_terms
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    DeadlineExceeded,
    InvalidMessage,
    MeshError,
    TransportError,
)
from meshnode.routing.policy import Choice
from meshnode.routing.replica import Replica
from meshnode.serving.client import Question, encode_request
from meshnode.trading.counting import count_question
from meshnode.trading.errors import NoOffer
from meshnode.trading.models import find_engine_model, get_model_name
from meshnode.trading.payer import ContractPayer
from meshnode.trading.purchase import Plan, Wish, count_answer_tokens, plan_purchase
from meshnode.views import Finished, Payment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from meshnode.market_views import OutcomeInfo
    from meshnode.serving.client import Asker
    from meshnode.serving.port import MeshPort, ServingPeer
    from meshnode.trading.room import TradingRoom
    from meshnode.views import StreamItem

ATTEMPTS_MAX: Final = 5
ORDERED_MS: Final = 15_000
"""How long a bid may take to find its place in the order."""
ACCEPTED_MS: Final = ACCEPT_MS + 3_000
"""How long a provider may take to answer, as this node sees it."""
_FINAL_FAULTS: Final = frozenset(
    {EngineFault.BAD_REQUEST, EngineFault.CONTEXT_OVERFLOW, EngineFault.CONTENT_FILTER}
)
"""Faults of the question: another provider would say the same."""


@dataclass(slots=True)
class _Purchase:
    """One question, over all its attempts."""

    question: Question
    wish: Wish
    started_ms: int
    failed: dict[bytes, None] = field(default_factory=dict)
    """Providers that were tried."""
    tried: list[str] = field(default_factory=list)
    spent_uruv: int = 0


class Buyer:
    """Buys answers for this node's account."""

    def __init__(self, room: TradingRoom, port: MeshPort, asker: Asker) -> None:
        self._room = room
        self._port = port
        self._asker = asker

    async def stream(self, question: Question, wish: Wish) -> AsyncGenerator[StreamItem, None]:
        """Answer a question for pay: one `Started`, then `Delta`s, then `Finished`.

        Raises `NoOffer`, `NotEnoughRuv`, and what `Asker.stream` raises.
        """
        purchase = _Purchase(question, wish, self._port.read_clock_ms())
        while True:
            plan, contract, provider = await self._buy(purchase)
            if contract is not None and provider is not None:
                failure: MeshError | None = None
                async with aclosing(self._ask(purchase, plan, contract, provider)) as items:
                    async for item in items:
                        if isinstance(item, MeshError):
                            failure = item
                        else:
                            yield item
                if failure is None:
                    return
                self._note_failure(purchase, contract.provider, failure.message)
            if len(purchase.tried) >= ATTEMPTS_MAX:
                raise EngineError(
                    EngineFault.UNREACHABLE,
                    f"{len(purchase.tried)} bids led to no answer: {'; '.join(purchase.tried)}",
                    hint="ask again later",
                )

    # --- bidding ---------------------------------------------------------------------------------

    async def _buy(self, purchase: _Purchase) -> tuple[Plan, Contract | None, ServingPeer | None]:
        """Bid, and wait for a provider to take the task."""
        providers = self._list_providers(purchase)
        plan = self._plan(purchase, providers)
        wait_ms = min(ORDERED_MS, self._count_left_ms(purchase))
        submission = await self._room.port.submit([plan.order], wait_ms=wait_ms)
        (outcome,) = submission.outcomes
        _check_outcome(outcome)
        bought = [bytes.fromhex(trade.contract) for trade in outcome.trades]
        contract = await self._wait_accepted(purchase, plan, bought)
        for each in bought:
            if contract is None or each != contract.id:
                self._room.sessions.release(each)
        if contract is None:
            names = {trade.provider: trade.provider_name for trade in outcome.trades}
            for trade in outcome.trades:
                purchase.failed[bytes.fromhex(trade.provider)] = None
            who = ", ".join(name or key[:8] for key, name in names.items()) or "nobody"
            purchase.tried.append(f"{who} did not take the task" if names else "no match")
            return plan, None, None
        return plan, contract, providers.get(contract.provider)

    def _plan(self, purchase: _Purchase, providers: dict[bytes, ServingPeer]) -> Plan:
        market, account = self._room.port.market, self._room.port.account
        body = encode_request({**purchase.question.request, "model": purchase.wish.model})
        try:
            return plan_purchase(
                market,
                account,
                purchase.wish,
                question_tokens=count_question(body),
                reachable=providers,
                spent_uruv=purchase.spent_uruv,
            )
        except NoOffer as error:
            if not purchase.tried:
                raise
            raise NoOffer(
                f"{error.message}; tried before: {'; '.join(purchase.tried)}", hint=error.hint
            ) from None

    def _list_providers(self, purchase: _Purchase) -> dict[bytes, ServingPeer]:
        """Who can be asked now, and has not failed this question."""
        return {
            peer.author: peer
            for peer in self._port.list_serving_peers()
            if peer.author not in purchase.failed and not peer.draining
        }

    async def _wait_accepted(
        self, purchase: _Purchase, plan: Plan, bought: Sequence[bytes]
    ) -> Contract | None:
        """The contract to ask under: the first that is taken and covers the answer, else any."""
        reachable = self._list_providers(purchase)

        def list_phases(phase: str) -> list[Contract]:
            rows = self._room.port.market.contracts.rows
            found = [row for name in bought if (row := rows.get(name)) is not None]
            return [row for row in found if row.phase == phase and row.provider in reachable]

        def find() -> tuple[Contract | None] | None:
            taken = sorted(list_phases("delivering"), key=lambda row: -row.lots)
            if taken and taken[0].lots >= plan.lots_needed:
                return (taken[0],)
            if list_phases("locked"):
                return None
            return (taken[0] if taken else None,)

        wait_ms = min(ACCEPTED_MS, self._count_left_ms(purchase))
        answer = await self._room.bell.wait_for(find, timeout_ms=wait_ms)
        return None if answer is None else answer[0]

    def _count_left_ms(self, purchase: _Purchase) -> int:
        timeout_ms = purchase.question.timeout_ms
        left_ms = timeout_ms - (self._port.read_clock_ms() - purchase.started_ms)
        if left_ms <= 0:
            tried = f"; tried: {'; '.join(purchase.tried)}" if purchase.tried else ""
            raise DeadlineExceeded(
                f"no answer within {timeout_ms} ms{tried}", hint="allow more time for it"
            )
        return left_ms

    # --- asking ----------------------------------------------------------------------------------

    async def _ask(
        self, purchase: _Purchase, plan: Plan, contract: Contract, provider: ServingPeer
    ) -> AsyncGenerator[StreamItem | MeshError, None]:
        """The answer under a contract; last a failure after which another may be asked."""
        sessions, terms = self._room.sessions, make_terms(self._room.port.network, contract)
        payer = ContractPayer(self._room, terms, secrets.token_bytes(32))
        choice = _make_choice(plan, provider)
        question = _limit(purchase.question, plan, contract, choice)
        started = False
        sessions.begin(contract.id)
        try:
            async with aclosing(
                self._asker.stream_paid(
                    question,
                    choice,
                    payer,
                    started_ms=purchase.started_ms,
                    tried=tuple(purchase.tried),
                )
            ) as items:
                async for item in items:
                    started = True
                    yield (
                        _add_payment(item, payer, provider) if isinstance(item, Finished) else item
                    )
        except MeshError as error:
            if started or not _may_retry(error):
                raise
            yield error
        finally:
            purchase.spent_uruv += payer.cost_uruv
            sessions.end(contract.id)

    def _note_failure(self, purchase: _Purchase, provider: bytes, message: str) -> None:
        purchase.failed[provider] = None
        purchase.tried.append(f"{provider.hex()[:8]}: {message}")


def _check_outcome(outcome: OutcomeInfo) -> None:
    if outcome.status == "refused":
        raise CommandRejected(f"the bid was refused: {outcome.message}", hint=outcome.hint)
    if outcome.status != "accepted":
        raise DeadlineExceeded(
            "the bid has no place in the order yet",
            hint="is a quorum of validators connected? `meshnode status` tells",
        )


def _make_choice(plan: Plan, provider: ServingPeer) -> Choice:
    variant = plan.model.model_variant
    served = tuple(model.id for model in provider.models)
    name = find_engine_model(variant, served) or get_model_name(variant)
    replica = Replica(
        peer=provider.peer,
        author=provider.author,
        name=provider.name or provider.author.hex()[:8],
        models=(name,),
        engine=provider.models[0].engine if provider.models else "",
        slots=provider.slots,
    )
    return Choice(replica=replica, model=name, explain=())


def _limit(question: Question, plan: Plan, contract: Contract, choice: Choice) -> Question:
    """The question with the longest answer that the contract pays for."""
    request: dict[str, Any] = {**question.request, "model": choice.model}
    tokens = count_question(encode_request(request))
    wanted = min(plan.answer_tokens, int(request.get("max_tokens") or plan.answer_tokens))
    request["max_tokens"] = count_answer_tokens(plan.model, tokens, contract.lots, wanted)
    return dataclasses.replace(question, request=request)


def _add_payment(item: Finished, payer: ContractPayer, provider: ServingPeer) -> Finished:
    receipt, terms = payer.receipt, payer.terms
    payment = Payment(
        contract=terms.contract.hex(),
        provider=terms.provider.hex(),
        provider_name=provider.name,
        price_uruv=terms.price,
        lots=terms.lots,
        tokens_in=0 if receipt is None else receipt.tokens_in,
        tokens_out=0 if receipt is None else receipt.tokens_out,
        tokens_billed=0 if receipt is None else receipt.tokens_billed,
        cost_uruv=payer.cost_uruv,
        receipts=payer.receipts,
        transcript_root="" if receipt is None else receipt.transcript_root.hex(),
    )
    return Finished(answer=dataclasses.replace(item.answer, payment=payment))


def _may_retry(error: MeshError) -> bool:
    """Whether another provider may succeed."""
    if isinstance(error, EngineError):
        return error.fault not in _FINAL_FAULTS
    return isinstance(error, TransportError | InvalidMessage) and not isinstance(
        error, AnswerInterrupted
    )
