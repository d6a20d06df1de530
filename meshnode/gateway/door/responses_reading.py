"""A request to `/v1/responses`, read as a chat: items become messages, tools and formats move.

Of its many kinds of input these are taken: texts and images of messages, function calls and their
outputs, and reasoning, which models that think need back. What runs at OpenAI only (its built-in
tools, stored prompts, files, conversations) is refused by name.
"""

from __future__ import annotations

from typing import Any, Final

from meshnode.gateway.door.calls import Call, make_call, read_count, read_flag
from meshnode.gateway.refusals import InvalidRequest

ITEMS_MAX: Final = 10_000
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "reasoning_text", "summary_text"})
_ELSEWHERE: Final = ("background", "conversation", "prompt")
"""Fields that mean something at OpenAI only."""
_READ: Final = frozenset(
    {
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "max_output_tokens",
        "previous_response_id",
        "store",
        "include",
        "truncation",
        "metadata",
        "max_tool_calls",
        "stream_options",
        *_ELSEWHERE,
    }
)

Message = dict[str, Any]


def read_response_call(body: dict[str, Any], history: list[Message]) -> tuple[Call, list[Message]]:
    """The question behind earlier messages, and the messages it adds. Raises `InvalidRequest`."""
    for name in _ELSEWHERE:
        if body.get(name):
            raise InvalidRequest(f"'{name}' cannot be had here", param=name)
    added = read_input(body.get("input"))
    chat = {name: value for name, value in body.items() if name not in _READ}
    chat["max_tokens"] = read_count(body, "max_output_tokens")
    chat.update(_read_tools(body))
    chat.update(_read_text(body))
    chat.update(_read_reasoning(body))
    before = _read_instructions(body)
    messages = [*before, *history, *added]
    if not messages:
        raise InvalidRequest("'input' is empty", param="input")
    return make_call(chat, messages), added


def read_store(body: dict[str, Any]) -> bool:
    """Whether the response is to be kept: yes, unless it says no."""
    return body.get("store") is None or read_flag(body, "store")


def read_input(given: object) -> list[Message]:
    """The messages that an input stands for. Raises `InvalidRequest`."""
    if given is None:
        return []
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or len(given) > ITEMS_MAX:
        raise InvalidRequest(
            f"'input' is neither a text nor a list of up to {ITEMS_MAX} items", param="input"
        )
    reader = _Reader()
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            raise InvalidRequest(f"input[{index}] is not an object", param=f"input[{index}]")
        reader.read(item, f"input[{index}]")
    return reader.messages


class _Reader:
    """Turns items into messages; what an assistant said in one go becomes one message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def read(self, item: dict[str, Any], where: str) -> None:
        """Take one item."""
        kind = item.get("type") or "message"
        match kind:
            case "message":
                self._read_message(item, where)
            case "function_call":
                self._read_call(item, where)
            case "function_call_output":
                self.messages.append(
                    {
                        "role": "tool",
                        "tool_call_id": _read_text_field(item, "call_id", where),
                        "content": _read_content(item.get("output"), f"{where}.output"),
                    }
                )
            case "reasoning":
                self._read_reasoning(item, where)
            case _:
                raise InvalidRequest(
                    f"{where} is of type '{str(kind)[:40]}', which cannot be had here", param=where
                )

    def _read_message(self, item: dict[str, Any], where: str) -> None:
        role = _read_text_field(item, "role", where)
        content = _read_content(item.get("content"), f"{where}.content")
        if role == "assistant":
            self._find_open()["content"] = content
            return
        self.messages.append(
            {"role": "system" if role == "developer" else role, "content": content}
        )

    def _read_call(self, item: dict[str, Any], where: str) -> None:
        call = {
            "id": _read_text_field(item, "call_id", where),
            "type": "function",
            "function": {
                "name": _read_text_field(item, "name", where),
                "arguments": _read_text_field(item, "arguments", where),
            },
        }
        self._find_open(calls=True).setdefault("tool_calls", []).append(call)

    def _read_reasoning(self, item: dict[str, Any], where: str) -> None:
        content = item.get("content") or item.get("summary") or []
        text = _read_content(content, f"{where}.content")
        if text:
            self._find_open()["reasoning_content"] = text

    def _find_open(self, *, calls: bool = False) -> Message:
        """The assistant's message under way: reasoning, then text, then calls."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == "assistant":
            begun = last.keys() - {"role"}
            if calls or begun == {"reasoning_content"}:
                return last
        self.messages.append({"role": "assistant"})
        return self.messages[-1]


def _read_text_field(item: dict[str, Any], name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f"{where}.{name} is not a text", param=f"{where}.{name}")
    return value


def _read_content(content: object, where: str) -> Any:
    """A text, or parts where there is more than text."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        raise InvalidRequest(f"{where} is neither a text nor a list of parts", param=where)
    parts = [_read_part(part, f"{where}[{index}]") for index, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _read_part(part: object, where: str) -> dict[str, Any]:
    if isinstance(part, dict):
        kind = part.get("type")
        if kind in _TEXTS and isinstance(part.get("text"), str):
            return {"type": "text", "text": part["text"]}
        if kind == "refusal" and isinstance(part.get("refusal"), str):
            return {"type": "text", "text": part["refusal"]}
        if kind == "input_image" and isinstance(part.get("image_url"), str):
            image = {"url": part["image_url"]}
            if isinstance(part.get("detail"), str):
                image["detail"] = part["detail"]
            return {"type": "image_url", "image_url": image}
    raise InvalidRequest(f"{where} is neither a text nor an image by its address", param=where)


def _read_instructions(body: dict[str, Any]) -> list[Message]:
    instructions = body.get("instructions")
    if instructions is None:
        return []
    if not isinstance(instructions, str):
        return read_input(instructions)
    return [{"role": "system", "content": instructions}]


def _read_tools(body: dict[str, Any]) -> dict[str, Any]:
    tools = body.get("tools")
    if not tools:
        return {}
    if not isinstance(tools, list):
        raise InvalidRequest("'tools' is not a list", param="tools")
    fields: dict[str, Any] = {
        "tools": [_read_tool(tool, index) for index, tool in enumerate(tools)]
    }
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        if choice.get("type") != "function":
            raise InvalidRequest("'tool_choice' names no function", param="tool_choice")
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    if choice is not None:
        fields["tool_choice"] = choice
    return fields


def _read_tool(tool: object, index: int) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        kind = tool.get("type") if isinstance(tool, dict) else None
        raise InvalidRequest(
            f"tools[{index}] is of type '{str(kind)[:40]}'; only functions can be had here",
            param=f"tools[{index}]",
        )
    known = {name: value for name, value in tool.items() if name != "type" and value is not None}
    return {"type": "function", "function": known}


def _read_text(body: dict[str, Any]) -> dict[str, Any]:
    text = body.get("text")
    if text is None:
        return {}
    form = text.get("format") if isinstance(text, dict) else False
    if form is False or not isinstance(form, dict | None):
        raise InvalidRequest("'text' is not an object with a format", param="text")
    fields: dict[str, Any] = {}
    if isinstance(text.get("verbosity"), str):
        fields["verbosity"] = text["verbosity"]
    if form is None or form.get("type") == "text":
        return fields
    if form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        form = {"type": "json_schema", "json_schema": schema}
    return {**fields, "response_format": form}


def _read_reasoning(body: dict[str, Any]) -> dict[str, Any]:
    reasoning = body.get("reasoning")
    if not isinstance(reasoning, dict) or not reasoning.get("effort"):
        return {}
    return {"reasoning_effort": reasoning["effort"]}
