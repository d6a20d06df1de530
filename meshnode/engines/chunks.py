"""Making and reading `chat.completion.chunk` objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.engines.base import Chunk


def delta_chunk(
    answer_id: str, model: str, delta: Mapping[str, Any], *, finish_reason: str | None = None
) -> Chunk:
    """A chunk with one choice. `created` is 0: an engine has no clock to vouch for."""
    return {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish_reason}],
    }


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """The usage record of an answer."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def choices_of(chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of a chunk; empty where it has none."""
    choices = chunk.get("choices")
    return choices if isinstance(choices, list) else []


def has_content(chunk: Chunk) -> bool:
    """Whether a chunk carries more than a message's start: then nobody can take over unnoticed."""
    for choice in choices_of(chunk):
        delta = choice.get("delta")
        if choice.get("finish_reason"):
            return True
        if isinstance(delta, dict) and any(
            value for name, value in delta.items() if name != "role"
        ):
            return True
    return False


def find_usage(chunk: Mapping[str, Any]) -> dict[str, Any] | None:
    """The usage record, at the top level or inside a choice, where some servers put it."""
    for holder in (chunk, *choices_of(chunk)):
        usage = holder.get("usage")
        if isinstance(usage, dict):
            return usage
    return None
