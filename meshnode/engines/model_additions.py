"""What a listing does not say of models: what the table of families knows, and which to take."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.model_names import normalise_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.engines.base import ModelInfo

_PLAIN_KIMI = re.compile(r"kimi-k(\d{1,3})(?:\.(\d{1,3}))?(?:-\d{4})?(?:-preview)?")


def describe_kimi(model: ModelInfo) -> ModelInfo:
    """A listed model; of a Kimi model the context where none is listed, and that it calls tools."""
    known = find_capabilities(model.id)
    if not known.is_kimi:
        return model
    return dataclasses.replace(
        model, context_tokens=model.context_tokens or known.context_tokens, tools=True
    )


def choose_newest_kimi(models: Sequence[ModelInfo]) -> str:
    """The plain Kimi model of the highest version that is listed; else the first that is.

    Variants (`-code`, `-thinking`, `-highspeed`, `:free`) are for who asks for them.
    """
    found: list[tuple[tuple[int, int], str]] = []
    for model in models:
        match = _PLAIN_KIMI.fullmatch(normalise_model(model.id))
        if match is not None and ":" not in model.id:
            found.append(((int(match[1]), int(match[2] or 0)), model.id))
    return max(found)[1] if found else models[0].id
