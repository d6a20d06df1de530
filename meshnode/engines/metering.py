"""The meter of one request: what it used, how long it took, what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshnode.engines.base import EngineError
from meshnode.engines.chunks import find_usage, has_content
from meshnode.engines.pricing import compute_cost_udollar, find_price, read_cost_udollar
from meshnode.engines.request_ids import ID_CHARS_MAX, read_request_id, read_trace_id
from meshnode.engines.usage import Outcome, TokenUsage, UsageRecord, read_token_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.engines.base import Chunk
    from meshnode.engines.pricing import Price


class Meter:
    """Reads the chunks of one request; `close` makes its record."""

    def __init__(
        self, engine: str, model: str, prices: Mapping[str, Price], *, now_ms: int, wall_ms: int
    ) -> None:
        self._engine = engine
        self._prices = prices
        self._started_ms = now_ms
        self._started_wall_ms = wall_ms
        self._first_token_ms: int | None = None
        self._usage: dict[str, Any] | None = None
        self._answer_id = ""
        self.model = model
        self.request_id = ""
        self.trace_id = ""

    @property
    def has_begun(self) -> bool:
        """Whether a token has come."""
        return self._first_token_ms is not None

    def take_headers(self, headers: Mapping[str, str]) -> None:
        """Keep the ids by which a provider finds the request again."""
        self.request_id = read_request_id(headers) or self.request_id
        self.trace_id = read_trace_id(headers) or self.trace_id

    def take(self, chunk: Chunk, *, now_ms: int) -> None:
        """Read a chunk."""
        if self._first_token_ms is None and has_content(chunk):
            self._first_token_ms = now_ms - self._started_ms
        usage = find_usage(chunk)
        if usage is not None:
            self._usage = usage
        model, answer_id = chunk.get("model"), chunk.get("id")
        if isinstance(model, str) and 0 < len(model) <= 200:
            self.model = model
        if isinstance(answer_id, str):
            self._answer_id = answer_id[:ID_CHARS_MAX]

    @property
    def tokens(self) -> TokenUsage:
        """The counts the provider gave."""
        return read_token_usage(self._usage)

    @property
    def cost_udollar(self) -> int | None:
        """What the provider says it cost, else what the price list makes of the counts."""
        if self._usage is None:
            return None
        told = read_cost_udollar(self._usage)
        if told is not None:
            return told
        price = find_price(self._prices, self.model)
        return None if price is None else compute_cost_udollar(self.tokens, price)

    def close(self, error: BaseException | None, *, now_ms: int) -> UsageRecord:
        """The record of the request, ended by `error` or well."""
        tokens = self.tokens
        return UsageRecord(
            time_ms=self._started_wall_ms + now_ms - self._started_ms,
            engine=self._engine,
            model=self.model,
            request_id=self.request_id or self._answer_id,
            prompt_tokens=tokens.prompt,
            cached_tokens=tokens.cached,
            completion_tokens=tokens.completion,
            reasoning_tokens=tokens.reasoning,
            cost_udollar=self.cost_udollar,
            latency_ms=now_ms - self._started_ms,
            first_token_ms=self._first_token_ms,
            outcome=self._outcome(error),
            fault=error.fault.value if isinstance(error, EngineError) else "",
        )

    def _outcome(self, error: BaseException | None) -> Outcome:
        if error is None:
            return Outcome.ANSWERED
        if not isinstance(error, EngineError):
            return Outcome.CANCELLED
        return Outcome.INTERRUPTED if self.has_begun else Outcome.FAILED
