"""Tool calls that an engine's parser let through as text, read after all.

A Kimi model writes its tool calls between markers, which an engine is to turn into `tool_calls`.
Where its parser fails, the markers arrive as text. They are read here only when the request offered
tools, and only calls of tools that it offered count: text that merely quotes markers stays text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshnode.engines.chunks import choices_of
from meshnode.engines.rules.messages import calls_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshnode.engines.base import Chunk

SECTION_BEGIN = "<|tool_calls_section_begin|>"
SECTION_END = "<|tool_calls_section_end|>"
CALL_BEGIN = "<|tool_call_begin|>"
ARGUMENT_BEGIN = "<|tool_call_argument_begin|>"
CALL_END = "<|tool_call_end|>"
SECTION_CHARS_MAX = 1 << 20
CALLS_MAX = 128

_STARTS = (SECTION_BEGIN, CALL_BEGIN)
_CALL = re.compile(
    re.escape(CALL_BEGIN)
    + r"\s*([^<]{1,200}?)\s*"
    + re.escape(ARGUMENT_BEGIN)
    + r"(.*?)"
    + re.escape(CALL_END),
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class LeakedCall:
    """A call found in text."""

    id: str
    name: str
    arguments: str


def parse_leaked_calls(text: str, offered: Iterable[str]) -> list[LeakedCall]:
    """The calls in a piece of text; empty when any is broken or of a tool that was not offered.

    Doing some of what a model meant may be worse than doing nothing of it.
    """
    names = set(offered)
    calls: list[LeakedCall] = []
    for match in _CALL.finditer(text):
        call_id, arguments = match[1], match[2].strip() or "{}"
        name = call_id.removeprefix("functions.").partition(":")[0]
        if name not in names or not _is_object(arguments) or len(calls) >= CALLS_MAX:
            return []
        calls.append(LeakedCall(call_id, name, arguments))
    return calls if len(calls) == text.count(CALL_BEGIN) else []


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@dataclass
class MarkerReader:
    """Watches the first choice of an answer for markers, and holds text back once one begins."""

    offered: list[str]
    leaked: bool = False
    """Whether calls were found in text: the engine's parser is broken."""
    _held: str = ""
    _open: bool = False
    """Whether a marker was seen whole, so that everything after it waits for the end."""
    _calls: int = 0
    """Calls that the engine itself has reported."""

    def take(self, chunk: Chunk) -> Chunk:
        """The chunk as it goes on: text that may be a marker stays here until it is known."""
        if not self.offered:
            return chunk
        choices = [self._take_choice(choice) for choice in choices_of(chunk)]
        return chunk | {"choices": choices} if choices else chunk

    def _take_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        delta = choice.get("delta") or {}
        if choice.get("index", 0) != 0:
            return choice
        self._calls += len(calls_of(delta))
        content = delta.get("content")
        ends = bool(choice.get("finish_reason"))
        if not isinstance(content, str) and not (ends and self._held):
            return choice
        self._held += content if isinstance(content, str) else ""
        if ends:
            return self._end(choice, delta)
        passed = self._release()
        return choice if passed == content else choice | {"delta": delta | {"content": passed}}

    def _release(self) -> str:
        """The text that cannot be part of a marker any more."""
        if self._open and len(self._held) <= SECTION_CHARS_MAX:
            return ""
        starts = [at for at in (self._held.find(start) for start in _STARTS) if at >= 0]
        if starts and len(self._held) <= SECTION_CHARS_MAX:
            self._open = True
            return self._cut(min(starts))
        self._open = False
        return self._cut(len(self._held) - _open_tail(self._held))

    def _cut(self, at: int) -> str:
        passed, self._held = self._held[:at], self._held[at:]
        return passed

    def _end(self, choice: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
        """The last piece: held text as calls where it is calls, and as text where it is not."""
        held, self._held, was_open = self._held, "", self._open
        start = min((at for at in (held.find(mark) for mark in _STARTS) if at >= 0), default=-1)
        calls = parse_leaked_calls(held[start:], self.offered) if start >= 0 else []
        if not calls or self._calls:
            return choice | {"delta": delta | {"content": held}} if held or was_open else choice
        self.leaked = True
        turned = {
            **{name: value for name, value in delta.items() if name != "content"},
            "tool_calls": [
                {
                    "index": index,
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for index, call in enumerate(calls)
            ],
        }
        if start:
            turned["content"] = held[:start]
        return choice | {"delta": turned, "finish_reason": "tool_calls"}


def _open_tail(text: str) -> int:
    """How many characters at the end may be the beginning of a marker."""
    longest = max(map(len, _STARTS)) - 1
    for size in range(min(longest, len(text)), 0, -1):
        tail = text[-size:]
        if any(start.startswith(tail) for start in _STARTS):
            return size
    return 0
