"""What a client asks, read from its body; whatever is not ours is passed on as it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from market.decimals import InvalidNumber, parse_ruv
from market.instruments import PRICE_MAX_URUV
from meshnode.errors import MalformedMessage
from meshnode.gateway.door.wants import NO_WANTS, Wants, make_terms
from meshnode.gateway.refusals import InvalidRequest

MESSAGES_MAX: Final = 10_000
MODEL_CHARS_MAX: Final = 256
TOKENS_MAX: Final = 10_000_000
TEMPERATURE_MAX: Final = 10
AUTO: Final = "auto"
_OURS: Final = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "meshnode",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A question of a client."""

    messages: list[dict[str, Any]]
    options: dict[str, Any]
    """The keyword arguments of `stream`."""
    stream: bool = False
    include_usage: bool = False
    stays_local: bool = False
    """Whether only this node itself may answer."""
    awaits_record: bool = False
    """Whether the answer is told only once its signed result is durable."""

    @property
    def model(self) -> str:
        """What was asked for."""
        model: str = self.options["model"]
        return model

    @property
    def spend_uruv(self) -> int:
        """What the answer may cost at most; 0 where it is free."""
        return self.options["max_spend_uruv"] or 0


def decode_object(data: bytes) -> dict[str, Any]:
    """A body that is a JSON object. Raises `InvalidRequest`."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("the body is not a JSON object")
    return body


def read_chat(body: dict[str, Any]) -> Call:
    """The question of a chat completion. Raises `InvalidRequest`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("'messages' is not a list of at least one message", param="messages")
    if len(messages) > MESSAGES_MAX:
        raise InvalidRequest(f"there are more than {MESSAGES_MAX} messages", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise InvalidRequest(
                f"messages[{index}] is not an object with a role", param=f"messages[{index}]"
            )
    return make_call(body, messages)


def make_call(body: dict[str, Any], messages: list[dict[str, Any]]) -> Call:
    """A question with these messages; every other field is the body's. Raises `InvalidRequest`."""
    wants = _read_wants(body.get("meshnode"))
    stream = read_flag(body, "stream")
    longest = read_count(body, "max_completion_tokens")
    price_uruv, spend_uruv = _read_money(wants)
    tokens = read_count(body, "max_tokens")
    if tokens is None and price_uruv is not None:
        tokens = longest  # what is bought is measured by it; else it goes as it came
    options: dict[str, Any] = {
        "model": read_model(body),
        "share": wants.share,
        "timeout_ms": wants.timeout_ms,
        "knowledge": wants.knowledge,
        "context": wants.context,
        "peer": wants.peer,
        "max_tokens": tokens,
        "temperature": _read_temperature(body),
        "extra": {
            **{name: value for name, value in body.items() if name not in _OURS},
            **make_terms(wants),
        },
        "max_price_uruv": price_uruv,
        "max_spend_uruv": spend_uruv,
        "wishes": wants.wishes,
    }
    return Call(
        messages=messages,
        options=options,
        stream=stream,
        include_usage=_read_include_usage(body),
        stays_local=wants.prefer == "local",
        # A price is known at the very end; of several answers none says that it is the last.
        awaits_record=wants.record or price_uruv is not None or body.get("n") not in (None, 1),
    )


def read_model(body: dict[str, Any]) -> str:
    """The model's id; whoever names none takes any."""
    model = body.get("model")
    if model is None:
        return AUTO
    if not isinstance(model, str) or not 0 < len(model) <= MODEL_CHARS_MAX:
        raise InvalidRequest("'model' is not the id of a model", param="model")
    return model


def read_flag(body: dict[str, Any], name: str) -> bool:
    """A boolean that may be absent or null. Raises `InvalidRequest`."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"'{name}' is neither true nor false", param=name)
    return bool(value)


def read_count(body: dict[str, Any], name: str) -> int | None:
    """A positive number that may be absent or null. Raises `InvalidRequest`."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= TOKENS_MAX:
        raise InvalidRequest(f"'{name}' is not a whole number from 1 to {TOKENS_MAX}", param=name)
    return value


def _read_temperature(body: dict[str, Any]) -> float | None:
    value = body.get("temperature")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest("'temperature' is not a number", param="temperature")
    if not 0 <= value <= TEMPERATURE_MAX:
        raise InvalidRequest(
            f"'temperature' is not from 0 to {TEMPERATURE_MAX}", param="temperature"
        )
    return value


def _read_include_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidRequest("'stream_options' is not an object", param="stream_options")
    return read_flag(options, "include_usage")


def _read_wants(data: object) -> Wants:
    if data is None:
        return NO_WANTS
    try:
        return msgspec.convert(data, Wants)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"'meshnode' cannot be used: {error}", param="meshnode") from None


def _read_money(wants: Wants) -> tuple[int | None, int | None]:
    """Highest price and highest cost; with the cost alone, any price within it."""
    try:
        spend_uruv = None if wants.max_ruv is None else parse_ruv(wants.max_ruv, "max_ruv")
        price_uruv = None if wants.max_price is None else parse_ruv(wants.max_price, "max_price")
    except (InvalidNumber, MalformedMessage) as error:
        raise InvalidRequest(str(error), param="meshnode") from None
    if spend_uruv == 0 and price_uruv is None:
        return None, None  # nothing may be spent: a free question
    if price_uruv is None and spend_uruv is not None:
        price_uruv = min(spend_uruv, PRICE_MAX_URUV)
    if price_uruv is not None and spend_uruv is None:
        raise InvalidRequest(
            "max_price says what a lot may cost, and max_ruv is missing, which bounds the answer",
            param="meshnode",
        )
    return price_uruv, spend_uruv
