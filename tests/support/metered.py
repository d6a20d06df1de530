"""An engine that meters, answers at once, and costs what it is told to cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from meshnode.engines.base import ModelInfo
from meshnode.engines.chunks import delta_chunk, usage_of
from meshnode.engines.usage import Outcome, UsageRecord, UsageSink

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + 5_000


def make_record(**changes: Any) -> UsageRecord:
    """One request at the Kimi platform."""
    values: dict[str, Any] = {
        "time_ms": NOW_MS,
        "engine": "moonshot",
        "model": "kimi-k2.6",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_udollar": 1_000,
        "latency_ms": 40,
        "first_token_ms": 7,
    }
    return UsageRecord(**values | changes)


@dataclass
class MeteredEngine:
    """Answers "Paris." and says so to its sink."""

    name: str = "moonshot"
    shareable: bool = False
    slots: int = 2
    cost_udollar: int | None = 1_000
    tells_usage: bool = True
    sinks: list[UsageSink] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    listed: list[ModelInfo] = field(default_factory=lambda: [ModelInfo(id="kimi-k2.6")])
    closed: bool = False

    def meter(self, sink: UsageSink) -> None:
        self.sinks.append(sink)

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        self.closed = True

    async def models(self) -> list[ModelInfo]:
        return self.listed

    async def chat(self, request: Any) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(dict(request))
        yield delta_chunk("1", "kimi-k2.6", {"content": "Paris."})
        last = delta_chunk("1", "kimi-k2.6", {}, finish_reason="stop")
        if self.tells_usage:
            last["usage"] = usage_of(10, 5)
        yield last
        for sink in self.sinks:
            sink(make_record(cost_udollar=self.cost_udollar, outcome=Outcome.ANSWERED))
