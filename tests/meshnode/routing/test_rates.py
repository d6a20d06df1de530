"""Rates are learned in integers: quickly upwards, slowly downwards, no outlier takes them along."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.rates import CLAIM_FACTOR, RATE_NS_MAX, RATE_NS_MIN, WORK_TOKENS, Rates
from meshnode.routing.settings import Settings

SETTINGS = Settings()


def test_rates_start_from_the_claim_or_the_default():
    assert Rates(SETTINGS).prefill_ns == SETTINGS.prefill_ns_start
    assert Rates(SETTINGS).decode_ns == SETTINGS.decode_ns_start
    claimed = Rates(SETTINGS, prefill_ns=70_000, decode_ns=9_000_000)
    assert (claimed.prefill_ns, claimed.decode_ns) == (70_000, 9_000_000)


def test_rates_do_not_believe_every_claim():
    boast = Rates(SETTINGS, prefill_ns=1, decode_ns=1)
    assert boast.prefill_ns == SETTINGS.prefill_ns_start // CLAIM_FACTOR
    assert boast.decode_ns == SETTINGS.decode_ns_start // CLAIM_FACTOR
    nonsense = Rates(SETTINGS, prefill_ns=-1, decode_ns=10**30)
    assert nonsense.prefill_ns == SETTINGS.prefill_ns_start
    assert nonsense.decode_ns == RATE_NS_MAX


def test_rates_rise_by_a_fifth_and_fall_by_a_tenth_of_the_step():
    rates = Rates(SETTINGS, prefill_ns=100_000)
    rates.observe_prefill(2_000, 10_000)
    assert rates.prefill_ns == 120_000
    rates.observe_prefill(200, 10_000)
    assert rates.prefill_ns == 110_000


def test_rates_are_moved_less_by_small_prompts():
    rates = Rates(SETTINGS, prefill_ns=100_000)
    rates.observe_prefill(WORK_TOKENS // 4 // 5, WORK_TOKENS // 4)
    assert 104_500 < rates.prefill_ns < 105_000


def test_rates_take_a_tenth_of_a_step_in_decoding():
    rates = Rates(SETTINGS, decode_ns=30_000_000)
    rates.observe_decode(400, 10)
    assert rates.decode_ns == 31_000_000


def test_rates_converge_to_what_is_measured():
    rates = Rates(SETTINGS)
    for _ in range(100):
        rates.observe_prefill(420, 10_000)
        rates.observe_decode(1_000, 20)
    assert abs(rates.prefill_ns - 42_000) < 100
    assert abs(rates.decode_ns - 50_000_000) < 100_000


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-(10**6), 10**9), st.integers(-1, 10**9)), max_size=60
    )
)
def test_rates_stay_within_bounds_and_within_ten_times_the_last(samples):
    rates = Rates(SETTINGS)
    for is_decode, duration_ms, tokens in samples:
        before = (rates.prefill_ns, rates.decode_ns)
        (rates.observe_decode if is_decode else rates.observe_prefill)(duration_ms, tokens)
        after = (rates.prefill_ns, rates.decode_ns)
        for old, new in zip(before, after, strict=True):
            assert RATE_NS_MIN <= new <= RATE_NS_MAX
            assert new <= 3 * old
