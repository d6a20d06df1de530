"""The side that buys: bid, wait for the match, ask who has to answer, sign what comes.

A provider that does not take the task, cannot be reached or fails before its first word is passed
over, and the next bid is placed while time and budget last. After the first word nobody takes over,
as with every other answer; what was signed is paid, and nothing else.
"""

from __future__ import annotations

import asyncio
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
from meshnode.serving.port import ServingPeer
from meshnode.serving.question import Question, encode_request
from meshnode.serving.target import Target
from meshnode.trading.counting import count_question
from meshnode.trading.errors import NoOffer
from meshnode.trading.models import find_engine_model, get_model_name
from meshnode.trading.payer import ContractPayer
from meshnode.trading.purchase import Plan, Wish, count_answer_tokens, plan_purchase
from meshnode.views import Finished, Payment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from market.commands import PlaceOrder
    from meshnode.market_views import OutcomeInfo
    from meshnode.serving.client import Asker
    from meshnode.serving.dispatcher import Dispatcher
    from meshnode.serving.port import MeshPort
    from meshnode.trading.room import TradingRoom
    from meshnode.views import StreamItem

ATTEMPTS_MAX: Final = 5
ORDERED_MS: Final = 15_000
"""How long a bid may take to find its place in the order."""
ACCEPTED_MS: Final = ACCEPT_MS + 3_000
"""How long a provider may take to answer, as this node sees it."""
CONNECT_MS: Final = 3_000
"""How long a provider may take to be connected."""
DOUBT_MS: Final = 60_000
"""Who did not answer is passed over for so long."""
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


@dataclass(frozen=True, slots=True)
class _Match:
    """A contract whose provider has taken the task and can be asked."""

    plan: Plan
    contract: Contract
    provider: ServingPeer


