"""The engine port: one stream of OpenAI-shaped chunks, whatever produces them.

A request is the JSON object of `POST /v1/chat/completions`; a chunk is a `chat.completion.chunk`
object. Fields we do not know pass through untouched in both directions.

An engine promises: the last chunk with choices carries a `finish_reason`; usage, when known, is in
a `usage` field of the last chunk (with or without choices); cancelling the consuming task or
closing the iterator stops the work within a second; failures are `EngineError`, never anything else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from meshnode.errors import MeshError

ChatRequest = Mapping[str, Any]
"""The JSON object of a chat completion request."""

Chunk = dict[str, Any]
"""One `chat.completion.chunk` object."""


class EngineFault(StrEnum):
    """Why an engine failed, in the words a router can act on."""

    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    MODEL_NOT_FOUND = "model_not_found"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    OUT_OF_QUOTA = "out_of_quota"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    INTERNAL = "internal"
    CONTENT_FILTER = "content_filter"


_RETRYABLE = frozenset(
    {
        EngineFault.OVERLOADED,
        EngineFault.RATE_LIMITED,
        EngineFault.UNREACHABLE,
        EngineFault.TIMEOUT,
        EngineFault.INTERNAL,
        EngineFault.TRUNCATED,
        EngineFault.MALFORMED,
    }
)


class EngineError(MeshError):
    """An engine could not answer; `fault` says why, `retry_after_ms` when it may be asked again."""

    code = "engine_error"

    def __init__(
        self, fault: EngineFault, message: str, *, retry_after_ms: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.fault = fault
        self.retry_after_ms = retry_after_ms

    @property
    def may_retry_elsewhere(self) -> bool:
        """Whether another replica may succeed where this one failed."""
        return self.fault in _RETRYABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as an engine offers it."""

    id: str
    revision: str = ""
    """Digest or version of the weights where known."""
    context_tokens: int = 0
    """Longest context in tokens; 0 where unknown."""
    tools: bool = False
    """Whether tool calls can be relied on."""
    size_bytes: int = 0
    label: str = ""
    """How a person names it, for banners: 'SmolLM2-135M-Instruct Q4_1'."""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Something that answers chat requests."""

    @property
    def name(self) -> str:
        """The engine's registered name: 'echo', 'embedded', 'openai_compatible'."""

    @property
    def shareable(self) -> bool:
        """Whether other peers' requests may run here: True only for weights one hosts oneself."""

    @property
    def slots(self) -> int:
        """How many requests run at once before they queue."""

    async def start(self) -> None:
        """Load or connect; may take long. Raises `EngineError`."""

    async def close(self) -> None:
        """Stop work in progress and free everything."""

    async def models(self) -> list[ModelInfo]:
        """What can be asked for right now."""

    def chat(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Answer a request chunk by chunk."""
