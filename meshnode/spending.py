"""Keeping to what an account may cost in a day: a request that could break the cap is not sent.

What a request may cost is reckoned from its size and the longest answer it allows, at list prices.
Sizes are estimated, on the high side for ordinary text; so a day can end above its cap by no more
than what one request was underestimated, and never because of the number of requests.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.chunks import find_usage
from meshnode.engines.context import bound_tokens
from meshnode.engines.pricing import compute_cost_udollar
from meshnode.engines.usage import TokenUsage
from meshnode.kimi_settings import AUTO_MODEL, format_usd
from meshnode.usage_store import DAY_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from meshnode.account_prices import PriceFinder
    from meshnode.engines.base import ChatRequest, Chunk, Engine, ModelInfo
    from meshnode.engines.pricing import Price
    from meshnode.engines.usage import UsageRecord
    from meshnode.usage_store import UsageStore


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not sent."""

    message: str
    hint: str


def estimate_cost_udollar(request: Mapping[str, Any], price: Price, *, answer_tokens: int) -> int:
    """What a request may cost at most, by that estimate."""
    asked = request.get("max_completion_tokens") or request.get("max_tokens")
    longest = asked if isinstance(asked, int) and asked > 0 else answer_tokens
    prompt = bound_tokens(request.get("messages") or [], request.get("tools")).tokens
    usage = TokenUsage(prompt=prompt, completion=longest)
    return compute_cost_udollar(usage, price)


class CapReached(EngineError):
    """A request that was not sent, because the day's cap could not hold what it may cost."""

    code = "cap_reached"


class DailyCap:
    """What may still be spent at one engine today; requests under way count as spent.

    `count` is a `UsageSink`: what this process spends counts at once, what others spend when they
    have written it down.
    """

    def __init__(
        self, store: UsageStore, engine: str, cap_udollar: int, *, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._engine = engine
        self._cap_udollar = cap_udollar
        self._now_ms = now_ms
        self._day = -1
        self._counted_udollar = 0
        """Known of this day: what the books held at first, and what was counted here since."""
        self._reserved_udollar = 0

    def count(self, record: UsageRecord) -> None:
        """A request of this process has ended."""
        if record.time_ms // DAY_MS == self._day and record.engine == self._engine:
            self._counted_udollar += record.cost_udollar or 0

    def find_refusal(self, cost_udollar: int | None, *, model: str) -> Refusal | None:
        """Why a request that may cost so much is not to be sent; None where it may be. Blocks."""
        cap = f"the cap of {format_usd(self._cap_udollar)} USD a day"
        if cost_udollar is None:
            return Refusal(
                f"nobody here knows what {model or 'the model'} costs, so {cap} cannot be kept",
                "name a model that `meshnode kimi models` shows with a price, or take the cap away "
                "with `meshnode kimi configure --daily-cap none`",
            )
        now_ms = self._now_ms()
        spent = self._read_spent(now_ms // DAY_MS) + self._reserved_udollar
        if spent + cost_udollar <= self._cap_udollar:
            return None
        hours = (DAY_MS - now_ms % DAY_MS) // 3_600_000 + 1
        return Refusal(
            f"this request may cost {format_usd(cost_udollar)} USD, and {format_usd(spent)} USD of "
            f"{cap} are spent or promised",
            f"a new day begins in {hours} h (UTC); or ask for a shorter answer, or raise the cap "
            "with `meshnode kimi configure --daily-cap`",
        )

    def _read_spent(self, day: int) -> int:
        written = self._store.read_spent_udollar(day, engine=self._engine)
        if day != self._day:
            self._day, self._counted_udollar = day, written
        return max(written, self._counted_udollar)

    def reserve(self, cost_udollar: int) -> None:
        """A request that may cost so much is under way."""
        self._reserved_udollar += cost_udollar

    def release(self, cost_udollar: int, *, unknown: bool) -> None:
        """It has ended; where nobody said what it cost, it counts as what it may have cost."""
        self._reserved_udollar -= cost_udollar
        if unknown:
            self._counted_udollar += cost_udollar


class CappedEngine:
    """An engine that refuses what could break the cap, before anything is sent."""

    def __init__(
        self,
        engine: Engine,
        cap: DailyCap,
        *,
        make_finder: Callable[[Sequence[ModelInfo]], PriceFinder],
        models: Sequence[ModelInfo] = (),
        default_model: str,
        answer_tokens: int,
    ) -> None:
        self._engine = engine
        self._default_model = default_model
        self._cap = cap
        self._make_finder = make_finder
        self._find_price = make_finder(models)
        self._answer_tokens = answer_tokens
        self._turn = asyncio.Lock()

    @property
    def name(self) -> str:
        """The engine's name."""
        return self._engine.name

    @property
    def shareable(self) -> bool:
        """Whether other peers' requests may run here."""
        return self._engine.shareable

    @property
    def slots(self) -> int:
        """How many requests run at once before they queue."""
        return self._engine.slots

    async def start(self) -> None:
        """Connect, and learn what models cost and which answers who names none, the first one."""
        await self._engine.start()
        models = await self._engine.models()
        self._find_price = self._make_finder(models)
        if not self._default_model:
            self._default_model = models[0].id if models else ""

    async def close(self) -> None:
        """Hang up."""
        await self._engine.close()

    async def models(self) -> list[ModelInfo]:
        """What can be asked for."""
        return await self._engine.models()

    async def chat(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Answer, unless the cap forbids it. Raises `EngineError`."""
        model = str(request.get("model") or AUTO_MODEL)
        model = self._default_model if model == AUTO_MODEL else model
        price = self._find_price(model)
        cost = (
            None
            if price is None
            else estimate_cost_udollar(request, price, answer_tokens=self._answer_tokens)
        )
        async with self._turn:
            refusal = await asyncio.to_thread(self._cap.find_refusal, cost, model=model)
            if refusal is not None:
                raise CapReached(EngineFault.OUT_OF_QUOTA, refusal.message, hint=refusal.hint)
            assert cost is not None, "what has no price is refused"
            self._cap.reserve(cost)
        began, told = False, False
        try:
            async with aclosing(self._engine.chat(request)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    began, told = True, told or find_usage(chunk) is not None
                    yield chunk
        finally:
            self._cap.release(cost, unknown=began and not told)