class Buyer:
    """Buys answers for this node's account."""

    def __init__(self, room: TradingRoom, port: MeshPort, asker: Asker) -> None:
        self._room = room
        self._port = port
        self._asker = asker
        self._doubted_ms: dict[bytes, int] = {}
        """By provider that did not answer: when that was."""
        self._clearing = asyncio.Lock()

    @property
    def dispatcher(self) -> Dispatcher:
        """What is known of peers, whatever they were asked for."""
        return self._asker.dispatcher

    async def stream(self, question: Question, wish: Wish) -> AsyncGenerator[StreamItem, None]:
        """Answer a question for pay: one `Started`, then `Delta`s, then `Finished`.

        Raises `NoOffer`, `NotEnoughRuv`, and what `Asker.stream` raises.
        """
        purchase = _Purchase(question, wish, self._port.read_clock_ms())
        while len(purchase.tried) < ATTEMPTS_MAX:
            match = await self._buy(purchase)
            if match is None:
                continue
            failure: MeshError | None = None
            async with aclosing(self._ask(purchase, match)) as items:
                async for item in items:
                    if isinstance(item, MeshError):
                        failure = item
                    else:
                        yield item
            if failure is None:
                return
            purchase.failed[match.contract.provider] = None
            purchase.tried.append(f"{_name(match.provider)}: {failure.message}")
        raise EngineError(
            EngineFault.UNREACHABLE,
            f"{len(purchase.tried)} bids led to no answer: {'; '.join(purchase.tried)}",
            hint="ask again later",
        )

    # --- bidding ---------------------------------------------------------------------------------

    async def _buy(self, purchase: _Purchase) -> _Match | None:
        """Bid, and wait for a provider to take the task; None, and a line more, where none does."""
        connected = self._list_connected()
        plan = await self._make_way(purchase)
        outcome = await self._place(purchase, plan.order)
        bought = [bytes.fromhex(trade.contract) for trade in outcome.trades]
        try:
            contract = await self._wait_accepted(purchase, plan, bought, connected)
            provider = None if contract is None else await self._reach(purchase, contract)
        except BaseException:
            contract = provider = None
            raise
        finally:
            for each in bought:
                if contract is None or provider is None or each != contract.id:
                    self._room.sessions.release(each)
        if contract is not None and provider is not None:
            return _Match(plan, contract, provider)
        for trade in outcome.trades:
            purchase.failed[bytes.fromhex(trade.provider)] = None
        who = {trade.provider_name or trade.provider[:8]: None for trade in outcome.trades}
        what = "cannot be reached" if contract is not None else "did not take the task"
        purchase.tried.append(f"{', '.join(who)} {what}" if who else "the bid met no offer")
        return None

    async def _make_way(self, purchase: _Purchase) -> Plan:
        """The plan, once offers of who does not answer lie before it no longer."""
        plan = self._plan(purchase)
        if plan.clearing is None:
            return plan
        left_ms = self._count_left_ms(purchase)
        try:
            async with asyncio.timeout(left_ms / 1_000):
                await self._clearing.acquire()  # others wait, and find the way clear
        except TimeoutError:
            raise DeadlineExceeded("the bid had no turn in time", hint="allow more time") from None
        try:
            plan = self._plan(purchase)
            if plan.clearing is None:
                return plan
            outcome = await self._place(purchase, plan.clearing)
            for trade in outcome.trades:
                self._room.sessions.release(bytes.fromhex(trade.contract))
            return self._plan(purchase)
        finally:
            self._clearing.release()

    async def _place(self, purchase: _Purchase, order: PlaceOrder) -> OutcomeInfo:
        wait_ms = min(ORDERED_MS, self._count_left_ms(purchase))
        submission = await self._room.port.submit([order], wait_ms=wait_ms)
        (outcome,) = submission.outcomes
        if outcome.status == "refused":
            raise CommandRejected(f"the bid was refused: {outcome.message}", hint=outcome.hint)
        if outcome.status != "accepted":
            raise DeadlineExceeded(
                "the bid has no place in the order yet",
                hint="is a quorum of validators connected? `meshnode status` tells",
            )
        return outcome

    def _plan(self, purchase: _Purchase) -> Plan:
        market, account = self._room.port.market, self._room.port.account
        body = encode_request({**purchase.question.request, "model": purchase.wish.model})
        try:
            return plan_purchase(
                market,
                account,
                purchase.wish,
                question_tokens=count_question(body),
                doubtful=self._list_doubtful(purchase),
                spent_uruv=purchase.spent_uruv,
            )
        except NoOffer as error:
            if not purchase.tried:
                raise
            raise NoOffer(
                f"{error.message}; tried before: {'; '.join(purchase.tried)}", hint=error.hint
            ) from None

    def _list_doubtful(self, purchase: _Purchase) -> dict[bytes, None]:
        """Who has failed this question, and who had better not be asked after another one."""
        now_ms = self._port.read_clock_ms()
        self._doubted_ms = {
            provider: since_ms
            for provider, since_ms in self._doubted_ms.items()
            if now_ms - since_ms < DOUBT_MS
        }
        troubled = self._asker.dispatcher.list_troubled()
        return {**purchase.failed, **dict.fromkeys((*self._doubted_ms, *troubled))}

    async def _wait_accepted(
        self,
        purchase: _Purchase,
        plan: Plan,
        bought: Sequence[bytes],
        connected: Mapping[bytes, None],
    ) -> Contract | None:
        """The contract to ask under: the first that is taken and covers the answer, else any.

        `connected` is who was there before the bid.
        """

        def list_phases(phase: str) -> list[Contract]:
            rows = self._room.port.market.contracts.rows
            found = [row for name in bought if (row := rows.get(name)) is not None]
            return [row for row in found if row.phase == phase]

        def find() -> tuple[Contract | None] | None:
            taken = sorted(list_phases("delivering"), key=lambda row: -row.lots)
            if taken and taken[0].lots >= plan.lots_needed:
                return (taken[0],)
            # Whose connection has broken since the bid will not answer.
            lost = [each for each in connected if each not in self._list_connected()]
            if any(row.provider not in lost for row in list_phases("locked")):
                return None
            return (taken[0] if taken else None,)

        wait_ms = min(ACCEPTED_MS, self._count_left_ms(purchase))
        answer = await self._room.bell.wait_for(find, timeout_ms=wait_ms)
        contract = None if answer is None else answer[0]
        if contract is None:
            for row in list_phases("locked"):
                self._doubted_ms[row.provider] = self._port.read_clock_ms()
        return contract

    def _list_connected(self) -> dict[bytes, None]:
        return {peer.author: None for peer in self._port.list_serving_peers()}

    async def _reach(self, purchase: _Purchase, contract: Contract) -> ServingPeer | None:
        """The provider as a peer that can be asked."""
        wait_ms = min(CONNECT_MS, self._count_left_ms(purchase))
        provider = await self._port.connect(contract.provider, timeout_ms=wait_ms)
        if provider is None:
            self._doubted_ms[contract.provider] = self._port.read_clock_ms()
        else:
            self._doubted_ms.pop(contract.provider, None)
        return provider

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
        self, purchase: _Purchase, match: _Match
    ) -> AsyncGenerator[StreamItem | MeshError, None]:
        """The answer under a contract; last a failure after which another may be asked."""
        contract, provider = match.contract, match.provider
        sessions, terms = self._room.sessions, make_terms(self._room.port.network, contract)
        payer = ContractPayer(self._room, terms, secrets.token_bytes(32))
        target = _make_target(match.plan, provider)
        question = _limit(purchase.question, match.plan, contract, target)
        started = False
        sessions.begin(contract.id)
        try:
            async with aclosing(
                self._asker.stream_paid(
                    question,
                    target,
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
            if isinstance(error.__cause__ or error, TransportError):
                self._doubted_ms[contract.provider] = self._port.read_clock_ms()
            if started or not _may_retry(error):
                raise
            yield error
        finally:
            purchase.spent_uruv += payer.cost_uruv
            sessions.end(contract.id)


def _make_target(plan: Plan, provider: ServingPeer) -> Target:
    variant = plan.model.model_variant
    served = tuple(model.id for model in provider.models)
    name = find_engine_model(variant, served) or get_model_name(variant)
    return Target(
        peer=provider.peer,
        author=provider.author,
        name=_name(provider),
        model=name,
        engine=provider.models[0].engine if provider.models else "",
    )


def _limit(question: Question, plan: Plan, contract: Contract, target: Target) -> Question:
    """The question with the longest answer that the contract pays for."""
    request: dict[str, Any] = {**question.request, "model": target.model}
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


def _name(provider: ServingPeer) -> str:
    return provider.name or provider.author.hex()[:8]


def _may_retry(error: MeshError) -> bool:
    """Whether another provider may succeed."""
    if isinstance(error, EngineError):
        return error.fault not in _FINAL_FAULTS
    return isinstance(error, TransportError | InvalidMessage) and not isinstance(
        error, AnswerInterrupted
    )
