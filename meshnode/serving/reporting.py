"""What a serving node says of itself: numbered reports, to its peers, with its answers, to its router."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.core.commands import Serve
from meshnode.core.messages import BASIS_POINTS, MODELS_MAX, ModelAdvert
from meshnode.engines.base import EngineError, ReportsLoad
from meshnode.routing import report as routing
from meshnode.serving.protocol import Load, Report, clip_text
from meshnode.serving.reports import make_offer

if TYPE_CHECKING:
    from meshnode.engines.base import Engine, ModelInfo
    from meshnode.serving.port import MeshPort
    from meshnode.serving.prompt_cache import PromptCache
    from meshnode.serving.slots import Slots

ADVERT_PERIOD_MS: Final = 200
"""Load changes with each question; peers hear of it at most this often."""
REFRESH_PERIOD_MS: Final = 2_000
"""Where anything is served, the load is looked at at least this often."""
REPEAT_PERIOD_MS: Final = 60_000
"""A load that stays is said again this often. Any sign of life between confirms it: what changes is
said at once, on a channel that keeps its order."""
ENGINE_LOAD_MS: Final = 1_000
"""An engine that tells its own load does so within this."""
ENGINE_LOAD_EVERY_MS: Final = 1_000
"""An engine is asked for its load at most this often."""
FOREIGN_MAX: Final = 1_000_000
"""More requests of others are not counted."""


class Reporter:
    """The reports of one node with an engine."""

    def __init__(
        self,
        engine: Engine,
        port: MeshPort,
        slots: Slots,
        cache: PromptCache,
        *,
        changed: asyncio.Event,
        offers: bool,
    ) -> None:
        """`changed` is set whenever the load has; `offers` says whether others may ask."""
        self._changed = changed
        self._engine = engine
        self._port = port
        self._slots = slots
        self._cache = cache
        self._offers = offers
        self._models: tuple[ModelInfo, ...] = ()
        self._draining = False
        self._incarnation = port.read_clock_ms()
        self._sequence = 0
        self._kv_usage_bp = 0
        self._foreign = 0
        """Requests at the engine that did not come by this node."""
        self._read_ms: int | None = None
        self._said: Load | None = None
        self._said_ms = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self, models: tuple[ModelInfo, ...]) -> None:
        """Tell peers what is served, and from now on how busy this node is."""
        self._models = models
        await self._advertise()
        self._task = asyncio.create_task(self._keep_advertising(), name="advertise load")

    async def stop(self) -> None:
        """Tell peers that this node takes no more questions, and nothing after that."""
        self._draining = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
            await self._advertise()

    def make_load(self) -> Load:
        """How busy this node is now: the next of its reports."""
        self._sequence += 1
        return self._read_load()

    def _read_load(self) -> Load:
        slots = max(0, min(self._engine.slots, self._slots.slots))
        own = self._slots.running
        foreign_running = min(self._foreign, max(0, slots - own))
        return Load(
            incarnation=self._incarnation,
            sequence=self._sequence,
            slots=slots,
            running=own + foreign_running,
            queued=self._slots.queued + self._foreign - foreign_running,
            queued_prefill_tokens=self._slots.queued_prefill_tokens,
            kv_usage_bp=self._kv_usage_bp,
            draining=self._draining,
        )

    def make_report(self, generation: int) -> Report:
        """The load, and what prompts were read since a generation of digests."""
        complete, blocks = self._cache.read_since(generation, now_ms=self._port.read_clock_ms())
        return Report(self.make_load(), self._cache.generation, complete, blocks)

    def make_own_report(self) -> routing.Report:
        """This node's own engine, as its router sees it."""
        load = self.make_load()
        return routing.Report(
            sequence=load.sequence,
            incarnation=load.incarnation,
            models=tuple(make_offer(_make_advert(self._engine, each)) for each in self._models),
            slots=load.slots,
            running=load.running,
            queued=load.queued,
            queued_prefill_tokens=load.queued_prefill_tokens,
            kv_usage_bp=load.kv_usage_bp,
            draining=load.draining,
            shareable=self._engine.shareable,
        )

    async def _keep_advertising(self) -> None:
        while True:
            try:
                async with asyncio.timeout(REFRESH_PERIOD_MS / 1000 if self._offers else None):
                    await self._changed.wait()
                has_changed = True
            except TimeoutError:
                has_changed = False  # unless others use the engine, too
            self._changed.clear()
            await self._read_engine_load()
            if has_changed or self._is_to_say():
                await self._advertise()
                await asyncio.sleep(ADVERT_PERIOD_MS / 1000)

    def _is_to_say(self) -> bool:
        """Whether peers were told otherwise, or so long ago that they would think this node gone."""
        assert self._said is not None, "the first advert comes with the start"
        if self._port.read_clock_ms() - self._said_ms >= REPEAT_PERIOD_MS:
            return True
        return msgspec.structs.replace(self._said, sequence=self._sequence) != self._read_load()

    async def _read_engine_load(self) -> None:
        """Ask an engine that others may use beside this node, too, how full it is."""
        now_ms = self._port.read_clock_ms()
        is_due = self._read_ms is None or now_ms - self._read_ms >= ENGINE_LOAD_EVERY_MS
        if not (is_due and isinstance(self._engine, ReportsLoad)):
            return
        self._read_ms, own = now_ms, self._slots.running
        try:
            async with asyncio.timeout(ENGINE_LOAD_MS / 1000):
                signals = await self._engine.read_load()
        except (EngineError, TimeoutError):
            return  # its answers will show what is wrong
        if signals.running is not None and signals.waiting is not None:
            own = max(own, self._slots.running)
            self._foreign = min(max(0, signals.running + signals.waiting - own), FOREIGN_MAX)
        if signals.kv_usage_permille is not None:
            self._kv_usage_bp = min(max(0, signals.kv_usage_permille * 10), BASIS_POINTS)

    async def _advertise(self) -> None:
        shared = self._models[:MODELS_MAX] if self._offers else ()
        self._said = load = self.make_load()
        self._said_ms = self._port.read_clock_ms()
        await self._port.advertise(
            Serve(
                models=tuple(_make_advert(self._engine, model) for model in shared),
                slots=load.slots if shared else 0,
                running=load.running,
                queued=load.queued,
                draining=load.draining,
                incarnation=load.incarnation,
                sequence=load.sequence,
                queued_prefill_tokens=load.queued_prefill_tokens,
                kv_usage_bp=load.kv_usage_bp,
                shareable=self._engine.shareable,
            )
        )


def _make_advert(engine: Engine, model: ModelInfo) -> ModelAdvert:
    return ModelAdvert(
        id=clip_text(model.id),
        revision=clip_text(model.revision),
        context_tokens=model.context_tokens,
        tools=model.tools,
        engine=clip_text(engine.name),
        label=clip_text(model.label),
        size_bytes=model.size_bytes,
        thinking=bool(model.extra.get("supports_reasoning")),
    )
