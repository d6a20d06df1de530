"""Chunks become an answer, within limits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import EngineError
from meshnode.engines.chunks import delta_chunk, has_content
from meshnode.errors import MalformedMessage
from meshnode.serving.assembly import AnswerAssembler, check_chunk
from meshnode.serving.protocol import ANSWER_BYTES_MAX, STREAM_BYTES_MAX


def assemble(*deltas, **last) -> AnswerAssembler:
    assembler = AnswerAssembler()
    for delta in deltas:
        assembler.add(delta_chunk("i", "m", delta), size_bytes=10)
    if last:
        assembler.add({"choices": [], **last}, size_bytes=10)
    return assembler


def test_assembler_joins_texts():
    assembler = assemble({"role": "assistant"}, {"content": "a"}, {"content": "b"})
    assert assembler.text == assembler.content == "ab"
    assert assembler.model == "m"
    assert assembler.message is None


def test_assembler_notes_usage_and_finish_reason():
    assembler = assemble({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": True})
    assert (assembler.prompt_tokens, assembler.completion_tokens) == (3, None)
    assembler.add(delta_chunk("i", "m", {}, finish_reason="stop"), size_bytes=1)
    assert assembler.finish_reason == "stop"


def test_assembler_keeps_reasoning_out_of_the_content():
    assembler = assemble({"reasoning_content": "hm"}, {"reasoning": "m"}, {"content": "a"})
    assert assembler.content == "a"
    assert assembler.message == {"role": "assistant", "content": "a", "reasoning_content": "hmm"}


def test_assembler_joins_tool_calls_by_index():
    assembler = assemble(
        {"tool_calls": [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}, "junk"]},
        {"tool_calls": "junk"},
        {"tool_calls": [{"index": 1, "function": None}]},
    )
    assert assembler.message is not None
    first, second = assembler.message["tool_calls"]
    assert first == {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert second["id"] == ""
    assert json.loads(assembler.content)["tool_calls"] == [first, second]


def test_assembler_reads_the_first_choice_only():
    assembler = AnswerAssembler()
    chunk = {"choices": [{"index": 1, "delta": {"content": "b"}}, {"delta": {"content": "a"}}]}
    assert assembler.add(chunk, size_bytes=1) == "a"
    assert assembler.add({"choices": [{"delta": None}], "model": 3}, size_bytes=1) == ""
    assert assembler.content == "a"


@pytest.mark.parametrize("index", [-1, 128, "0", True])
def test_assembler_refuses_tool_calls_out_of_range(index):
    with pytest.raises(EngineError, match="tool"):
        assemble({"tool_calls": [{"index": index}]})


def test_assembler_refuses_an_answer_that_grows_without_end():
    assembler = AnswerAssembler()
    big = delta_chunk("i", "m", {"content": "x" * (ANSWER_BYTES_MAX // 2)})
    assembler.add(big, size_bytes=1)
    assembler.add(big, size_bytes=1)
    with pytest.raises(EngineError, match="longer than"):
        assembler.add(delta_chunk("i", "m", {"content": "x"}), size_bytes=1)


def test_assembler_refuses_chunks_without_end():
    with pytest.raises(EngineError, match="chunks take"):
        AnswerAssembler().add({"choices": []}, size_bytes=STREAM_BYTES_MAX + 1)


@pytest.mark.parametrize("value", [None, [], "x", {"choices": 3}, {"choices": [None]}])
def test_chunk_is_refused_when_its_choices_are_not_objects(value):
    with pytest.raises(MalformedMessage):
        check_chunk(value)


def test_chunk_has_content_when_more_than_the_role_is_set():
    assert not has_content(delta_chunk("i", "m", {"role": "assistant", "content": ""}))
    assert not has_content({"choices": [{"delta": None}]})
    assert not has_content({})
    assert has_content(delta_chunk("i", "m", {"content": "a"}))
    assert has_content(delta_chunk("i", "m", {"reasoning_content": "a"}))
    assert has_content(delta_chunk("i", "m", {}, finish_reason="stop"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "content", "usage", "tool_calls", "index", "function", "model"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_a_chunk_or_a_typed_error(value):
    assembler = AnswerAssembler()
    try:
        chunk = check_chunk(value)
        has_content(chunk)
        assembler.add(chunk, size_bytes=1)
    except (MalformedMessage, EngineError):
        return
    assert isinstance(assembler.content, str)
    assert assembler.message is None or assembler.message["content"] == assembler.text
