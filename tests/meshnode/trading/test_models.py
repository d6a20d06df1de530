"""Names of models on the market and in engines."""

from __future__ import annotations

import pytest

from meshnode.trading.models import find_engine_model, get_model_name, is_meant

INSTRUMENT = bytes.fromhex("ab" * 32)


def test_engine_may_call_a_model_by_its_variant_or_without_the_precision():
    assert find_engine_model("kimi-k2/fp8", ["other", "kimi-k2/fp8"]) == "kimi-k2/fp8"
    assert find_engine_model("kimi-k2/fp8", ["kimi-k2"]) == "kimi-k2"
    assert find_engine_model("kimi-k2/fp8", ["kimi-k2/int4"]) is None
    assert find_engine_model("echo", ["echo"]) == "echo"
    assert get_model_name("moonshotai/kimi-k2/fp8") == "moonshotai/kimi-k2"


@pytest.mark.parametrize("text", ["auto", "kimi-k2", "kimi-k2/fp8", "abababab", "AB" * 32])
def test_instrument_is_meant_by_its_names(text: str):
    assert is_meant(text, "kimi-k2/fp8", INSTRUMENT)


@pytest.mark.parametrize("text", ["kimi", "kimi-k2/int4", "abab", "cdcdcdcd", ""])
def test_instrument_is_not_meant_by_others(text: str):
    assert not is_meant(text, "kimi-k2/fp8", INSTRUMENT)
