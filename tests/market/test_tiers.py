"""Tiers: what promises come to, and that one subtraction compares all of them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.tiers import (
    CONTEXT,
    FIRST_TOKEN,
    PLAIN_TIERS,
    STANDARD_TIERS,
    Dimension,
    InvalidTiers,
    TierScheme,
)

SMALL = TierScheme((Dimension("a", (0, 5, 9)), Dimension("b", (1,))), ("x",))


def test_offer_reaches_the_best_tier_whose_promise_it_keeps():
    assert [CONTEXT.tier_of_offer(size) for size in (8_192, 32_767, 32_768, 10**9)] == [0, 0, 1, 3]
    assert [FIRST_TOKEN.tier_of_offer(ms) for ms in (86_400_000, 10_001, 10_000, 1)] == [0, 0, 1, 2]
    with pytest.raises(InvalidTiers, match="context_tokens 8191 keeps no promise"):
        CONTEXT.tier_of_offer(8_191)
    with pytest.raises(InvalidTiers, match="first_token_ms"):
        FIRST_TOKEN.tier_of_offer(86_400_001)


def test_bid_asks_for_the_least_tier_that_promises_enough():
    assert [CONTEXT.tier_of_bid(size) for size in (1, 8_192, 8_193, 131_072)] == [0, 0, 1, 3]
    assert [FIRST_TOKEN.tier_of_bid(ms) for ms in (86_400_000, 9_999, 2_000)] == [0, 2, 2]
    with pytest.raises(InvalidTiers, match="no tier promises context_tokens 131073"):
        CONTEXT.tier_of_bid(131_073)
    with pytest.raises(InvalidTiers, match="first_token_ms 1999"):
        FIRST_TOKEN.tier_of_bid(1_999)


@given(st.integers(8_192, 200_000), st.integers(1, 131_072))
def test_offer_serves_a_bid_only_if_it_really_is_enough(given_: int, asked: int):
    if CONTEXT.tier_of_offer(given_) >= CONTEXT.tier_of_bid(asked):
        assert given_ >= asked


@pytest.mark.parametrize("scheme", [SMALL, PLAIN_TIERS])
def test_one_offer_serves_one_bid_exactly_if_each_tier_is_enough(scheme: TierScheme):
    for offer, bid in product(scheme.codes(), repeat=2):
        pairs = zip(scheme.unpack(offer), scheme.unpack(bid), strict=True)
        assert scheme.serves(offer, bid) == all(given >= asked for given, asked in pairs)


standard_tiers = st.tuples(
    *(st.integers(0, len(each.promises) - 1) for each in STANDARD_TIERS.dimensions),
    *(st.integers(0, 1) for _ in STANDARD_TIERS.flags),
)


@given(standard_tiers, standard_tiers)
def test_standard_tiers_compare_dimension_by_dimension(
    offer: tuple[int, ...], bid: tuple[int, ...]
):
    given_, asked = STANDARD_TIERS.pack(offer), STANDARD_TIERS.pack(bid)
    assert STANDARD_TIERS.unpack(given_) == offer
    enough = all(one >= other for one, other in zip(offer, bid, strict=True))
    assert STANDARD_TIERS.serves(given_, asked) == enough


def test_only_combinations_that_exist_are_codes():
    known = SMALL.codes()
    assert len(known) == 6
    assert [code for code in range(-40, 200) if SMALL.is_code(code)] == sorted(known)
    assert not SMALL.is_code(1 << 70)
    assert PLAIN_TIERS.codes() == (0,)
    assert [code for code in range(-3, 4) if PLAIN_TIERS.is_code(code)] == [0]
    assert all(STANDARD_TIERS.is_code(code) for code in STANDARD_TIERS.codes())


def test_attributes_are_encoded_by_name_and_what_is_not_named_is_at_its_least():
    offer = STANDARD_TIERS.encode_offer({"sla_bp": 9_950, "context_tokens": 70_000}, ["tee"])
    assert STANDARD_TIERS.unpack(offer) == (2, 2, 0, 0, 0, 1)
    bid = STANDARD_TIERS.encode_bid({"sla_bp": 9_950, "context_tokens": 70_000}, ["tee"])
    assert STANDARD_TIERS.unpack(bid) == (3, 3, 0, 0, 0, 1)
    assert STANDARD_TIERS.encode_bid({}) == 0


@pytest.mark.parametrize(("values", "flags"), [({"price": 1}, []), ({}, ["gpu"])])
def test_attribute_is_refused_when_there_is_none_of_that_name(
    values: dict[str, int], flags: list[str]
):
    for encode in (STANDARD_TIERS.encode_offer, STANDARD_TIERS.encode_bid):
        with pytest.raises(InvalidTiers, match="there are context_tokens, sla_bp"):
            encode(values, flags)


@pytest.mark.parametrize("tiers", [(3, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, 2)])
def test_tier_is_refused_when_there_is_no_such(tiers: tuple[int, ...]):
    with pytest.raises(InvalidTiers, match="is not one of 0 to"):
        SMALL.pack(tiers)


@pytest.mark.parametrize(
    ("dimensions", "flags", "match"),
    [
        ([Dimension("a", (1, 2))], ["a"], "one name"),
        ([Dimension("a", ())], [], "has no 1 to 16 tiers"),
        ([Dimension("a", (2, 1))], [], "each above the last"),
        ([Dimension("a", (1, 1))], [], "each above the last"),
        ([Dimension("a", (1, 2), less_is_better=True)], [], "each above the last"),
        ([Dimension("a", tuple(range(17)))], [], "has no 1 to 16 tiers"),
        ([], [f"f{number}" for number in range(13)], "8192 combinations"),
    ],
)
def test_scheme_is_refused_when_tiers_are_unclear_or_too_many(
    dimensions: list[Dimension], flags: list[str], match: str
):
    with pytest.raises(InvalidTiers, match=match):
        TierScheme(dimensions, flags)
