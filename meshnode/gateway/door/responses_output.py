"""What an answer becomes in a response: items of reasoning, text and function calls, event by event.

One machine serves both ways of answering: streamed, its events are sent; whole, only the items at
its end matter.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from meshnode.engines.chunks import choices_of, find_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshnode.engines.base import Chunk

Event = dict[str, Any]
CALLS_MAX: Final = 128
_ID_BYTES: Final = 16


def make_id(prefix: str) -> str:
    """An id of a response or of one of its items."""
    return f"{prefix}_{secrets.token_hex(_ID_BYTES)}"


class _Texts:
    """An item made of one text: a message, or reasoning."""

    def __init__(self, kind: str, position: int) -> None:
        self._is_message = kind == "message"
        self._id = make_id("msg" if self._is_message else "rs")
        self._position = position
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """What has come."""
        return "".join(self._pieces)

    def begin(self) -> Iterator[Event]:
        """The item, then its only part."""
        yield self._make("response.output_item.added", item=self.make_item("in_progress", ()))
        yield self._make_part_event("response.content_part.added", "")

    def add(self, piece: str) -> Iterator[Event]:
        """More of the text."""
        self._pieces.append(piece)
        yield self._make_text_event("delta", delta=piece)

    def close(self) -> Iterator[Event]:
        """The text, the part and the item, whole."""
        text = self.text
        yield self._make_text_event("done", text=text)
        yield self._make_part_event("response.content_part.done", text)
        yield self._make("response.output_item.done", item=self.make_item("completed", (text,)))

    def make_item(self, status: str, texts: tuple[str, ...]) -> dict[str, Any]:
        """The item with these parts."""
        content = [self._make_part(text) for text in texts]
        if self._is_message:
            return {
                "id": self._id,
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": content,
            }
        return {
            "id": self._id,
            "type": "reasoning",
            "status": status,
            "summary": [],
            "content": content,
        }

    def _make_part(self, text: str) -> dict[str, Any]:
        if self._is_message:
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {"type": "reasoning_text", "text": text}

    def _make_part_event(self, name: str, text: str) -> Event:
        part = self._make_part(text)
        return self._make(name, item_id=self._id, content_index=0, part=part)

    def _make_text_event(self, step: str, **fields: str) -> Event:
        if self._is_message:
            return self._make(
                f"response.output_text.{step}",
                item_id=self._id,
                content_index=0,
                logprobs=[],
                **fields,
            )
        name = f"response.reasoning_text.{step}"
        return self._make(name, item_id=self._id, content_index=0, **fields)

    def _make(self, kind: str, /, **fields: Any) -> Event:
        return {"type": kind, "output_index": self._position, **fields}


class _Call:
    """A function that is to be called."""

    def __init__(self, position: int) -> None:
        self._id = make_id("fc")
        self._position = position
        self._arguments: list[str] = []
        self.call_id = ""
        self.name = ""

    @property
    def arguments(self) -> str:
        """What has come of them."""
        return "".join(self._arguments)

    def begin(self) -> Iterator[Event]:
        """The item."""
        self.call_id = self.call_id or make_id("call")
        yield self._make("response.output_item.added", item=self.make_item("in_progress", ""))

    def add(self, piece: str) -> Iterator[Event]:
        """More of the arguments."""
        self._arguments.append(piece)
        name = "response.function_call_arguments.delta"
        yield self._make(name, item_id=self._id, delta=piece)

    def close(self) -> Iterator[Event]:
        """The arguments and the item, whole."""
        name = "response.function_call_arguments.done"
        arguments = self.arguments
        yield self._make(name, item_id=self._id, name=self.name, arguments=arguments)
        yield self._make("response.output_item.done", item=self.make_item("completed", arguments))

    def make_item(self, status: str, arguments: str) -> dict[str, Any]:
        """The item with these arguments."""
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": arguments,
        }

    def _make(self, kind: str, /, **fields: Any) -> Event:
        return {"type": kind, "output_index": self._position, **fields}


class Output:
    """The items of a response, in the order in which they begin."""

    def __init__(self) -> None:
        self._items: list[_Texts | _Call] = []
        self._open: _Texts | _Call | None = None
        self._open_kind = ""
        self._reasoning: list[_Texts] = []
        self._messages: list[_Texts] = []
        self._calls: list[_Call] = []
        self.finish_reason = ""
        self.usage: dict[str, Any] | None = None
        self.model = ""

    def take(self, chunk: Chunk) -> Iterator[Event]:
        """The events of a chunk; of several choices the first counts."""
        usage = find_usage(chunk)
        if usage is not None:
            self.usage = usage
        if isinstance(chunk.get("model"), str):
            self.model = chunk["model"] or self.model
        for choice in choices_of(chunk):
            if choice.get("index", 0) == 0:
                yield from self._take_choice(choice)

    def close(self) -> Iterator[Event]:
        """The last item is whole."""
        item, self._open, self._open_kind = self._open, None, ""
        if item is not None:
            yield from item.close()

    def make_items(self) -> list[dict[str, Any]]:
        """Every item, whole."""
        return [
            item.make_item("completed", item.arguments)
            if isinstance(item, _Call)
            else item.make_item("completed", (item.text,))
            for item in self._items
        ]

    def make_message(self) -> dict[str, Any]:
        """The whole answer as a chat message, for the conversation that goes on."""
        message: dict[str, Any] = {"role": "assistant"}
        text = "".join(item.text for item in self._messages)
        if text or not self._calls:
            message["content"] = text
        if self._reasoning:
            message["reasoning_content"] = "".join(item.text for item in self._reasoning)
        if self._calls:
            message["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self._calls
            ]
        return message

    def _take_choice(self, choice: dict[str, Any]) -> Iterator[Event]:
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self.finish_reason = reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            yield from self._add_text("reasoning", thought, self._reasoning)
        content = delta.get("content")
        if isinstance(content, str) and content:
            yield from self._add_text("message", content, self._messages)
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else ():
            if isinstance(piece, dict):
                yield from self._add_call(piece)

    def _add_text(self, kind: str, text: str, items: list[_Texts]) -> Iterator[Event]:
        item = self._open
        if self._open_kind != kind or not isinstance(item, _Texts):
            yield from self.close()
            item = _Texts(kind, len(self._items))
            items.append(item)
            yield from self._begin(item, kind)
        yield from item.add(text)

    def _add_call(self, piece: dict[str, Any]) -> Iterator[Event]:
        index = piece.get("index", 0)
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        kind, item = f"call {index}", self._open
        if self._open_kind != kind or not isinstance(item, _Call):
            if len(self._calls) >= CALLS_MAX:
                return
            yield from self.close()
            item = _Call(len(self._items))
            item.call_id = str(piece.get("id") or "")
            item.name = str(function.get("name") or "")
            self._calls.append(item)
            yield from self._begin(item, kind)
        arguments = function.get("arguments")
        if isinstance(arguments, str) and arguments:
            yield from item.add(arguments)

    def _begin(self, item: _Texts | _Call, kind: str) -> Iterator[Event]:
        self._items.append(item)
        self._open, self._open_kind = item, kind
        yield from item.begin()
