"""Asking a provider with the owner's own key: one engine, its prices, and the books.

The mesh has no part in this. The same engine, books and daily cap serve a node.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from meshnode.account_prices import PriceFinder, make_price_finder
from meshnode.engines.base import Engine, EngineError, EngineFault, Metered, ModelInfo
from meshnode.engines.chunks import choices_of, find_usage
from meshnode.engines.model_additions import choose_newest_kimi
from meshnode.engines.registry import create_engine
from meshnode.engines.rules.draft import MESH_FIELD
from meshnode.engines.usage import UsageRecord, read_token_usage
from meshnode.errors import CommandRejected, DeadlineExceeded
from meshnode.kimi_settings import AUTO_MODEL, KimiSettings, format_usd, make_engine_options
from meshnode.spending import CappedEngine, CapReached, DailyCap, estimate_cost_udollar
from meshnode.usage_store import DAY_MS, UsageStore, UsageWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from meshnode.secret import Secret


@dataclass(slots=True)
class KimiReply:
    """An answer, and what is known of it."""

    provider: str
    model: str
    text: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost_udollar: int | None = None
    first_token_ms: int | None = None
    total_ms: int = 0
    request_id: str = ""
    notes: list[str] = field(default_factory=list)
    """What was sent otherwise than asked, and why: models take no other than their own sampling."""

    def to_json(self) -> dict[str, Any]:
        """The answer for programs."""
        cost = self.cost_udollar
        return {
            "schema": "meshnode.kimi-answer/1",
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "cost_usd": None if cost is None else format_usd(cost),
        }


@dataclass(slots=True, kw_only=True)
class KimiAccount:
    """An account that can be asked; made by `open_account`."""

    settings: KimiSettings
    engine: Engine
    models: list[ModelInfo]
    find_price: PriceFinder
    store: UsageStore
    last_record: UsageRecord | None = None

    def resolve_model(self, name: str = AUTO_MODEL) -> str:
        """The model a name stands for: 'auto' is the newest general Kimi that is offered."""
        if name != AUTO_MODEL:
            return name
        if not self.models:
            raise CommandRejected(
                "the provider lists no model",
                hint="name one with --model; `meshnode kimi status` shows what it says",
            )
        return choose_newest_kimi(self.models)

    def get_context_tokens(self, model: str) -> int:
        """How long a conversation may be; 0 where nobody says."""
        return next((info.context_tokens for info in self.models if info.id == model), 0)

    def make_request(
        self,
        messages: Sequence[dict[str, Any]],
        *,
        model: str = "",
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> dict[str, Any]:
        """A request with what the settings say filled in."""
        warmth = self.settings.temperature if temperature is None else temperature
        request: dict[str, Any] = {
            "model": self.resolve_model(model or self.settings.model),
            "messages": list(messages),
            "max_tokens": max_tokens or self.settings.max_tokens,
        }
        return request if warmth is None else request | {"temperature": warmth}

    def check_cost(self, request: dict[str, Any], max_cost_udollar: int) -> None:
        """Refuse a request that may cost more. Raises `CommandRejected`."""
        price = self.find_price(request["model"])
        if price is None:
            raise CommandRejected(
                f"nobody here knows what {request['model']} costs",
                hint="ask without --max-cost, or name a model with a price: `meshnode kimi models`",
            )
        cost = estimate_cost_udollar(request, price, answer_tokens=self.settings.max_tokens)
        if cost > max_cost_udollar:
            raise CommandRejected(
                f"this request may cost {format_usd(cost)} USD, more than "
                f"{format_usd(max_cost_udollar)}",
                hint="ask for a shorter answer with --max-tokens, or allow more with --max-cost",
            )

    async def ask(self, request: dict[str, Any], on_text: Callable[[str], None]) -> KimiReply:
        """Ask, with every piece of text told as it comes. Raises `EngineError` and its kin."""
        reply = KimiReply(self.settings.provider, request["model"])
        started_s = time.monotonic()
        self.last_record = None
        try:
            async with aclosing(self.engine.chat(request)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    text = _take(reply, chunk)
                    if reply.first_token_ms is None and (text or reply.reasoning):
                        reply.first_token_ms = int((time.monotonic() - started_s) * 1_000)
                    if text:
                        on_text(text)
        except CapReached as error:
            raise CommandRejected(error.message, hint=error.hint) from None
        except EngineError as error:
            raise explain(error, self.settings) from None
        reply.total_ms = int((time.monotonic() - started_s) * 1_000)
        self._complete(reply)
        return reply

    def _complete(self, reply: KimiReply) -> None:
        """Add what the books say."""
        record = self.last_record
        if record is not None:
            reply.cost_udollar, reply.request_id = record.cost_udollar, record.request_id

    def read_spent_today(self) -> int:
        """Micro-dollars that the books have for today (UTC) and this provider."""
        day = time.time_ns() // 1_000_000 // DAY_MS
        return self.store.read_spent_udollar(day, engine=self.settings.provider)


@asynccontextmanager
async def open_account(
    home: Path, settings: KimiSettings, key: Secret | None
) -> AsyncIterator[KimiAccount]:
    """Connect to the provider and open the books. Raises `EngineError`, `ConfigError`.

    When the block ends, every request is written down.
    """
    options = make_engine_options(settings)
    options.pop("api_key", None)
    if key is not None:
        options["api_key"] = key
    engine = await asyncio.to_thread(create_engine, settings.provider, options)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(UsageStore(home))
        writer = UsageWriter(stack.enter_context(UsageStore(home)))
        stack.push_async_callback(asyncio.to_thread, writer.close)
        cap: DailyCap | None = None
        if settings.daily_cap_udollar is not None and settings.provider != "local":
            cap = DailyCap(
                stack.enter_context(UsageStore(home)),
                settings.provider,
                settings.daily_cap_udollar,
                now_ms=lambda: time.time_ns() // 1_000_000,
            )
        try:
            await engine.start()
        except EngineError as error:
            raise explain(error, settings) from None
        stack.push_async_callback(engine.close)
        models = await engine.models()
        account = KimiAccount(
            settings=settings,
            engine=engine,
            models=models,
            find_price=make_price_finder(settings.provider, settings.region, models),
            store=store,
        )
        _keep_books(account, writer, cap)
        yield account


def _keep_books(account: KimiAccount, writer: UsageWriter, cap: DailyCap | None) -> None:
    def take(record: UsageRecord) -> None:
        account.last_record = record
        writer.take(record)
        if cap is not None:
            cap.count(record)

    settings, engine = account.settings, account.engine
    if isinstance(engine, Metered):
        engine.meter(take)
    if cap is not None:
        account.engine = CappedEngine(
            engine,
            cap,
            make_finder=partial(make_price_finder, settings.provider, settings.region),
            models=account.models,
            default_model=account.resolve_model(settings.model),
            answer_tokens=settings.max_tokens,
        )


def explain(error: EngineError, settings: KimiSettings) -> Exception:
    """The error with the one next step that fits this account."""
    if error.fault is EngineFault.TIMEOUT:
        return DeadlineExceeded(
            error.message, hint="allow more with `meshnode kimi configure --timeout`"
        )
    hint = error.hint
    if error.fault is EngineFault.UNAUTHORIZED:
        hint = describe_key_trouble(settings)
    elif error.fault is EngineFault.OUT_OF_QUOTA:
        hint = f"top up the account at {describe_console(settings)}"
    elif error.fault is EngineFault.MODEL_NOT_FOUND:
        hint = "`meshnode kimi models` lists what there is"
    elif error.fault is EngineFault.UNREACHABLE and settings.provider == "local":
        hint = "start the engine, or correct its address with `meshnode kimi configure --base-url`"
    return EngineError(error.fault, error.message, retry_after_ms=error.retry_after_ms, hint=hint)


def describe_console(settings: KimiSettings) -> str:
    """Where a person looks after the account."""
    if settings.provider == "openrouter":
        return "https://openrouter.ai/settings"
    if settings.region == "china":
        return "https://platform.kimi.com"
    return "https://platform.kimi.ai"


def describe_key_trouble(settings: KimiSettings) -> str:
    """What to do about a key that was refused."""
    if settings.provider == "moonshot" and settings.official:
        other = "international" if settings.region == "china" else "china"
        return (
            "the platforms api.moonshot.ai and api.moonshot.cn have keys of their own: try "
            f"`meshnode kimi configure --region {other}`, or make a key at "
            f"{describe_console(settings)}"
        )
    if settings.provider == "local":
        return "give the engine's key with `meshnode kimi configure`"
    return f"make a key at {describe_console(settings)} and run `meshnode kimi configure`"


def _take(reply: KimiReply, chunk: dict[str, Any]) -> str:
    """Add a chunk to the reply and return its text."""
    reply.model = str(chunk.get("model") or reply.model)
    text = ""
    for choice in choices_of(chunk)[:1]:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            text += delta["content"] if isinstance(delta.get("content"), str) else ""
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            reply.reasoning += thought if isinstance(thought, str) else ""
        reply.finish_reason = str(choice.get("finish_reason") or reply.finish_reason)
    usage = find_usage(chunk)
    if usage is not None:
        counts = read_token_usage(usage)
        reply.prompt_tokens, reply.cached_tokens = counts.prompt, counts.cached
        reply.completion_tokens, reply.reasoning_tokens = counts.completion, counts.reasoning
    reply.notes += _read_notes(chunk)
    reply.text += text
    return text


def _read_notes(chunk: dict[str, Any]) -> list[str]:
    mesh = chunk.get(MESH_FIELD)
    engine = mesh.get("engine") if isinstance(mesh, dict) else None
    notes = engine.get("notes") if isinstance(engine, dict) else None
    return [str(note["detail"]) for note in notes or [] if isinstance(note, dict)]
