"""Watches the providers that the market has drawn this node for, and reports what it saw.

A canary is an ordinary question, asked the ordinary way and, where a provider answers nothing else,
paid for. Opt-in: probing costs its node questions, and money only within what it was allowed.

What cannot be judged counts for the provider: nobody is punished for a question that a prober could
not ask. If nothing could be judged, nothing is reported.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from market.commands import ReportProbes
from market.sla import PROBES_MAX, PROBES_MIN
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    DeadlineExceeded,
    InvalidMessage,
    MeshError,
    NoPeerServes,
    TransportError,
)
from meshnode.quality.canaries import Canary, make_canaries
from meshnode.quality.duties import Duty, Sold, find_duties, find_sold, plan_offsets
from meshnode.quality.reference import Reference
from meshnode.quality.replay import Comparison
from meshnode.quality.structure import Said, find_flaws
from meshnode.quality.verdict import make_verdict
from meshnode.routing.query import AUTO_MODEL
from meshnode.serving.client import Asker
from meshnode.serving.dispatcher import Dispatcher
from meshnode.serving.question import Question
from meshnode.trading.bell import Bell
from meshnode.trading.models import find_engine_model
from meshnode.trading.purchase import Wish
from meshnode.views import Finished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from meshnode.serving.desk import Desk
    from meshnode.serving.port import MeshPort, ServingPeer
    from meshnode.trading.buying import Buyer
    from meshnode.trading.port import TradePort
    from meshnode.views import Answer, StreamItem

LOOK_EVERY_MS: Final = 1_000
DUTIES_MAX: Final = 8
"""Providers watched at once; the others wait, and are let off when their window ends."""
QUESTIONS_MAX: Final = 2
"""Canaries under way at once."""
CONNECT_MS: Final = 5_000
ANSWER_MS: Final = 30_000
ANSWER_TOKENS: Final = 64
REPORT_WAIT_MS: Final = 10_000
_BUSY: Final = frozenset({EngineFault.FORBIDDEN, EngineFault.OVERLOADED, EngineFault.RATE_LIMITED})
"""Faults of a provider that may just serve whoever pays, and first of all or only them."""
_MISSES: Final = (
    EngineError,
    TransportError,
    InvalidMessage,
    DeadlineExceeded,
    AnswerInterrupted,
)


@dataclass(slots=True)
class Watch:
    """What was seen of a provider so far."""

    duty: Duty
    outcomes: list[bool | None] = field(default_factory=list)
    """None for what could not be judged."""
    comparison: Comparison = field(default_factory=Comparison)
    """Of all answers with the own model, where it is the same."""
    spent_uruv: int = 0


class Prober:
    """Probes for one account. `spend_uruv` is what a window of a provider may cost at most."""

    def __init__(
        self,
        port: TradePort,
        mesh: MeshPort,
        buyer: Buyer,
        *,
        find_desk: Callable[[], Desk | None],
        spend_uruv: int,
    ) -> None:
        self._port = port
        self._mesh = mesh
        self._buyer = buyer
        self._find_desk = find_desk
        self._spend_uruv = spend_uruv
        self._bell = Bell()
        self._places = asyncio.Semaphore(QUESTIONS_MAX)
        self._watching: dict[Duty, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Probe until cancelled, or until the node ends."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._port.follow(self._bell.ring))
            looking = tasks.create_task(self._look_again_and_again(tasks))
            await following
            looking.cancel()
            for watching in self._watching.values():
                watching.cancel()

    async def _look_again_and_again(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            due = find_duties(self._port.market, self._port.account)
            # One that has been dealt with stays as long as it could be taken up again.
            self._watching = {
                duty: task
                for duty, task in self._watching.items()
                if duty in due or not task.done()
            }
            busy = sum(not task.done() for task in self._watching.values())
            for duty in [duty for duty in due if duty not in self._watching][: DUTIES_MAX - busy]:
                self._watching[duty] = tasks.create_task(self._watch(duty))
            await self._bell.wait(timeout_ms=LOOK_EVERY_MS)

    # --- one window ------------------------------------------------------------------------------

    async def _watch(self, duty: Duty) -> None:
        """Ask in the time that is left of the window, then report."""
        watch, seed = Watch(duty), secrets.token_bytes(32)
        begun_ms = self._port.now_ms()
        offsets = plan_offsets(duty.count_left_ms(self._port.market.time_ms), PROBES_MAX, seed)
        for canary, offset_ms in zip(make_canaries(seed, PROBES_MAX), offsets, strict=True):
            await asyncio.sleep(max(0, begun_ms + offset_ms - self._port.now_ms()) / 1_000)
            if duty not in find_duties(self._port.market, self._port.account):
                return  # judged meanwhile
            async with self._places:
                watch.outcomes.append(await self._probe(watch, canary))
            left_ms = duty.count_left_ms(self._port.market.time_ms)
            if not left_ms and len(watch.outcomes) >= PROBES_MIN:
                break  # reports are still taken for a moment
        await self._report(watch)

    async def _report(self, watch: Watch) -> None:
        outcomes = watch.outcomes
        if all(each is None for each in outcomes):
            return
        report = ReportProbes(
            provider=watch.duty.provider,
            window=watch.duty.window,
            outcomes=tuple(each is not False for each in outcomes),
        )
        while watch.duty in find_duties(self._port.market, self._port.account):
            try:
                said = await self._port.submit((report,), wait_ms=REPORT_WAIT_MS)
            except MeshError:
                said = None  # the queue of own vertices is full
            if said is not None and said.commit_index is not None:
                return
            await self._bell.wait(timeout_ms=LOOK_EVERY_MS)

    # --- one canary ------------------------------------------------------------------------------

    async def _probe(self, watch: Watch, canary: Canary) -> bool | None:
        """Whether the provider serves as it sells; None where that cannot be told."""
        try:
            peer = await self._mesh.connect(watch.duty.provider, timeout_ms=CONNECT_MS)
        except MeshError:
            return None  # the own node is ending
        if peer is None:
            # Who sees nobody at all is cut off itself.
            return False if self._mesh.list_serving_peers() else None
        sold = find_sold(self._port.market, watch.duty)
        question = _make_question(canary, peer, sold)
        answer: Answer | None = None
        # What earlier canaries came to is no reason not to ask, so each begins with no memory; and
        # with a desk the own engine would answer itself.
        dispatcher = Dispatcher(self._mesh)
        try:
            answer = await _finish(Asker(self._mesh, None, dispatcher).stream(question))
        except MeshError as error:
            if _is_miss(error):
                return False
            if _is_for_sale_only(error):
                answer = await self._buy(watch, question, sold)
        finally:
            await dispatcher.close()
        if answer is None:
            return None
        return await self._judge(watch, question, answer, peer)

    async def _buy(self, watch: Watch, question: Question, sold: Sold | None) -> Answer | None:
        """The answer of the provider for money; None where it cannot be had, or is another's.

        A contract that the provider lets down counts in the market without a prober's word.
        """
        left_uruv = self._spend_uruv - watch.spent_uruv
        if sold is None or sold.ask_uruv is None or left_uruv <= 0:
            return None
        wish = Wish(
            max_price_uruv=sold.ask_uruv,
            max_spend_uruv=left_uruv,
            model=sold.variant,
            answer_tokens=ANSWER_TOKENS,
        )
        open_question = Question(request=question.request, timeout_ms=question.timeout_ms)
        try:
            answer = await _finish(self._buyer.stream(open_question, wish))
        except MeshError:
            return None
        watch.spent_uruv += 0 if answer.payment is None else answer.payment.cost_uruv
        return answer if answer.author == watch.duty.provider.hex() else None

    async def _judge(
        self, watch: Watch, question: Question, answer: Answer, peer: ServingPeer
    ) -> bool:
        messages: list[dict[str, Any]] = question.request["messages"]
        reference = self._find_reference(peer, answer.model)
        counted = None
        if reference is not None and answer.text:
            try:
                counted = await reference.count_tokens(answer.text)
                watch.comparison += await reference.replay(
                    messages, answer.text, ended=answer.finish_reason == "stop"
                )
            except EngineError:
                counted = None  # the own model is busy, or no measure
        flaws = find_flaws(
            Said(
                text=answer.text,
                finish_reason=answer.finish_reason,
                tokens_claimed=answer.usage.completion_tokens,
                tokens_counted=counted,
                tokens_max=ANSWER_TOKENS,
            )
        )
        return not flaws and make_verdict(watch.comparison, b"").finding != "substituted"

    def _find_reference(self, peer: ServingPeer, model: str) -> Reference | None:
        """The own engine, where it has the weights that the provider says it serves."""
        desk = self._find_desk()
        if desk is None:
            return None
        said = {each.revision for each in peer.models if each.id == model and each.revision}
        held = any(own.id == model and own.revision in said for own in desk.models)
        return Reference(desk.engine) if held else None


def _is_for_sale_only(error: MeshError) -> bool:
    """Whether somebody who pays may be answered. Who serves for pay only advertises nothing."""
    if isinstance(error, EngineError):
        return error.fault in _BUSY
    return isinstance(error, NoPeerServes)


def _is_miss(error: MeshError) -> bool:
    """Whether the provider has failed, and not the prober."""
    return isinstance(error, _MISSES) and not _is_for_sale_only(error)


def _make_question(canary: Canary, peer: ServingPeer, sold: Sold | None) -> Question:
    model = AUTO_MODEL
    if sold is not None:
        served = tuple(each.id for each in peer.models)
        model = find_engine_model(sold.variant, served) or sold.variant
    return Question(
        request={
            "messages": [{"role": "user", "content": canary.question}],
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0,
        },
        model=model,
        timeout_ms=ANSWER_MS,
        peer=peer.peer,
    )


async def _finish(stream: AsyncGenerator[StreamItem, None]) -> Answer:
    """The whole answer of a stream."""
    async with aclosing(stream) as items:
        async for item in items:
            if isinstance(item, Finished):
                return item.answer
    raise AssertionError("a stream ends with `Finished` or an error")


@asynccontextmanager
async def open_prober(prober: Prober) -> AsyncIterator[Prober]:
    """A prober that runs while the block does."""
    task = asyncio.create_task(prober.run(), name="probing")
    try:
        yield prober
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()  # what made it end by itself
