"""The engines people host themselves: how to tell them apart, and what each can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from meshnode.engines.rules.messages import Continuation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Kind(StrEnum):
    """What serves at an address."""

    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMA_CPP = "llama_cpp"
    KTRANSFORMERS = "ktransformers"
    TENSORRT_LLM = "tensorrt_llm"
    LITELLM = "litellm"
    OTHER = "other"


class Tokenizing(StrEnum):
    """How an engine counts tokens."""

    NONE = "none"
    CHAT = "chat"
    """A whole conversation, template included."""
    TEMPLATE = "template"
    """The template first, then the text it makes."""
    TEXT = "text"
    """Text only; what the template adds is bounded."""
    COUNTER = "counter"
    """A proxy's own count, by a tokenizer it takes to be the model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a kind can be asked."""

    continuation: Continuation = Continuation.FINAL_MESSAGE
    tokenizing: Tokenizing = Tokenizing.NONE
    metrics: str = ""
    """Path of its metrics, below the address without `/v1`."""
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    kv_usage: tuple[str, ...] = ()
    """Names of its metrics through the versions, the newest first."""
    refuses_overflow: bool = True
    hosts_weights: bool = True
    """Whether what serves there is an engine, and not a way to somebody's account."""


_SGLANG = Traits(
    tokenizing=Tokenizing.TEXT,
    metrics="metrics",
    running=("sglang:num_running_reqs",),
    waiting=("sglang:num_queue_reqs",),
    kv_usage=("sglang:token_usage",),
)

TRAITS: Mapping[Kind, Traits] = MappingProxyType(
    {
        Kind.VLLM: Traits(
            tokenizing=Tokenizing.CHAT,
            metrics="metrics",
            running=("vllm:num_requests_running",),
            waiting=("vllm:num_requests_waiting",),
            kv_usage=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        ),
        Kind.SGLANG: _SGLANG,
        Kind.KTRANSFORMERS: _SGLANG,  # serves through SGLang
        Kind.LLAMA_CPP: Traits(
            continuation=Continuation.IMPLIED,
            tokenizing=Tokenizing.TEMPLATE,
            metrics="metrics",
            running=("llamacpp:requests_processing",),
            waiting=("llamacpp:requests_deferred",),
            kv_usage=("llamacpp:kv_cache_usage_ratio",),
        ),
        Kind.TENSORRT_LLM: Traits(
            metrics="prometheus/metrics",
            running=("trtllm_num_requests_running", "trtllm:num_requests_running"),
            waiting=("trtllm_num_requests_waiting", "trtllm:num_requests_waiting"),
            kv_usage=("trtllm_kv_cache_utilization", "trtllm:kv_cache_utilization"),
        ),
        Kind.LITELLM: Traits(
            tokenizing=Tokenizing.COUNTER, refuses_overflow=False, hosts_weights=False
        ),
        Kind.OTHER: Traits(refuses_overflow=False),
    }
)

_OWNERS = MappingProxyType(
    {
        "vllm": Kind.VLLM,
        "sglang": Kind.SGLANG,
        "llamacpp": Kind.LLAMA_CPP,
        "llama.cpp": Kind.LLAMA_CPP,
        "tensorrt_llm": Kind.TENSORRT_LLM,
        "tensorrt-llm": Kind.TENSORRT_LLM,
        "ktransformers": Kind.KTRANSFORMERS,
        "kvcache-ai": Kind.KTRANSFORMERS,
    }
)

PROBES: Sequence[tuple[str, str, Kind]] = (
    ("server_info", "kt_", Kind.KTRANSFORMERS),
    ("get_server_info", "kt_", Kind.KTRANSFORMERS),
    ("get_server_info", "max_total_num_tokens", Kind.SGLANG),
    ("health/liveliness", "alive", Kind.LITELLM),
    ("props", "default_generation_settings", Kind.LLAMA_CPP),
    ("metrics", "vllm:", Kind.VLLM),
    ("prometheus/metrics", "trtllm", Kind.TENSORRT_LLM),
)
"""Paths below the address without `/v1`, and a word that only that kind answers there."""


def kind_of_owner(owners: Sequence[object]) -> Kind | None:
    """The kind by what a model list gives as `owned_by`; None where that says nothing.

    KTransformers serves through SGLang and lists itself as that: there only a probe tells.
    """
    for owner in owners:
        kind = _OWNERS.get(str(owner).lower())
        if kind is not None:
            return kind
    return None
