"""Counting tokens alike on both sides, whatever the chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import Chunk
from meshnode.engines.chunks import delta_chunk
from meshnode.trading.counting import AnswerCounter, count_question


def chunk(**delta):
    return delta_chunk("c", "m", delta)


@pytest.mark.parametrize(("body", "tokens"), [(b"", 0), (b"x", 1), (b"xxxx", 1), (b"xxxxx", 2)])
def test_question_counts_by_its_bytes(body: bytes, tokens: int):
    assert count_question(body) == tokens


@given(st.lists(st.text(max_size=9), max_size=20))
def test_answer_counts_the_same_however_it_is_cut(texts: list[str]):
    counter = AnswerCounter()
    total = sum(counter.add(chunk(content=text)) for text in texts)
    size = sum(len(text.encode(errors="replace")) for text in texts)
    assert total == -(-size // 4)


def test_thoughts_and_calls_of_tools_count():
    counter = AnswerCounter()
    assert counter.add(chunk(reasoning_content="x" * 8)) == 2
    call = {"index": 0, "function": {"name": "look", "arguments": "{}"}}
    assert counter.add(chunk(tool_calls=[call, {"index": 1}, "odd"])) == 2
    assert counter.add(chunk(content=None, tool_calls="odd")) == 0


def test_half_a_character_counts_as_what_stands_in_its_place():
    assert AnswerCounter().add(chunk(content="\ud83d")) == 1


def test_chunks_without_text_count_nothing():
    counter = AnswerCounter()
    empty: list[Chunk] = [{}, {"choices": [{}]}, {"choices": [{"delta": "odd"}]}]
    assert [counter.add(each) for each in empty] == [0, 0, 0]
