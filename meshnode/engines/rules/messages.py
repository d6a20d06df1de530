"""The conversation: empty contents, ids of tool calls, and answers to be continued."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from meshnode.engines.request import bad_request

if TYPE_CHECKING:
    from meshnode.engines.rules.draft import Draft

MESSAGES_MAX = 10_000


class Continuation(StrEnum):
    """How a service is told to go on where the last message, the assistant's, ends."""

    PARTIAL = "partial"
    """A mark on the message."""
    FINAL_MESSAGE = "continue_final_message"
    """Two fields of the request."""
    IMPLIED = "implied"
    """By the message standing last."""


def check_messages(draft: Draft) -> None:
    """Refuse what is no conversation, before anything reads it."""
    messages = draft.messages
    if len(messages) > MESSAGES_MAX:
        raise bad_request(f"'messages' has {len(messages)} entries where {MESSAGES_MAX} may be")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise bad_request(f"messages[{index}] is not an object with a role")


def drop_empty_contents(draft: Draft) -> None:
    """Leave an empty content beside tool calls out; services refuse it."""
    draft.fields["messages"] = [
        {name: value for name, value in message.items() if name != "content"}
        if calls_of(message) and _is_empty(message.get("content"))
        else message
        for message in draft.messages
    ]


def _is_empty(content: Any) -> bool:
    if isinstance(content, list):
        return all(isinstance(part, dict) and part.get("text") == "" for part in content)
    return content in (None, "")


def calls_of(message: Any) -> list[dict[str, Any]]:
    """The tool calls of a message, as far as they are objects."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def name_of(call: dict[str, Any]) -> str:
    """The name of the function a tool call calls."""
    function = call.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def normalise_tool_ids(draft: Draft) -> None:
    """Name tool calls `functions.NAME:INDEX`, counted over the conversation, as Kimi learned them.

    Results keep to their calls: an id means the last call before it that had it.
    """
    index = 0
    current: dict[str, str] = {}
    renamed: list[Any] = []
    for message in draft.messages:
        turned = message
        if calls_of(message):
            calls = []
            for call in message["tool_calls"]:
                name = name_of(call) if isinstance(call, dict) else ""
                if not name:
                    calls.append(call)
                    continue
                new_id = f"functions.{name}:{index}"
                index += 1
                if isinstance(call.get("id"), str):
                    current[call["id"]] = new_id
                calls.append({**call, "id": new_id})
            turned = {**message, "tool_calls": calls}
        elif message.get("role") == "tool":
            new_id = current.get(str(message.get("tool_call_id")), "")
            turned = {**message, "tool_call_id": new_id} if new_id else message
        renamed.append(turned)
    draft.fields["messages"] = renamed


def apply_continuation(draft: Draft, form: Continuation) -> None:
    """Say in the service's own form that the last message is to be continued, if it is.

    A request may say so in either form: `partial` in the message, or `continue_final_message`.
    """
    last = draft.messages[-1]
    wanted = bool(draft.get("continue_final_message")) or last.get("partial") is True
    draft.omit("continue_final_message")
    if not wanted:
        return
    if last["role"] != "assistant":
        raise bad_request("only an answer can be continued, and the last message is none")
    draft.omit("add_generation_prompt")
    message = {name: value for name, value in last.items() if name != "partial"}
    if form is Continuation.PARTIAL:
        message["partial"] = True
    elif form is Continuation.FINAL_MESSAGE:
        draft.fields["continue_final_message"] = True
        draft.fields["add_generation_prompt"] = False
    draft.fields["messages"] = [*draft.messages[:-1], message]
