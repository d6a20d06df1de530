"""What all engines behind HTTP share: one request from its rules to its bill.

A request passes the rules of its service, waits for a slot, is counted against the context, and is
sent. Time-outs hold at every step. It is tried again only before its first token and only within a
budget; what the provider refused for good is not asked again. The last chunk of an answer carries
under `meshnode.engine` what was done to the request.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import aclosing
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

from meshnode.engines.base import Account, EngineError, EngineFault, HasAccount, ModelInfo
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.context import bound_tokens, encode_json
from meshnode.engines.exchange import Exchange
from meshnode.engines.fitting import ContextFitter
from meshnode.engines.http_backend import HttpBackend
from meshnode.engines.metering import Meter
from meshnode.engines.model_list import read_models
from meshnode.engines.reasoning_memory import ReasoningMemory
from meshnode.engines.request import bad_request
from meshnode.engines.retrying import RetryBudget, plan_wait_ms
from meshnode.engines.rules.draft import Draft
from meshnode.engines.slots import SlotGate
from meshnode.engines.standing import QUOTA_CHECK_MS, Standing, share_quota_domain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from meshnode.engines.base import ChatRequest, Chunk, TokenCount
    from meshnode.engines.http_options import HttpEngineOptions
    from meshnode.engines.pricing import Price
    from meshnode.engines.usage import UsageSink

MODEL_LIST_BYTES_MAX = 4 << 20
MODEL_LIST_TIMEOUT_MS = 30_000
ACCOUNT_TIMEOUT_MS = 5_000
"""A balance is asked for between a request and its answer, so not for long."""
COUNT_TIMEOUT_MS = 10_000
AUTO_MODELS = (None, "", "auto")


class HttpEngine:
    """A client of one base URL; engines of a known service build on it."""

    name = "http"
    owner = "local"
    """Whose requests it is for: this node's owner, unless the engine is shared."""
    shareable = False
    """Whether other peers' requests may run here: an account serves its owner only."""
    cap_field = "max_tokens"
    """Where the service reads the cap on an answer."""
    follows_rules = True
    """Whether the rules of known families of models are applied."""
    refuses_overflow = False
    """Whether the service is known to refuse what does not fit, and never to cut it unseen."""

    def __init__(
        self,
        options: HttpEngineOptions,
        *,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        prices: Mapping[str, Price] = MappingProxyType({}),
    ) -> None:
        self._options = options
        self._default_model = options.model
        self._listed: dict[str, ModelInfo] = {}
        self._gate = SlotGate(self.name, slots=options.slots, waiting_max=options.waiting_max)
        self._backend = HttpBackend(
            base_url,
            options.api_key,
            connections_max=options.slots + 2,  # the model list must not wait behind answers
            connect_timeout_ms=options.connect_timeout_ms,
            headers=headers,
        )
        self._prices = dict(prices) | options.prices
        self._sink: UsageSink | None = None
        self._random = Random()  # noqa: S311 - spreads retries, guards nothing
        self._budget = RetryBudget()
        self._memory = ReasoningMemory()
        self._standing = Standing(
            share_quota_domain(self._domain_name()), remembers=isinstance(self, HasAccount)
        )
        self._broken_parsers: set[str] = set()

    def _domain_name(self) -> str:
        """Engines of one address and one key share their limits; the key itself is not kept."""
        key = self._options.api_key.reveal().encode(errors="replace")
        fingerprint = hashlib.sha256(b"meshnode quota domain" + key).hexdigest()[:16]
        return self._options.quota_domain or f"{self._backend.authority} {fingerprint}"

    @property
    def slots(self) -> int:
        """How many requests run at once before they queue."""
        return self._options.slots

    def meter(self, sink: UsageSink) -> None:
        """Hand a `UsageRecord` to `sink` for every request that ends from now on."""
        self._sink = sink

    async def start(self) -> None:
        """Connect and see what the server offers. Raises `EngineError`."""
        self._backend.open()
        try:
            await self._connect()
        except BaseException:
            await self._backend.close()
            raise

    async def _connect(self) -> None:
        models = await self.models()
        if not self._default_model and models:
            self._default_model = self._choose_default(models)

    def _choose_default(self, models: list[ModelInfo]) -> str:
        """What 'auto' means where no model is set."""
        return models[0].id

    def _explain(self, error: EngineError) -> None:
        """Say what an error means for this service, where it means more than for any."""

    async def close(self) -> None:
        """Hang up every request in progress."""
        self._gate.close()
        await self._backend.close()

    async def models(self) -> list[ModelInfo]:
        """What `GET /models` lists, or the configured model where the server has no list.

        The first is the one that 'auto' stands for: a mesh knows no other sign of it.
        """
        try:
            listing = await self._backend.fetch_object(
                "GET",
                "models",
                deadline=self._after(
                    min(self._options.first_token_timeout_ms, MODEL_LIST_TIMEOUT_MS)
                ),
                size_max_bytes=MODEL_LIST_BYTES_MAX,
            )
        except EngineError as error:
            if error.fault is EngineFault.MODEL_NOT_FOUND and self._options.model:
                return [ModelInfo(id=self._options.model, label=self._options.model)]
            self._explain(error)
            raise
        models = [self._describe(model) for model in read_models(listing, self._backend.label)]
        if models:
            default = self._default_model or self._choose_default(models)
            models.sort(key=lambda model: model.id != default)
        self._listed = {model.id: model for model in models}
        self._standing.note_listed(list(self._listed))
        return models

    def _describe(self, model: ModelInfo) -> ModelInfo:
        """A listed model with what else is known of it; a service adds what it knows."""
        return model

    @property
    def broken_tool_parsers(self) -> frozenset[str]:
        """Models whose tool calls arrived as text: the engine's parser for them is broken."""
        return frozenset(self._broken_parsers)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the server's answer; closing this iterator closes the HTTP stream at once."""
        draft = self._draft(request)
        self._encode(draft)  # what cannot be sent is refused before it waits
        meter = self._new_meter(draft.model)
        async with self._gate.slot():
            ended: BaseException | None = None
            try:
                deadline = self._after(self._options.total_timeout_ms)
                async with aclosing(self._answer(draft, meter, deadline)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except BaseException as error:
                ended = error
                raise
            finally:
                self._close_meter(meter, ended)

    def _new_meter(self, model: str) -> Meter:
        return Meter(
            self.name,
            model,
            self._prices,
            now_ms=self._now_ms(),
            wall_ms=time.time_ns() // 1_000_000,
        )

    def _close_meter(self, meter: Meter, ended: BaseException | None) -> None:
        if self._sink is not None:
            self._sink(meter.close(ended, now_ms=self._now_ms()))

    def _draft(self, request: ChatRequest) -> Draft:
        """The request as it goes out. Raises `EngineError` where a rule refuses it."""
        model = request.get("model")
        if model in AUTO_MODELS:
            model = self._default_model
        if not isinstance(model, str) or not model:
            raise bad_request("the request names no model, and this engine has no default")
        draft = Draft(request, model=model)
        draft.fields["stream"] = True
        if self._options.ask_usage:
            given = draft.get("stream_options") or {}
            if not isinstance(given, dict):
                raise bad_request("'stream_options' is not an object")
            draft.fields["stream_options"] = given | {"include_usage": True}
        self._shape(draft)
        return draft

    def _shape(self, draft: Draft) -> None:
        """Apply the rules of the service. Raises `EngineError`."""

    async def count_tokens(self, request: ChatRequest) -> TokenCount:
        """The tokens of a request's prompt, as exactly as the service allows, and how it knows."""
        draft = self._draft(request)
        counted = await self.count_draft(draft)
        return counted or bound_tokens(draft.messages, draft.get("tools"))

    async def count_draft(self, draft: Draft) -> TokenCount | None:
        """Count the prompt as exactly as the service allows; None where it cannot, or not now."""
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_MS / 1_000):
                return await self._count(draft)
        except (EngineError, TimeoutError):
            return None

    async def _count(self, draft: Draft) -> TokenCount | None:  # noqa: ARG002 - for services
        """Ask the service to count; None where it has no way to."""
        return None

    def _encode(self, draft: Draft) -> bytes:
        body = encode_json(draft.fields)
        if len(body) > self._options.request_bytes_max:
            raise bad_request(
                f"the request has {len(body)} bytes where {self._options.request_bytes_max} may be"
            )
        return body

    def _window(self, model: str) -> int:
        """The context to keep to, in tokens; 0 where nobody knows."""
        listed = self._listed.get(model)
        known = (listed.context_tokens if listed else 0) or (
            find_capabilities(model).context_tokens if self.follows_rules else 0
        )
        told = self._options.context_tokens
        return min(known, told) if known and told else known or told

    async def _answer(
        self, draft: Draft, meter: Meter, deadline: float
    ) -> AsyncGenerator[Chunk, None]:
        """Send until answered, within the rules for trying again."""
        self._budget.note_request(now_ms=self._now_ms())
        await self._check_standing(draft.model)
        fitter = ContextFitter(self, draft, window=self._window(draft.model))
        await fitter.fit(self._options.context_rule)
        attempt = 0
        while True:
            attempt += 1
            exchange = Exchange(self._backend, self._options, draft, meter, self._memory)
            try:
                async with aclosing(exchange.run(self._encode(draft), deadline)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except EngineError as error:
                await self._note_error(error, draft.model)
                if meter.has_begun or self._gate.closed:
                    raise
                if fitter.trim_after(error):
                    continue
                wait_ms = self._plan_retry(error, attempt, deadline)
                if wait_ms is None:
                    raise
            else:
                self._note_answer(exchange, draft.model)
                return
            await self._gate.pause(wait_ms)
            await self._check_standing(draft.model)

    def _plan_retry(self, error: EngineError, attempt: int, deadline: float) -> int | None:
        if attempt > self._options.retries_max:
            return None
        wait_ms = plan_wait_ms(error, attempt=attempt, random=self._random)
        if wait_ms is None or self._after(wait_ms) >= deadline:
            return None
        return wait_ms if self._budget.take(now_ms=self._now_ms()) else None

    def _note_answer(self, exchange: Exchange, model: str) -> None:
        self._standing.domain.note_success()
        if exchange.tool_parser_broken:
            self._broken_parsers.add(model)

    async def _note_error(self, error: EngineError, model: str) -> None:
        self._explain(error)
        self._standing.note_error(error, model, now_ms=self._now_ms(), random=self._random)
        if error.fault is EngineFault.OUT_OF_QUOTA:
            self._standing.domain.balance_micro = await self._read_balance()

    async def _check_standing(self, model: str) -> None:
        """Raises `EngineError` where nothing may be sent; a used-up balance is looked up again."""
        domain, now_ms = self._standing.domain, self._now_ms()
        if domain.out_of_quota and now_ms - domain.checked_ms >= QUOTA_CHECK_MS:
            domain.checked_ms = now_ms
            domain.take_balance(await self._read_balance(), now_ms=now_ms)
        self._standing.check(model, now_ms=now_ms)

    async def _read_balance(self) -> int | None:
        """What can be spent, in millionths; None where that cannot be learned now."""
        if not isinstance(self, HasAccount):
            return None
        try:
            async with asyncio.timeout(ACCOUNT_TIMEOUT_MS / 1_000):
                account: Account = await self.read_account()
        except (EngineError, TimeoutError):
            return None
        return account.available_micro

    @staticmethod
    def _after(timeout_ms: int) -> float:
        return asyncio.get_running_loop().time() + timeout_ms / 1000

    @staticmethod
    def _now_ms() -> int:
        return int(asyncio.get_running_loop().time() * 1_000)
