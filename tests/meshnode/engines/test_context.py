"""Measuring, bounding and trimming conversations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import CountMethod, EngineError, EngineFault, TokenCount
from meshnode.engines.context import (
    MEDIA_TOKENS,
    bound_tokens,
    drop_turns,
    encode_json,
    fit_answer_cap,
    measure,
    overflow,
    split_turns,
)
from meshnode.engines.rules.draft import Draft

SYSTEM = {"role": "system", "content": "Be kind."}


def say(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def test_plain_words_are_bounded_by_half_their_bytes_and_all_else_by_its_bytes():
    words = bound_tokens([say("user", "plain words " * 1_000)]).tokens
    noise = bound_tokens([say("user", "9f8A" * 3_000)]).tokens
    assert 6_000 < words < 6_300
    assert 12_000 < noise < 12_300
    assert bound_tokens([say("user", "hi")]).method is CountMethod.BOUND


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_bound_is_never_above_what_is_certain(texts):
    messages = [say("user", text) for text in texts]
    assert bound_tokens(messages).tokens <= measure(messages).certain_tokens


def test_parts_that_are_no_text_count_by_the_piece():
    image = {"type": "image_url", "image_url": {"url": "data:" + "x" * 100_000}}
    messages = [say("user", [{"type": "text", "text": "what is it"}, image, image])]
    size = measure(messages)
    assert size.media == 2
    assert size.text_bytes < 200
    assert 2 * MEDIA_TOKENS < bound_tokens(messages).tokens < 2 * MEDIA_TOKENS + 300


def test_tools_count_too_and_messages_of_any_shape_are_measured():
    tools = [{"type": "function", "function": {"name": "x" * 500}}]
    assert measure(["text", 5], tools).text_bytes > 500
    assert bound_tokens(["text"], tools).tokens > bound_tokens(["text"]).tokens


def test_value_that_is_no_json_is_refused():
    with pytest.raises(EngineError) as caught:
        encode_json({"x": object()})
    assert caught.value.fault is EngineFault.BAD_REQUEST


def chat(turns: int) -> list[dict[str, Any]]:
    made = [SYSTEM]
    for number in range(turns):
        made += [say("user", f"{number} " + "x" * 100), say("assistant", "y" * 100)]
    return [*made, say("user", "last")]


def test_turns_keep_calls_and_results_together():
    call = {"role": "assistant", "tool_calls": [{}]}
    result = {"role": "tool", "content": "r"}
    messages = [say("assistant", "hello"), say("user", "a"), call, result, say("user", "b")]
    kept, turns = split_turns([SYSTEM, *messages])
    assert kept == [SYSTEM]
    assert turns == [messages[:4], messages[4:]]


def test_oldest_turns_go_and_what_the_system_says_stays():
    messages = chat(10)
    left = drop_turns(messages, tokens=1_000, room=500)
    assert left[0] == SYSTEM
    assert left[-1] == messages[-1]
    assert left[1:] == messages[len(messages) - len(left) + 1 :]
    assert left[1]["role"] == "user"
    assert 0.4 < measure(left).text_bytes / measure(messages).text_bytes < 0.6


@given(st.integers(0, 12), st.integers(1, 5_000), st.integers(0, 5_000))
def test_what_is_left_is_an_end_of_the_conversation_or_an_error(turns, tokens, room):
    messages = chat(turns)
    try:
        left = drop_turns(messages, tokens=tokens, room=room)
    except EngineError:
        return
    assert left[0] == SYSTEM
    assert len(left) < len(messages)
    assert left[1:] == messages[len(messages) - len(left) + 1 :]


@pytest.mark.parametrize("method", list(CountMethod))
def test_overflow_says_how_it_was_counted(method):
    error = overflow(TokenCount(10, method), -5)
    assert error.fault is EngineFault.CONTEXT_OVERFLOW
    assert "10 tokens" in error.message
    assert "where 0 fit" in error.message
    assert ("bound" in error.message) is (method is CountMethod.BOUND)


@pytest.mark.parametrize(
    ("cap", "tokens", "is_default", "fitted"),
    [
        (5_000, 6_000, True, 4_000),
        (5_000, 5_000, True, 5_000),
        (5_000, 9_900, True, 5_000),
        (5_000, 6_000, False, 5_000),
        (None, 6_000, True, None),
    ],
)
def test_only_a_cap_that_nobody_asked_for_is_lowered(cap, tokens, is_default, fitted):
    draft = Draft({"messages": [SYSTEM], "max_tokens": cap})
    draft.caps_by_default = is_default
    fit_answer_cap(draft, field="max_tokens", window=10_000, tokens=tokens)
    assert draft.get("max_tokens") == fitted
    assert bool(draft.notes) is (fitted != cap)
