"""Metrics pages, the odd ones most of all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import LoadSignals
from meshnode.engines.load_signals import read_load_signals
from meshnode.engines.local_kinds import TRAITS, Kind

VLLM = TRAITS[Kind.VLLM]


@pytest.mark.parametrize(
    ("page", "load"),
    [
        ("", LoadSignals()),
        ("vllm:num_requests_running 3", LoadSignals(running=3)),
        ("vllm:num_requests_running 3 1795298405000", LoadSignals(running=3)),
        ("vllm:num_requests_running 1e1", LoadSignals(running=10)),
        ("vllm:num_requests_running -1", LoadSignals()),
        ("vllm:num_requests_running 1e9", LoadSignals()),
        ("vllm:num_requests_running 1.2.3", LoadSignals()),
        ("vllm:num_requests_running NaN", LoadSignals()),
        ("# vllm:num_requests_running 3", LoadSignals()),
        ("vllm:num_requests_running_total 3", LoadSignals()),
        ("vllm:gpu_cache_usage_perc 0.5", LoadSignals(kv_usage_permille=500)),
        (
            "vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25",
            LoadSignals(kv_usage_permille=250),
        ),
    ],
)
def test_page_is_read_for_what_it_says(page, load):
    assert read_load_signals(page, VLLM) == load


@given(st.text(max_size=300))
def test_any_page_is_read_without_harm(page):
    assert isinstance(read_load_signals(page, VLLM), LoadSignals)
