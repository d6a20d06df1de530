"""Drawn traces: the same for everybody, and shaped as they say."""

from __future__ import annotations

import statistics

import pytest

from simulations.errors import BadModel
from simulations.serving.synthetic import SHAPES, draw_trace
from simulations.serving.traces import BLOCK_TOKENS, Trace


def measure_reuse(trace: Trace) -> float:
    seen: set[int] = set()
    shared = 0
    for request in trace.requests:
        for block in request.blocks:
            if block not in seen:
                break
            shared += BLOCK_TOKENS
        seen.update(request.blocks)
    return shared / sum(request.input_tokens for request in trace.requests)


@pytest.mark.parametrize("name", SHAPES)
def test_trace_is_the_same_whenever_it_is_drawn(name: str):
    trace = draw_trace(name, 200)
    assert trace == draw_trace(name, 200)
    assert trace != draw_trace(name, 200, seed=1)
    assert len(trace.requests) == 200
    assert [one.number for one in trace.requests] == list(range(200))


@pytest.mark.parametrize("name", SHAPES)
def test_blocks_cover_the_prompt(name: str):
    for request in draw_trace(name, 200).requests:
        assert len(request.blocks) == -(-request.input_tokens // BLOCK_TOKENS)
        assert len(dict.fromkeys(request.blocks)) == len(request.blocks)


def test_chat_has_the_sizes_of_the_published_conversations():
    trace = draw_trace("chat", 2_000)
    assert 10_000 < statistics.fmean(one.input_tokens for one in trace.requests) < 15_000
    assert 280 < statistics.fmean(one.output_tokens for one in trace.requests) < 450
    assert 0.3 < measure_reuse(trace) < 0.6
    assert {one.at_ms % 3_000 for one in trace.requests} == {0}


def test_bursts_leap_above_the_mean_rate():
    trace = draw_trace("bursty", 2_000)
    seconds = [one.at_ms // 10_000 for one in trace.requests]
    counts = [seconds.count(second) for second in range(seconds[-1])]
    assert max(counts) > 2.5 * statistics.fmean(counts)


def test_long_context_is_long():
    trace = draw_trace("long-context", 300)
    assert statistics.median(one.input_tokens for one in trace.requests) > 30_000


def test_unknown_shape_and_empty_trace_are_refused():
    with pytest.raises(BadModel, match="chat"):
        draw_trace("nothing", 5)
    with pytest.raises(BadModel):
        draw_trace("chat", 0)
