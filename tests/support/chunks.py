"""Reading answer chunks, as a client of an engine does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshnode.engines.chunks import choices_of


def finish_reason_of(chunk: Mapping[str, Any]) -> str | None:
    """Why the answer ended, when this chunk says so."""
    for choice in choices_of(chunk):
        if choice.get("finish_reason"):
            return str(choice["finish_reason"])
    return None


def text_of(chunk: Mapping[str, Any]) -> str:
    """The visible text a chunk adds to the first choice."""
    for choice in choices_of(chunk):
        delta = choice.get("delta")
        content = delta.get("content") if isinstance(delta, dict) else None
        if choice.get("index", 0) == 0 and isinstance(content, str):
            return content
    return ""
