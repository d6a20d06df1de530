"""Whether a conversation fits a model's context, and what is left out of it where it does not.

Pure: who counts is somebody else. Tokenizers that work on bytes give a token to at least one byte,
so a conversation with fewer bytes than the context has tokens fits without being counted. Where
nobody can count, a bound takes every byte for a token but those of plain words and blanks, which
take at least two. Measured on a vocabulary of 49 thousand tokens, which cuts finer than the large
ones, the bound is 2.6 times the count for English and Python, 1.9 for JSON, 1.8 for Chinese, and
1.0 to 1.3 for random digits, hexadecimal and base64: never below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import CountMethod, EngineError, EngineFault, TokenCount
from meshnode.engines.request import bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.engines.rules.draft import Draft

MESSAGE_TOKENS = 16
"""What a chat template adds to a message, at most."""
REQUEST_TOKENS = 64
MEDIA_TOKENS = 4_096
"""For a part that is not text: its tokens have nothing to do with its bytes."""
TEXT_ROLES_KEPT = ("system", "developer")
RECOUNTS_MAX = 4
ANSWER_TOKENS_MIN = 256
"""A default cap is not lowered below this: rather is the conversation too long."""

_PLAIN = re.compile(
    rb" ?(?<![A-Za-z0-9])(?:[A-Z]?[a-z]+|[A-Z]+)(?![A-Za-z0-9])| {2,}",
)
"""Plain words, with the blank before them, and runs of blanks."""


@dataclass(frozen=True, slots=True)
class Size:
    """A prompt before anybody counts its tokens."""

    text_bytes: int
    messages: int
    media: int

    @property
    def certain_tokens(self) -> int:
        """More tokens than this it cannot have, unless it holds something else than text."""
        return self.text_bytes + self.messages * MESSAGE_TOKENS + REQUEST_TOKENS


def bound_tokens(messages: Sequence[Any], tools: Any = None) -> TokenCount:
    """A count that errs to the high side, for a tokenizer that is not at hand."""
    size = measure(messages, tools)
    plain = sum(
        (match.end() - match.start()) // 2
        for part in (*messages, tools)
        if part
        for match in _PLAIN.finditer(encode_json(_without_media(part)))
    )
    frame = size.messages * MESSAGE_TOKENS + REQUEST_TOKENS
    tokens = size.text_bytes - plain + frame + size.media * MEDIA_TOKENS
    return TokenCount(tokens, CountMethod.BOUND)


def measure(messages: Sequence[Any], tools: Any = None) -> Size:
    """The size of a conversation and of the tools offered in it."""
    sizes = [_measure_message(message) for message in messages]
    tools_bytes = len(encode_json(tools)) if tools else 0
    return Size(
        sum(size for size, _ in sizes) + tools_bytes, len(messages), sum(m for _, m in sizes)
    )


def _measure_message(message: Any) -> tuple[int, int]:
    content = message.get("content") if isinstance(message, dict) else None
    parts = content if isinstance(content, list) else []
    return len(encode_json(_without_media(message))), sum(map(_is_media, parts))


def _is_media(part: Any) -> bool:
    return isinstance(part, dict) and "text" not in part


def _without_media(message: Any) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not any(map(_is_media, content)):
        return message
    return {**message, "content": [part for part in content if not _is_media(part)]}


def encode_json(value: Any) -> bytes:
    """A value as JSON, as it would be sent. Raises `EngineError`."""
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        raise bad_request("the request is not a JSON object") from None


def split_turns(messages: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
    """The messages that are always kept, and the turns in order.

    A turn begins with a message of the user and ends before the next: a tool's result is never
    parted from its call. What stands before the first message of the user goes with the first turn.
    """
    kept = [message for message in messages if message.get("role") in TEXT_ROLES_KEPT]
    turns: list[list[Any]] = []
    for message in messages:
        if message.get("role") in TEXT_ROLES_KEPT:
            continue
        if not turns or (message.get("role") == "user" and _has_user(turns[-1])):
            turns.append([])
        turns[-1].append(message)
    return kept, turns


def _has_user(turn: Sequence[Any]) -> bool:
    return any(message.get("role") == "user" for message in turn)


def drop_turns(messages: Sequence[Any], *, tokens: int, room: int) -> list[Any]:
    """The conversation without its oldest turns, as many as take the tokens that are too many.

    `tokens` is the count of the whole; each turn is taken to have its share of them by size. The
    last turn, and what the system says, always stay. Raises `EngineError` when they do not fit.
    """
    _, turns = split_turns(messages)
    total_bytes = max(1, measure(messages).text_bytes)
    over = tokens - room
    gone: set[int] = set()
    for turn in turns[:-1]:
        if over <= 0:
            break
        over -= max(1, measure(turn).text_bytes * tokens // total_bytes)
        gone.update(id(message) for message in turn)
    if not gone or over > 0:
        raise overflow(TokenCount(tokens, CountMethod.BOUND), room, "even without older turns")
    return [message for message in messages if id(message) not in gone]


def overflow(count: TokenCount, room: int, detail: str = "") -> EngineError:
    """The error for a conversation that does not fit."""
    how = {
        CountMethod.TOKENIZER: "counted by the model's tokenizer",
        CountMethod.PROVIDER: "counted by the provider",
        CountMethod.BOUND: "by a bound: no tokenizer is at hand",
    }[count.method]
    return EngineError(
        EngineFault.CONTEXT_OVERFLOW,
        f"the conversation has {count.tokens} tokens ({how}) where {max(0, room)} fit"
        + (f", {detail}" if detail else ""),
        hint="shorten it, or set context_rule = trim to leave its oldest turns out",
    )


def fit_answer_cap(draft: Draft, *, field: str, window: int, tokens: int) -> None:
    """Lower a cap that nobody asked for, where prompt and answer would not fit together."""
    cap = draft.get(field)
    room = window - tokens
    if draft.caps_by_default and isinstance(cap, int) and cap > room >= ANSWER_TOKENS_MIN:
        draft.fields[field] = room
        draft.note("answer_cap", field, f"lowered to {room}: the context has no more room")
