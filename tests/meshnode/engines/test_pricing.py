"""Prices in whole micro-dollars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.accounts import read_micro
from meshnode.engines.pricing import (
    MOONSHOT_PRICES,
    Price,
    compute_cost_udollar,
    find_price,
    read_cost_udollar,
)
from meshnode.engines.usage import TOKENS_MAX, TokenUsage, read_token_usage

PRICE = Price(prompt=950_000, cached=160_000, completion=4_000_000)


def test_cached_tokens_are_priced_apart():
    usage = TokenUsage(prompt=1_000_000, cached=400_000, completion=1_000_000)
    assert compute_cost_udollar(usage, PRICE) == 570_000 + 64_000 + 4_000_000


def test_cost_is_rounded_up_to_a_whole_microdollar():
    assert compute_cost_udollar(TokenUsage(prompt=1), PRICE) == 1
    assert compute_cost_udollar(TokenUsage(), PRICE) == 0


def test_cached_tokens_without_a_price_of_their_own_cost_as_any():
    usage = TokenUsage(prompt=10, cached=10)
    assert compute_cost_udollar(usage, Price(prompt=10**6, completion=0)) == 10


@pytest.mark.parametrize(
    ("model", "completion"),
    [
        ("kimi-k2.7-code", 4_000_000),
        ("kimi-k2.7-code-highspeed", 8_000_000),
        ("moonshotai/Kimi-K3", 15_000_000),
        ("kimi-k3-0716", 15_000_000),
        ("kimi-k3.1", None),
        ("kimi-k2-0905-preview", None),
        ("llama", None),
    ],
)
def test_price_is_that_of_the_longest_beginning(model, completion):
    price = find_price(MOONSHOT_PRICES, model)
    assert (price.completion if price else None) == completion


@pytest.mark.parametrize(
    ("cost", "udollar"),
    [
        (0.00001234, 13),
        ("0.5", 500_000),
        (0, 0),
        (1, 1_000_000),
        (1e-12, 1),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**9, None),
        (True, None),
        ("much", None),
        (None, None),
    ],
)
def test_cost_that_a_provider_tells_is_read_exactly(cost, udollar):
    assert read_cost_udollar({"cost": cost}) == udollar


def test_cost_of_no_usage_is_unknown():
    assert read_cost_udollar(None) is None


@pytest.mark.parametrize(
    ("value", "micro"),
    [(49.58894, 49_588_940), ("-3.5", -3_500_000), ("x", None), (True, None), (1e99, None)],
)
def test_balance_is_read_in_millionths(value, micro):
    assert read_micro(value) == micro
    assert read_micro(float("nan")) is None


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, TokenUsage()),
        ({}, TokenUsage()),
        ({"prompt_tokens": 9, "cached_tokens": 4}, TokenUsage(prompt=9, cached=4)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3}},
            TokenUsage(prompt=9, cached=3),
        ),
        ({"prompt_tokens": 9, "cached_tokens": 99}, TokenUsage(prompt=9, cached=9)),
        (
            {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 5}},
            TokenUsage(completion=9, reasoning=5),
        ),
        ({"completion_tokens": 9, "reasoning_tokens": 5}, TokenUsage(completion=9, reasoning=5)),
        ({"prompt_tokens": True, "completion_tokens": "9"}, TokenUsage()),
        ({"prompt_tokens": -1, "completion_tokens": TOKENS_MAX + 1}, TokenUsage()),
        ({"prompt_tokens_details": 5}, TokenUsage()),
    ],
)
def test_usage_is_read_in_all_dialects_and_never_trusted(usage, read):
    assert read_token_usage(usage) == read


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_cost_is_never_less_than_the_exact_price(prompt, cached, completion):
    usage = TokenUsage(prompt=prompt, cached=min(cached, prompt), completion=completion)
    exact = (
        (usage.prompt - usage.cached) * PRICE.prompt
        + usage.cached * (PRICE.cached or 0)
        + completion * PRICE.completion
    )
    cost = compute_cost_udollar(usage, PRICE)
    assert 0 <= cost * 1_000_000 - exact < 1_000_000
