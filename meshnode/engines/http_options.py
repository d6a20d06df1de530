"""The settings of the engines behind HTTP: what they share, and what each adds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from meshnode.engines.openai_stream import ANSWER_BYTES_MAX
from meshnode.engines.options import Count, DurationMs, EngineOptions, SizeBytes
from meshnode.engines.pricing import Price
from meshnode.engines.sse import EVENT_BYTES_MAX
from meshnode.secret import Secret

Tokens = Annotated[int, msgspec.Meta(ge=0, le=1 << 30)]
ShortText = Annotated[str, msgspec.Meta(max_length=200)]


class ContextRule(StrEnum):
    """What happens to a conversation longer than the model's context."""

    REFUSE = "refuse"
    TRIM = "trim"
    """The oldest turns are left out, and the answer says how many."""
    ENGINE = "engine"
    """Nothing is counted here; the engine decides."""


class FixedField(StrEnum):
    """What happens to a sampling field that the model does not let one set."""

    OMIT = "omit"
    """It is left out, and the answer says so."""
    REFUSE = "refuse"


class HttpEngineOptions(EngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every engine behind HTTP can be told."""

    api_key: Secret = Secret("")
    model: str = ""
    """The model for requests that name none or 'auto'; by default the first that is listed."""
    slots: Count = 8
    ask_usage: bool = True
    """Whether to ask for a usage record; off for servers that refuse `stream_options`."""
    connect_timeout_ms: DurationMs = 5_000
    first_token_timeout_ms: DurationMs = 120_000
    """From the request to the first token, waiting at the server and reading the prompt included."""
    idle_timeout_ms: DurationMs = 60_000
    """From one chunk of an answer to the next; comments that only keep a line open do not count."""
    total_timeout_ms: DurationMs = 900_000
    request_bytes_max: SizeBytes = 8 << 20
    answer_bytes_max: SizeBytes = ANSWER_BYTES_MAX
    event_bytes_max: SizeBytes = EVENT_BYTES_MAX
    retries_max: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    """How often a request is tried again here, only before its first token and within a budget."""
    context_rule: ContextRule = ContextRule.ENGINE
    context_tokens: Tokens = 0
    """The context to keep to; 0 for what the model's listing or the table of families says."""
    prices: dict[str, Price] = msgspec.field(default_factory=dict)
    """Micro-dollars per million tokens, by the start of a model's name; they win over the list."""
    quota_domain: ShortText = ""
    """Engines of one name cool down together; by default those of one address and one key."""


class OpenAICompatibleOptions(
    HttpEngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The settings of a server of the OpenAI dialect of which nothing else is known."""

    base_url: str
    """Where `/chat/completions` is found below, usually ending in `/v1`."""
    self_hosted: bool = False
    """Whether the weights are one's own to share; an account at a provider never is."""


class MoonshotOptions(HttpEngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the Kimi platform; its two regions have accounts and keys of their own."""

    region: Literal["international", "china"] = "international"
    base_url: str = ""
    """Another address of the same service, for a gateway of one's own; by default the region's."""
    retries_max: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    context_rule: ContextRule = ContextRule.REFUSE
    fixed_fields: FixedField = FixedField.OMIT
    answer_tokens: Tokens = 0
    """Cap for requests that set none; 0 for the family's. The provider charges it to the rate limit
    in advance, so there always is one."""
    prompt_cache_key: ShortText = ""
    """For requests that set none: those of one key find each other's prompts in the cache."""
    safety_identifier: ShortText = ""


class ProviderRouting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OpenRouter's choice among the providers of a model; a request's own `provider` object wins."""

    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    quantizations: list[str] | None = None
    sort: Literal["price", "throughput", "latency"] | None = None
    max_price: dict[str, float] | None = None


class OpenRouterOptions(HttpEngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of OpenRouter."""

    base_url: str = "https://openrouter.ai/api/v1"
    retries_max: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    context_rule: ContextRule = ContextRule.REFUSE
    fixed_fields: FixedField = FixedField.OMIT
    answer_tokens: Tokens = 0
    provider: ProviderRouting = ProviderRouting()
    app_url: ShortText = ""
    """Sent as `HTTP-Referer`; nothing is sent by default."""
    app_title: ShortText = ""
    """Sent as `X-OpenRouter-Title`; nothing is sent by default."""


class LocalOptions(HttpEngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of an engine that one hosts oneself."""

    base_url: str = "http://127.0.0.1:8000/v1"
    kind: Literal[
        "auto", "vllm", "sglang", "llama_cpp", "ktransformers", "tensorrt_llm", "litellm", "other"
    ] = "auto"
    """What serves there; 'auto' asks it."""
    share: bool = False
    """Whether peers may ask it. Weights one hosts oneself may be shared; what only forwards to an
    account at a provider (LiteLLM) never is."""
    context_rule: ContextRule = ContextRule.REFUSE
    answer_tokens: Tokens = 0
    chat_template_kwargs: dict[str, bool | int | str] = msgspec.field(default_factory=dict)
    """For every request; a request's own win."""
