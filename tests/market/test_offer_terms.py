"""Offers as people state them: exact in the book's units, or refused with what would do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import format_scaled
from market.instruments import LOTS_MAX, PRICE_MAX_URUV, Instrument
from market.offer_terms import (
    InvalidTerms,
    OfferTerms,
    Wishes,
    convert_offer,
    convert_wishes,
    count_lots,
    describe_tiers,
    format_price_per_lot,
    format_price_per_token,
    parse_guarantee,
    parse_price_per_lot,
    parse_price_per_token,
)
from market.tiers import STANDARD_TIERS

INSTRUMENT = Instrument(model_variant="m")


def make_terms(**changes) -> OfferTerms:
    fields = {
        "model_variant": "kimi-k2-instruct/fp8",
        "price_per_token": "0.000002",
        "context_limit": 131_072,
        "tokens": 500_000,
        "sla_guarantee": "99.9",
        "first_token_ms": 1_500,
    }
    return OfferTerms(**{**fields, **changes})


def test_offer_is_converted_exactly():
    offer = convert_offer(make_terms(flags=("tee",), renew_hours=8))
    assert (offer.price_uruv, offer.lots, offer.epochs) == (2_000, 500, 8)
    assert (offer.context_tokens, offer.sla_bp, offer.first_token_ms) == (131_072, 9_990, 2_000)
    assert offer.notional_uruv == 1_000_000
    assert offer.collateral_uruv == 2_000_000
    assert describe_tiers(offer.tiers) == {
        "context_tokens": 131_072,
        "sla_bp": 9_990,
        "first_token_ms": 2_000,
        "reputation_bp": 0,
        "region": 0,
        "tee": 1,
    }


def test_offer_between_tiers_promises_the_lower_one():
    offer = convert_offer(
        make_terms(context_limit=100_000, sla_guarantee="99.5%", first_token_ms=9_000)
    )
    assert (offer.context_tokens, offer.sla_bp, offer.first_token_ms) == (65_536, 9_900, 10_000)
    assert convert_offer(make_terms(first_token_ms=None)).first_token_ms == 86_400_000


def test_bid_between_tiers_asks_for_the_higher_one():
    tiers = describe_tiers(
        convert_wishes(
            Wishes(
                context_tokens=100_000,
                sla_percent="99.5",
                first_token_ms=9_000,
                reputation_bp=100,
                flags=("region",),
            )
        )
    )
    assert list(tiers.values()) == [131_072, 9_990, 2_000, 2_000, 1, 0]
    assert convert_wishes(Wishes()) == 0


promises = st.tuples(
    st.integers(8_192, 131_072), st.integers(101, 9_990), st.integers(2_000, 86_400_000)
)
"""Tokens of context, basis points of availability, milliseconds to the first token."""


@given(promises, promises)
def test_nobody_gets_less_than_was_promised(given_, asked):
    """Where an offer's tiers serve a bid's, its plain numbers are at least those of the bid."""
    offer = convert_offer(
        make_terms(
            context_limit=given_[0],
            sla_guarantee=format_scaled(given_[1], 2) + "%",
            first_token_ms=given_[2],
        )
    )
    bid = convert_wishes(
        Wishes(
            context_tokens=asked[0],
            sla_percent=format_scaled(asked[1], 2) + "%",
            first_token_ms=asked[2],
        )
    )
    if STANDARD_TIERS.serves(offer.tiers, bid):
        assert given_[0] >= asked[0]
        assert given_[1] >= asked[1]
        assert given_[2] <= asked[2]


@given(st.integers(1, PRICE_MAX_URUV))
def test_price_is_exact_or_its_neighbours_are_told(price_uruv):
    text = format_price_per_token(price_uruv)
    if INSTRUMENT.has_price(price_uruv):
        assert parse_price_per_token(text) == price_uruv
        assert parse_price_per_lot(format_price_per_lot(price_uruv)) == price_uruv
        return
    with pytest.raises(InvalidTerms, match="two steps") as caught:
        parse_price_per_token(text)
    for near in caught.value.hint.removeprefix("try ").split(" or "):
        assert abs(parse_price_per_token(near) - price_uruv) < 100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price_per_token": "0.0000000001"}, "price_per_token has 10 decimals where 9"),
        ({"price_per_token": "2e-6"}, "price_per_token is no decimal number"),
        ({"price_per_token": "0"}, "price_per_token is 0, not 0.000000001 to"),
        ({"price_per_token": "1100"}, "price_per_token is 1100, not"),
        ({"price_per_token": "0.000001005"}, "try 0.000001 or 0.00000101"),
        ({"price_per_token": "1099.511627776"}, "; try 1099.5116277"),
        ({"context_limit": 4_096}, "the least is 8192"),
        ({"sla_guarantee": "0.999"}, "sla_guarantee has 3 decimals"),
        ({"sla_guarantee": "0.99"}, "this looks like a fraction"),
        ({"sla_guarantee": "100.01"}, "more than 100 percent"),
        ({"sla_guarantee": "high"}, "sla_guarantee is no decimal number"),
        ({"tokens": 1_500}, "no multiple of 1000"),
        ({"tokens": 0}, "tokens is 0, not 1000 to"),
        ({"tokens": (LOTS_MAX + 1) * 1_000}, "tokens is 1048577000, not"),
        ({"tokens": -1_000}, "tokens is -1000, not"),
        ({"flags": ("gold",)}, "'gold' is no attribute here"),
        ({"renew_hours": 25}, "renew_hours is 25"),
        ({"first_token_ms": 90_000_000}, "keeps no promise"),
        ({"price_per_token": "0.000000001", "tokens": 1_000}, "is worth 0.000001 ruv, less than"),
    ],
)
def test_terms_that_cannot_be_stated_exactly_are_refused(changes, words):
    with pytest.raises(InvalidTerms) as caught:
        convert_offer(make_terms(**changes))
    assert words in f"{caught.value.message}; {caught.value.hint}"


def test_wish_that_nothing_promises_is_refused():
    with pytest.raises(InvalidTerms, match="no tier promises context_tokens"):
        convert_wishes(Wishes(context_tokens=200_000))


def test_amounts_per_lot_may_be_in_micro_ruv():
    assert parse_price_per_lot("300uruv") == 300
    with pytest.raises(InvalidTerms, match="no amount"):
        parse_price_per_lot("cheap")


def test_one_percent_is_said_with_its_sign():
    assert parse_guarantee("1%") == 100
    assert parse_guarantee("0") == 0


def test_lots_are_thousands_of_tokens():
    assert count_lots(2_000) == 2
