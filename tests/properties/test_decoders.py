"""Every decoder of foreign bytes answers a value or its own error, whatever it is given."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.decoders import DECODERS, Decoder
from tests.support.hostile_bytes import any_bytes

CPU_S_MAX = 2.0
"""Of the process, not of the clock: the machine may be busy. The slowest takes milliseconds."""

by_name = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)


def decode_within_bounds(decoder: Decoder, data: bytes) -> bool:
    """Whether the bytes were accepted."""
    start_s = time.process_time()
    try:
        decoder.decode(data)
    except decoder.error:
        accepted = False
    else:
        accepted = True
    assert time.process_time() - start_s < CPU_S_MAX
    return accepted


@by_name
@given(st.data())
def test_decoder_answers_a_value_or_its_error_for_any_bytes(decoder, data):
    decode_within_bounds(decoder, data.draw(any_bytes(decoder.seeds)))


@by_name
def test_decoder_reads_valid_records(decoder):
    assert all(decode_within_bounds(decoder, seed) for seed in decoder.seeds)
