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
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from meshnode.errors import MeshError

if TYPE_CHECKING:
    from meshnode.engines.usage import UsageSink

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


class WaitEnded(EngineError):
    """A wait of this node's own ran out; what was asked for may still be under way, and be billed."""

    def __init__(self, message: str) -> None:
        super().__init__(EngineFault.TIMEOUT, message)


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


class CountMethod(StrEnum):
    """How tokens were counted."""

    TOKENIZER = "tokenizer"
    """By the model's own tokenizer: exact."""
    PROVIDER = "provider"
    """By the provider's own estimate."""
    BOUND = "bound"
    """From the size of the text, erring to the high side: no tokenizer is at hand."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens a conversation takes, and how that is known."""

    tokens: int
    method: CountMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSignals:
    """What an engine says of its own load; None where it does not say."""

    running: int | None = None
    waiting: int | None = None
    kv_usage_permille: int | None = None
    """How full the memory for running conversations is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account behind an engine; None where the provider does not say."""

    currency: str = "USD"
    available_micro: int | None = None
    """What may still be spent, in millionths of the currency; may be negative."""
    used_micro: int | None = None
    limit_micro: int | None = None
    label: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else the provider says, without keys."""


# What some engines can do beside answering. Ask with `isinstance(engine, Embeds)`.


@runtime_checkable
class Embeds(Protocol):
    """An engine with embeddings."""

    async def embed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object of `POST /v1/embeddings`, answered. Raises `EngineError`."""


@runtime_checkable
class CountsTokens(Protocol):
    """An engine that can tell how long a conversation is."""

    async def count_tokens(self, request: ChatRequest) -> TokenCount:
        """The tokens of a request's prompt. Raises `EngineError`."""


@runtime_checkable
class ReportsLoad(Protocol):
    """An engine that tells its own load."""

    async def read_load(self) -> LoadSignals:
        """The load right now. Raises `EngineError`."""


@runtime_checkable
class HasAccount(Protocol):
    """An engine behind an account."""

    async def read_account(self) -> Account:
        """Balance and limits, asked of the provider right now. Raises `EngineError`."""


@runtime_checkable
class Metered(Protocol):
    """An engine that keeps account of what requests use."""

    def meter(self, sink: UsageSink) -> None:
        """Hand a `UsageRecord` to `sink` for every request that ends from now on."""
