"""Tool calls that leak as text, however the text is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.tool_markers import (
    ARGUMENT_BEGIN,
    CALL_BEGIN,
    CALL_END,
    CALLS_MAX,
    SECTION_BEGIN,
    SECTION_CHARS_MAX,
    SECTION_END,
    LeakedCall,
    MarkerReader,
    parse_leaked_calls,
)


def call(call_id: str = "functions.go:0", arguments: str = '{"to": "Paris"}') -> str:
    return f"{CALL_BEGIN}{call_id}{ARGUMENT_BEGIN}{arguments}{CALL_END}"


def section(*calls: str) -> str:
    return SECTION_BEGIN + "".join(calls) + SECTION_END


def chunk(
    delta: dict[str, Any], finish_reason: str | None = None, index: int = 0
) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def read(text: str, size: int, offered: list[str], *, calls: Any = None) -> tuple[str, Any, Any]:
    """Stream a text in pieces: the text that came out, the calls, the finish."""
    reader = MarkerReader(offered)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    chunks = [chunk({"content": piece}) for piece in pieces]
    if calls:
        chunks.append(chunk({"tool_calls": calls}))
    chunks.append(chunk({}, "stop"))
    seen, found, finish = "", None, None
    for taken in map(reader.take, chunks):
        (choice,) = taken["choices"]
        seen += choice["delta"].get("content") or ""
        found = choice["delta"].get("tool_calls") or found
        finish = choice["finish_reason"]
    assert reader.leaked is (finish == "tool_calls")
    return seen, found, finish


@given(st.integers(1, 60))
def test_calls_are_found_however_the_text_is_cut(size):
    text = "Let me look. " + section(call(), call("functions.look:1", "{}"))
    seen, found, finish = read(text, size, ["go", "look"])
    assert seen == "Let me look. "
    assert finish == "tool_calls"
    assert [piece["function"]["name"] for piece in found] == ["go", "look"]
    assert [piece["id"] for piece in found] == ["functions.go:0", "functions.look:1"]


@given(
    st.text(st.sampled_from("ab<|_ >") | st.characters(codec="utf-8"), max_size=200)
    | st.lists(
        st.sampled_from([SECTION_BEGIN, CALL_BEGIN, ARGUMENT_BEGIN, CALL_END, "{}", "x", "<|"])
    ).map("".join),
    st.integers(1, 40),
)
def test_text_without_whole_calls_comes_out_as_it_was(text, size):
    seen, found, finish = read(text, size, ["go"])
    assert (seen, found, finish) == (text, None, "stop")


@pytest.mark.parametrize(
    "text",
    [
        section(call("functions.other:0")),
        section(call(arguments="[1]")),
        section(call(arguments="{oops")),
        section(call(), f"{CALL_BEGIN}functions.go:1"),
        section(call("")),
    ],
)
def test_calls_that_are_broken_or_were_not_offered_stay_text(text):
    assert read(text, 9, ["go"]) == (text, None, "stop")


def test_markers_are_not_looked_for_without_tools():
    reader = MarkerReader([])
    taken = chunk({"content": section(call())})
    assert reader.take(taken) is taken


def test_calls_that_the_engine_reports_itself_are_not_doubled():
    text = "As in " + section(call())
    own = [{"index": 0, "id": "a", "function": {"name": "go", "arguments": "{}"}}]
    seen, found, finish = read(text, 9, ["go"], calls=own)
    assert (seen, found, finish) == (text, own, "stop")


def test_other_choices_and_chunks_without_choices_pass():
    reader = MarkerReader(["go"])
    bare: dict[str, Any] = {"choices": []}
    for taken in (chunk({"content": SECTION_BEGIN}, index=1), bare, chunk({})):
        assert reader.take(taken) == taken


def test_text_is_not_held_back_for_ever():
    reader = MarkerReader(["go"])
    reader.take(chunk({"content": SECTION_BEGIN}))
    taken = reader.take(chunk({"content": "x" * SECTION_CHARS_MAX}))
    assert taken["choices"][0]["delta"]["content"].startswith(SECTION_BEGIN)


def test_calls_without_a_section_and_without_arguments_are_calls():
    assert parse_leaked_calls(call("go", " "), ["go"]) == [LeakedCall("go", "go", "{}")]


def test_too_many_calls_are_none():
    assert parse_leaked_calls(call() * (CALLS_MAX + 1), ["go"]) == []


def test_text_before_calls_in_the_very_last_chunk_stays_text():
    reader = MarkerReader(["go"])
    (choice,) = reader.take(chunk({"content": "Off. " + section(call())}, "stop"))["choices"]
    assert choice["delta"]["content"] == "Off. "
    assert choice["delta"]["tool_calls"][0]["function"]["name"] == "go"
    assert choice["finish_reason"] == "tool_calls"
