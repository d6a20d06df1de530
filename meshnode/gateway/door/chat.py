"""Answers as chat completions, streamed and whole."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from meshnode.engines.chunks import choices_of, find_usage
from meshnode.gateway.door.facts import make_facts
from meshnode.gateway.door.frames import DONE, make_error_frame, make_frame
from meshnode.gateway.door.merging import merge

if TYPE_CHECKING:
    from meshnode.engines.base import Chunk
    from meshnode.errors import MeshError
    from meshnode.gateway.door.calls import Call
    from meshnode.views import Answer, Started

CHUNK: Final = "chat.completion.chunk"
COMPLETION: Final = "chat.completion"
_ID_BYTES: Final = 16
_STARTING: Final = {"role": "assistant"}


def make_answer_id(prefix: str) -> str:
    """An id for an answer whose engine gave it none."""
    return f"{prefix}{secrets.token_hex(_ID_BYTES)}"


def make_usage(answer: Answer, reported: dict[str, Any] | None) -> dict[str, Any]:
    """The usage record, the engine's own where it gave one; all three counts are always there."""
    usage = dict(reported or {})
    for name, value in (
        ("prompt_tokens", answer.usage.prompt_tokens),
        ("completion_tokens", answer.usage.completion_tokens),
    ):
        if not isinstance(usage.get(name), int):
            usage[name] = value or 0
    if not isinstance(usage.get("total_tokens"), int):
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return usage


class ChatStream:
    """Chunks in the order that every client takes: deltas, a finish, usage alone, `[DONE]`."""

    def __init__(self, call: Call) -> None:
        self._include_usage = call.include_usage
        self._created = int(time.time())
        self._head: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def start(self, _: Started) -> bytes:
        """Nothing: the first chunk says it all."""
        return b""

    def take(self, chunk: Chunk) -> bytes:
        """The events of a chunk."""
        usage = find_usage(chunk)
        if usage is not None:
            self._usage = usage
        choices = choices_of(chunk)
        if self._head is None:
            self._head = self._make_head(chunk)
        if not choices:
            return b""
        # What is not known here stays; what every chunk of an answer shares is the first one's.
        shown = {**chunk, **self._head, "choices": choices}
        shown.pop("usage", None)
        if len(choices) == 1 and self._is_plain(choices[0]):
            return self._frame(shown)
        return self._split(shown, choices)

    def finish(self, answer: Answer) -> bytes:
        """What is left to say once the answer is whole."""
        head = self._head or self._make_head({"model": answer.model})
        parts: list[bytes] = []
        if not self._finished:
            choice = _make_choice(0, {}, answer.finish_reason or "stop")
            parts.append(self._frame({**head, "choices": [choice]}))
        if self._include_usage:
            usage = make_usage(answer, self._usage)
            facts = make_facts(answer)
            parts.append(self._frame({**head, "choices": [], "usage": usage, "meshnode": facts}))
        parts.append(DONE)
        return b"".join(parts)

    def fail(self, error: MeshError) -> bytes:
        """The error that ends the stream."""
        return make_error_frame(error)

    def _frame(self, shown: dict[str, Any]) -> bytes:
        return make_frame(shown)

    def _make_head(self, chunk: Chunk) -> dict[str, Any]:
        answer_id, created = chunk.get("id"), chunk.get("created")
        return {
            "id": answer_id or make_answer_id("chatcmpl-"),
            "object": CHUNK,
            "created": created or self._created,
            "model": chunk.get("model") or "",
        }

    def _is_plain(self, choice: dict[str, Any]) -> bool:
        """Whether a choice can go out as it is: one that goes on, with its usage elsewhere."""
        return (
            choice.get("index") in self._begun
            and choice.get("finish_reason", self) is None
            and isinstance(choice.get("delta"), dict)
            and "usage" not in choice
        )

    def _split(self, shown: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
        """A finish stands alone, behind everything else of its chunk."""
        going: list[dict[str, Any]] = []
        ending: list[dict[str, Any]] = []
        for choice in choices:
            self._sort(choice, going, ending)
        frames = [self._frame({**shown, "choices": each}) for each in (going, ending) if each]
        return b"".join(frames)

    def _sort(
        self, choice: dict[str, Any], going: list[dict[str, Any]], ending: list[dict[str, Any]]
    ) -> None:
        index = choice.get("index", 0)
        if not isinstance(index, int):
            index = 0
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = {}
        if index not in self._begun:
            self._begun.add(index)
            delta = {**_STARTING, **delta}
        reason = choice.get("finish_reason")
        rest = {name: value for name, value in choice.items() if name != "usage"}
        if delta or not reason:
            going.append({**rest, "index": index, "delta": delta, "finish_reason": None})
        if reason:
            self._finished.add(index)
            known = {} if going and going[-1]["index"] == index else rest
            ending.append({**known, **_make_choice(index, {}, reason)})


class ChatWhole:
    """One answer, put together from its chunks."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}
        self._texts: dict[int, list[str]] = {}
        self._extra: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None

    def take(self, chunk: Chunk) -> None:
        """Add a chunk."""
        usage = find_usage(chunk)
        if usage is not None:
            self._usage = usage
        for name, value in chunk.items():
            if name not in {"choices", "usage"} and value is not None:
                self._extra[name] = value
        for choice in choices_of(chunk):
            self._add(choice)

    def get_choices(self) -> list[dict[str, Any]]:
        """The choices so far, each with its whole message."""
        return [self._make(index) for index in sorted(self._choices)]

    def get_usage(self, answer: Answer) -> dict[str, Any]:
        """The usage record."""
        return make_usage(answer, self._usage)

    def make(self, answer: Answer) -> dict[str, Any]:
        """The body of the answer."""
        extra = self._extra
        choices = self.get_choices() or [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ""},
                "finish_reason": answer.finish_reason or "stop",
            }
        ]
        return {
            **extra,
            "id": extra.get("id") or make_answer_id("chatcmpl-"),
            "object": COMPLETION,
            "created": extra.get("created") or int(time.time()),
            "model": extra.get("model") or answer.model,
            "choices": choices,
            "usage": make_usage(answer, self._usage),
            "meshnode": make_facts(answer),
        }

    def _add(self, choice: dict[str, Any]) -> None:
        index = choice.get("index", 0)
        if not isinstance(index, int):
            index = 0
        kept = self._choices.setdefault(index, {"index": index, "message": {}})
        delta = choice.get("delta")
        if isinstance(delta, dict):
            text = delta.get("content")
            if isinstance(text, str):
                # Joined once at the end: answers may have thousands of pieces.
                self._texts.setdefault(index, []).append(text)
                delta = {name: value for name, value in delta.items() if name != "content"}
            if delta:
                merge(kept["message"], delta)
        rest = {
            name: value
            for name, value in choice.items()
            if name not in {"index", "delta", "usage"} and value is not None
        }
        if rest:
            merge(kept, rest)

    def _make(self, index: int) -> dict[str, Any]:
        kept = self._choices[index]
        message = dict(kept["message"])
        text = "".join(self._texts.get(index, ()))
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [_without_index(call) for call in calls]
        content = text if text or not calls else None
        return {
            **kept,
            "message": {**message, "role": message.get("role") or "assistant", "content": content},
            "finish_reason": kept.get("finish_reason") or "stop",
        }


def _make_choice(index: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": reason}


def _without_index(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    return {name: value for name, value in call.items() if name != "index"}
