"""Model lists, read in the words of several servers."""

from __future__ import annotations

from typing import Any

from meshnode.engines.base import ModelInfo
from meshnode.engines.openai_stream import malformed

MODELS_MAX = 1_000
MODEL_ID_CHARS_MAX = 200
CONTEXT_FIELDS = ("context_length", "max_model_len", "n_ctx", "n_ctx_train", "max_input_tokens")


def read_models(listing: dict[str, Any], backend: str) -> list[ModelInfo]:
    """The models of a list. Raises `EngineError` where it is none."""
    entries = listing.get("data")
    if not isinstance(entries, list):
        raise malformed(backend, "its model list has no 'data'")
    return [
        _read_model(entry)
        for entry in entries[:MODELS_MAX]
        if isinstance(entry, dict) and _is_model_id(entry.get("id"))
    ]


def _is_model_id(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MODEL_ID_CHARS_MAX


def _read_model(entry: dict[str, Any]) -> ModelInfo:
    """A model as far as servers agree on how to describe one; `extra` keeps what else they say."""
    meta = entry.get("meta")
    described = entry | (meta if isinstance(meta, dict) else {})
    sizes = (described.get(key) for key in CONTEXT_FIELDS)
    context = next((size for size in sizes if isinstance(size, int) and size > 0), 0)
    return ModelInfo(id=entry["id"], context_tokens=context, label=entry["id"], extra=entry)
