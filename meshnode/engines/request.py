"""Reading the parts of a chat request that an engine of our own has to understand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshnode.engines.base import EngineError, EngineFault

if TYPE_CHECKING:
    from meshnode.engines.base import ChatRequest

MESSAGES_MAX = 1_000
STOPS_MAX = 16
STOP_CHARS_MAX = 256


def bad_request(message: str, *, hint: str = "") -> EngineError:
    """The error for a request that no retry can save."""
    return EngineError(EngineFault.BAD_REQUEST, message, hint=hint)


def read_messages(request: ChatRequest) -> list[dict[str, str]]:
    """The conversation as (role, text) records; parts other than text are refused."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_request("'messages' is not a list of at least one message")
    if len(messages) > MESSAGES_MAX:
        raise bad_request(f"'messages' has {len(messages)} entries where {MESSAGES_MAX} may be")
    return [_read_message(index, message) for index, message in enumerate(messages)]


def _read_message(index: int, message: Any) -> dict[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise bad_request(f"messages[{index}] is not an object with a role")
    return {"role": message["role"], "content": _read_content(index, message.get("content"))}


def _read_content(index: int, content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise bad_request(f"messages[{index}].content is neither text nor a list of parts")
    texts = []
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise bad_request(
                f"messages[{index}].content has a part that is not text",
                hint="this engine reads text only",
            )
        texts.append(part["text"])
    return "".join(texts)


def read_answer_tokens(request: ChatRequest, *, tokens_max: int) -> int:
    """How long the answer may become: what is asked for, but never above `tokens_max`."""
    for key in ("max_completion_tokens", "max_tokens"):
        value = request.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise bad_request(f"'{key}' is not a positive whole number")
        return min(value, tokens_max)
    return tokens_max


def read_stops(request: ChatRequest) -> list[str]:
    """The texts at which the answer ends."""
    stops = request.get("stop")
    if stops is None:
        return []
    if isinstance(stops, str):
        stops = [stops]
    if not isinstance(stops, list) or len(stops) > STOPS_MAX:
        raise bad_request(f"'stop' is neither a text nor a list of at most {STOPS_MAX} texts")
    for stop in stops:
        if not isinstance(stop, str) or not 0 < len(stop) <= STOP_CHARS_MAX:
            raise bad_request(f"'stop' holds something else than texts of 1-{STOP_CHARS_MAX} chars")
    return list(stops)


def check_model(request: ChatRequest, *, served: str) -> None:
    """Refuse a request for another model; none, an empty name and 'auto' mean the one served."""
    model = request.get("model")
    if model in (None, "", "auto", served):
        return
    raise EngineError(
        EngineFault.MODEL_NOT_FOUND,
        f"model {str(model)[:100]!r} is not served here",
        hint=f"ask for '{served}'",
    )
