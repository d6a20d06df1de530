"""What the bodies of `/v1` hold at least, for the document of the interface."""

from __future__ import annotations

from typing import Any, Final

_MESHNODE: Final[dict[str, Any]] = {
    "type": ["object", "null"],
    "description": "Wishes of the mesh; amounts are decimal numbers of ruv as text.",
    "properties": {
        "max_ruv": {"type": ["string", "null"]},
        "max_price": {"type": ["string", "null"]},
        "prefer": {"enum": ["latency", "local", None]},
        "peer": {"type": ["string", "null"], "minLength": 1, "maxLength": 256},
        "share": {"enum": ["full", "digest", None]},
        "record": {"type": "boolean"},
        "knowledge": {"type": "array", "items": {"type": "string"}, "maxItems": 6},
        "context": {"type": "array", "items": {"type": "string"}, "maxItems": 6},
        "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 3_600_000},
        "wishes": {"type": ["object", "null"], "additionalProperties": {"type": "integer"}},
    },
    "additionalProperties": False,
}
_COMMON: Final[dict[str, Any]] = {
    "model": {
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": 256,
        "description": "A model's id, or 'auto'; the answer names the real one.",
    },
    "stream": {"type": ["boolean", "null"]},
    "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 10},
    "meshnode": _MESHNODE,
}
_TOKENS: Final[dict[str, Any]] = {"type": ["integer", "null"], "minimum": 1, "maximum": 10_000_000}
CHAT_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        **_COMMON,
        "messages": {
            "type": "array",
            "minItems": 1,
            "maxItems": 10_000,
            "items": {
                "type": "object",
                "required": ["role"],
                "properties": {"role": {"type": "string"}},
            },
        },
        "max_tokens": _TOKENS,
        "max_completion_tokens": _TOKENS,
        "stream_options": {
            "type": ["object", "null"],
            "properties": {"include_usage": {"type": ["boolean", "null"]}},
        },
    },
}
COMPLETION_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["prompt"],
    "properties": {**_COMMON, "prompt": {"type": "string", "minLength": 1}, "max_tokens": _TOKENS},
}
RESPONSE_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["input"],
    "properties": {
        **_COMMON,
        "input": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}],
        },
        "instructions": {"type": ["string", "null"]},
        "max_output_tokens": _TOKENS,
        "previous_response_id": {"type": ["string", "null"]},
        "store": {"type": ["boolean", "null"]},
    },
}
EMBEDDINGS_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "model": {"type": "string"},
        "input": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string"}},
            ]
        },
    },
}
