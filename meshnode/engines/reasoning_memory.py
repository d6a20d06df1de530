"""What a model thought before it called tools, kept for clients that do not send it back.

Thinking models want the reasoning of an answer that called tools back in the next request, and most
clients drop it. It is kept here for a while, under a digest of the whole conversation up to and
with the calls: only who sends that very conversation again gets its reasoning put back.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from meshnode.engines.chunks import choices_of
from meshnode.engines.context import encode_json
from meshnode.engines.rules.messages import calls_of, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.engines.base import Chunk
    from meshnode.engines.rules.draft import Draft

ENTRIES_MAX = 256
BYTES_MAX = 8 << 20
ENTRY_BYTES_MAX = 1 << 20
FIELDS = ("reasoning_content", "reasoning", "reasoning_details")


class ReasoningMemory:
    """A bounded store; the least recently used goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[dict[str, Any], int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, messages: Sequence[Any], calls: list[Any], reasoning: dict[str, Any]) -> None:
        """Remember the reasoning of an answer with these calls to this conversation."""
        if not calls or not reasoning:
            return
        size = len(encode_json(reasoning))
        if size > ENTRY_BYTES_MAX:
            return
        key = _digest([*messages, {"role": "assistant", "tool_calls": calls}])[-1]
        self._forget(key)
        self._kept[key] = (reasoning, size)
        self._bytes += size
        while len(self._kept) > ENTRIES_MAX or self._bytes > BYTES_MAX:
            self._forget(next(iter(self._kept)))

    def replay(self, draft: Draft, *, expected: bool) -> None:
        """Put remembered reasoning back where a conversation lacks it.

        Where the model expects it and it is not remembered, the draft says so.
        """
        messages = draft.messages
        lacking = [
            index
            for index, message in enumerate(messages)
            if calls_of(message) and not any(message.get(name) for name in FIELDS)
        ]
        if not lacking:
            return
        digests = _digest(messages)
        replayed = list(messages)
        missing = 0
        for index in lacking:
            entry = self._kept.get(digests[index])
            if entry is None:
                missing += 1
                continue
            self._kept.move_to_end(digests[index])
            replayed[index] = {**messages[index], **entry[0]}
        draft.fields["messages"] = replayed
        if missing and expected:
            draft.note(
                "reasoning_missing",
                "messages",
                f"{missing} answers with tool calls lack the reasoning the model gave with them",
            )

    def _forget(self, key: bytes) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._bytes -= entry[1]


def _digest(messages: Sequence[Any]) -> list[bytes]:
    """A digest per message, each over all up to it; ids, reasoning and empty contents do not count.

    Clients rewrite those, and what a model said and called does not change by it.
    """
    running = hashlib.sha256()
    digests: list[bytes] = []
    for message in messages:
        running.update(encode_json(_essence(message)) + b"\n")
        digests.append(running.copy().digest())
    return digests


def _essence(message: Any) -> Any:
    calls = calls_of(message)
    if calls:
        # Text beside calls is left out of it: clients differ in whether they keep it.
        return ["calls", [[name_of(call), _arguments(call)] for call in calls]]
    role = message.get("role") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else message
    return ["says", role, content or None]


def _arguments(call: dict[str, Any]) -> Any:
    function = call.get("function")
    return function.get("arguments") if isinstance(function, dict) else None


class ReasoningCollector:
    """Gathers the reasoning and the tool calls of one answer as it streams."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._details: list[Any] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._bytes = 0

    def take(self, chunk: Chunk) -> None:
        """Read a chunk; what exceeds the limit of an entry is not gathered any more."""
        for choice in choices_of(chunk):
            delta = choice.get("delta")
            if choice.get("index", 0) != 0 or not isinstance(delta, dict):
                continue
            for name in ("reasoning_content", "reasoning"):
                text = delta.get(name)
                if isinstance(text, str) and self._fits(len(text)):
                    self._texts.setdefault(name, []).append(text)
            details = delta.get("reasoning_details")
            if isinstance(details, list) and self._fits(len(encode_json(details))):
                self._details += details
            for piece in calls_of(delta):
                self._take_call(piece)

    def _fits(self, size: int) -> bool:
        self._bytes += size
        return self._bytes <= ENTRY_BYTES_MAX

    def _take_call(self, piece: dict[str, Any]) -> None:
        index = piece.get("index", 0)
        if not isinstance(index, int) or not 0 <= index < 128:
            return
        call = self._calls.setdefault(index, {"function": {"name": "", "arguments": ""}})
        function = piece.get("function")
        for name in ("name", "arguments"):
            value = function.get(name) if isinstance(function, dict) else None
            if isinstance(value, str) and self._fits(len(value)):
                call["function"][name] += value

    @property
    def calls(self) -> list[Any]:
        """The tool calls of the answer."""
        return [self._calls[index] for index in sorted(self._calls)]

    @property
    def reasoning(self) -> dict[str, Any]:
        """The fields of reasoning as they go back; empty when there was none, or too much."""
        if self._bytes > ENTRY_BYTES_MAX:
            return {}
        fields: dict[str, Any] = {name: "".join(texts) for name, texts in self._texts.items()}
        return fields | ({"reasoning_details": self._details} if self._details else {})
