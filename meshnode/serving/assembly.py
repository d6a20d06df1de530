"""Putting a streamed answer together, the same way on both sides of the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.chunks import choices_of, find_usage
from meshnode.errors import MalformedMessage
from meshnode.serving.protocol import ANSWER_BYTES_MAX, STREAM_BYTES_MAX

if TYPE_CHECKING:
    from meshnode.engines.base import Chunk

TOOL_CALLS_MAX = 128


def check_chunk(value: object) -> Chunk:
    """Accept an object as a chunk: every choice is an object. Raises `MalformedMessage`."""
    if not isinstance(value, dict):
        raise MalformedMessage("a chunk is not a JSON object")
    choices = value.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise MalformedMessage("the choices of a chunk are not a list of objects")
    return value


class AnswerAssembler:
    """Collects the first choice of an answer's chunks, within limits. Chunks have passed `check_chunk`.

    The *content* of an answer is what its digest covers: its text, or, where the model calls
    tools, the canonical JSON of text and calls.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._kept_bytes = 0
        self._stream_bytes = 0
        self.model = ""
        self.finish_reason = ""
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    @property
    def text(self) -> str:
        """The visible text so far."""
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        """What the model has thought so far, where it says so."""
        return "".join(self._reasoning)

    @property
    def has_tool_calls(self) -> bool:
        """Whether a call of a tool has begun."""
        return bool(self._calls)

    @property
    def message(self) -> dict[str, Any] | None:
        """The whole message, None where it is nothing but its text."""
        extras: dict[str, Any] = {}
        if self._reasoning:
            extras["reasoning_content"] = "".join(self._reasoning)
        if self._calls:
            extras["tool_calls"] = self._tool_calls()
        return {"role": "assistant", "content": self.text, **extras} if extras else None

    @property
    def content(self) -> str:
        """What the digest of the answer covers."""
        if not self._calls:
            return self.text
        content = {"content": self.text, "tool_calls": self._tool_calls()}
        return msgspec.json.encode(content, order="sorted").decode()

    def add(self, chunk: Chunk, *, size_bytes: int) -> str:
        """Take a chunk of `size_bytes` in JSON; returns the text it adds.

        Raises `EngineError` when the answer outgrows its limits.
        """
        self._stream_bytes += size_bytes
        if self._stream_bytes > STREAM_BYTES_MAX:
            raise _too_large(f"its chunks take more than {STREAM_BYTES_MAX} bytes")
        model = chunk.get("model")
        if isinstance(model, str) and model:
            self.model = model
        self._note_usage(chunk)
        text = ""
        for choice in choices_of(chunk):
            if choice.get("index", 0) == 0:
                text += self._add_choice(choice)
        return text

    def _note_usage(self, chunk: Chunk) -> None:
        usage = find_usage(chunk)
        if usage is not None:
            self.prompt_tokens = _count(usage.get("prompt_tokens"), self.prompt_tokens)
            self.completion_tokens = _count(usage.get("completion_tokens"), self.completion_tokens)

    def _add_choice(self, choice: dict[str, Any]) -> str:
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.finish_reason = reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str):
            self._keep(reasoning)
            self._reasoning.append(reasoning)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._add_call(call)
        content = delta.get("content")
        if not isinstance(content, str):
            return ""
        self._keep(content)
        self._texts.append(content)
        return content

    def _add_call(self, piece: dict[str, Any]) -> None:
        index = piece.get("index", 0)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < TOOL_CALLS_MAX:
            raise _too_large(f"it calls a tool with index {str(index)[:20]}")
        call = self._calls.setdefault(
            index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        function = piece.get("function")
        for target, source, names in (
            (call, piece, ("id",)),
            (call["function"], function, ("name", "arguments")),
        ):
            for name in names:
                value = source.get(name) if isinstance(source, dict) else None
                if isinstance(value, str):
                    self._keep(value)
                    target[name] += value

    def _keep(self, text: str) -> None:
        self._kept_bytes += len(text.encode(errors="replace"))
        if self._kept_bytes > ANSWER_BYTES_MAX:
            raise _too_large(f"it is longer than {ANSWER_BYTES_MAX} bytes")

    def _tool_calls(self) -> list[dict[str, Any]]:
        return [self._calls[index] for index in sorted(self._calls)]


def _count(value: object, otherwise: int | None) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**53:
        return otherwise
    return value


def _too_large(reason: str) -> EngineError:
    return EngineError(
        EngineFault.MALFORMED, f"the answer is cut off: {reason}", hint="ask for a shorter one"
    )
