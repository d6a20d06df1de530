"""Whether a conversation fits a model's context, and what is left out of it where it does not.

Pure: who counts is somebody else. Two facts of tokenizers that work on bytes carry this module. A
token stands for at least one byte, so a conversation with fewer bytes than the context has tokens
fits without being counted. And text takes at most one token for two bytes but for noise (measured:
English 4.3 bytes a token, Python 3.1, JSON 2.6, Chinese 3.0, hexadecimal 1.6), which gives a bound
where nobody can count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import CountMethod, EngineError, EngineFault, TokenCount
from meshnode.engines.request import bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.engines.rules.draft import Draft

BYTES_PER_TOKEN = 2
MESSAGE_TOKENS = 16
"""What a chat template adds to a message, at most."""
REQUEST_TOKENS = 64
MEDIA_TOKENS = 4_096
"""For a part that is not text: its tokens have nothing to do with its bytes."""
TEXT_ROLES_KEPT = ("system", "developer")
RECOUNTS_MAX = 4


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

    @property
    def bound(self) -> TokenCount:
        """A count that errs to the high side for anything but noise."""
        text = -(-self.text_bytes // BYTES_PER_TOKEN)
        frame = self.messages * MESSAGE_TOKENS + REQUEST_TOKENS
        return TokenCount(text + frame + self.media * MEDIA_TOKENS, CountMethod.BOUND)


def measure(messages: Sequence[Any], tools: Any = None) -> Size:
    """The size of a conversation and of the tools offered in it."""
    sizes = [_measure_message(message) for message in messages]
    tools_bytes = len(encode_json(tools)) if tools else 0
    return Size(
        sum(size for size, _ in sizes) + tools_bytes, len(messages), sum(m for _, m in sizes)
    )


def _measure_message(message: Any) -> tuple[int, int]:
    if not isinstance(message, dict):
        return len(encode_json(message)), 0
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    media = sum(1 for part in parts if isinstance(part, dict) and "text" not in part)
    texts = [part for part in parts if not (isinstance(part, dict) and "text" not in part)]
    whole = {**message, "content": texts} if media else message
    return len(encode_json(whole)), media


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


def fit_answer_cap(
    draft: Draft, *, field: str, window: int, tokens: int, is_default: bool, least: int = 256
) -> None:
    """Lower a cap that nobody asked for, where prompt and answer would not fit together."""
    cap = draft.get(field)
    room = window - tokens
    if is_default and isinstance(cap, int) and cap > room >= least:
        draft.fields[field] = room
        draft.note("answer_cap", field, f"lowered to {room}: the context has no more room")
