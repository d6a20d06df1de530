"""What of a foreign chat request may reach the native code of the embedded engine.

The engine in this process understands far more than the dialect: grammars, adapters, slots, files.
Requests may come from any peer, so what is passed on is rebuilt from a short list, every value
checked; fields that are not on it are left out.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.request import bad_request, read_answer_tokens, read_messages, read_stops

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.engines.base import ChatRequest

SYSTEM_PROMPT = "Answer briefly and correctly, in one or two sentences."
"""Without one a model this small rambles; with a short one it answered 15 of 20 plain questions."""

TEMPERATURE = 0.1

ALTERNATIVES_MAX = 20
"""Tokens whose probabilities may be asked for beside each chosen one, as in the dialect."""

CHARS_PER_TOKEN_MAX = 32
"""A prompt with more characters than this per token of context cannot fit: not worth tokenizing."""

_ROLES = MappingProxyType(
    {
        "system": "system",
        "developer": "system",
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
    }
)

_SAMPLING: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "temperature": (0, 2),
        "top_p": (0, 1),
        "min_p": (0, 1),
        "top_k": (0, 1_000),
        "seed": (0, 2**32 - 1),
        "presence_penalty": (-2, 2),
        "frequency_penalty": (-2, 2),
        "repeat_penalty": (0, 2),
    }
)


def build_request(request: ChatRequest, *, answer_tokens_max: int, context_tokens: int) -> str:
    """The JSON text for the native engine. Raises `EngineError` for what it cannot do."""
    _refuse_unsupported(request)
    body: dict[str, Any] = {
        "messages": _build_messages(request, chars_max=CHARS_PER_TOKEN_MAX * context_tokens),
        "max_tokens": read_answer_tokens(request, tokens_max=answer_tokens_max),
        "stop": read_stops(request),
        "temperature": TEMPERATURE,
        "stream": True,
        "stream_options": {"include_usage": True},
        # Reports during the reading of a prompt are the only moments at which it can be cancelled.
        "return_progress": True,
    }
    for key, (low, high) in _SAMPLING.items():
        if request.get(key) is not None:
            body[key] = _read_number(key, request[key], low, high)
    if request.get("response_format") == {"type": "json_object"}:
        body["response_format"] = {"type": "json_object"}
    if request.get("logprobs") is True:
        body["logprobs"] = True
        body["top_logprobs"] = _read_alternatives(request.get("top_logprobs"))
    try:
        # Half of a surrogate pair is not text; the native parser would stumble over it.
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise bad_request("the request holds text that is not valid Unicode") from None
    return json.dumps(body)


def _read_alternatives(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= ALTERNATIVES_MAX:
        raise bad_request(f"'top_logprobs' is not a whole number from 0 to {ALTERNATIVES_MAX}")
    return value


def _refuse_unsupported(request: ChatRequest) -> None:
    if request.get("tools") and request.get("tool_choice") != "none":
        raise bad_request("this model cannot call tools", hint="ask a model that lists tools")
    if request.get("n") not in (None, 1):
        raise bad_request("this engine gives one answer per request", hint="leave out 'n'")
    if request.get("response_format") not in (None, {"type": "text"}, {"type": "json_object"}):
        raise bad_request(
            "this engine's response_format is 'text' or 'json_object'", hint="leave out the schema"
        )


def _build_messages(request: ChatRequest, *, chars_max: int) -> list[dict[str, str]]:
    messages = read_messages(request)
    if sum(len(message["content"]) for message in messages) > chars_max:
        raise EngineError(
            EngineFault.CONTEXT_OVERFLOW,
            f"the conversation has more than {chars_max} characters",
            hint="shorten the conversation",
        )
    for message in messages:
        role = _ROLES.get(message["role"])
        if role is None:
            raise bad_request(f"'{message['role'][:50]}' is not a role this engine knows")
        message["role"] = role
    if not any(message["role"] == "system" for message in messages):
        messages.insert(0, {"role": "system", "content": SYSTEM_PROMPT})
    return messages


def _read_number(key: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise bad_request(f"'{key}' is not a number between {low:g} and {high:g}")
    return value


def read_prompt_tokens(piece: str) -> int | None:
    """How long the prompt is, where a reported piece says so: reading it, or refusing it."""
    try:
        value = json.loads(piece)
    except ValueError:
        return None
    for name, key in (("prompt_progress", "total"), ("error", "n_prompt_tokens")):
        said = value.get(name) if isinstance(value, dict) else None
        total = said.get(key) if isinstance(said, dict) else None
        if isinstance(total, int):
            return total
    return None
