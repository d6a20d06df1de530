"""The echo engine: answers with the question, and says that it is no model.

It depends on nothing, is deterministic, and streams word by word, so that everything around an
engine can be tried, tested and simulated where no model is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated

import msgspec

from meshnode.engines.base import ModelInfo
from meshnode.engines.chunks import delta_chunk, usage_of
from meshnode.engines.options import Count, EngineOptions
from meshnode.engines.request import (
    bad_request,
    check_model,
    read_answer_tokens,
    read_messages,
    read_stops,
)
from meshnode.engines.slots import SlotGate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.engines.base import ChatRequest, Chunk

MODEL_ID = "echo"
PREFACE = "This is an echo, not a model. You said: "

_WORD = re.compile(r"\S+\s*|\s+")


class EchoOptions(EngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the echo engine."""

    slots: Count = 4
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0
    """Pause before each word, for whoever needs an answer that takes a while."""
    answer_tokens_max: Count = 4_096


class EchoEngine:
    """Answers every request with its last message of role 'user'."""

    name = "echo"
    shareable = True

    def __init__(self, options: EchoOptions | None = None) -> None:
        self._options = options or EchoOptions()
        self._gate = SlotGate(
            self.name, slots=self._options.slots, waiting_max=self._options.waiting_max
        )

    @property
    def slots(self) -> int:
        """How many requests run at once before they queue."""
        return self._options.slots

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """End every answer in progress."""
        self._gate.close()

    async def models(self) -> list[ModelInfo]:
        """The one pseudo-model."""
        return [ModelInfo(id=MODEL_ID, revision="1", label="echo (not a model)")]

    async def chat(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Stream the echo, one word per chunk."""
        check_model(request, served=MODEL_ID)
        messages = read_messages(request)
        tokens_max = read_answer_tokens(request, tokens_max=self._options.answer_tokens_max)
        words = _WORD.findall(_cut(_answer(messages), read_stops(request)))
        answer_id = _answer_id(request)
        async with self._gate.slot():
            yield delta_chunk(answer_id, MODEL_ID, {"role": "assistant", "content": ""})
            for word in words[:tokens_max]:
                await self._gate.pause(self._options.delay_ms)
                yield delta_chunk(answer_id, MODEL_ID, {"content": word})
            finish_reason = "length" if len(words) > tokens_max else "stop"
            last = delta_chunk(answer_id, MODEL_ID, {}, finish_reason=finish_reason)
            prompt_tokens = sum(len(_WORD.findall(message["content"])) for message in messages)
            last["usage"] = usage_of(prompt_tokens, min(len(words), tokens_max))
            yield last


def _answer(messages: list[dict[str, str]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return PREFACE + message["content"]
    return PREFACE


def _cut(text: str, stops: list[str]) -> str:
    ends = [text.find(stop) for stop in stops]
    return text[: min((end for end in ends if end >= 0), default=len(text))]


def _answer_id(request: ChatRequest) -> str:
    """The same request has the same id: nothing of an echo is random."""
    try:
        canonical = json.dumps(request, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        raise bad_request("the request is not a JSON object") from None
    return f"chatcmpl-echo-{hashlib.sha256(canonical.encode()).hexdigest()[:24]}"
