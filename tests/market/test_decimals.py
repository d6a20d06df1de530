"""Decimal numbers: exact both ways, and refused rather than rounded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.amounts import SUPPLY_MAX
from market.decimals import InvalidNumber, format_ruv, format_scaled, parse_ruv, parse_scaled


@given(st.integers(0, 2**62), st.integers(0, 9))
def test_number_comes_back_as_it_was(value: int, places: int):
    assert parse_scaled(format_scaled(value, places), places, "it") == value


@given(st.decimals(min_value=0, max_value=10**12, places=6))
def test_number_is_what_exact_decimals_say(value: Decimal):
    assert parse_scaled(f"{value:f}", 6, "it") == int(value * 1_000_000)


@pytest.mark.parametrize(
    ("text", "uruv"),
    [
        ("0.25", 250_000),
        ("12.5ruv", 12_500_000),
        ("300uruv", 300),
        ("300 uruv", 300),
        (" 1 ", 1_000_000),
        ("0.000001", 1),
        ("1.500000000", 1_500_000),
        ("0", 0),
        ("0.1", 100_000),
    ],
)
def test_amount_is_read_exactly(text, uruv):
    assert parse_ruv(text) == uruv


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        ".5",
        "5.",
        "1.2.3",
        "1,5",
        "inf",
        "nan",
        "0.0000001",
        "1.5uruv",
        "12 euros",
        "\u0661",
        "1" * 50,
        str(SUPPLY_MAX),
    ],
)
def test_what_is_no_exact_amount_is_refused(text):
    with pytest.raises(InvalidNumber, match=r"^--max-ruv "):
        parse_ruv(text, "--max-ruv")


@pytest.mark.parametrize(
    ("uruv", "text"),
    [(0, "0"), (1, "0.000001"), (12_500_000, "12.5"), (-250_000, "-0.25"), (10**9, "1000")],
)
def test_amount_is_written_exactly(uruv, text):
    assert format_ruv(uruv) == text
